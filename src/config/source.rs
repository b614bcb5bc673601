//! `[[channel.source]]`: a place that messages of a channel come from beside HTTP. Connects to nothing.

use std::path::{Path, PathBuf};

use super::address::socket_path;
use super::amqp::AmqpSource;
use super::listener::parse_mode;
use super::postgres::PostgresSource;
use super::reader::Table;
use super::value;
use super::webhook::WebhookSource;

/// Separation of messages in a stream of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One a line. The default.
    Lines,
    /// Each message ends with the channel's `boundary`.
    Boundary,
    /// One JSON object a line: `{"event": …, "key": …, "data": …, "channel": …}`.
    Json,
}

impl Framing {
    const NAMES: [(&'static str, Self); 3] = [
        ("lines", Self::Lines),
        ("boundary", Self::Boundary),
        ("json", Self::Json),
    ];
}

/// One `[[channel.source]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `wok`: a push socket of an app, to which Noren connects once.
    Wok {
        /// `address`: `unix:/path`.
        address: PathBuf,
    },
    /// `listen`: a socket on which programs of this machine write messages.
    Listen(Listen),
    /// `amqp`: messages of a RabbitMQ exchange.
    Amqp(Box<AmqpSource>),
    /// `postgres`: notifications or an outbox table of a PostgreSQL database.
    Postgres(Box<PostgresSource>),
    /// `webhook`: signed requests of another service.
    Webhook(Box<WebhookSource>),
}

/// The socket of a `listen` source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// `address`: `unix:/path`.
    pub address: PathBuf,
    /// `type`: a socket of datagrams, each of which is a message, or of streams. Default stream.
    pub datagram: bool,
    /// `framing`: the separation of messages in a stream. Default lines.
    pub framing: Framing,
    /// `mode`: permission bits of the socket. Default `0o660`.
    pub mode: u32,
    /// `users`: names or numbers of the users that may write. Empty, the default: all users that the mode permits.
    pub users: Vec<String>,
}

/// The kinds of `[[channel.source]]`.
#[derive(Clone, Copy)]
enum Kind {
    Wok,
    Listen,
    Amqp,
    Postgres,
    Webhook,
}

impl Source {
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let kinds = [
            ("wok", Kind::Wok),
            ("listen", Kind::Listen),
            ("amqp", Kind::Amqp),
            ("postgres", Kind::Postgres),
            ("webhook", Kind::Webhook),
        ];
        let kind = table.required("source", r#""wok""#, |text| value::choice(text, &kinds));
        match kind {
            Some(Kind::Amqp) => return AmqpSource::read(table).map(Box::new).map(Self::Amqp),
            Some(Kind::Postgres) => {
                let source = PostgresSource::read(table);
                return source.map(Box::new).map(Self::Postgres);
            }
            Some(Kind::Webhook) => {
                return WebhookSource::read(table).map(Box::new).map(Self::Webhook);
            }
            Some(Kind::Wok | Kind::Listen) | None => {}
        }
        if kind.is_none() {
            // What else it needs depends on what it is.
            table.accept_other_keys();
            return None;
        }
        let address = table.required("address", r#""unix:/run/app/push""#, |text| {
            text.strip_prefix("unix:").map_or_else(
                || {
                    Err(format!(
                        r#"{text:?} is not a UNIX socket; write "unix:/path""#
                    ))
                },
                |path| socket_path(text, path),
            )
        });
        match kind? {
            Kind::Wok => Some(Self::Wok { address: address? }),
            Kind::Listen => Listen::read(table, address).map(Self::Listen),
            Kind::Amqp | Kind::Postgres | Kind::Webhook => None,
        }
    }

    /// The socket that is opened for it, if it is one that listens.
    #[must_use]
    pub fn listens_on(&self) -> Option<&Path> {
        match self {
            Self::Listen(listen) => Some(&listen.address),
            Self::Wok { .. } | Self::Amqp(_) | Self::Postgres(_) | Self::Webhook(_) => None,
        }
    }

    /// The table that it empties, with its database.
    pub(super) fn outbox(&self) -> Option<String> {
        match self {
            Self::Postgres(source) => {
                let (server, table) = source.outbox()?;
                Some(format!("{table} of {server}"))
            }
            Self::Wok { .. } | Self::Listen(_) | Self::Amqp(_) | Self::Webhook(_) => None,
        }
    }

    /// The path of a webhook, in the form in which paths of requests are compared.
    #[must_use]
    pub fn webhook(&self) -> Option<&str> {
        match self {
            Self::Webhook(source) => Some(source.path.decoded()),
            Self::Wok { .. } | Self::Listen(_) | Self::Amqp(_) | Self::Postgres(_) => None,
        }
    }
}

impl Listen {
    fn read(table: &mut Table<'_>, address: Option<PathBuf>) -> Option<Self> {
        let listen = Self {
            datagram: table.text("type", false, |text| {
                value::choice(text, &[("stream", false), ("datagram", true)])
            }),
            framing: table.text("framing", Framing::Lines, |text| {
                value::choice(text, &Framing::NAMES)
            }),
            mode: table.text("mode", 0o660, parse_mode),
            users: table.list("users", Vec::new(), value::not_empty),
            address: address?,
        };
        // Only a connection shows its peer. The credentials that come with a datagram are in
        // a control message, and to read those takes unsafe code, which this program has none of.
        if table.is_sound() && listen.datagram && !listen.users.is_empty() {
            table.problem(
                "users",
                r#"cannot be told from a datagram; write type = "stream", or remove it and let `mode` decide"#,
            );
        }
        Some(listen)
    }
}

//! `[[channel]]`: what is told to many, where it comes from, how much of it is kept, and who may say
//! something. Connects to nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::socket_path;
use super::amqp::AmqpSource;
use super::channel_name::ChannelPattern;
use super::listener::parse_mode;
use super::member::Member;
use super::needs::Needs;
use super::path_prefix::PathPrefix;
use super::postgres::PostgresSource;
use super::reader::Table;
use super::size::{GIB, KIB};
use super::value;
use super::webhook::WebhookSource;

/// Rule for a subscriber that lags too far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slow {
    /// The connection is closed (1013), and the client comes back with its cursor. The default.
    Disconnect,
    /// The subscriber gets a gap (`reset`) and the newest messages.
    DropOldest,
    /// Only the newest message of each key is kept, for all subscribers.
    Conflate,
}

impl Slow {
    const NAMES: [(&'static str, Self); 3] = [
        ("disconnect", Self::Disconnect),
        ("drop-oldest", Self::DropOldest),
        ("conflate", Self::Conflate),
    ];
}

/// Publishers of a channel, beside its own sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publisher {
    /// Programs on this machine, by the admin socket. The default.
    Local,
    /// Programs that send the publish token over HTTP, or a token of `[hub.tokens]` that permits it.
    Token,
    /// Pages; the app is queried about each message (`receive`).
    App,
}

impl Publisher {
    const NAMES: [(&'static str, Self); 3] = [
        ("local", Self::Local),
        ("token", Self::Token),
        ("app", Self::App),
    ];
}

/// Storage of a channel's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// The history is in memory and lost with a restart, which subscribers are told as a gap. The default.
    Memory,
    /// The history is in `hub.store`, and survives a restart and a crash.
    Disk,
}

impl StoreKind {
    const NAMES: [(&'static str, Self); 2] = [("memory", Self::Memory), ("disk", Self::Disk)];
}

/// `[channel.history]`: what a subscriber that comes back can still get.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// `messages`: at most this many. Default 1,000; 0 keeps none.
    pub messages: usize,
    /// `size`: at most this many bytes of data, up to 1 GiB. Default 1 MiB.
    pub size: usize,
    /// `age`: none that is older, whatever becomes of the machine's clock; after a restart it is by that clock.
    /// Default 1 h.
    pub age: Duration,
    /// `store`: where. Default memory.
    pub store: StoreKind,
    /// `ids`: of how many messages the publisher's own id is remembered, for `age`, so that a second one with the
    /// same id is not published. Default 1,000; 0 remembers none.
    pub ids: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            messages: 1000,
            size: 1 << 20,
            age: Duration::from_secs(3600),
            store: StoreKind::Memory,
            ids: 1000,
        }
    }
}

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
    /// `type`: whether each datagram is a message, instead of a stream of them. Default stream.
    pub datagram: bool,
    /// `framing`: how messages follow each other in a stream. Default lines.
    pub framing: Framing,
    /// `mode`: permission bits of the socket. Default `0o660`.
    pub mode: u32,
    /// `users`: names or numbers of the users that may write. Empty, the default: whoever the mode lets.
    pub users: Vec<String>,
}

/// One `[[channel]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// `name`: of the channel, or a pattern such as `job.*`. No two are the same.
    pub name: ChannelPattern,
    /// `token`: the bridge's tokens of this name are served from this channel. Default none.
    pub token: Option<String>,
    /// `boundary`: what ends a message for sources and pages of Wok's kind. Default `//EOM//`.
    pub boundary: String,
    /// `slow`: default `disconnect`.
    pub slow: Slow,
    /// `needs`: what opens it to those who listen. Default `None`: what the hub and its tokens say.
    pub needs: Option<Needs>,
    /// `subscribers`: the users and groups that may listen. Empty, the default: whoever it is opened to.
    pub subscribers: Vec<Member>,
    /// `publishers`: the users and groups that may publish, of those who can: pages, and bearers of tokens.
    /// Empty, the default: all of them.
    pub publishers: Vec<Member>,
    /// `publish`: who may publish. Default `local`.
    pub publish: Vec<Publisher>,
    /// `app`: the name of the app that is asked and told. Default none: the first.
    pub app: Option<String>,
    /// `receive`: the path at the app that takes the messages of pages. Default none.
    pub receive: Option<PathPrefix>,
    /// `presence`: whether it can be asked who listens, and changes are told. Default no.
    pub presence: bool,
    /// `on-first-join`: a path at the app that is told when somebody listens. Default none.
    pub on_first_join: Option<PathPrefix>,
    /// `on-last-leave`: a path at the app that is told when nobody listens any more. Default none.
    pub on_last_leave: Option<PathPrefix>,
    /// `compress`: whether what is sent to subscribers is compressed, if they can read that. Default no.
    pub compress: bool,
    /// `compress-private`: also for those who came with a session or a token. Default no.
    pub compress_private: bool,
    /// The `[channel.history]` table.
    pub history: History,
    /// `[[channel.source]]`: where messages come from.
    pub sources: Vec<Source>,
}

/// The names, sockets and tables of the channels above: sets, because a file may have tens of thousands.
#[derive(Default)]
struct Taken {
    names: HashSet<ChannelPattern>,
    sockets: HashSet<PathBuf>,
    outboxes: HashSet<String>,
    webhooks: HashSet<String>,
}

impl Taken {
    fn add(&mut self, channel: &Channel) {
        let webhooks = channel.sources.iter().filter_map(Source::webhook);
        self.webhooks.extend(webhooks.map(str::to_owned));
        self.names.insert(channel.name.clone());
        let sockets = channel.sources.iter().filter_map(Source::listens_on);
        self.sockets.extend(sockets.map(Path::to_owned));
        self.outboxes
            .extend(channel.sources.iter().filter_map(Source::outbox));
    }
}

impl Channel {
    /// A channel of Noren itself, which the file does not have: only this program publishes into it. `None` if the
    /// name is not one of a channel.
    pub(super) fn internal(name: &str, history: &History) -> Option<Self> {
        Some(Self {
            name: ChannelPattern::parse(name).ok()?,
            token: None,
            boundary: String::new(),
            slow: Slow::Disconnect,
            needs: None,
            subscribers: Vec::new(),
            publishers: Vec::new(),
            publish: vec![Publisher::Local],
            app: None,
            receive: None,
            presence: false,
            on_first_join: None,
            on_last_leave: None,
            compress: false,
            compress_private: false,
            history: history.clone(),
            sources: Vec::new(),
        })
    }

    pub(super) fn read_all(root: &mut Table<'_>) -> Vec<Self> {
        let mut channels: Vec<Self> = Vec::new();
        let mut taken = Taken::default();
        root.each_table("channel", |table| {
            let Some(channel) = Self::read(table) else {
                return;
            };
            if table.is_sound() {
                channel.compare(&taken, table);
            }
            taken.add(&channel);
            channels.push(channel);
        });
        channels
    }

    fn read(table: &mut Table<'_>) -> Option<Self> {
        let app_path = |text: &str| PathPrefix::parse(text).map(Some);
        let name = table.required("name", r#""jobs""#, ChannelPattern::parse_own);
        let token = table.text("token", None, |text| value::not_empty(text).map(Some));
        let boundary = table.text("boundary", "//EOM//".to_owned(), value::not_empty);
        let slow = table.text("slow", Slow::Disconnect, |text| {
            value::choice(text, &Slow::NAMES)
        });
        let needs = Needs::read(table);
        let subscribers = table.list("subscribers", Vec::new(), Member::parse);
        let publishers = table.list("publishers", Vec::new(), Member::parse);
        let publish = table.list("publish", vec![Publisher::Local], |text| {
            value::choice(text, &Publisher::NAMES)
        });
        let app = table.text("app", None, |text| value::not_empty(text).map(Some));
        let receive = table.text("receive", None, app_path);
        let presence = table.flag("presence", false);
        let on_first_join = table.text("on-first-join", None, app_path);
        let on_last_leave = table.text("on-last-leave", None, app_path);
        let compress = table.flag("compress", false);
        let compress_private = table.flag("compress-private", false);
        if compress_private && !compress {
            table.problem(
                "compress-private",
                "says more of compress = true; write that too, or remove it",
            );
        }
        let history = table.table("history", History::read);
        let sources = table.tables("source", Source::read);
        Some(Self {
            name: name?,
            token,
            boundary,
            slow,
            needs,
            subscribers,
            publishers,
            publish,
            app,
            receive,
            presence,
            on_first_join,
            on_last_leave,
            compress,
            compress_private,
            history,
            sources: sources.into_iter().flatten().collect(),
        })
    }

    /// Checks the channel against its other keys and the other channels.
    fn compare(&self, taken: &Taken, table: &Table<'_>) {
        if taken.names.contains(&self.name) {
            let text = format!(r#"two channels have the name "{}"; remove one"#, self.name);
            table.problem("name", text);
        }
        let is_socket = |source: &Source| matches!(source, Source::Wok { .. } | Source::Listen(_));
        if self.name.name().is_none()
            && (self.token.is_some() || self.sources.iter().any(is_socket))
        {
            table.problem(
                "name",
                "a pattern has no socket and no token of its own; write the name of one channel",
            );
        }
        for source in &self.sources {
            let misplaced = match source {
                Source::Amqp(source) => source.mapping.misplaced(&self.name),
                Source::Postgres(source) => source.misplaced(&self.name),
                Source::Webhook(source) => source.mapping.misplaced(&self.name),
                Source::Wok { .. } | Source::Listen(_) => None,
            };
            if let Some(text) = misplaced {
                table.problem("source", text);
            }
        }
        let mut outboxes = HashSet::new();
        for outbox in self.sources.iter().filter_map(Source::outbox) {
            if taken.outboxes.contains(&outbox) || !outboxes.insert(outbox.clone()) {
                let text = format!(
                    "two sources empty the table {outbox}; one is enough, since each row names its channel"
                );
                table.problem("source", text);
            }
        }
        let mut webhooks = HashSet::new();
        for path in self.sources.iter().filter_map(Source::webhook) {
            if taken.webhooks.contains(path) || !webhooks.insert(path) {
                let text = format!(r#"two webhooks come to "{path}"; give each its own"#);
                table.problem("source", text);
            }
        }
        let mut own = HashSet::new();
        for address in self.sources.iter().filter_map(Source::listens_on) {
            if taken.sockets.contains(address) || !own.insert(address) {
                let address = address.display();
                let text = format!(r#"two sources listen on "unix:{address}"; give each its own"#);
                table.problem("source", text);
            }
        }
        // As it is read elsewhere an empty list would be everybody, which nobody means who writes one.
        for (key, list) in [
            ("subscribers", &self.subscribers),
            ("publishers", &self.publishers),
        ] {
            if table.has(key) && list.is_empty() {
                table.problem(
                    key,
                    "names nobody; write a user, or remove it to have no list",
                );
            }
        }
        if self.publish.contains(&Publisher::App) != self.receive.is_some() {
            table.problem(
                "receive",
                r#"publish = ["app"] and receive = "/path" at the app belong together; write both or neither"#,
            );
        }
    }
}

impl History {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            messages: table.number("messages", default.messages, 0..=10_000_000),
            size: table.buffer("size", default.size, KIB..=GIB),
            age: table.time_limit("age", default.age),
            store: table.text("store", default.store, |text| {
                value::choice(text, &StoreKind::NAMES)
            }),
            ids: table.number("ids", default.ids, 0..=1_000_000),
        }
    }
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
    fn read(table: &mut Table<'_>) -> Option<Self> {
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
            table.pass_over();
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
    fn outbox(&self) -> Option<String> {
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
        // Only connections have a peer that can be asked for. The credentials that come with a datagram are in
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

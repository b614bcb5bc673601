//! One source of a configuration: its settings, the resource that it opens before it runs, and its task.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use crate::amqp::Broker;
use crate::config::{self, ChannelPattern, Config, Framing};
use crate::hub::Hub;
use crate::net::check_unix;
use crate::sources::listen::{self, PublishSocket, Rules};
use crate::sources::postgres::{self, Database};
use crate::sources::sink::Sink;
use crate::sources::stop::Stop;
use crate::sources::webhook::Gate;
use crate::sources::{amqp, users, wok};
use crate::text::Reason;

/// The settings that identify a source: two sources with equal settings are the same.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) channel: ChannelPattern,
    origin: Origin,
}

#[derive(Clone, PartialEq, Eq)]
enum Origin {
    Wok {
        address: PathBuf,
        boundary: String,
    },
    Listen {
        listen: config::Listen,
        rules: Rules,
    },
    Amqp(Box<config::AmqpSource>),
    Postgres {
        settings: Box<config::PostgresSource>,
        /// The stream of the cluster, of which only one node subscribes to notifications.
        cluster: Option<String>,
    },
    Webhook(Box<config::WebhookSource>),
}

impl Source {
    /// The source with these settings of a channel.
    ///
    /// # Errors
    /// The reason, if it names a user that this machine does not know.
    pub(super) fn new(
        config: &Config,
        channel: &config::Channel,
        source: &config::Source,
    ) -> Result<Self, Reason> {
        let boundary = &channel.boundary;
        let origin = match source {
            config::Source::Wok { address } => Origin::Wok {
                address: address.clone(),
                boundary: boundary.clone(),
            },
            config::Source::Amqp(settings) => Origin::Amqp(settings.clone()),
            config::Source::Postgres(settings) => Origin::Postgres {
                settings: settings.clone(),
                cluster: config.cluster.as_ref().map(|one| one.stream.clone()),
            },
            config::Source::Webhook(settings) => Origin::Webhook(settings.clone()),
            config::Source::Listen(listen) => Origin::Listen {
                rules: Rules {
                    framing: listen.framing,
                    // The boundary matters only for framing by boundary; otherwise a different one is not a
                    // different source.
                    boundary: match listen.framing {
                        Framing::Boundary => boundary.clone(),
                        Framing::Lines | Framing::Json => String::new(),
                    },
                    users: users::numbers(&listen.users)?,
                },
                listen: listen.clone(),
            },
        };
        Ok(Self {
            channel: channel.name.clone(),
            origin,
        })
    }

    /// Checks that the source can be opened, without opening it.
    ///
    /// # Errors
    /// The reason why it cannot be.
    pub(super) fn check(&self) -> Result<(), Reason> {
        match &self.origin {
            Origin::Wok { .. } => Ok(()),
            Origin::Listen { listen, .. } => check_unix(&listen.address),
            Origin::Amqp(settings) => Ok(Broker::new(&settings.broker).map(drop)?),
            Origin::Postgres { settings, .. } => Database::new(&settings.server).map(drop),
            Origin::Webhook(settings) => Gate::new(settings).map(drop),
        }
    }

    /// Path of the webhook, if it is one.
    pub(super) fn webhook_path(&self) -> Option<&str> {
        match &self.origin {
            Origin::Webhook(settings) => Some(settings.path.decoded()),
            Origin::Wok { .. }
            | Origin::Listen { .. }
            | Origin::Amqp(_)
            | Origin::Postgres { .. } => None,
        }
    }

    /// Path of its listening socket, if it has one.
    pub(super) fn listens_on(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Listen { listen, .. } => Some(&listen.address),
            Origin::Wok { .. } | Origin::Amqp(_) | Origin::Postgres { .. } | Origin::Webhook(_) => {
                None
            }
        }
    }

    /// The sink for its messages.
    pub(super) fn sink(&self, hub: &Hub) -> Sink {
        let (kind, address) = match &self.origin {
            Origin::Wok { address, .. } => ("wok", unix(address)),
            Origin::Listen { listen, .. } => ("listen", unix(&listen.address)),
            Origin::Amqp(settings) => ("amqp", exchange(settings)),
            Origin::Postgres { settings, .. } => ("postgres", settings.to_string()),
            Origin::Webhook(settings) => ("webhook", settings.path.as_str().to_owned()),
        };
        Sink::new(hub.clone(), self.channel.clone(), kind, address)
    }

    /// Runs the source until it is stopped.
    pub(super) async fn work(self, sink: &Arc<Sink>, resource: Resource, stop: &Stop) {
        match (self.origin, resource) {
            (Origin::Wok { address, boundary }, _) => {
                wok::follow(sink, &address, &boundary, stop).await;
            }
            (Origin::Listen { listen, rules }, Resource::PublishSocket(socket)) => {
                // A socket that was there before has the mode it had.
                if let Err(reason) = socket.set_mode(listen.mode) {
                    warn!(
                        channel = %self.channel,
                        address = sink.address(),
                        %reason,
                        "a source's socket keeps its old mode",
                    );
                }
                // It ends by itself, when it has read what was written before.
                listen::serve(&socket, sink, rules, stop).await;
            }
            (Origin::Amqp(settings), Resource::Broker(broker)) => {
                // It ends by itself, with a goodbye to the broker.
                amqp::follow(sink, &broker, &settings, stop).await;
            }
            (Origin::Postgres { settings, cluster }, Resource::Database(database)) => {
                // It ends by itself, when what it has published is deleted from its table.
                let cluster = cluster.as_deref();
                postgres::follow(sink, &database, &settings, cluster, stop).await;
            }
            (Origin::Webhook(_), _) => {
                // The service hands requests over; there is nothing to wait for.
                sink.set_up();
                stop.requested().await;
            }
            (Origin::Listen { .. } | Origin::Amqp(_) | Origin::Postgres { .. }, _) => {}
        }
    }
}

/// The resource that a source has opened before it runs.
#[derive(Clone)]
pub(super) enum Resource {
    /// No resource: the source connects to an app once it is reachable.
    None,
    PublishSocket(Arc<PublishSocket>),
    Broker(Box<Broker>),
    Database(Box<Database>),
    Gate(Arc<Gate>),
}

impl Resource {
    /// Opens the resource that a source needs to run. `sockets` are open already, by their addresses.
    ///
    /// # Errors
    /// The reason why it cannot be opened.
    pub(super) fn open(
        source: &Source,
        sockets: &HashMap<PathBuf, Arc<PublishSocket>>,
    ) -> Result<Self, Reason> {
        match &source.origin {
            Origin::Wok { .. } => Ok(Self::None),
            Origin::Listen { listen, .. } => socket(listen, sockets).map(Self::PublishSocket),
            Origin::Amqp(settings) => {
                let broker = Broker::new(&settings.broker)?;
                Ok(Self::Broker(Box::new(broker)))
            }
            Origin::Postgres { settings, .. } => {
                let database = Database::new(&settings.server)?;
                Ok(Self::Database(Box::new(database)))
            }
            Origin::Webhook(settings) => Ok(Self::Gate(Arc::new(Gate::new(settings)?))),
        }
    }

    /// The open socket, if it is one.
    pub(super) fn socket(&self) -> Option<&Arc<PublishSocket>> {
        match self {
            Self::PublishSocket(socket) => Some(socket),
            Self::None | Self::Broker(_) | Self::Database(_) | Self::Gate(_) => None,
        }
    }

    /// The secrets of a webhook, if it is one.
    pub(super) fn gate(&self) -> Option<&Arc<Gate>> {
        match self {
            Self::Gate(gate) => Some(gate),
            Self::None | Self::PublishSocket(_) | Self::Broker(_) | Self::Database(_) => None,
        }
    }
}

/// Opens the socket of a listening source. An open one is reused if only the rules for reading have changed, so that
/// programs that connect meanwhile are not refused.
fn socket(
    listen: &config::Listen,
    sockets: &HashMap<PathBuf, Arc<PublishSocket>>,
) -> Result<Arc<PublishSocket>, Reason> {
    match sockets.get(&listen.address) {
        Some(socket) if socket.is_datagram() != listen.datagram => Err(
            "the `type` of a socket cannot be changed by a reload; restart Noren for that".into(),
        ),
        Some(socket) => Ok(Arc::clone(socket)),
        None => PublishSocket::open(listen).map(Arc::new),
    }
}

/// Reason why a source of a configuration cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel}: source {address}: {reason}")]
pub struct SourceError {
    channel: ChannelPattern,
    address: String,
    reason: Reason,
}

impl SourceError {
    pub(super) fn new(channel: &config::Channel, source: &config::Source, reason: Reason) -> Self {
        Self {
            channel: channel.name.clone(),
            address: address(source),
            reason,
        }
    }

    /// The file, if this user may not use it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        self.reason.denied()
    }
}

/// The address of a source in the log and in errors.
fn address(source: &config::Source) -> String {
    match source {
        config::Source::Wok { address } => unix(address),
        config::Source::Listen(listen) => unix(&listen.address),
        config::Source::Amqp(settings) => exchange(settings),
        config::Source::Postgres(settings) => settings.to_string(),
        config::Source::Webhook(settings) => settings.path.as_str().to_owned(),
    }
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn exchange(settings: &config::AmqpSource) -> String {
    format!("{} exchange {}", settings.broker, settings.exchange)
}

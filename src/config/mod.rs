//! The configuration: one TOML file as types.
//!
//! An invalid [`Config`] does not come out of this module: [`Config::parse`] either returns a value
//! every other module can use without checking it again, or a [`ConfigError`] that names the file,
//! the line, the key, what is wrong and what to write. Each table of the file is one file here and
//! one type with a `Default`; the default of a key stands nowhere else.
//!
//! This module opens no socket, loads no certificate and knows nothing of HTTP: it cannot say
//! whether a file that the configuration names exists, only whether the name makes sense. The
//! annotated reference is `config/noren.toml`.

mod acme;
mod address;
mod admin;
mod affinity;
mod amqp;
mod app;
mod app_siblings;
mod app_url;
mod app_urls;
mod bridge;
mod broker;
mod channel;
mod channel_access;
mod channel_name;
mod channel_tokens;
mod clipboard;
mod cluster;
mod consistency;
mod console_visitors;
mod consoles;
mod duration;
mod endpoint;
mod entrance;
mod error;
mod files;
mod grip;
mod header_fields;
mod header_rules;
mod header_text;
mod headers;
mod host_pattern;
mod http_source;
mod hub;
mod limits;
mod listener;
mod listening;
mod log;
mod mapping;
mod mask;
mod member;
mod mercure;
mod methods;
mod named_files;
mod nearest;
mod needs;
mod network;
mod nova_source;
mod origin;
mod path_pattern;
mod path_prefix;
mod postgres;
mod postgres_server;
mod problems;
mod quantity;
mod reader;
mod recording;
mod request_limits;
mod restart;
mod rfb;
mod secret_file;
mod secret_location;
mod server;
mod service_url;
mod session;
mod shared;
mod siblings;
mod signed;
mod size;
mod source;
mod spool;
mod subprotocols;
mod syntax;
mod target_rule;
mod target_tls;
mod template;
mod tls;
mod token_source;
mod token_url;
mod value;
mod view_rules;
mod webhook;

#[cfg(test)]
mod error_tests;
#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod mercure_tests;

use std::collections::HashMap;
use std::path::Path;

use app_siblings::introduced;
use problems::Problems;
use reader::Table;

pub use acme::{Acme, Challenge, ExternalKey};
pub use admin::Admin;
pub use affinity::Affinity;
pub use amqp::{AmqpFormat, AmqpSource};
pub use app::App;
pub use app_url::AppUrl;
pub use app_urls::AppUrls;
pub use bridge::{Bridge, StaticTarget};
pub use broker::{Broker, BrokerCredentials};
pub use channel::{Channel, History, Publisher, Slow, StoreKind};
pub use channel_name::{ChannelName, ChannelPattern};
pub use channel_tokens::ChannelTokens;
pub use clipboard::Clipboard;
pub use cluster::Cluster;
pub use consoles::{ConsoleList, Consoles};
pub use duration::parse as parse_duration;
pub use endpoint::Endpoint;
pub use entrance::{CertificateRule, Entrance};
pub use error::{ConfigError, Problem};
pub use files::{Files, Offload};
pub use grip::Grip;
pub use header_rules::{Field, HeaderRules, Scope};
pub use headers::SecurityHeaders;
pub use host_pattern::HostPattern;
pub use http_source::{AnswerPlaces, HttpSource};
pub use hub::Hub;
pub use limits::Limits;
pub use listener::{ClientCertificates, ForwardedHeader, ListenAddress, Listener, Protocol};
pub use log::{AccessFormat, Audit, Level, Log, LogFormat};
pub use mapping::Mapping;
pub use member::Member;
pub use mercure::{Mercure, MercureIssuer, MercureVersion};
pub use methods::{LONGEST_METHOD, Methods, is_method_in_other_case};
pub use needs::Needs;
pub use network::Network;
pub use nova_source::{Domain, NovaInterface, NovaLifetime, NovaLogin, NovaSource};
pub use origin::OriginRule;
pub use path_pattern::PathPattern;
pub use path_prefix::{PathPrefix, without_case};
pub use postgres::{
    Notifications, Outbox, PostgresFormat, PostgresPlace, PostgresSource, TableName, quoted,
};
pub use postgres_server::{PostgresServer, SslMode};
pub use recording::{Recording, WhenUnrecordable};
pub use request_limits::{RequestLimits, RequestRate};
pub use rfb::{Rfb, RfbAccess, RfbSecurity};
pub use secret_file::SecretFile;
pub use secret_location::SecretLocation;
pub use server::{Server, ServerHosts};
pub use service_url::ServiceUrl;
pub use session::{
    CHANNEL_PLACEHOLDER, GUEST_PLACEHOLDER, KIND_PLACEHOLDER, LogoutEnds, NAME_PLACEHOLDER,
    Session, SessionRule,
};
pub use shared::{ConsoleSharing, SharedConsoles, SlowViewer, Typing};
pub use siblings::{CanonicalAddress, Siblings};
pub use signed::Signed;
pub use source::{Framing, Listen, Source};
pub use spool::{Spool, WhenFull};
pub use target_rule::{Hosts, TargetRule};
pub use target_tls::TargetTls;
pub use template::{Part, Template, Templates};
pub use tls::{Certificate, Tls, TlsVersion};
pub use token_source::{RedisSource, SourceKind, TokenSource};
pub use token_url::TokenUrl;
pub use view_rules::ViewRules;
pub use webhook::{WebhookSignature, WebhookSource};

/// The whole file.
///
/// `Config::default()` is what an empty file means: one `https` listener on `[::]:8001` and no app.
/// A *file* must name something to serve, so that default can be built in code (the command line
/// adds the app) but not loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[log]`: the content and the form of the log.
    pub log: Log,
    /// `[server]`: threads and stopping.
    pub server: Server,
    /// `[[listener]]`: the listening sockets. Never empty: without one in the file it is the default listener.
    pub listeners: Vec<Listener>,
    /// `[tls]`: versions and certificates of the `https` listeners.
    pub tls: Tls,
    /// `[acme]`: certificates from an authority. Default none.
    pub acme: Option<Acme>,
    /// `[limits]`: the limits for one client, and for all of them together.
    pub limits: Limits,
    /// `[spool]`: the place of bodies that wait for slow clients.
    pub spool: Spool,
    /// `[headers]`: response headers added to every answer.
    pub headers: SecurityHeaders,
    /// `[[app]]`: the apps behind this door.
    pub apps: Vec<App>,
    /// `[[files]]`: directories that are served as they are.
    pub files: Vec<Files>,
    /// `[session]`: the question to the app whether a visitor is logged in.
    pub session: Session,
    /// `[bridge]`: WebSocket to socket.
    pub bridge: Bridge,
    /// `[hub]`: the settings that all channels share.
    pub hub: Hub,
    /// `[[channel]]`: messages to many.
    pub channels: Vec<Channel>,
    /// `[mercure]`: a hub of the Mercure protocol. Default none.
    pub mercure: Option<Mercure>,
    /// `[cluster]`: the stream that makes several Norens one hub. Default none.
    pub cluster: Option<Cluster>,
    /// `[admin]`: the socket for the programs of this machine.
    pub admin: Admin,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: Log::default(),
            server: Server::default(),
            listeners: vec![Listener::default()],
            tls: Tls::default(),
            acme: None,
            limits: Limits::default(),
            spool: Spool::default(),
            headers: SecurityHeaders::default(),
            apps: Vec::new(),
            files: Vec::new(),
            session: Session::default(),
            bridge: Bridge::default(),
            hub: Hub::default(),
            channels: Vec::new(),
            mercure: None,
            cluster: None,
            admin: Admin::default(),
        }
    }
}

impl Config {
    /// Reads and parses the file at `path`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Unreadable`] when there is no such file or it may not be read, otherwise as
    /// [`Config::parse`] with `path` as the file's name.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let bytes = std::fs::read(path).map_err(|error| ConfigError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        let file_name = path.display().to_string();
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, &file_name),
            Err(error) => Err(ConfigError::not_utf8(&file_name, &bytes, error)),
        }
    }

    /// Parses the text of a configuration file; `file_name` only appears in the errors.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] with every problem found, in the order of their lines. A text that
    /// is not TOML yields its first syntax error only, because what follows a syntax error is
    /// guesswork.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, ConfigError> {
        // Editors on Windows put a mark in front.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = toml::de::DeTable::parse(text)
            .map_err(|error| ConfigError::syntax(file_name, text, &error))?;
        let problems = Problems::default();
        let mut root = Table::root(document.get_ref(), &problems);
        let config = Self::read(&mut root);
        root.finish();
        listening::check(document.get_ref(), text, file_name, &problems);
        let problems = problems.in_order(text, file_name);
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid { problems })
        }
    }

    fn read(root: &mut Table<'_>) -> Self {
        let mut rates = HashMap::new();
        let mut config = Self {
            log: root.table("log", Log::read),
            server: root.table("server", Server::read),
            listeners: Listener::read_all(root),
            tls: root.table("tls", Tls::read),
            acme: root.table("acme", Acme::read),
            limits: root.table("limits", Limits::read),
            spool: root.table("spool", Spool::read),
            headers: root.table("headers", SecurityHeaders::read),
            apps: introduced(App::read_all(root, &mut rates)),
            files: Files::read_all(root, &mut rates),
            session: Session::default(),
            bridge: root.table("bridge", Bridge::read),
            hub: root.table("hub", Hub::read),
            channels: Channel::read_all(root),
            mercure: Mercure::read(root),
            cluster: root.table("cluster", Cluster::read),
            admin: root.table("admin", Admin::read),
        };
        config.open_grip(root);
        config.open_mercure(root);
        config.check_webhooks(root);
        config.check_consoles(root);
        config.check_recordings(root);
        // After all others: a name can only be found among apps that could be read.
        let apps = root.has_no_problem().then_some(config.apps.as_slice());
        config.session = root.table("session", |table| Session::read(table, apps));
        config.check_session(root);
        config.check_page(root);
        config.check_needs(root);
        config.check_viewers(root);
        if root.is_sound() {
            config.compare(root);
        }
        config
    }

    /// True if there are channels that clients can name; those of GRIP apps and of Mercure are not.
    #[must_use]
    pub fn has_open_channels(&self) -> bool {
        self.channels.iter().any(|channel| !channel.is_internal())
    }

    /// Adds the channel of the Mercure hub, before all others: no pattern may open it to anybody else.
    fn open_mercure(&mut self, root: &Table<'_>) {
        if self.channels.iter().any(|one| one.name.is_of_mercure()) {
            let text =
                r#"the names that begin with "mercure." are those of [mercure]; write another"#;
            root.problem("channel", text);
        }
        let Some(mercure) = &self.mercure else {
            return;
        };
        if self.hub.path == mercure.path {
            root.problem(
                "mercure",
                "and [hub] have the same path; write another into one of them",
            );
        }
        self.channels.splice(0..0, mercure.channel());
    }

    /// Adds the channels of GRIP apps, before all others: no pattern may open them to anybody else.
    fn open_grip(&mut self, root: &Table<'_>) {
        if self
            .channels
            .iter()
            .any(|channel| channel.name.is_of_grip())
        {
            let text =
                r#"the names that begin with "grip." are those of [app.grip]; write another"#;
            root.problem("channel", text);
        }
        let grip = |app: &App| app.grip.as_ref()?.channel(&app.name);
        let channels: Vec<_> = self.apps.iter().filter_map(grip).collect();
        let speaks = |listener: &Listener| listener.protocol == Protocol::Grip;
        if channels.is_empty() && root.is_sound() && self.listeners.iter().any(speaks) {
            let text = r#"protocol = "grip" takes messages for apps with [app.grip], and there is none; write one"#;
            root.problem("listener", text);
        }
        self.channels.splice(0..0, channels);
    }
}

//! `[[channel]]`: a named sequence of messages, its history, and the rules for its subscribers and publishers. Connects
//! to nothing.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::channel_name::ChannelPattern;
use super::member::Member;
use super::needs::Needs;
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::size::{GIB, KIB};
use super::source::Source;
use super::value;

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
    /// The history is in memory and lost with a restart; subscribers get a gap. The default.
    Memory,
    /// The history is in `hub.store`, and survives a restart and a crash.
    Disk,
}

impl StoreKind {
    const NAMES: [(&'static str, Self); 2] = [("memory", Self::Memory), ("disk", Self::Disk)];
}

/// `[channel.history]`: the messages that are kept for subscribers that come back.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// `messages`: at most this many. Default 1,000; 0 keeps none.
    pub messages: usize,
    /// `size`: at most this many bytes of data, up to 1 GiB. Default 1 MiB.
    pub size: usize,
    /// `age`: the greatest age of a message, measured independently of changes of the machine's clock; after a restart
    /// by that clock. Default 1 h.
    pub age: Duration,
    /// `store`: the storage. Default memory.
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

/// One `[[channel]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// `name`: of the channel, or a pattern such as `job.*`. No two are the same.
    pub name: ChannelPattern,
    /// `token`: the bridge's tokens of this name are served from this channel. Default none.
    pub token: Option<String>,
    /// `boundary`: the end of a message for sources and pages of Wok's kind. Default `//EOM//`.
    pub boundary: String,
    /// `slow`: default `disconnect`.
    pub slow: Slow,
    /// `needs`: the requirement for subscribing. Default `None`: the one of the hub and its tokens.
    pub needs: Option<Needs>,
    /// `subscribers`: the users and groups that may subscribe. Empty, the default: everybody who meets `needs`.
    pub subscribers: Vec<Member>,
    /// `publishers`: the users and groups that may publish, for pages and bearers of tokens. Empty, the default: all of
    /// them.
    pub publishers: Vec<Member>,
    /// `publish`: the kinds of permitted publishers. Default `local`.
    pub publish: Vec<Publisher>,
    /// `app`: the name of the app that gets queries, messages and hooks. Default none: the first.
    pub app: Option<String>,
    /// `receive`: the path at the app that takes the messages of pages. Default none.
    pub receive: Option<PathPrefix>,
    /// `presence`: publishes the presence and its changes. Default no.
    pub presence: bool,
    /// `on-first-join`: a path at the app that is called for the first subscriber. Default none.
    pub on_first_join: Option<PathPrefix>,
    /// `on-last-leave`: a path at the app that is called when the last subscriber has left. Default none.
    pub on_last_leave: Option<PathPrefix>,
    /// `compress`: compresses messages for subscribers that support it. Default no.
    pub compress: bool,
    /// `compress-private`: also for subscribers with a session or a token. Default no.
    pub compress_private: bool,
    /// The `[channel.history]` table.
    pub history: History,
    /// `[[channel.source]]`: the sources of messages.
    pub sources: Vec<Source>,
}

/// The names, sockets and tables of the channels above: sets, because a file may have tens of thousands.
#[derive(Default)]
struct UsedNames {
    names: HashSet<ChannelPattern>,
    sockets: HashSet<PathBuf>,
    outboxes: HashSet<String>,
    webhooks: HashSet<String>,
}

impl UsedNames {
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
        let mut taken = UsedNames::default();
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
    fn compare(&self, taken: &UsedNames, table: &Table<'_>) {
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
        // An empty list would mean everybody, which is not what its author intends.
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

//! `[mercure]`: a hub of the Mercure protocol, as Symfony, API Platform and Laravel publish to it
//! (<https://mercure.rocks/spec>). Reads no key.

use std::time::Duration;

use super::channel::{Channel, History};
use super::channel_name::{ChannelName, ChannelPattern};
use super::entrance::Entrance;
use super::header_text::parse_header_name;
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::secret_file::SecretFile;
use super::value;

/// First word of the name of its channel. No `[[channel]]` and no client can name one.
const NAMESPACE: &str = "mercure";
/// The channel with all updates.
const UPDATES: &str = "mercure.updates";

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MercureVersion {
    /// `0.x`: the libraries of today; subscribers send `topic`, and tokens have the claim `mercure`.
    Draft,
    /// `1.0`: the specification of 2026; subscribers send `match`, and tokens are those of OAuth 2.0.
    One,
}

impl MercureVersion {
    const NAMES: [(&'static str, Self); 2] = [("0.x", Self::Draft), ("1.0", Self::One)];
}

/// One `[[mercure.issuer]]`: an issuer of tokens of version 1.0, and its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MercureIssuer {
    /// `name`: the claim `iss` of its tokens, such as `https://www.example.org`.
    pub name: String,
    /// `keys`: the files with its keys.
    pub keys: Vec<SecretFile>,
}

/// The `[mercure]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Mercure {
    /// `path`: of the hub. Default `/.well-known/mercure`, where libraries look for it.
    pub path: String,
    /// `versions`: of the protocol. Default both; a request shows by its form which one it speaks.
    pub versions: Vec<MercureVersion>,
    /// `publisher-keys`: files with the keys of publishers' tokens (0.x). Default none.
    pub publisher_keys: Vec<SecretFile>,
    /// `subscriber-keys`: files with the keys of subscribers' tokens (0.x). Default: those of publishers.
    pub subscriber_keys: Vec<SecretFile>,
    /// `url`: the public address of the hub, which is the audience of tokens of version 1.0. Default none.
    pub url: Option<String>,
    /// `[[mercure.issuer]]`: the issuers of tokens of version 1.0.
    pub issuers: Vec<MercureIssuer>,
    /// `cookie`: the cookie with a token of version 0.x. Default `mercureAuthorization`.
    pub cookie: String,
    /// `query-token`: permits tokens of version 0.x in the URL (`authorization=`), for pages that can set neither a
    /// header nor the cookie. Default yes.
    pub query_token: bool,
    /// `anonymous`: sends public updates to subscribers without a token. Default no.
    pub anonymous: bool,
    /// `session`: requires a session at the app from subscribers, too. Default no.
    pub session: bool,
    /// `subscriptions`: publishes the active subscriptions, by private updates and at `/subscriptions`. Default no.
    pub subscriptions: bool,
    /// `lifetime`: a stream is closed after this time, less up to a fifth at random, so that its client comes back
    /// with a token that is checked again. Default 10 min.
    pub lifetime: Option<Duration>,
    /// `leeway`: the permitted lag of a signer's clock. Default 5 s. No token is good after its end.
    pub leeway: Duration,
    /// `topics`: of one update, and of a list in a token. Default 1,000.
    pub topics: usize,
    /// `selectors`: of one subscriber. Default 1,000.
    pub selectors: usize,
    /// `patterns`: the limit on selectors of one subscriber that are templates or URL patterns, each of which costs
    /// time with each update. Default 100.
    pub patterns: usize,
    /// `topic-length`: of a topic and of a selector, in bytes. Default 4,096.
    pub topic_length: usize,
    /// `origins`, `missing-origin`, `users`, `realm`, `client-certificate` and `client-names`: the requirements for a
    /// client. Pages of the listed origins are answered with the headers that browsers ask for (CORS).
    pub entrance: Entrance,
    /// `[mercure.history]`: the updates kept for those that come back.
    pub history: History,
}

impl Default for Mercure {
    fn default() -> Self {
        Self {
            path: "/.well-known/mercure".to_owned(),
            versions: vec![MercureVersion::Draft, MercureVersion::One],
            publisher_keys: Vec::new(),
            subscriber_keys: Vec::new(),
            url: None,
            issuers: Vec::new(),
            cookie: "mercureAuthorization".to_owned(),
            query_token: true,
            anonymous: false,
            session: false,
            subscriptions: false,
            lifetime: Some(Duration::from_secs(600)),
            leeway: Duration::from_secs(5),
            topics: 1000,
            selectors: 1000,
            patterns: 100,
            topic_length: 4096,
            entrance: Entrance::default(),
            history: History::default(),
        }
    }
}

impl Mercure {
    pub(super) fn read(root: &mut Table<'_>) -> Option<Self> {
        let has = root.has(NAMESPACE);
        let mercure = root.table(NAMESPACE, |table| {
            let mercure = Self::read_keys(table);
            if has && table.is_sound() {
                mercure.check(table);
            }
            mercure
        });
        has.then_some(mercure)
    }

    fn read_keys(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            path: table.text("path", default.path, parse_path),
            versions: table.list("versions", default.versions, |text| {
                value::choice(text, &MercureVersion::NAMES)
            }),
            publisher_keys: table.list("publisher-keys", Vec::new(), SecretFile::parse),
            subscriber_keys: table.list("subscriber-keys", Vec::new(), SecretFile::parse),
            url: table.text("url", None, |text| parse_url(text).map(Some)),
            issuers: table
                .tables("issuer", MercureIssuer::read)
                .into_iter()
                .flatten()
                .collect(),
            cookie: table.text("cookie", default.cookie, parse_header_name),
            query_token: table.flag("query-token", default.query_token),
            anonymous: table.flag("anonymous", default.anonymous),
            session: table.flag("session", default.session),
            subscriptions: table.flag("subscriptions", default.subscriptions),
            lifetime: table.time_limit_or_off("lifetime", default.lifetime),
            leeway: table.duration("leeway", default.leeway),
            topics: table.number("topics", default.topics, 1..=100_000),
            selectors: table.number("selectors", default.selectors, 1..=100_000),
            patterns: table.number("patterns", default.patterns, 0..=10_000),
            topic_length: table.number("topic-length", default.topic_length, 64..=65_536),
            entrance: Entrance::read(table),
            history: table.table("history", History::read),
        }
    }

    fn check(&self, table: &Table<'_>) {
        if self.versions.is_empty() {
            table.problem(
                "versions",
                r#"names none; write versions = ["0.x"], or remove it"#,
            );
        }
        if self.publisher_keys.is_empty() && self.issuers.is_empty() {
            table.problem(
                "publisher-keys",
                "is missing, and without a key nobody could publish; make one with: openssl rand -hex 32, and write \
                 publisher-keys = [\"/etc/noren/mercure.key\"]",
            );
        }
        if self.issuers.is_empty() != self.url.is_none() {
            table.problem(
                "url",
                "and [[mercure.issuer]] belong together: a token of version 1.0 names both; write for example url = \
                 \"https://www.example.org/.well-known/mercure\"",
            );
        }
        if !self.issuers.is_empty() && !self.speaks(MercureVersion::One) {
            table.problem(
                "issuer",
                r#"signs tokens of version 1.0; write versions = ["0.x", "1.0"], or remove it"#,
            );
        }
        let mut names: Vec<_> = self.issuers.iter().map(|issuer| &issuer.name).collect();
        names.sort();
        if names
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a == b))
        {
            table.problem(
                "issuer",
                "has the same name twice; write all of its keys into one",
            );
        }
    }

    /// True if it speaks this version of the protocol.
    #[must_use]
    pub fn speaks(&self, version: MercureVersion) -> bool {
        self.versions.contains(&version)
    }

    /// The files with the keys of subscribers' tokens of version 0.x.
    #[must_use]
    pub fn keys_of_subscribers(&self) -> &[SecretFile] {
        if self.subscriber_keys.is_empty() {
            &self.publisher_keys
        } else {
            &self.subscriber_keys
        }
    }

    /// The rules of the channel with all updates.
    pub(super) fn channel(&self) -> Option<Channel> {
        Channel::internal(UPDATES, &self.history)
    }
}

impl MercureIssuer {
    fn read(table: &mut Table<'_>) -> Option<Self> {
        let name = table.required("name", r#""https://www.example.org""#, value::not_empty);
        let keys = table.list("keys", Vec::new(), SecretFile::parse);
        if table.is_sound() && keys.is_empty() {
            table.problem(
                "keys",
                "is missing, and without a key no token is good; write for example keys = \
                 [\"/etc/noren/mercure.jwks\"]",
            );
        }
        Some(Self { name: name?, keys })
    }
}

impl ChannelName {
    /// The channel with all updates of the Mercure hub.
    #[must_use]
    pub fn of_mercure() -> Option<Self> {
        Self::parse(UPDATES).ok()
    }

    /// True for the channel of the Mercure hub.
    #[must_use]
    pub fn is_of_mercure(&self) -> bool {
        self.as_str().split('.').next() == Some(NAMESPACE)
    }

    /// True for the channels of GRIP apps and of the Mercure hub, which no client can name.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.is_of_grip() || self.is_of_mercure()
    }
}

impl Channel {
    /// True for the channel of the Mercure hub.
    #[must_use]
    pub fn is_of_mercure(&self) -> bool {
        self.name.is_of_mercure()
    }

    /// True for the channels of GRIP apps and of the Mercure hub, which no client can name.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.is_of_grip() || self.is_of_mercure()
    }
}

impl ChannelPattern {
    /// True if it names the channel of the Mercure hub.
    pub(super) fn is_of_mercure(&self) -> bool {
        self.to_string().split('.').next() == Some(NAMESPACE)
    }
}

/// The path of the hub and all below it is Mercure's.
fn parse_path(text: &str) -> Result<String, String> {
    let path: String = PathPrefix::parse(text)?.into();
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return Err(
            r#""/" would take every address from the apps; write "/.well-known/mercure""#
                .to_owned(),
        );
    }
    Ok(path.to_owned())
}

/// Parses an address of the claim `aud` of tokens, which is compared byte for byte.
fn parse_url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\"<>\\#?".contains(&byte));
    match rest.and_then(|rest| rest.split_once('/')) {
        Some((host, _)) if !host.is_empty() && is_plain => Ok(text.to_owned()),
        _ => Err(format!(
            r#"{text:?} is not the address of a hub; write for example "https://www.example.org/.well-known/mercure""#
        )),
    }
}

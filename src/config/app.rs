//! `[[app]]`: one blocking web app behind this door, and how hard it may be worked. Connects to
//! nothing.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use http::header::{SET_COOKIE, WWW_AUTHENTICATE};

use super::affinity::Affinity;
use super::app_url::AppUrl;
use super::app_urls::AppUrls;
use super::endpoint::Endpoint;
use super::entrance::Entrance;
use super::files::Offload;
use super::grip::Grip;
use super::header_fields::Side;
use super::header_rules::HeaderRules;
use super::header_text::{is_set_elsewhere, parse_header_name};
use super::host_pattern::HostPattern;
use super::methods::Methods;
use super::path_pattern::PathPattern;
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::request_limits::{RequestLimits, RequestRate};
use super::siblings::Siblings;
use super::target_tls::TargetTls;

/// One `[[app]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct App {
    /// `name`: the name in logs and messages; letters, digits, `-`, `_` and `.`, at most 64. No two apps share one.
    /// Default `app`.
    pub name: String,
    /// `url`, or `urls` for several: where the app listens. A file must say it; `App::default()` has
    /// `http://127.0.0.1:8010`. Of several, each request goes to the one with the fewest requests.
    pub urls: AppUrls,
    /// `[app.tls]`: the verification of an app with `https://`, and Noren's client certificate. Default `None`: the
    /// authorities of this system, and no client certificate.
    pub tls: Option<TargetTls>,
    /// `hosts`: public host names this app answers. Empty, the default: any.
    pub hosts: Vec<HostPattern>,
    /// `path`: the paths this app answers. Default `/`, all. The longest prefix wins, and it is not
    /// cut off. `/wok*` is everything that begins with `/wok`, also within a segment.
    pub path: PathPrefix,
    /// `refuse`: paths among them that are answered with 403 and never reach the app. Default none.
    pub refuse: Vec<PathPattern>,
    /// `server-root`: the prefix the app itself lives under. A `Location` of the app that points to
    /// our origin and lacks it gets it. `""` or `/`, the default, is none.
    pub server_root: Option<PathPrefix>,
    /// `encoded-slash`: passes paths with `%2F` on, byte for byte. Default no: most apps would take it for a slash,
    /// after rules for paths were applied to something else.
    pub encoded_slash: bool,
    /// `case-insensitive`: `/LOGIN` is `/login` to the app, as on Windows and for some Java apps. Its path, its login
    /// paths and its logout are known in any letter case then. Default no.
    pub case_insensitive: bool,
    /// `methods`: the request methods this app takes; others get 405. HEAD comes with GET. Empty, the
    /// default: any but CONNECT and TRACE.
    pub methods: Methods,
    /// `origins`, `missing-origin`, `users`, `realm`, `client-certificate` and `client-names`: the requirements for a
    /// client. The first two apply to the WebSockets of the app; for other requests of pages from other origins the app
    /// decides itself (CORS).
    pub entrance: Entrance,
    /// `user-header`: a header with the name of the visitor, for the app, if a password of `users` was verified. The
    /// header of a client is removed on every route: other routes may lead to the same app. Default `None`.
    pub user_header: Option<String>,
    /// `certificate-header`: the same with the name in the client's certificate. Default `None`.
    pub certificate_header: Option<String>,
    /// `[app.request-headers]`: rules for the headers of every request to this app, those of Noren itself (session,
    /// health) too. Default none.
    pub request_headers: HeaderRules,
    /// `[app.response-headers]`: rules for the headers of every response at the paths of this app, errors of Noren too.
    /// They come before those of `[headers]`, name by name. Default none.
    pub response_headers: HeaderRules,
    /// `request-rate`, `request-burst`, `request-delay-after`, `requests-per-address` and `limit-zone`: the limits for
    /// one address at this app. Default: no limit but those of `[limits]`.
    pub request_limits: RequestLimits,
    /// `workers`: requests in flight at each address of the app at most, 1 to 100,000. Default 100. Set it to the
    /// app's threads.
    pub workers: usize,
    /// `queue`: requests waiting for a worker at most. Beyond, the next gets 503, or the latest of the address that
    /// has most there. Default 1000; 0 makes none wait.
    pub queue: usize,
    /// `queue-wait`: the time that a request waits for a worker, then 503. Default 30 s.
    pub queue_wait: Duration,
    /// `connect`: the time to open a connection to the app, then 502. Default 5 s.
    pub connect: Duration,
    /// `response`: the time from the end of the request to the head of the response, then 504. Default 10 min.
    pub response: Duration,
    /// `response-idle`: the time between two pieces of the response. Default 10 min.
    pub response_idle: Duration,
    /// `keep-alive`: the time that an idle connection to the app is kept for the next request. Default 8 s, because
    /// cheroot (`CherryPy`) closes its side after 10 s. With 0 each request opens its own.
    pub keep_alive: Duration,
    /// `restart-wait`: the time that requests wait for an app that cannot be connected to, from the first failure; then
    /// 503. Default 10 s; with 0 none waits.
    pub restart_wait: Duration,
    /// `health-path`: a path that is requested repeatedly while a worker is free. After a 5xx, or no response within
    /// `connect`, requests wait as for an app that restarts. Default none.
    pub health_path: Option<String>,
    /// `health-interval`: the time between two such requests, and between two attempts to connect to an address that
    /// could not be connected to while others are open. Default 5 s.
    pub health_interval: Duration,
    /// `health-failures`: the number of such failures in a row after which an address gets no requests. Default 1.
    pub health_failures: u32,
    /// `health-successes`: the number of good responses in a row after which it gets them again. Default 1.
    pub health_successes: u32,
    /// `health-silence`: the time without bytes from one of several addresses, while a request waits there, after which
    /// it is probed; without a response to the probe it gets no requests until it responds. With all workers busy it
    /// cannot respond, and is probed after `queue-wait` without a byte. Default 5 s; 0 is never.
    pub health_silence: Duration,
    /// `retry-elsewhere`: sends a safe request to another address if its own ends or falls silent, although it may have
    /// been executed. Default no.
    pub retry_elsewhere: bool,
    /// `affinity`: the binding of one visitor's requests to one of several addresses. Default `none`.
    pub affinity: Affinity,
    /// True if any app of the configuration has affinity by cookie, so that these cookies are taken out of requests to
    /// this one. Not a key.
    pub hides_affinity: bool,
    /// Facts about the other apps of the file. Not a key.
    pub siblings: Siblings,
    /// `request-spool`: completes request bodies before the app gets the request, as far as the spool has room. Default
    /// yes; with no, a body larger than `limits.request-buffer` streams.
    pub request_spool: bool,
    /// `ignore-client-abort`: keeps the app's connection open when the client of a request has left. With `false` it is
    /// closed at once, for an app that notices that. Default true.
    pub ignore_client_abort: bool,
    /// `response-spool`: takes a response off the worker faster than its client reads it. Default yes.
    pub response_spool: bool,
    /// `compress`: the media types of answers that are compressed for clients that take it. Empty, the
    /// default: none.
    pub compress: Vec<String>,
    /// `compress-private`: compresses also for visitors with a cookie or a password, and responses marked as private.
    /// Default no: secrets of a page can be guessed from its compressed length (BREACH).
    pub compress_private: bool,
    /// `[[app.offload]]`: directories whose files the app may name instead of sending them.
    pub offload: Vec<Offload>,
    /// `[app.grip]`: the app answers with instructions of GRIP. Default none: they are passed on as any header.
    pub grip: Option<Grip>,
}

impl Default for App {
    fn default() -> Self {
        Self {
            name: "app".to_owned(),
            urls: AppUrls::one(AppUrl::plain(Endpoint::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 8010,
            })),
            tls: None,
            hosts: Vec::new(),
            path: PathPrefix::default(),
            refuse: Vec::new(),
            server_root: None,
            encoded_slash: false,
            case_insensitive: false,
            methods: Methods::default(),
            entrance: Entrance::default(),
            user_header: None,
            certificate_header: None,
            request_headers: HeaderRules::default(),
            response_headers: HeaderRules::default(),
            request_limits: RequestLimits::default(),
            workers: 100,
            queue: 1000,
            queue_wait: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            response: Duration::from_secs(600),
            response_idle: Duration::from_secs(600),
            keep_alive: Duration::from_secs(8),
            restart_wait: Duration::from_secs(10),
            health_path: None,
            health_interval: Duration::from_secs(5),
            health_failures: 1,
            health_successes: 1,
            health_silence: Duration::from_secs(5),
            retry_elsewhere: false,
            affinity: Affinity::None,
            hides_affinity: false,
            siblings: Siblings::default(),
            request_spool: true,
            ignore_client_abort: true,
            response_spool: true,
            compress: Vec::new(),
            compress_private: false,
            offload: Vec::new(),
            grip: None,
        }
    }
}

impl App {
    /// All `[[app]]` tables, each also checked against those before it. `rates` are those of the zones so far.
    pub(super) fn read_all(
        root: &mut Table<'_>,
        rates: &mut HashMap<String, RequestRate>,
    ) -> Vec<Self> {
        let mut apps: Vec<Self> = Vec::new();
        let mut taken = UsedNames::default();
        root.each_table("app", |table| {
            let app = Self::read(table);
            if table.is_sound() {
                app.check_keys(table);
                app.check_against(&apps, &taken, table);
                app.request_limits.check_zone(rates, table);
                taken.add(&app, apps.len());
                apps.push(app);
            }
        });
        let hides_affinity = apps.iter().any(|app| app.affinity == Affinity::Cookie);
        for app in &mut apps {
            app.hides_affinity = hides_affinity;
        }
        apps
    }

    fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            name: table.text("name", default.name, parse_name),
            urls: AppUrls::read(table, default.urls),
            tls: TargetTls::read_for_app(table),
            hosts: table.list("hosts", default.hosts, HostPattern::parse),
            path: table.text("path", default.path, PathPrefix::parse_open_ended),
            refuse: table.list("refuse", default.refuse, PathPattern::parse),
            server_root: table.text("server-root", default.server_root, parse_server_root),
            encoded_slash: table.flag("encoded-slash", default.encoded_slash),
            case_insensitive: table.flag("case-insensitive", default.case_insensitive),
            methods: Methods::new(table.list("methods", Vec::new(), Methods::parse)),
            entrance: Entrance::read(table),
            user_header: table.text("user-header", None, |text| parse_header(text).map(Some)),
            certificate_header: table.text("certificate-header", None, |text| {
                parse_header(text).map(Some)
            }),
            request_headers: HeaderRules::read_table(table, "request-headers", Side::Request),
            response_headers: HeaderRules::read_table(table, "response-headers", Side::Response),
            request_limits: RequestLimits::read(table),
            workers: table.number("workers", default.workers, 1..=100_000),
            queue: table.number("queue", default.queue, 0..=1_000_000),
            queue_wait: table.duration("queue-wait", default.queue_wait),
            connect: table.time_limit("connect", default.connect),
            response: table.time_limit("response", default.response),
            response_idle: table.time_limit("response-idle", default.response_idle),
            keep_alive: table.duration("keep-alive", default.keep_alive),
            restart_wait: table.duration("restart-wait", default.restart_wait),
            health_path: table.text("health-path", default.health_path, |text| {
                PathPrefix::parse(text).map(|path| Some(path.as_str().to_owned()))
            }),
            health_interval: table.time_limit("health-interval", default.health_interval),
            health_failures: table.number("health-failures", default.health_failures, 1..=1000),
            health_successes: table.number("health-successes", default.health_successes, 1..=1000),
            health_silence: table.duration("health-silence", default.health_silence),
            retry_elsewhere: table.flag("retry-elsewhere", default.retry_elsewhere),
            affinity: table.text("affinity", default.affinity, Affinity::parse),
            hides_affinity: false,
            siblings: default.siblings,
            request_spool: table.flag("request-spool", default.request_spool),
            ignore_client_abort: table.flag("ignore-client-abort", default.ignore_client_abort),
            response_spool: table.flag("response-spool", default.response_spool),
            compress: table.list("compress", default.compress, parse_media_type),
            compress_private: table.flag("compress-private", default.compress_private),
            offload: table.tables("offload", Offload::read),
            grip: Grip::read(table),
        }
    }

    /// Keys that another key of the app contradicts.
    fn check_keys(&self, table: &mut Table<'_>) {
        if self.tls.is_some() && !self.urls.has_https() {
            let text = r#"is for an app with TLS; write url = "https://host:port", or take it out"#;
            table.problem("tls", text);
        }
        self.check_addresses(table);
        for (key, header) in [
            ("user-header", &self.user_header),
            ("certificate-header", &self.certificate_header),
        ] {
            let name = header.as_deref().and_then(|header| header.parse().ok());
            if name.is_some_and(|name| self.request_headers.names(&name)) {
                let text = "is in request-headers too, and then anybody would be the same to the app; take \
                            it out there";
                table.problem(key, text);
            }
        }
        if self.entrance.users.is_some() && self.response_headers.removes(&WWW_AUTHENTICATE) {
            let text = "removes WWW-Authenticate, without which no browser asks for the password of users; take it out";
            table.problem("response-headers", text);
        }
    }

    /// Keys that mean something for several addresses, or with checks, only.
    fn check_addresses(&self, table: &mut Table<'_>) {
        if self.affinity != Affinity::None && !self.urls.are_several() {
            let text = "chooses between addresses, and there is one; write them as urls = [\"…\", \"…\"], or take it \
                        out";
            table.problem("affinity", text);
        }
        for key in ["health-silence", "retry-elsewhere"] {
            if table.has(key) && !self.urls.are_several() {
                let text = "is about one address among several, and there is one; write them as urls = [\"…\", \"…\"], \
                            or take it out";
                table.problem(key, text);
            }
        }
        for key in ["health-failures", "health-successes"] {
            if table.has(key) && self.health_path.is_none() {
                let text = "counts the answers of health-path, which is missing; write one, or take this out";
                table.problem(key, text);
            }
        }
        if self.affinity == Affinity::Cookie && self.response_headers.removes(&SET_COOKIE) {
            let text = "removes Set-Cookie, by which affinity = \"cookie\" finds the address of a visitor; take it \
                        out, or write affinity = \"address\"";
            table.problem("response-headers", text);
        }
    }

    /// Refuses two apps for the same requests: the second would never get one.
    fn check_against(&self, earlier: &[Self], taken: &UsedNames, table: &mut Table<'_>) {
        if taken.names.contains(&self.name) {
            let text = format!(
                r#"two apps are called "{}"; give each its own name"#,
                self.name
            );
            table.problem("name", text);
        }
        let mut routes = self.routes();
        let other = routes.find_map(|route| taken.routes.get(&route));
        if let Some(other) = other.and_then(|index| earlier.get(*index)) {
            let text = format!(
                r#"app "{}" already answers these hosts at "{}"; give one of them another path or other hosts"#,
                other.name, other.path
            );
            table.problem("path", text);
        }
    }

    /// The routes of this app: each of its hosts with its path.
    fn routes(&self) -> impl Iterator<Item = (Option<HostPattern>, PathPrefix)> {
        let named = self.hosts.iter().cloned().map(Some);
        let any = self.hosts.is_empty().then_some(None);
        named.chain(any).map(|host| (host, self.path.canonical()))
    }
}

/// The names and routes of the apps so far. There may be thousands.
#[derive(Default)]
struct UsedNames {
    names: HashSet<String>,
    /// Routes of the apps so far, each with the index of its first app.
    routes: HashMap<(Option<HostPattern>, PathPrefix), usize>,
}

impl UsedNames {
    fn add(&mut self, app: &App, index: usize) {
        self.names.insert(app.name.clone());
        for route in app.routes() {
            self.routes.entry(route).or_insert(index);
        }
    }
}

/// A name goes unquoted into log lines and key paths, so it holds nothing that would need quotes
/// there.
fn parse_name(text: &str) -> Result<String, String> {
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if plain && (1..=64).contains(&text.len()) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            r#"{text:?} is not a name; write 1 to 64 letters, digits, "-", "_" or ".", such as "wok""#
        ))
    }
}

/// A header that Noren alone may set for the app.
fn parse_header(text: &str) -> Result<String, String> {
    let lower = parse_header_name(text)?.to_ascii_lowercase();
    // Names with these signs are removed from every request, so that none can pass for another.
    let folded = lower.contains(['_', '.']);
    if folded || is_set_elsewhere(&lower) {
        return Err(format!(
            r#"{text:?} cannot carry a name; write one that nothing else uses, such as "X-Remote-User""#
        ));
    }
    Ok(lower)
}

/// A type and a subtype (RFC 9110 §8.3.1), without parameters.
fn parse_media_type(text: &str) -> Result<String, String> {
    let token = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$&^_.+-".contains(c);
        !part.is_empty() && part.chars().all(allowed)
    };
    let text = text.to_ascii_lowercase();
    match text.split_once('/') {
        Some(("text", "event-stream")) => Err(
            "an event stream is never compressed, because its events would wait for each other"
                .to_owned(),
        ),
        Some((kind, subtype)) if token(kind) && token(subtype) => Ok(text),
        _ => Err(format!(
            r#"{text:?} is not a media type; write for example "text/html""#
        )),
    }
}

fn parse_server_root(text: &str) -> Result<Option<PathPrefix>, String> {
    if text.is_empty() || text == "/" {
        Ok(None)
    } else {
        PathPrefix::parse(text).map(Some)
    }
}

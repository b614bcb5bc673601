//! `noren check --explain`: what a configuration comes to, for people: what is tried in which order, where it
//! leads, who may pass, and which limits hold. Reads nothing but the configuration.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use noren::Destination;
use noren::config::{
    Affinity, App, CertificateRule, Channel, Config, Entrance, Field, HeaderRules, ListenAddress,
    Listener, Member, Mercure, Needs, OriginRule, PathPattern, PostgresPlace, Protocol, Publisher,
    RequestLimits, Rfb, SessionRule, Source,
};

/// A text that grows line by line. Writing to a string cannot fail.
struct Text(String);

impl Text {
    fn heading(&mut self, text: &str) {
        let _ = writeln!(self.0, "\n{text}");
    }

    fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.0, "  {text}");
    }

    /// Something that belongs to the line before.
    fn more(&mut self, text: impl Display) {
        let _ = writeln!(self.0, "       {text}");
    }

    fn limit(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "  {name:<34} {value}");
    }
}

/// The whole of it.
pub(super) fn explain(config: &Config) -> String {
    let mut text = Text(String::new());
    text.heading("Listeners");
    for listener in &config.listeners {
        text.line(format_args!("{} ({})", listener.address, listener.protocol));
        let is_unix = matches!(listener.address, ListenAddress::Unix(_));
        if is_unix && listener.trusted_proxies.is_empty() {
            text.more(
                "its clients have no address, so no limit of an address holds for them; for a",
            );
            text.more("proxy there, write trusted-proxies = [\"unix\"]");
        }
    }
    if let Some(socket) = &config.admin.socket {
        text.line(format_args!(
            "unix:{} (the admin socket, for `noren status`, `publish` and `reload`)",
            socket.display()
        ));
    }
    if let Some(address) = &config.admin.address {
        text.line(format_args!("{address} (metrics and health)"));
    }
    certificates(&mut text, config);
    routes(&mut text, config);
    response_headers(&mut text, config);
    limits(&mut text, config);
    text.heading("Reload");
    let fixed = Config::RESTART.join(", ");
    text.line(format_args!(
        "applies everything but {fixed}, which only a restart changes"
    ));
    text.0
}

fn certificates(text: &mut Text, config: &Config) {
    let has_tls = |listener: &Listener| listener.protocol == Protocol::Https;
    if !config.listeners.iter().any(has_tls) {
        return;
    }
    text.heading("Certificates");
    for pair in &config.tls.certificates {
        text.line(pair.certificate.display());
    }
    if let Some(acme) = &config.acme {
        text.line(format_args!(
            "for {}, asked for at {}",
            acme.names.join(", "),
            acme.directory
        ));
    }
    if config.tls.certificates.is_empty() {
        let directory = config.tls.self_signed.display();
        text.line(format_args!("a self-signed one, made in {directory}"));
    }
}

fn routes(text: &mut Text, config: &Config) {
    text.heading("Routes, in the order in which they are tried");
    let mut number = 0;
    let mut next = |text: &mut Text, what: String| {
        number += 1;
        text.line(format_args!("{number:>2}. {what}"));
    };
    let bridge = &config.bridge;
    let has_consoles = !bridge.tokens.is_empty() || !bridge.targets.is_empty();
    if has_consoles
        || config
            .channels
            .iter()
            .any(|channel| channel.token.is_some())
    {
        for path in &bridge.paths {
            next(
                text,
                format!("{path} on any host -> a console, by its token"),
            );
        }
        for source in &bridge.tokens {
            let rfb = rfb(source.rfb.as_ref().unwrap_or(&bridge.rfb));
            let spoken = spoken(source.subprotocols.as_ref().unwrap_or(&bridge.subprotocols));
            text.more(format_args!("tokens: {source}{rfb}{spoken}"));
        }
        for target in &bridge.targets {
            let rfb = rfb(target.rfb.as_ref().unwrap_or(&bridge.rfb));
            let spoken = spoken(target.subprotocols.as_ref().unwrap_or(&bridge.subprotocols));
            text.more(format_args!(
                "a fixed token -> {}{rfb}{spoken}",
                target.address
            ));
        }
        for channel in config
            .channels
            .iter()
            .filter(|channel| channel.token.is_some())
        {
            text.more(format_args!(
                "a fixed token -> the channel {}",
                channel.name
            ));
        }
        text.more(who(config, bridge.session));
        entrance(text, &bridge.entrance);
        text.more(origins(&bridge.entrance));
    }
    if let Some(page) = &config.admin.page {
        next(text, format!("{page} on any host -> the admin page"));
        text.more(format_args!(
            "for the users {}",
            config.admin.users.join(", ")
        ));
    }
    if config.has_open_channels() {
        next(
            text,
            format!("{}/NAME on any host -> a channel", config.hub.path),
        );
        for one in config.channels.iter().filter(|one| !one.is_internal()) {
            text.more(channel(one));
            for line in listeners(config, one) {
                text.more(format_args!("  {line}"));
            }
        }
        entrance(text, &config.hub.entrance);
        text.more(origins(&config.hub.entrance));
    }
    if let Some(mercure) = &config.mercure {
        next(
            text,
            format!("{} on any host -> the Mercure hub", mercure.path),
        );
        for line in of_mercure(config, mercure) {
            text.more(line);
        }
        entrance(text, &mercure.entrance);
        text.more(format_args!(
            "it may be used by {}",
            pages(&mercure.entrance)
        ));
    }
    for place in noren::places(config) {
        let host = place.host.as_deref().unwrap_or("any host");
        match place.leads_to {
            Destination::App(index) => {
                let Some(app) = config.apps.get(index) else {
                    continue;
                };
                next(
                    text,
                    format!(
                        "{} on {host} -> the app {} at {}",
                        place.path, app.name, app.urls
                    ),
                );
                text.more(queue(app));
                addresses(text, app);
                if app.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify) {
                    text.more("its certificate is not verified: who is between reads all");
                }
                if let Some(grip) = &app.grip {
                    text.more("its instructions (GRIP) are followed, and its messages taken with a token of its key");
                    if grip.over_http {
                        text.more("its WebSockets are requests with their events");
                    }
                }
                if let Some(allow) = app.methods.allow() {
                    text.more(format_args!("takes {allow} only"));
                }
                refused(text, &app.refuse);
                of_an_address(text, &app.request_limits);
                entrance(text, &app.entrance);
                header_rules(text, "to the app", &app.request_headers);
                header_rules(text, "from here", &app.response_headers);
                text.more("beyond that the app itself decides");
            }
            Destination::Files(index) => {
                next(text, format!("{} on {host} -> files", place.path));
                text.more("open to everybody");
                if let Some(files) = config.files.get(index) {
                    refused(text, &files.refuse);
                    of_an_address(text, &files.request_limits);
                    header_rules(text, "from here", &files.response_headers);
                }
            }
        }
    }
    next(text, "anything else -> 404".to_owned());
}

/// The headers of every response. Those of an app or of files stand with their route.
fn response_headers(text: &mut Text, config: &Config) {
    text.heading("Headers of every response, unless its route has a rule for the same one");
    for line in rules(&config.headers.general()) {
        text.line(line);
    }
    let own = rules(&config.headers.own);
    if !own.is_empty() {
        text.heading("Headers of responses that no app and no files have");
        for line in own {
            text.line(line);
        }
    }
}

fn header_rules(text: &mut Text, direction: &str, of: &HeaderRules) {
    for line in rules(of) {
        text.more(format_args!("headers {direction}: {line}"));
    }
}

/// Rules by the names of their headers: a value may be long, or a secret.
fn rules(rules: &HeaderRules) -> Vec<String> {
    let named = |fields: &[Field]| fields.iter().map(|field| field.name.to_string()).collect();
    let removed = rules.remove.iter().map(ToString::to_string).collect();
    let lists: [(&str, Vec<String>); 4] = [
        ("removed", removed),
        ("set", named(&rules.set)),
        ("added", named(&rules.add)),
        ("set where there is none", named(&rules.default)),
    ];
    lists
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| format!("{what}: {}", names.join(", ")))
        .collect()
}

fn refused(text: &mut Text, patterns: &[PathPattern]) {
    if !patterns.is_empty() {
        let patterns: Vec<_> = patterns.iter().map(PathPattern::as_str).collect();
        text.more(format_args!("403 for {}", patterns.join(", ")));
    }
}

/// Adds what one address may ask of a route.
fn of_an_address(text: &mut Text, limits: &RequestLimits) {
    let zone = limits.zone.as_ref();
    let zone = zone.map_or_else(String::new, |zone| format!(", counted in the zone {zone}"));
    if let Some(rate) = limits.rate {
        let burst = match (limits.burst, limits.delay_after) {
            (0, _) => String::new(),
            (burst, Some(at_once)) if at_once < burst => {
                format!(", {at_once} more at once and {} later", burst - at_once)
            }
            (burst, _) => format!(", {burst} more at once"),
        };
        text.more(format_args!(
            "{rate} from one address{burst}, then 429{zone}"
        ));
    }
    if limits.per_address > 0 {
        text.more(format_args!(
            "{} in progress from one address, then 429{zone}",
            limits.per_address
        ));
    }
}

/// Describes the visitors who may pass where a session may be required.
fn who(config: &Config, rule: Option<SessionRule>) -> String {
    let session = &config.session;
    let app = config
        .apps
        .get(session.app)
        .map_or("app", |app| app.name.as_str());
    match &session.path {
        Some(path) if session.is_required(rule) => {
            let token = session.token_path.as_ref();
            let token =
                token.map_or_else(String::new, |path| format!(", and for a console {path}"));
            format!(
                "for visitors for whom {app} answers {} {path} with yes{token}",
                session.method
            )
        }
        _ => "open to everybody: no session is asked for".to_owned(),
    }
}

/// Describes the authentication of a route.
fn entrance(text: &mut Text, entrance: &Entrance) {
    if let Some(users) = &entrance.users {
        text.more(format_args!("with a password of {}", users.display()));
    }
    if entrance.certificate == CertificateRule::Required {
        text.more("with a client certificate");
    }
}

fn origins(entrance: &Entrance) -> String {
    format!("WebSockets may be opened by {}", pages(entrance))
}

/// Describes the pages and programs that an entrance admits.
fn pages(entrance: &Entrance) -> String {
    let rules = entrance.origins.iter().map(|rule| match rule {
        OriginRule::Same => "pages of this door".to_owned(),
        OriginRule::Any => "pages of any site".to_owned(),
        OriginRule::Exact(origin) => format!("pages of {origin}"),
    });
    let mut who: Vec<String> = rules.collect();
    if entrance.missing_origin {
        who.push("programs, which send no Origin".to_owned());
    }
    if who.is_empty() {
        who.push("nobody".to_owned());
    }
    who.join(", ")
}

fn channel(channel: &Channel) -> String {
    let publishers = channel.publish.iter().map(|publisher| match publisher {
        Publisher::Local => "the admin socket",
        Publisher::Token => "programs with a token to publish",
        Publisher::App => "pages, through the app",
    });
    let mut from: Vec<String> = publishers.map(str::to_owned).collect();
    from.extend(channel.sources.iter().map(source));
    if from.is_empty() {
        from.push("nobody".to_owned());
    }
    let history = &channel.history;
    format!(
        "{}: messages from {}; keeps {} messages, {}, {}",
        channel.name,
        from.join(", "),
        history.messages,
        bytes(history.size as u64),
        time(history.age)
    )
}

/// Describes who may publish to and subscribe to the Mercure hub.
fn of_mercure(config: &Config, mercure: &Mercure) -> Vec<String> {
    let mut lines = Vec::new();
    if !mercure.publisher_keys.is_empty() {
        lines.push("updates from programs with a token of publisher-keys (0.x)".to_owned());
    }
    for issuer in &mercure.issuers {
        lines.push(format!("tokens of {} (1.0) permit both", issuer.name));
    }
    lines.push(if mercure.anonymous {
        "public updates for everybody, private ones for clients whose token permits them".to_owned()
    } else {
        "for clients with a token; private updates if it permits them".to_owned()
    });
    if mercure.session {
        lines.push(who(config, Some(SessionRule::Required)));
    }
    if mercure.subscriptions {
        lines.push("who subscribes is told to those whose token permits it".to_owned());
    }
    let history = &mercure.history;
    lines.push(format!(
        "keeps {} updates, {}, {}",
        history.messages,
        bytes(history.size as u64),
        time(history.age)
    ));
    lines
}

/// A source by its kind and place.
pub(super) fn source(source: &Source) -> String {
    match source {
        Source::Wok { address } => format!("the push socket {}", address.display()),
        Source::Listen(listen) => format!("programs that write to {}", listen.address.display()),
        Source::Amqp(amqp) => format!("the exchange {} of {}", amqp.exchange, amqp.broker),
        Source::Webhook(webhook) => {
            format!("requests with a signature to {}", webhook.path.as_str())
        }
        Source::Postgres(postgres) => match &postgres.place {
            PostgresPlace::Notifications(one) => format!(
                "what {} sends by NOTIFY {} (lost while nobody listens)",
                postgres.server,
                one.channels.join(", ")
            ),
            PostgresPlace::Outbox(one) => format!(
                "the outbox {} of {} (each row is deleted once it is published)",
                one.table, postgres.server
            ),
        },
    }
}

/// Describes the permitted subscribers of a channel, and the users among them who may publish.
fn listeners(config: &Config, channel: &Channel) -> Vec<String> {
    let session = || who(config, Some(SessionRule::Required));
    let token = "for clients with a token that names it";
    let mut lines = vec![match config.needs(Some(channel)) {
        Needs::Nothing => "open to everybody".to_owned(),
        Needs::Session => session(),
        Needs::Token => token.to_owned(),
        Needs::Either => format!("{token}, or {}", session()),
    }];
    let list = |members: &[Member]| {
        let names: Vec<String> = members.iter().map(ToString::to_string).collect();
        names.join(", ")
    };
    for (does, members) in [
        ("listen", &channel.subscribers),
        ("publish", &channel.publishers),
    ] {
        if !members.is_empty() {
            lines.push(format!("of these, only {} may {does}", list(members)));
        }
    }
    lines
}

/// Adds the rule by which requests are spread over several addresses.
fn addresses(text: &mut Text, app: &App) {
    if !app.urls.are_several() {
        return;
    }
    text.more(match app.affinity {
        Affinity::None => "each request goes to the address with the fewest busy workers",
        Affinity::Cookie => "a cookie keeps each visitor at one address, while that is there",
        Affinity::Address => {
            "the client's address decides to which one it goes, while that is there"
        }
    });
    let asked = match &app.health_path {
        None => "connecting fails".to_owned(),
        Some(path) => format!(
            "connecting fails, or {} answers of {path} in a row are no good",
            app.health_failures
        ),
    };
    text.more(format_args!("an address is left out after {asked}"));
}

fn queue(app: &App) -> String {
    let each = if app.urls.are_several() {
        " at each address"
    } else {
        ""
    };
    format!(
        "{} workers{each}; then {} requests wait, {} at most; an answer within {}",
        app.workers,
        app.queue,
        time(app.queue_wait),
        time(app.response)
    )
}

fn limits(text: &mut Text, config: &Config) {
    text.heading("Limits");
    let limits = &config.limits;
    text.limit("connections", format_args!("{} in all", limits.connections));
    let each = match limits.connections_per_address {
        0 => "no limit".to_owned(),
        limit => limit.to_string(),
    };
    text.limit("connections of one address", each);
    text.limit("TLS handshake", time(limits.handshake));
    text.limit(
        "head of a request",
        format_args!(
            "{}, {} lines, {}",
            bytes(limits.head_size as u64),
            limits.headers,
            time(limits.head)
        ),
    );
    text.limit(
        "body of a request",
        format_args!(
            "{}, {} without a byte",
            bytes(limits.body_size),
            time(limits.body_idle)
        ),
    );
    text.limit("idle connection", time(limits.keep_alive));
    text.limit("HTTP/2 streams of a connection", limits.streams);
    let or_never = |limit: Option<Duration>| limit.map_or_else(|| "never".to_owned(), time);
    text.limit("idle console", or_never(config.bridge.idle));
    text.limit(
        "subscribers",
        format_args!(
            "{} in all, {} new in a second",
            config.hub.subscribers, config.hub.connect_rate
        ),
    );
    text.limit("a message", bytes(config.hub.message_size as u64));
    text.limit(
        "how far a subscriber may lag",
        bytes(config.hub.budget as u64),
    );
    text.limit("stopping", time(config.server.drain));
}

/// A time as it is written in the file.
fn time(time: Duration) -> String {
    let (seconds, rest) = (time.as_secs(), time.subsec_millis());
    match seconds {
        _ if rest > 0 => format!("{}ms", time.as_millis()),
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// A size as it is written in the file.
fn bytes(size: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if size >= unit && size.is_multiple_of(unit) {
            return format!("{}{name}", size / unit);
        }
    }
    format!("{size} bytes")
}

/// The methods by which Noren logs in at consoles.
fn rfb(rfb: &Rfb) -> String {
    match &rfb.security {
        _ if !rfb.enabled => String::new(),
        None => ", where Noren logs in by RFB, with a certificate or on this machine".to_owned(),
        Some(accepted) => {
            let names: Vec<_> = accepted.iter().map(|method| method.as_str()).collect();
            format!(", where Noren logs in by RFB ({})", names.join(", "))
        }
    }
}

/// The subprotocols that targets speak beside those of consoles.
fn spoken(subprotocols: &[String]) -> String {
    if subprotocols.is_empty() {
        String::new()
    } else {
        format!(", which also speaks {}", subprotocols.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_are_told_in_their_order_with_who_may_pass() {
        let config = Config::parse(
            "[[app]]\nname = 'wok'\nurl = 'http://127.0.0.1:8010'\nworkers = 8\n\
             [[app]]\nname = 'docs'\nurl = 'unix:/run/docs'\nhosts = ['docs.example']\npath = '/d'\n\
             methods = ['GET', 'POST']\nrequest-rate = '30/m'\nrequest-burst = 9\nrequest-delay-after = 4\n\
             requests-per-address = 5\nlimit-zone = 'docs'\n\
             [app.request-headers]\nset = { X-Api-Key = 'secret' }\n\
             [app.response-headers]\nremove = ['X-Powered-By', 'Server']\n\
             [session]\npath = '/tasks'\nname-header = 'X-User'\n\
             [[bridge.target]]\ntoken = 'secret'\naddress = 'unix:/run/vm'\nsubprotocols = ['mqtt']\n\
             [[channel]]\nname = 'job.*'\nsubscribers = ['ann', 'bob']\n\
             [hub.tokens]\nkeys = ['/k']\n",
            "test.toml",
        )
        .expect("a valid configuration");
        let text = explain(&config);
        let mut at = 0;
        for line in [
            "  [::]:8001 (https)\n",
            " 1. /websockify on any host -> a console, by its token\n",
            "a fixed token -> unix:/run/vm, which also speaks mqtt\n",
            "for visitors for whom wok answers GET /tasks with yes\n",
            " 2. /events/NAME on any host -> a channel\n",
            "job.*: messages from the admin socket; keeps 1000 messages, 1MiB, 1h\n",
            "for clients with a token that names it, or for visitors for whom wok answers GET /tasks with yes\n",
            "of these, only ann, bob may listen\n",
            " 3. /d on docs.example -> the app docs at unix:/run/docs\n",
            "takes GET, POST, HEAD only\n",
            "30/m from one address, 4 more at once and 5 later, then 429, counted in the zone docs\n",
            "5 in progress from one address, then 429, counted in the zone docs\n",
            "headers to the app: set: x-api-key\n",
            "headers from here: removed: x-powered-by, server\n",
            " 4. / on any host -> the app wok at 127.0.0.1:8010\n",
            "8 workers; then 1000 requests wait, 30s at most; an answer within 10m\n",
            " 5. anything else -> 404\n",
            "set where there is none: strict-transport-security, x-frame-options, x-content-type-options\n",
            "connections                        10000 in all\n",
            "applies everything but [[listener]], server.threads, ",
        ] {
            let found = text.get(at..).and_then(|rest| rest.find(line));
            at += found.unwrap_or_else(|| panic!("{line}{text}"));
        }
        assert!(
            !text.contains("secret"),
            "a token is no text for a terminal"
        );
    }

    #[test]
    fn a_socket_whose_clients_have_no_address_is_told() {
        let told = |keys: &str| {
            let text = format!("[[app]]\nurl = 'http://127.0.0.1:1'\n[[listener]]\n{keys}");
            let config = Config::parse(&text, "test.toml").expect("a valid configuration");
            explain(&config).contains("no limit of an address holds")
        };
        assert!(told("address = 'unix:/run/door'\nprotocol = 'http'"));
        assert!(!told(
            "address = 'unix:/run/door'\nprotocol = 'http'\ntrusted-proxies = ['unix']"
        ));
        assert!(!told("address = '127.0.0.1:80'\nprotocol = 'http'"));
    }
}

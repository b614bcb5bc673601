//! Describes the routes, in the order in which they are matched.

use noren::Destination;
use noren::config::{
    Affinity, App, Bridge, Config, ConsoleList, ConsoleSharing, Files, Mercure, Rfb,
    SharedConsoles, Typing, ViewRules,
};

use super::channels::{channel, of_mercure, subscribers};
use super::headers::header_rules;
use super::text::{Text, bytes, time};
use super::visitors::{entrance, of_an_address, origins, pages, refused, viewers};

/// The numbered list of routes.
struct Routes<'a> {
    text: &'a mut Text,
    config: &'a Config,
    number: usize,
}

/// Adds all routes of a configuration.
pub(super) fn routes(text: &mut Text, config: &Config) {
    text.heading("Routes, in the order in which they are tried");
    let mut routes = Routes {
        text,
        config,
        number: 0,
    };
    routes.consoles(&config.bridge);
    routes.admin_page();
    routes.console_pages();
    routes.channels();
    if let Some(mercure) = &config.mercure {
        routes.mercure(mercure);
    }
    for route in noren::route_infos(config) {
        let at = format!(
            "{} on {}",
            route.path,
            route.host.as_deref().unwrap_or("any host")
        );
        match route.destination {
            Destination::App(index) => {
                if let Some(app) = config.apps.get(index) {
                    routes.app(&at, app);
                }
            }
            Destination::Files(index) => routes.files(&at, config.files.get(index)),
        }
    }
    routes.next("anything else -> 404");
}

/// Describes the consoles that the console pages list.
fn listed(config: &Config) -> &'static str {
    match config.bridge.consoles.list {
        ConsoleList::All => "they name all consoles that a visitor may open",
        ConsoleList::Permitted if config.session.token_path.is_some() => {
            "they name the consoles that the app permits a visitor (session.token-path)"
        }
        ConsoleList::Permitted => {
            "they name no console: without session.token-path, a name may be a secret"
        }
        ConsoleList::None => "they name no console",
    }
}

impl Routes<'_> {
    /// Adds a route; the lines that follow belong to it.
    fn next(&mut self, route: &str) {
        self.number += 1;
        let number = self.number;
        self.text.line(format_args!("{number:>2}. {route}"));
    }

    fn consoles(&mut self, bridge: &Bridge) {
        let config = self.config;
        let channels = config.channels.iter();
        let channels: Vec<_> = channels.filter(|channel| channel.token.is_some()).collect();
        let has_consoles = !bridge.tokens.is_empty() || !bridge.targets.is_empty();
        if !has_consoles && channels.is_empty() {
            return;
        }
        for path in &bridge.paths {
            self.next(&format!("{path} on any host -> a console, by its token"));
        }
        for source in &bridge.tokens {
            let rfb = rfb(source.rfb.as_ref().unwrap_or(&bridge.rfb));
            let spoken = spoken(source.subprotocols.as_ref().unwrap_or(&bridge.subprotocols));
            let shared = shared(source.shared.as_ref().unwrap_or(&bridge.shared));
            self.text
                .more(format_args!("tokens: {source}{rfb}{shared}{spoken}"));
        }
        for target in &bridge.targets {
            let rfb = rfb(target.rfb.as_ref().unwrap_or(&bridge.rfb));
            let spoken = spoken(target.subprotocols.as_ref().unwrap_or(&bridge.subprotocols));
            let address = &target.address;
            let shared = shared(target.shared.as_ref().unwrap_or(&bridge.shared));
            self.text.more(format_args!(
                "a fixed token -> {address}{rfb}{shared}{spoken}"
            ));
        }
        for channel in channels {
            let name = &channel.name;
            self.text
                .more(format_args!("a fixed token -> the channel {name}"));
        }
        self.text.more(viewers(config, bridge.session));
        entrance(self.text, &bridge.entrance);
        self.text.more(origins(&bridge.entrance));
    }

    fn admin_page(&mut self) {
        let admin = &self.config.admin;
        if let Some(page) = &admin.page {
            self.next(&format!("{page} on any host -> the admin page"));
            let users = admin.users.join(", ");
            self.text.more(format_args!("for the users {users}"));
            if admin.recordings {
                self.text
                    .more("with the recordings of consoles, and consoles while they are recorded");
            }
        }
    }

    fn console_pages(&mut self) {
        if let Some(path) = &self.config.bridge.consoles.path {
            self.next(&format!(
                "{path} on any host -> the pages of consoles, for clients that the bridge lets in"
            ));
            self.text.more(listed(self.config));
        }
    }

    fn channels(&mut self) {
        let config = self.config;
        if !config.has_open_channels() {
            return;
        }
        self.next(&format!(
            "{}/NAME on any host -> a channel",
            config.hub.path
        ));
        for one in config.channels.iter().filter(|one| !one.is_internal()) {
            self.text.more(channel(one));
            for line in subscribers(config, one) {
                self.text.more(format_args!("  {line}"));
            }
        }
        entrance(self.text, &config.hub.entrance);
        self.text.more(origins(&config.hub.entrance));
    }

    fn mercure(&mut self, mercure: &Mercure) {
        self.next(&format!("{} on any host -> the Mercure hub", mercure.path));
        for line in of_mercure(self.config, mercure) {
            self.text.more(line);
        }
        entrance(self.text, &mercure.entrance);
        let pages = pages(&mercure.entrance);
        self.text.more(format_args!("it may be used by {pages}"));
    }

    fn app(&mut self, at: &str, app: &App) {
        self.next(&format!("{at} -> the app {} at {}", app.name, app.urls));
        self.text.more(queue(app));
        addresses(self.text, app);
        if app.tls.as_ref().is_some_and(|tls| tls.insecure_skip_verify) {
            self.text
                .more("its certificate is not verified: anyone on the network path can read and change everything");
        }
        if let Some(grip) = &app.grip {
            self.text.more(
                "its GRIP instructions are followed, and publishing needs a token of its key",
            );
            if grip.over_http {
                self.text.more("its WebSockets become requests with events");
            }
        }
        if let Some(allow) = app.methods.allow() {
            self.text.more(format_args!("accepts {allow} only"));
        }
        refused(self.text, &app.refuse);
        of_an_address(self.text, &app.request_limits);
        entrance(self.text, &app.entrance);
        header_rules(self.text, "to the app", &app.request_headers);
        header_rules(self.text, "from here", &app.response_headers);
        self.text.more("the app decides about everything else");
    }

    fn files(&mut self, at: &str, files: Option<&Files>) {
        self.next(&format!("{at} -> files"));
        self.text.more("open to everybody");
        if let Some(files) = files {
            refused(self.text, &files.refuse);
            of_an_address(self.text, &files.request_limits);
            header_rules(self.text, "from here", &files.response_headers);
        }
    }
}

/// Adds the rule by which requests are distributed over several addresses.
fn addresses(text: &mut Text, app: &App) {
    if !app.urls.are_several() {
        return;
    }
    text.more(match app.affinity {
        Affinity::None => "each request goes to the address with the fewest busy workers",
        Affinity::Cookie => "a cookie keeps each visitor at one address while that is available",
        Affinity::Address => {
            "the client's address chooses the address of the app while that is available"
        }
    });
    let reason = match &app.health_path {
        None => "connecting fails".to_owned(),
        Some(path) => format!(
            "connecting fails, or {} health checks of {path} in a row fail",
            app.health_failures
        ),
    };
    text.more(format_args!("an address is out of use after {reason}"));
    if !app.health_silence.is_zero() {
        text.more(format_args!(
            "or if it is silent for {} and then fails a probe",
            time(app.health_silence)
        ));
    }
    if app.retry_elsewhere {
        text.more("then GET and other safe requests that wait there are sent to another address");
    }
}

/// Describes the workers of an app and the wait for one.
fn queue(app: &App) -> String {
    let each = if app.urls.are_several() {
        " at each address"
    } else {
        ""
    };
    format!(
        "{} workers{each}; {} more requests wait, {} at most; a response within {}",
        app.workers,
        app.queue,
        time(app.queue_wait),
        time(app.response)
    )
}

/// Describes the methods by which Noren logs in at consoles.
fn rfb(rfb: &Rfb) -> String {
    let ports = rfb.ports.iter().flatten();
    let ports: Vec<_> = ports
        .map(|range| match (range.start(), range.end()) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first}-{last}"),
        })
        .collect();
    let at = match ports.as_slice() {
        [] => String::new(),
        ports => format!(" at the ports {}", ports.join(", ")),
    };
    match &rfb.security {
        _ if !rfb.enabled => String::new(),
        None => format!(", where Noren logs in by RFB{at}, with a certificate or on this machine"),
        Some(accepted) => {
            let names: Vec<_> = accepted.iter().map(|method| method.as_str()).collect();
            format!(", where Noren logs in by RFB{at} ({})", names.join(", "))
        }
    }
}

/// Describes the consoles whose viewers share a connection, and the viewers who may type.
fn shared(shared: &ConsoleSharing) -> String {
    if !shared.enabled {
        return String::new();
    }
    let consoles = match shared.consoles {
        SharedConsoles::All => "shared",
        SharedConsoles::Serial => "whose serial consoles are shared",
    };
    let typists = match (shared.typing, &shared.view) {
        (Typing::None, _)
        | (
            _,
            ViewRules {
                view_only: true, ..
            },
        ) => "nobody types".to_owned(),
        (Typing::First, _) => "the first viewer types".to_owned(),
        (Typing::One, _) => format!("one viewer types, another after {}", time(shared.hold)),
        (Typing::All, _) => "all viewers type".to_owned(),
    };
    format!(
        ", {consoles} by at most {} viewers of each: {typists}, {} of scrollback",
        shared.viewer_limit,
        bytes(shared.scrollback as u64)
    )
}

/// Describes the subprotocols that targets speak beside those of consoles.
fn spoken(subprotocols: &[String]) -> String {
    if subprotocols.is_empty() {
        String::new()
    } else {
        format!(", which also speaks {}", subprotocols.join(", "))
    }
}

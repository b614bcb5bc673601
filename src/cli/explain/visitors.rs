//! Describes the rules for visitors: authentication, permitted pages, and limits on the requests of one address.

use noren::config::{
    CertificateRule, Config, Entrance, OriginRule, PathPattern, RequestLimits, SessionRule,
};

use super::text::Text;

/// Adds the paths that are refused.
pub(super) fn refused(text: &mut Text, patterns: &[PathPattern]) {
    if !patterns.is_empty() {
        let patterns: Vec<_> = patterns.iter().map(PathPattern::as_str).collect();
        text.more(format_args!("403 for {}", patterns.join(", ")));
    }
}

/// Adds the limits on requests of one address.
pub(super) fn of_an_address(text: &mut Text, limits: &RequestLimits) {
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

/// Describes the visitors for whom a rule about sessions opens consoles.
pub(super) fn viewers(config: &Config, rule: Option<SessionRule>) -> String {
    let who = visitors(config, rule);
    let session = &config.session;
    match &session.token_path {
        Some(path) if session.is_required(rule) => format!("{who}, and {path} for the guest"),
        _ => who,
    }
}

/// Describes the visitors that a rule about sessions admits.
pub(super) fn visitors(config: &Config, rule: Option<SessionRule>) -> String {
    let session = &config.session;
    let app = config
        .apps
        .get(session.app)
        .map_or("app", |app| app.name.as_str());
    match &session.path {
        Some(path) if session.is_required(rule) => format!(
            "for visitors to whom {app} answers {} {path} with 2xx",
            session.method
        ),
        _ => "open to everybody: no session is required".to_owned(),
    }
}

/// Describes the authentication of a route.
pub(super) fn entrance(text: &mut Text, entrance: &Entrance) {
    if let Some(users) = &entrance.users {
        text.more(format_args!("with a password of {}", users.display()));
    }
    if entrance.certificate == CertificateRule::Required {
        text.more("with a client certificate");
    }
}

/// Describes the pages and programs that may open a WebSocket.
pub(super) fn origins(entrance: &Entrance) -> String {
    format!("WebSockets may be opened by {}", pages(entrance))
}

/// Describes the pages and programs that an entrance admits.
pub(super) fn pages(entrance: &Entrance) -> String {
    let rules = entrance.origins.iter().map(|rule| match rule {
        OriginRule::Same => "pages of this site".to_owned(),
        OriginRule::Any => "pages of any site".to_owned(),
        OriginRule::Exact(origin) => format!("pages of {origin}"),
    });
    let mut who: Vec<String> = rules.collect();
    if entrance.missing_origin {
        who.push("programs without an Origin".to_owned());
    }
    if who.is_empty() {
        who.push("nobody".to_owned());
    }
    who.join(", ")
}

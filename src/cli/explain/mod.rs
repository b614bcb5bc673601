//! `noren check --explain`: a description of a configuration for people: the routes in their order, their access rules,
//! and the limits. Reads nothing but the configuration.

mod channels;
mod headers;
mod routes;
mod text;
mod visitors;

use std::time::Duration;

use noren::config::{Config, ListenAddress, Listener, Protocol};

use headers::response_headers;
use routes::routes;
use text::{Text, bytes, time};

pub(super) use channels::source;

/// Describes a configuration.
pub(super) fn explain(config: &Config) -> String {
    let mut text = Text(String::new());
    text.heading("Listeners");
    for listener in &config.listeners {
        text.line(format_args!("{} ({})", listener.address, listener.protocol));
        let is_unix = matches!(listener.address, ListenAddress::Unix(_));
        if is_unix && listener.trusted_proxies.is_empty() {
            text.more(
                "its clients have no address, so limits per address do not apply to them; for a",
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
        "applies everything except {fixed}, which only a restart changes"
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
            "for {}, ordered from {}",
            acme.names.join(", "),
            acme.directory
        ));
    }
    if config.tls.certificates.is_empty() {
        let directory = config.tls.self_signed.display();
        text.line(format_args!("a self-signed one, made in {directory}"));
    }
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
        "request head",
        format_args!(
            "{}, {} lines, {}",
            bytes(limits.head_size as u64),
            limits.headers,
            time(limits.head)
        ),
    );
    text.limit(
        "request body",
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
    text.limit("size of a message", bytes(config.hub.message_size as u64));
    text.limit("lag of a subscriber", bytes(config.hub.budget as u64));
    text.limit("drain at a stop", time(config.server.drain));
}

#[cfg(test)]
mod tests;

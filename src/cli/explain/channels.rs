//! Describes channels: their publishers, their subscribers and their history.

use noren::config::{
    Channel, Config, Member, Mercure, Needs, PostgresPlace, Publisher, SessionRule, Source,
};

use super::text::{bytes, time};
use super::visitors::visitors;

/// Describes the publishers and the history of a channel.
pub(super) fn channel(channel: &Channel) -> String {
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

/// Describes the permitted publishers and subscribers of the Mercure hub.
pub(super) fn of_mercure(config: &Config, mercure: &Mercure) -> Vec<String> {
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
        lines.push(visitors(config, Some(SessionRule::Required)));
    }
    if mercure.subscriptions {
        lines.push("subscriptions are reported to clients whose token permits it".to_owned());
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

/// Describes a source by its kind and location.
pub(in crate::cli) fn source(source: &Source) -> String {
    match source {
        Source::Wok { address } => format!("the push socket {}", address.display()),
        Source::Listen(listen) => format!("programs that write to {}", listen.address.display()),
        Source::Amqp(amqp) => format!("the exchange {} of {}", amqp.exchange, amqp.broker),
        Source::Webhook(webhook) => {
            format!("signed requests to {}", webhook.path.as_str())
        }
        Source::Postgres(postgres) => match &postgres.place {
            PostgresPlace::Notifications(one) => format!(
                "NOTIFY {} of {} (lost while Noren is not connected)",
                one.channels.join(", "),
                postgres.server
            ),
            PostgresPlace::Outbox(one) => format!(
                "the outbox {} of {} (each row is deleted once it is published)",
                one.table, postgres.server
            ),
        },
    }
}

/// Describes how the app is queried about a channel, beside the session.
fn channel_query(config: &Config) -> String {
    let session = &config.session;
    match (&session.channels_header, &session.channel_path) {
        (None, None) => String::new(),
        (None, Some(path)) => format!(", and for the channel {path}"),
        (Some(header), None) => format!(", with the channel in the header {header}"),
        (Some(header), Some(path)) => format!(
            ", with the channel in the header {header} (without that header {path} is queried)"
        ),
    }
}

/// Describes the permitted subscribers of a channel, and the users among them who may publish.
pub(super) fn subscribers(config: &Config, channel: &Channel) -> Vec<String> {
    let session = || visitors(config, Some(SessionRule::Required)) + &channel_query(config);
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
        ("subscribe", &channel.subscribers),
        ("publish", &channel.publishers),
    ] {
        if !members.is_empty() {
            lines.push(format!("of these, only {} may {does}", list(members)));
        }
    }
    lines
}

//! The keys of what is told to many: the hub, channels, their sources and the cluster; and those of the session.

use std::collections::BTreeMap;
use std::time::Duration;

use noren::config::{
    Admin, AmqpSource, Broker, Channel, ChannelTokens, Cluster, Config, Entrance, History, Hub,
    Listen, Mapping, Mercure, MercureIssuer, Notifications, Outbox, PostgresFormat, PostgresPlace,
    PostgresServer, PostgresSource, SecretFile, Session, Source, SslMode, WebhookSource,
};

use super::{shown_entrance, shows, uncommented_reference};

#[test]
fn the_reference_shows_every_key_of_the_hub() {
    let config = Config::parse(&uncommented_reference(), "noren.toml").unwrap();
    let Hub {
        path: _,
        entrance,
        session: _,
        heartbeat: _,
        keep_alive: _,
        retry: _,
        poll_wait: _,
        budget: _,
        message_size: _,
        subscribers: _,
        connect_rate: _,
        channels: _,
        store: _,
        publish_token: _,
        tokens,
    } = config.hub.clone();
    shows(
        "hub",
        "path origins session missing-origin users realm client-certificate client-names heartbeat \
         keep-alive retry poll-wait budget message-size subscribers connect-rate channels store publish-token tokens",
    );
    assert_eq!(entrance, shown_entrance());
    let defaults = Hub {
        session: None,
        entrance: Entrance::default(),
        publish_token: None,
        tokens: ChannelTokens::default(),
        ..config.hub
    };
    assert_eq!(defaults, Hub::default());
    the_reference_shows_every_key_of_tokens_for_channels(tokens);
    the_reference_shows_every_key_of_the_cluster(config.cluster.as_ref());
    let Admin {
        socket,
        mode,
        address,
        page,
        users,
        recordings: _,
    } = config.admin;
    shows("admin", "socket mode address page users recordings");
    assert!(page.is_some() && users == ["admin"]);
    assert_eq!(address.as_deref(), Some("127.0.0.1:9100"));
    assert!(socket.is_some());
    assert_eq!(mode, Admin::default().mode);
}

fn the_reference_shows_every_key_of_tokens_for_channels(tokens: ChannelTokens) {
    let ChannelTokens {
        keys,
        audience,
        longest: _,
        leeway: _,
        cookie: _,
    } = tokens.clone();
    shows("hub.tokens", "keys audience longest leeway cookie");
    assert!(!keys.is_empty() && audience.is_some());
    let defaults = ChannelTokens {
        keys: Vec::new(),
        audience: None,
        ..tokens
    };
    assert_eq!(defaults, ChannelTokens::default());
}

#[test]
fn the_reference_shows_every_key_of_a_channel() {
    let config = Config::parse(&uncommented_reference(), "noren.toml").unwrap();
    let own = config
        .channels
        .iter()
        .filter(|channel| !channel.is_internal());
    let own: Vec<_> = own.collect();
    let [
        Channel {
            name: _,
            token: _,
            boundary: _,
            slow: _,
            needs: _,
            subscribers: _,
            publishers: _,
            publish: _,
            app: _,
            receive: _,
            presence: _,
            on_first_join: _,
            on_last_leave: _,
            compress: false,
            compress_private: false,
            history,
            sources,
        },
    ] = own.as_slice()
    else {
        panic!("the reference should show one channel");
    };
    shows(
        "channel",
        "name token boundary slow needs subscribers publishers publish app receive presence on-first-join \
         on-last-leave compress compress-private history source",
    );
    let History {
        messages: _,
        size: _,
        age: _,
        store: _,
        ids: _,
    } = history;
    shows("channel.history", "messages size age store ids");
    assert_eq!(*history, History::default());
    shows(
        "channel.source",
        "source address type framing mode users url credentials ca heartbeat exchange bindings queue \
         queue-expires queue-length queue-size prefetch format raw-content channel event key data passfile listen \
         poll id outbox notify batch path signature secrets tolerance body-size",
    );
    let [
        Source::Wok { address: _ },
        Source::Listen(Listen {
            address: _,
            datagram: _,
            framing: _,
            mode: _,
            users: _,
        }),
        Source::Amqp(amqp),
        Source::Postgres(notifications),
        Source::Postgres(outbox),
        Source::Webhook(webhook),
    ] = sources.as_slice()
    else {
        panic!("the reference should show every kind of source");
    };
    the_reference_shows_every_key_of_a_broker(amqp);
    the_reference_shows_every_key_of_a_database(notifications, outbox);
    the_reference_shows_every_key_of_a_webhook(webhook);
}

fn the_reference_shows_every_key_of_a_webhook(source: &WebhookSource) {
    let WebhookSource {
        path: _,
        signature: _,
        secrets,
        tolerance,
        body_size: 1_048_576,
        mapping,
    } = source
    else {
        panic!("the reference should show the defaults: {source:?}");
    };
    assert_eq!((secrets.len(), *tolerance), (1, Duration::from_secs(300)));
    all_are_shown(mapping);
}

fn the_reference_shows_every_key_of_a_database(
    notifications: &PostgresSource,
    outbox: &PostgresSource,
) {
    let PostgresSource {
        server:
            PostgresServer {
                host: _,
                port: 5432,
                database: _,
                user: _,
                mode: SslMode::VerifyFull,
                passfile: Some(_),
                ca: Some(_),
            },
        format: PostgresFormat::Json,
        poll,
        place:
            PostgresPlace::Notifications(Notifications {
                channels: _,
                mapping,
                id,
            }),
    } = notifications
    else {
        panic!("the reference should show the defaults: {notifications:?}");
    };
    assert_eq!(*poll, Duration::from_secs(10));
    all_are_shown(mapping);
    assert!(!id.is_empty(), "{notifications:?}");
    let PostgresPlace::Outbox(Outbox {
        table: _,
        notify,
        batch: 100,
    }) = &outbox.place
    else {
        panic!("the reference should show the defaults: {outbox:?}");
    };
    assert_eq!(notify, "noren_outbox");
}

fn all_are_shown(mapping: &Mapping) {
    let Mapping {
        channel,
        event,
        key,
        data,
    } = mapping;
    for templates in [channel, event, key, data] {
        assert!(!templates.is_empty(), "{mapping:?}");
    }
}

pub(super) fn the_reference_shows_every_key_of_mercure(mercure: Option<&Mercure>) {
    let shown = Mercure {
        publisher_keys: vec![SecretFile::File("/etc/noren/mercure.key".into())],
        subscriber_keys: vec![SecretFile::File(
            "/etc/noren/mercure-subscribers.key".into(),
        )],
        url: Some("https://www.example.org/.well-known/mercure".to_owned()),
        issuers: vec![MercureIssuer {
            name: "https://www.example.org".to_owned(),
            keys: vec![SecretFile::File("/etc/noren/mercure-issuer.pem".into())],
        }],
        entrance: shown_entrance(),
        ..Mercure::default()
    };
    let Mercure {
        path: _,
        versions: _,
        publisher_keys: _,
        subscriber_keys: _,
        url: _,
        issuers: _,
        cookie: _,
        query_token: _,
        anonymous: _,
        session: _,
        subscriptions: _,
        lifetime: _,
        leeway: _,
        topics: _,
        selectors: _,
        patterns: _,
        topic_length: _,
        entrance: _,
        history: _,
    } = &shown;
    assert_eq!(mercure, Some(&shown));
    shows(
        "mercure",
        "path versions publisher-keys subscriber-keys url issuer cookie query-token anonymous session subscriptions \
         lifetime leeway topics selectors patterns topic-length origins missing-origin users realm client-certificate \
         client-names history",
    );
    shows("mercure.issuer", "name keys");
    shows("mercure.history", "messages size age store ids");
}

fn the_reference_shows_every_key_of_the_cluster(cluster: Option<&Cluster>) {
    let Some(Cluster {
        broker: _,
        stream,
        max_size: 268_435_456,
        max_age,
        pending: 10_000,
        pending_size: 67_108_864,
        key: Some(_),
    }) = cluster
    else {
        panic!("the reference should show the defaults: {cluster:?}");
    };
    assert_eq!(
        (stream.as_str(), *max_age),
        ("noren", Duration::from_secs(86_400))
    );
    shows(
        "cluster",
        "url credentials ca heartbeat stream max-size max-age pending pending-size key",
    );
}

fn the_reference_shows_every_key_of_a_broker(source: &AmqpSource) {
    let AmqpSource {
        broker:
            Broker {
                tls: _,
                host: _,
                port: _,
                virtual_host: _,
                credentials: Some(_),
                ca: Some(_),
                heartbeat,
            },
        exchange: _,
        bindings,
        queue: Some(_),
        queue_length: 100_000,
        queue_size: 67_108_864,
        queue_expires,
        prefetch: 256,
        format: _,
        raw_content: false,
        mapping,
    } = source
    else {
        panic!("the reference should show the defaults: {source:?}");
    };
    assert_eq!(*heartbeat, Duration::from_secs(30));
    assert_eq!(*queue_expires, Duration::from_secs(86_400));
    assert_eq!(*bindings, ["#"]);
    all_are_shown(mapping);
}

#[test]
fn the_reference_shows_every_key_of_the_session() {
    let config = Config::parse(&uncommented_reference(), "noren.toml").unwrap();
    let Session {
        app: _,
        method: _,
        path,
        headers,
        cookies: _,
        allow_cache: _,
        interval: _,
        repeat_rate,
        workers: _,
        timeout: _,
        name_header,
        groups_header,
        channels_header,
        token_path,
        channel_path,
        open_tokens: _,
        logout: _,
        logout_ends: _,
        switch,
    } = config.session.clone();
    shows(
        "session",
        "app method path headers cookies allow-cache interval repeat-rate workers timeout name-header \
         groups-header channels-header token-path channel-path open-tokens logout logout-ends switch",
    );
    assert!(path.is_some() && name_header.is_some() && groups_header.is_some());
    assert!(token_path.is_some() && channel_path.is_some() && channels_header.is_some());
    assert!(repeat_rate.is_some());
    assert_eq!(headers.len(), 1);
    assert!(!switch.is_empty());
    let defaults = Session {
        path: None,
        name_header: None,
        groups_header: None,
        channels_header: None,
        repeat_rate: None,
        token_path: None,
        channel_path: None,
        headers: BTreeMap::new(),
        switch: Vec::new(),
        ..config.session
    };
    assert_eq!(defaults, Session::default());
}

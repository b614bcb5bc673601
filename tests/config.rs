//! The configuration as operators meet it: the files in `config/` are true, and each key means what
//! it says.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noren::config::{
    Admin, AmqpSource, App, Bridge, Broker, Certificate, Channel, ChannelPattern, ChannelTokens,
    ClientCertificates, Cluster, Config, ConfigError, Endpoint, Entrance, Files, History,
    HttpSource, Hub, Limits, Listen, Listener, Log, Offload, Protocol, Publisher, Recording,
    RedisSource, SecurityHeaders, Server, Session, Signed, Slow, Source, SourceKind, Spool,
    StaticTarget, TargetTls, Tls, TokenSource,
};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
}

/// The reference with the "# " of every commented key and table removed.
fn uncommented_reference() -> String {
    let text = fs::read_to_string(shipped("noren.toml")).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(code) if code.starts_with('[') || begins_with_a_key(code) => code,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn begins_with_a_key(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Asserts that `table` of the uncommented reference, or all tables of that name together, show
/// exactly these keys.
fn shows(table: &str, keys: &str) {
    let document: toml::Table = uncommented_reference().parse().unwrap();
    let mut found = vec![toml::Value::Table(document)];
    for part in table.split('.').filter(|part| !part.is_empty()) {
        let inner = found.iter().filter_map(|value| value.get(part)).cloned();
        found = inner
            .flat_map(|value| {
                if let toml::Value::Array(items) = value {
                    items
                } else {
                    vec![value]
                }
            })
            .collect();
    }
    let shown: BTreeSet<&str> = found
        .iter()
        .filter_map(toml::Value::as_table)
        .flat_map(toml::Table::keys)
        .map(String::as_str)
        .collect();
    assert_eq!(
        shown,
        keys.split(' ').collect(),
        "keys of [{table}] in config/noren.toml"
    );
}

/// The entrance of each route in the uncommented reference: one key of it is an example.
fn shown_entrance() -> Entrance {
    let shown = Entrance {
        users: Some("/etc/noren/users".into()),
        ..Entrance::default()
    };
    let Entrance {
        origins: _,
        missing_origin: _,
        users: _,
        realm: _,
        certificate: _,
        certificate_names: _,
    } = &shown;
    shown
}

#[test]
fn the_reference_as_shipped_is_the_defaults() {
    let config = Config::load(&shipped("noren.toml")).unwrap();
    assert_eq!(
        config,
        Config {
            apps: vec![App::default()],
            ..Config::default()
        }
    );
}

/// The patterns below have no `..`: a new key does not compile until it is added here, and then
/// fails until the reference shows it.
#[test]
fn the_reference_shows_every_key_of_the_tables_with_its_default() {
    let config = Config::parse(&uncommented_reference(), "noren.toml").unwrap();
    let Config {
        log,
        server,
        listeners: _,
        tls: _,
        limits,
        spool,
        headers,
        apps,
        files: _,
        session: _,
        bridge: _,
        hub: _,
        channels: _,
        cluster: _,
        admin: _,
    } = config;
    shows(
        "",
        "log server listener tls limits spool headers app files session bridge hub channel cluster admin",
    );

    assert_eq!((log, server), (Log::default(), Server::default()));
    assert_eq!(spool, Spool::default());
    assert_eq!(
        (limits, headers),
        (Limits::default(), SecurityHeaders::default())
    );
    let [app] = apps.as_slice() else {
        panic!("the reference should show one app");
    };
    let Offload {
        path: _,
        directory: _,
    } = app.offload.first().unwrap();
    shows("app.offload", "path directory");
    let without = App {
        offload: Vec::new(),
        health_path: None,
        ..app.clone()
    };
    let with_examples = App {
        entrance: shown_entrance(),
        user_header: Some("x-remote-user".to_owned()),
        certificate_header: Some("x-client-name".to_owned()),
        ..App::default()
    };
    assert_eq!(without, with_examples);

    let Log {
        level: _,
        format: _,
        access: _,
        access_format: _,
        audit: _,
    } = Log::default();
    shows("log", "level format access access-format audit");
    let Server {
        drain: _,
        handover: _,
        welcome: _,
        threads: _,
        traces: _,
    } = Server::default();
    shows("server", "drain handover welcome threads traces");
    let Limits {
        connections: _,
        connections_per_address: _,
        request_rate: _,
        login_failures: _,
        login_paths: _,
        token_failures: _,
        handshake: _,
        head: _,
        head_size: _,
        headers: _,
        keep_alive: _,
        body_idle: _,
        minimum_rate: _,
        minimum_rate_grace: _,
        body_size: _,
        request_buffer: _,
        streams: _,
    } = Limits::default();
    shows(
        "limits",
        "connections connections-per-address request-rate login-failures login-paths \
         token-failures handshake head head-size headers keep-alive body-idle minimum-rate minimum-rate-grace body-size request-buffer streams",
    );
    let Spool {
        directory: _,
        size: _,
        memory: _,
        request_size: _,
        answer_buffer: _,
        answer_size: _,
        when_full: _,
    } = Spool::default();
    shows(
        "spool",
        "directory size memory request-size answer-buffer answer-size when-full",
    );
    let SecurityHeaders {
        strict_transport_security: _,
        x_frame_options: _,
        x_content_type_options: _,
    } = SecurityHeaders::default();
    shows(
        "headers",
        "strict-transport-security x-frame-options x-content-type-options",
    );
    let App {
        name: _,
        url: _,
        hosts: _,
        path: _,
        server_root: _,
        encoded_slash: _,
        entrance: _,
        user_header: _,
        certificate_header: _,
        workers: _,
        queue: _,
        queue_wait: _,
        connect: _,
        response: _,
        response_idle: _,
        keep_alive: _,
        restart_wait: _,
        health_path: _,
        health_interval: _,
        request_spool: _,
        response_spool: _,
        compress: _,
        compress_private: _,
        offload: _,
    } = App::default();
    shows(
        "app",
        "name url hosts path server-root encoded-slash origins missing-origin users realm \
         client-certificate client-names user-header certificate-header workers queue queue-wait \
         connect response response-idle keep-alive restart-wait health-path health-interval \
         request-spool response-spool \
         compress compress-private offload",
    );
}

#[test]
fn the_reference_shows_every_key_of_the_tables_with_examples() {
    let config = Config::parse(&uncommented_reference(), "noren.toml").unwrap();

    assert_eq!(config.listeners.first(), Some(&Listener::default()));
    let Listener {
        address: _,
        protocol: _,
        redirect_port: _,
        mode: _,
        trusted_proxies: _,
        forwarded_header: _,
        proxy_protocol: _,
        clients: _,
    } = Listener::default();
    shows(
        "listener",
        "address protocol redirect-port mode trusted-proxies forwarded-header proxy-protocol \
         client-authority client-certificate",
    );
    let clients = config
        .listeners
        .iter()
        .find_map(|listener| listener.clients.as_ref());
    let Some(ClientCertificates {
        authority: _,
        required: true,
    }) = clients
    else {
        panic!("the reference should show a listener that asks for certificates");
    };
    let protocols: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| listener.protocol)
        .collect();
    assert_eq!(
        protocols,
        [
            Protocol::Https,
            Protocol::Redirect,
            Protocol::Http,
            Protocol::Http,
            Protocol::Https,
            Protocol::Https
        ]
    );

    let Tls {
        minimum_version: _,
        self_signed: _,
        http2: _,
        watch: _,
        certificates,
    } = config.tls.clone();
    shows("tls", "minimum-version self-signed http2 watch certificate");
    assert_eq!(
        Tls {
            certificates: Vec::new(),
            ..config.tls
        },
        Tls::default()
    );
    let [
        Certificate {
            certificate: _,
            key: _,
            names: _,
        },
    ] = certificates.as_slice()
    else {
        panic!("the reference should show one certificate");
    };
    shows("tls.certificate", "certificate key names");

    let defaults = Bridge {
        tokens: Vec::new(),
        targets: Vec::new(),
        boundaries: BTreeMap::new(),
        // As soon as there is a question, `required` is what nothing said means.
        session: None,
        entrance: Entrance::default(),
        recording: Recording::default(),
        signed: Signed {
            keys: Vec::new(),
            audience: None,
            tls: None,
            ..config.bridge.signed.clone()
        },
        ..config.bridge.clone()
    };
    assert_eq!(defaults, Bridge::default());
    the_reference_shows_every_key_of_the_bridge(config.bridge);
}

fn the_reference_shows_every_key_of_the_bridge(bridge: Bridge) {
    let Bridge {
        paths: _,
        entrance,
        session: _,
        connect: _,
        idle: _,
        heartbeat: _,
        frame_size: _,
        upload_buffer: _,
        http2: _,
        token_retry: _,
        recheck_tokens: _,
        host_token: _,
        signed,
        tokens,
        targets,
        recording,
        boundaries,
    } = bridge;
    the_reference_shows_every_key_of_recordings(recording);
    shows(
        "bridge",
        "paths origins missing-origin users realm client-certificate client-names session connect \
         idle heartbeat frame-size upload-buffer http2 token-retry recheck-tokens host-token signed \
         tokens target recording boundaries",
    );
    assert_eq!(entrance, shown_entrance());
    let Signed {
        keys: _,
        required: _,
        audience: _,
        longest: _,
        leeway: _,
        grace: _,
        store: _,
        allow: _,
        tls: _,
    } = signed;
    shows(
        "bridge.signed",
        "keys required audience longest leeway grace store allow tls",
    );
    the_reference_shows_every_token_source(&tokens);
    let [
        StaticTarget {
            token: _,
            address: _,
            tls: _,
        },
    ] = targets.as_slice()
    else {
        panic!("the reference should show one target");
    };
    shows("bridge.target", "token address tls");
    assert_eq!(
        boundaries.len(),
        1,
        "the reference should show one boundary"
    );
}

fn the_reference_shows_every_key_of_recordings(recording: Recording) {
    let Recording {
        directory,
        consoles: _,
        input: _,
        size: _,
        total: _,
        when_full: _,
        buffer: _,
    } = recording.clone();
    shows(
        "bridge.recording",
        "directory consoles input size total when-full buffer",
    );
    assert!(directory.is_some());
    let defaults = Recording {
        directory: None,
        ..recording
    };
    assert_eq!(defaults, Recording::default());
}

fn the_reference_shows_every_token_source(tokens: &[TokenSource]) {
    for TokenSource {
        kind,
        allow: _,
        tls: _,
    } in tokens
    {
        // A new source does not compile until it is here, and then the reference must show it.
        match kind {
            SourceKind::Directory(_)
            | SourceKind::File(_)
            | SourceKind::FileName(_)
            | SourceKind::Sockets(_)
            | SourceKind::Http(HttpSource {
                url: _,
                address: _,
                ca: _,
                timeout: _,
            })
            | SourceKind::Redis(RedisSource {
                address: _,
                database: _,
                user: _,
                password: _,
                namespace: _,
                timeout: _,
            }) => {}
        }
    }
    assert_eq!(
        tokens.len(),
        6,
        "the reference should show every token source"
    );
    shows(
        "bridge.tokens",
        "source path url address ca timeout database user password namespace allow tls",
    );
    let TargetTls {
        ca: _,
        name: _,
        client: _,
    } = TargetTls::default();
    shows("bridge.tokens.tls", "ca name certificate key");
}

#[test]
fn the_reference_shows_every_key_of_a_directory() {
    let config = Config::parse(&uncommented_reference(), "noren.toml").unwrap();
    let [
        Files {
            path: _,
            hosts: _,
            directory: _,
            cache_control: _,
            precompressed: _,
        },
    ] = config.files.as_slice()
    else {
        panic!("the reference should show one directory");
    };
    shows("files", "path hosts directory cache-control precompressed");
}

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
        "path origins session missing-origin users realm client-certificate client-names heartbeat keep-alive retry poll-wait budget message-size \
         subscribers connect-rate channels store publish-token tokens",
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
    } = config.admin;
    shows("admin", "socket mode address page users");
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
fn a_channel_that_nobody_could_open_or_everybody_would_by_mistake_is_refused() {
    let refused = |tables: &str, channel: &str| {
        let text = format!(
            "[[app]]\nurl = 'http://127.0.0.1:1'\n{tables}\n[[channel]]\nname = 'jobs'\n{channel}\n"
        );
        Config::parse(&text, "t.toml").unwrap_err().to_string()
    };
    let session = "[session]\npath = '/who'";
    let keys = "[hub.tokens]\nkeys = ['/k']";
    for (tables, channel, said) in [
        ("", "needs = 'token'", "there are no keys"),
        (session, "needs = 'either'", "there are no keys"),
        (keys, "needs = 'session'", "there is no question"),
        ("", "subscribers = ['ann']", "nobody is asked who he is"),
        (session, "subscribers = ['ann']", "name-header"),
        (session, "subscribers = ['group:a']", "groups-header"),
        (keys, "subscribers = ['group:a']", "groups-header"),
        (keys, "publishers = ['ann']", "no user can publish there"),
        (keys, "subscribers = []", "names nobody"),
        (keys, "needs = 'password'", "needs"),
        (
            "[hub.tokens]\nleeway = '1s'",
            "",
            "hub.tokens.keys: is missing",
        ),
    ] {
        let found = refused(tables, channel);
        assert!(found.contains(said), "{tables} {channel}: {found}");
    }
}

#[test]
fn the_reference_shows_every_key_of_a_channel() {
    let config = Config::parse(&uncommented_reference(), "noren.toml").unwrap();
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
            history,
            sources,
        },
    ] = config.channels.as_slice()
    else {
        panic!("the reference should show one channel");
    };
    shows(
        "channel",
        "name token boundary slow needs subscribers publishers publish app receive presence on-first-join on-last-leave \
         history source",
    );
    let History {
        messages: _,
        size: _,
        age: _,
        store: _,
    } = history;
    shows("channel.history", "messages size age store");
    assert_eq!(*history, History::default());
    shows(
        "channel.source",
        "source address type framing mode users url credentials ca heartbeat exchange bindings queue \
         queue-expires queue-length queue-size prefetch format raw-content channel event key data",
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
    ] = sources.as_slice()
    else {
        panic!("the reference should show every kind of source");
    };
    the_reference_shows_every_key_of_a_broker(amqp);
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
        channel: Some(_),
        event: Some(_),
        key: Some(_),
        data: Some(_),
    } = source
    else {
        panic!("the reference should show the defaults: {source:?}");
    };
    assert_eq!(*heartbeat, Duration::from_secs(30));
    assert_eq!(*queue_expires, Duration::from_secs(86_400));
    assert_eq!(*bindings, ["#"]);
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
        workers: _,
        timeout: _,
        name_header,
        groups_header,
        token_path,
        channel_path,
        open_tokens: _,
        logout: _,
    } = config.session.clone();
    shows(
        "session",
        "app method path headers cookies allow-cache interval workers timeout name-header groups-header \
         token-path channel-path open-tokens logout",
    );
    assert!(path.is_some() && name_header.is_some() && groups_header.is_some());
    assert!(token_path.is_some() && channel_path.is_some());
    assert_eq!(headers.len(), 1);
    let defaults = Session {
        path: None,
        name_header: None,
        groups_header: None,
        token_path: None,
        channel_path: None,
        headers: BTreeMap::new(),
        ..config.session
    };
    assert_eq!(defaults, Session::default());
}

#[test]
fn the_example_for_wok_fits_wok() {
    let config = Config::load(&shipped("wok.toml")).unwrap();
    let expected = Config {
        tls: Tls {
            certificates: vec![Certificate {
                certificate: "/etc/wok/wok-cert.pem".into(),
                key: "/etc/wok/wok-key.pem".into(),
                names: Vec::new(),
            }],
            ..Tls::default()
        },
        limits: Limits {
            body_size: 4 << 30,
            request_buffer: 3 << 20,
            ..Limits::default()
        },
        apps: vec![App {
            name: "wok".to_owned(),
            url: Endpoint::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 8010,
            },
            encoded_slash: true,
            workers: 8,
            response: Duration::from_secs(600),
            response_idle: Duration::from_secs(600),
            keep_alive: Duration::from_secs(8),
            ..App::default()
        }],
        session: Session {
            path: Some("/tasks".to_owned()),
            headers: [("Accept", "application/json"), ("Wok-Robot", "wok-robot")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            cookies: vec!["wok".to_owned()],
            token_path: Some("/plugins/kimchi/vms/{vm}".to_owned()),
            open_tokens: vec!["woknotifications".to_owned()],
            ..Session::default()
        },
        bridge: Bridge {
            tokens: vec![TokenSource::trusted(SourceKind::Directory(
                "/var/lib/wok/ws-tokens".into(),
            ))],
            ..Bridge::default()
        },
        channels: vec![Channel {
            name: ChannelPattern::parse("wok").unwrap(),
            token: Some("woknotifications".to_owned()),
            boundary: "//EOM//".to_owned(),
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
            history: History::default(),
            sources: vec![Source::Wok {
                address: "/run/user/0/woknotifications".into(),
            }],
        }],
        ..Config::default()
    };
    assert_eq!(config, expected);
}

#[test]
fn every_file_in_config_is_valid() {
    let mut seen = 0;
    for entry in fs::read_dir(shipped("")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            Config::load(&path).unwrap();
            seen += 1;
        }
    }
    assert!(seen >= 3, "only {seen} files were found");
}

#[test]
fn an_app_is_enough() {
    let config = Config::parse("[[app]]\nurl = \"http://127.0.0.1:8010\"", "noren.toml").unwrap();
    assert_eq!(
        config,
        Config {
            apps: vec![App::default()],
            ..Config::default()
        }
    );
}

#[test]
fn an_error_begins_with_the_file_as_it_was_named() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong.toml");
    fs::write(&path, "[log]\nlevel = 3\n").unwrap();
    let error = Config::load(&path).unwrap_err();
    let said = format!(
        r#"{}:2: log.level: expected a string, found the number 3; write "3""#,
        path.display()
    );
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_the_reason() {
    let said = |path: &Path| Config::load(path).unwrap_err().to_string();
    let missing = Path::new("/nonexistent/noren.toml");
    assert_eq!(
        said(missing),
        "/nonexistent/noren.toml: cannot be read: there is no such file"
    );
    assert_eq!(said(Path::new("/")), "/: cannot be read: it is a directory");
    assert!(matches!(
        Config::load(missing),
        Err(ConfigError::Unreadable { .. })
    ));
}

#[test]
fn a_file_that_is_not_text_is_told_the_line() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("latin1.toml");
    fs::write(&path, b"[log]\n# caf\xe9\n").unwrap();
    let said = format!(
        "{}:2: this is not UTF-8 text; save the file as UTF-8",
        path.display()
    );
    assert_eq!(Config::load(&path).unwrap_err().to_string(), said);
}

#[test]
fn the_admin_page_needs_somebody_who_may_see_it() {
    let refused = |admin: &str, session: &str| {
        let text = format!(
            "[[app]]\nname = 'a'\nurl = 'http://127.0.0.1:1'\n{session}[admin]\npage = '/noren'\n{admin}"
        );
        Config::parse(&text, "t.toml").unwrap_err().to_string()
    };
    let session = "[session]\npath = '/who'\nname-header = 'X-User'\n";
    assert!(refused("users = ['ann']\n", "").contains("name-header"));
    assert!(refused("", session).contains("users"));
}

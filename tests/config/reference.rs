//! `config/noren.toml` shows every key, with its default or an example.

mod channels;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use noren::config::{
    Acme, Affinity, AnswerPlaces, App, Bridge, Certificate, Challenge, ClientCertificates, Config,
    ConsoleSharing, Consoles, Entrance, Files, Grip, HeaderRules, HttpSource, Limits, Listener,
    Log, NovaLogin, NovaSource, Offload, Protocol, Recording, RedisSource, RequestLimits, Rfb,
    RfbAccess, SecurityHeaders, Server, Siblings, Signed, SourceKind, Spool, StaticTarget,
    TargetTls, Tls, TokenSource, ViewRules,
};

use super::shipped;

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
        acme,
        limits,
        spool,
        headers,
        apps,
        files: _,
        session: _,
        bridge: _,
        hub: _,
        channels: _,
        mercure,
        cluster: _,
        admin: _,
    } = config;
    channels::the_reference_shows_every_key_of_mercure(mercure.as_ref());
    shows(
        "",
        "log server listener tls acme limits spool headers app files session bridge hub channel mercure cluster admin",
    );

    let Some(Acme {
        names: _,
        contact: _,
        directory,
        ca: _,
        challenge: Challenge::TlsAlpn,
        store,
        profile: _,
        external: Some(_),
    }) = acme
    else {
        panic!("the reference should show the default of each key: {acme:?}");
    };
    assert_eq!(
        (directory.as_str(), store.to_str()),
        (
            "https://acme-v02.api.letsencrypt.org/directory",
            Some("acme")
        )
    );
    shows(
        "acme",
        "names terms-of-service-agreed contact challenge store directory ca profile key-id key-file",
    );
    assert_eq!((log, server), (Log::default(), Server::default()));
    assert_eq!(spool, Spool::default());
    let without_rules = SecurityHeaders {
        rules: HeaderRules::default(),
        own: HeaderRules::default(),
        ..headers
    };
    assert_eq!(
        (limits, without_rules),
        (Limits::default(), SecurityHeaders::default())
    );
    let [app, several, secure] = apps.as_slice() else {
        panic!("the reference should show one app, one with several addresses, and one with TLS");
    };
    assert!(several.urls.are_several() && several.affinity == Affinity::Cookie);
    assert!(secure.urls.has_https() && secure.tls.is_some());
    let Offload {
        path: _,
        directory: _,
    } = app.offload.first().unwrap();
    shows("app.offload", "path directory");
    let Grip {
        keys,
        issuer: _,
        over_http: _,
        refresh: _,
        resume: _,
        session: _,
        history: _,
    } = app.grip.clone().unwrap();
    shows(
        "app.grip",
        "keys issuer over-http refresh resume session history",
    );
    let of_default = Grip {
        keys: keys.clone(),
        ..Grip::default()
    };
    assert_eq!(app.grip, Some(of_default));
    assert!(!keys.is_empty());
    let without = App {
        offload: Vec::new(),
        grip: None,
        health_path: None,
        hides_affinity: false,
        siblings: Siblings::default(),
        request_headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        request_limits: RequestLimits::default(),
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
        hosts: _,
        threads: _,
        traces: _,
    } = Server::default();
    shows("server", "drain handover welcome hosts threads traces");
    let Limits {
        connections: _,
        connections_per_address: _,
        address_share: _,
        session_share: _,
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
        request_memory: _,
        streams: _,
    } = Limits::default();
    shows(
        "limits",
        "connections connections-per-address address-share session-share request-rate login-failures login-paths \
         token-failures handshake head head-size headers keep-alive body-idle minimum-rate \
         minimum-rate-grace body-size request-buffer request-memory streams",
    );
    let Spool {
        directory: _,
        size: _,
        files: _,
        memory: _,
        request_size: _,
        answer_buffer: _,
        answer_size: _,
        when_full: _,
    } = Spool::default();
    shows(
        "spool",
        "directory size files memory request-size answer-buffer answer-size when-full",
    );
    let SecurityHeaders {
        strict_transport_security: _,
        x_frame_options: _,
        x_content_type_options: _,
        rules: _,
        own: _,
    } = SecurityHeaders::default();
    shows(
        "headers",
        "strict-transport-security x-frame-options x-content-type-options remove set add default own",
    );
    let HeaderRules {
        remove: _,
        set: _,
        add: _,
        default: _,
    } = HeaderRules::default();
    for table in [
        "headers.own",
        "app.request-headers",
        "app.response-headers",
        "files.response-headers",
    ] {
        shows(table, "remove set add default");
    }
    let App {
        name: _,
        urls: _,
        tls: _,
        hosts: _,
        path: _,
        server_root: _,
        encoded_slash: _,
        case_insensitive: _,
        methods: _,
        refuse: _,
        entrance: _,
        user_header: _,
        certificate_header: _,
        request_headers: _,
        response_headers: _,
        request_limits: _,
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
        health_failures: _,
        health_successes: _,
        health_silence: _,
        retry_elsewhere: _,
        affinity: _,
        hides_affinity: _,
        siblings: _,
        request_spool: _,
        ignore_client_abort: _,
        response_spool: _,
        compress: _,
        compress_private: _,
        offload: _,
        grip: _,
    } = App::default();
    shows(
        "app",
        "name url urls tls hosts path refuse server-root encoded-slash case-insensitive methods origins missing-origin \
         users realm \
         client-certificate client-names user-header certificate-header request-headers response-headers \
         request-rate request-burst request-delay-after requests-per-address limit-zone \
         workers queue queue-wait connect response response-idle keep-alive restart-wait health-path health-interval \
         health-failures health-successes health-silence retry-elsewhere affinity \
         request-spool ignore-client-abort response-spool \
         compress compress-private offload grip",
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
        token_cookie: None,
        // As soon as there is a question, `required` is what nothing said means.
        session: None,
        entrance: Entrance::default(),
        recording: Recording::default(),
        consoles: Consoles {
            path: None,
            novnc: None,
            xterm: None,
            ..config.bridge.consoles.clone()
        },
        signed: Signed {
            keys: Vec::new(),
            audience: None,
            tls: None,
            ..config.bridge.signed.clone()
        },
        rfb: Rfb {
            ports: None,
            security: None,
            user: None,
            password: None,
            tls: None,
            access: RfbAccess {
                view: ViewRules {
                    operators: Vec::new(),
                    viewers: Vec::new(),
                    ..config.bridge.rfb.access.view.clone()
                },
                ..config.bridge.rfb.access.clone()
            },
            ..config.bridge.rfb.clone()
        },
        shared: ConsoleSharing {
            directory: None,
            view: ViewRules {
                operators: Vec::new(),
                viewers: Vec::new(),
                ..config.bridge.shared.view.clone()
            },
            ..config.bridge.shared.clone()
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
        token_file_size: _,
        recheck_tokens: _,
        host_token: _,
        token_cookie: _,
        subprotocols: _,
        signed,
        tokens,
        targets,
        rfb,
        shared,
        recording,
        consoles,
        boundaries,
    } = bridge;
    the_reference_shows_every_key_of_rfb(&rfb);
    the_reference_shows_every_key_of_shared(&shared);
    the_reference_shows_every_key_of_recordings(recording);
    let Consoles {
        path,
        list: _,
        novnc,
        xterm,
    } = consoles;
    assert!(path.is_some() && novnc.is_some() && xterm.is_some());
    shows("bridge.consoles", "path list novnc xterm");
    shows(
        "bridge",
        "paths origins missing-origin users realm client-certificate client-names session connect \
         idle heartbeat frame-size upload-buffer http2 token-retry token-file-size recheck-tokens host-token \
         token-cookie signed subprotocols tokens target rfb shared recording consoles boundaries",
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
            rfb: _,
            shared: _,
            subprotocols: _,
        },
    ] = targets.as_slice()
    else {
        panic!("the reference should show one target");
    };
    shows("bridge.target", "token address tls rfb shared subprotocols");
    assert_eq!(
        boundaries.len(),
        1,
        "the reference should show one boundary"
    );
}

fn the_reference_shows_every_key_of_rfb(rfb: &Rfb) {
    let Rfb {
        enabled: _,
        ports: _,
        security: _,
        user: _,
        password: _,
        timeout: _,
        tls: _,
        access:
            RfbAccess {
                view:
                    ViewRules {
                        view_only: _,
                        operators: _,
                        viewers: _,
                    },
                clipboard: _,
            },
    } = rfb;
    shows(
        "bridge.rfb",
        "enabled ports security user password timeout view-only operators viewers clipboard tls",
    );
    shows("bridge.rfb.tls", "ca any-name");
}

fn the_reference_shows_every_key_of_shared(shared: &ConsoleSharing) {
    let ConsoleSharing {
        enabled: _,
        consoles: _,
        typing: _,
        hold: _,
        scrollback: _,
        directory: _,
        lag: _,
        slow: _,
        viewer_limit: _,
        linger: _,
        reconnect: _,
        announce: _,
        view:
            ViewRules {
                view_only: _,
                operators: _,
                viewers: _,
            },
    } = shared;
    shows(
        "bridge.shared",
        "enabled consoles typing hold scrollback directory lag slow viewer-limit linger reconnect announce view-only \
         operators viewers",
    );
}

fn the_reference_shows_every_key_of_recordings(recording: Recording) {
    let Recording {
        directory,
        consoles: _,
        input: _,
        announce: _,
        size: _,
        total: _,
        age: _,
        when_full: _,
        buffer: _,
    } = recording.clone();
    shows(
        "bridge.recording",
        "directory consoles input announce size total age when-full buffer",
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
        rfb: _,
        shared: _,
        subprotocols: _,
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
                headers: _,
                secret_headers: _,
                answer:
                    AnswerPlaces {
                        host: _,
                        port: _,
                        password: _,
                        view_only: _,
                        path: _,
                        expires: _,
                    },
            })
            | SourceKind::Nova(NovaSource {
                auth_url: _,
                login:
                    NovaLogin::Password {
                        user: _,
                        user_domain: _,
                        project: _,
                        project_domain: _,
                        password: _,
                    }
                    | NovaLogin::ApplicationCredential { id: _, secret: _ },
                region: _,
                interface: _,
                endpoint: _,
                microversion: _,
                lifetime: _,
                serial_ports: _,
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
        8,
        "the reference should show every token source"
    );
    shows(
        "bridge.tokens",
        "source path url address ca timeout database user password namespace headers secret-headers answer allow \
         tls rfb shared subprotocols auth-url user-domain project project-domain application-credential secret region \
         interface endpoint microversion lifetime serial-ports",
    );
    let TargetTls {
        ca: _,
        name: _,
        client: _,
        insecure_skip_verify: _,
        any_name: _,
    } = TargetTls::default();
    shows(
        "bridge.tokens.answer",
        "host port path expires password view-only",
    );
    shows("bridge.tokens.tls", "ca name certificate key");
    shows("app.tls", "ca name certificate key insecure-skip-verify");
}

#[test]
fn the_reference_shows_every_key_of_a_directory() {
    let config = Config::parse(&uncommented_reference(), "noren.toml").unwrap();
    let [
        Files {
            path: _,
            refuse: _,
            hosts: _,
            directory: _,
            cache_control: _,
            precompressed: _,
            response_headers: _,
            request_limits: _,
        },
    ] = config.files.as_slice()
    else {
        panic!("the reference should show one directory");
    };
    shows(
        "files",
        "path refuse hosts directory cache-control precompressed response-headers request-rate request-burst \
         request-delay-after requests-per-address limit-zone",
    );
}

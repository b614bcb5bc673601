//! Tests of routes: apps, directories, the bridge, channels, and their access rules.

use super::*;

#[test]
fn apps_are_read() {
    let config = parsed(
        r#"
        [[app]]
        name = "wok"
        url = "http://[::1]:8010"
        hosts = ["A.example", "*.b.example"]
        path = "/a"
        server-root = "/wok"
        encoded-slash = true
        case-insensitive = true
        methods = ["GET", "PROPFIND"]
        refuse = ["*.php"]
        request-rate = "30/m"
        request-burst = 7
        request-delay-after = 4
        requests-per-address = 9
        limit-zone = "login"
        workers = 1
        queue = 0
        queue-wait = "0s"
        connect = "1s"
        response = "2s"
        response-idle = "3s"
        keep-alive = "0s"
        restart-wait = "0s"
        health-path = "/ready"
        health-interval = "4s"
        health-failures = 3
        health-successes = 2
        request-spool = false
        response-spool = false
        ignore-client-abort = false
        compress = ["TEXT/html"]
        compress-private = true
        [app.grip]
        keys = ["credential:grip"]
        issuer = "door"
        over-http = false
        refresh = "0s"
        resume = "1m"
        session = true
        history = { messages = 5 }

        [[app.offload]]
        path = "/protected"
        directory = "/srv/files"
        "#,
    );
    let expected = App {
        name: "wok".to_owned(),
        urls: AppUrls::one(AppUrl::plain(Endpoint::Tcp {
            host: "::1".to_owned(),
            port: 8010,
        })),
        tls: None,
        hosts: vec![
            HostPattern::Exact("a.example".to_owned()),
            HostPattern::Wildcard(".b.example".to_owned()),
        ],
        path: PathPrefix::parse("/a").unwrap_or_default(),
        server_root: PathPrefix::parse("/wok").ok(),
        encoded_slash: true,
        case_insensitive: true,
        methods: Methods::new(vec!["GET".to_owned(), "PROPFIND".to_owned()]),
        refuse: PathPattern::parse("*.php").into_iter().collect(),
        entrance: Entrance::default(),
        user_header: None,
        certificate_header: None,
        request_headers: HeaderRules::default(),
        response_headers: HeaderRules::default(),
        request_limits: RequestLimits {
            rate: Some(RequestRate {
                requests: 30,
                time: seconds(60),
            }),
            burst: 7,
            delay_after: Some(4),
            per_address: 9,
            zone: Some("login".to_owned()),
        },
        workers: 1,
        queue: 0,
        queue_wait: Duration::ZERO,
        connect: seconds(1),
        response: seconds(2),
        response_idle: seconds(3),
        keep_alive: Duration::ZERO,
        restart_wait: Duration::ZERO,
        health_path: Some("/ready".to_owned()),
        health_interval: seconds(4),
        health_failures: 3,
        health_successes: 2,
        affinity: Affinity::None,
        hides_affinity: false,
        siblings: Siblings {
            names: Vec::new().into(),
            roots: vec![PathPrefix::parse("/wok").expect("a prefix")],
            fold_case: true,
            speak_grip: true,
        },
        request_spool: false,
        response_spool: false,
        ignore_client_abort: false,
        compress: vec!["text/html".to_owned()],
        compress_private: true,
        offload: vec![Offload {
            path: PathPrefix::parse("/protected").unwrap_or_default(),
            directory: "/srv/files".into(),
        }],
        grip: Some(Grip {
            keys: vec![SecretFile::Credential("grip".to_owned())],
            issuer: "door".to_owned(),
            over_http: false,
            refresh: Duration::ZERO,
            resume: Duration::from_secs(60),
            session: true,
            history: History {
                messages: 5,
                ..History::default()
            },
        }),
    };
    assert_eq!(config.apps, [expected]);
}

#[test]
fn directories_are_read() {
    let config = parsed(
        r#"
        [[files]]
        path = "/static"
        hosts = ["a.example"]
        directory = "/srv/static"
        cache-control = "max-age=60"
        precompressed = true
        refuse = ["*.pl"]
        request-rate = "5/s"
        requests-per-address = 6
        [[files]]
        path = "/plain"
        directory = "/srv/plain"
        "#,
    );
    let files = |path: &str, directory: &str| Files {
        path: PathPrefix::parse(path).unwrap_or_default(),
        refuse: Vec::new(),
        hosts: Vec::new(),
        directory: directory.into(),
        cache_control: None,
        precompressed: false,
        response_headers: HeaderRules::default(),
        request_limits: RequestLimits::default(),
    };
    let first = Files {
        refuse: PathPattern::parse("*.pl").into_iter().collect(),
        hosts: vec![HostPattern::Exact("a.example".to_owned())],
        cache_control: Some("max-age=60".to_owned()),
        precompressed: true,
        response_headers: HeaderRules::default(),
        request_limits: RequestLimits {
            rate: Some(RequestRate {
                requests: 5,
                time: seconds(1),
            }),
            per_address: 6,
            ..RequestLimits::default()
        },
        ..files("/static", "/srv/static")
    };
    assert_eq!(config.files, [first, files("/plain", "/srv/plain")]);
}

#[test]
fn a_server_root_of_nothing_is_none() {
    for written in ["", "/"] {
        let config = with_app(&format!("server-root = \"{written}\""));
        assert_eq!(
            config.apps.first().map(|app| app.server_root.clone()),
            Some(None)
        );
    }
}

#[test]
fn the_bridge_is_read() {
    let config = with_app(
        r#"
        [bridge]
        paths = ["/a", "/b"]
        origins = ["any", "same", "https://A.example:443"]
        missing-origin = false
        session = "none"
        connect = "1s"
        idle = "2s"
        heartbeat = "off"
        frame-size = 256
        upload-buffer = "1KiB"
        http2 = false
        token-retry = "0s"
        token-file-size = "1MiB"
        recheck-tokens = "3s"
        host-token = true
        subprotocols = ["mqtt"]
        [bridge.signed]
        keys = ["/k", "credential:k"]
        required = false
        audience = "a"
        longest = "off"
        leeway = "1s"
        grace = "0s"
        store = "/s"
        allow = ["a:1"]
        tls = { ca = "/c", name = "n", certificate = "/d", key = "/e" }
        [bridge.rfb]
        enabled = true
        security = ["vnc", "x509-plain"]
        user = "u"
        password = "/p"
        timeout = "4s"
        view-only = true
        clipboard = "to-browser"
        tls = { ca = "/c", any-name = true }
        [bridge.recording]
        directory = "/r"
        consoles = ["vm*"]
        input = false
        size = "1MiB"
        total = "2MiB"
        when-full = "close"
        buffer = "64KiB"
        [bridge.boundaries]
        "a b" = "\n"
        "#,
    );
    let expected = Bridge {
        subprotocols: vec!["mqtt".to_owned()],
        paths: vec!["/a".to_owned(), "/b".to_owned()],
        entrance: Entrance {
            origins: vec![
                OriginRule::Any,
                OriginRule::Same,
                OriginRule::Exact("https://a.example".to_owned()),
            ],
            missing_origin: false,
            ..Entrance::default()
        },
        session: Some(SessionRule::None),
        connect: seconds(1),
        idle: Some(seconds(2)),
        heartbeat: None,
        frame_size: 256,
        upload_buffer: 1024,
        http2: false,
        token_retry: Duration::ZERO,
        token_file_size: 1 << 20,
        recheck_tokens: Some(seconds(3)),
        host_token: true,
        signed: Signed {
            keys: vec![
                SecretFile::File("/k".into()),
                SecretFile::Credential("k".to_owned()),
            ],
            required: false,
            audience: Some("a".to_owned()),
            longest: None,
            leeway: seconds(1),
            grace: Duration::ZERO,
            store: "/s".into(),
            allow: vec![TargetRule::parse("a:1").unwrap_or_else(|text| unreachable!("{text}"))],
            tls: Some(TargetTls {
                ca: Some("/c".into()),
                name: Some("n".to_owned()),
                client: Some(("/d".into(), "/e".into())),
                ..TargetTls::default()
            }),
        },
        tokens: Vec::new(),
        targets: Vec::new(),
        rfb: Rfb {
            enabled: true,
            security: Some(vec![RfbSecurity::Vnc, RfbSecurity::X509Plain]),
            user: Some("u".to_owned()),
            password: Some(SecretFile::File("/p".into())),
            timeout: seconds(4),
            tls: Some(TargetTls {
                ca: Some("/c".into()),
                any_name: true,
                ..TargetTls::default()
            }),
            access: RfbAccess {
                view_only: true,
                clipboard: Clipboard::ToBrowser,
                ..RfbAccess::default()
            },
        },
        recording: Recording {
            directory: Some("/r".into()),
            consoles: vec!["vm*".to_owned()],
            input: false,
            size: 1 << 20,
            total: 2 << 20,
            when_full: WhenUnrecordable::Close,
            buffer: 64 << 10,
        },
        boundaries: [("a b".to_owned(), "\n".to_owned())].into(),
    };
    assert_eq!(config.bridge, expected);
}

#[test]
fn the_session_is_read() {
    let session = with_app(
        r#"
        [[app]]
        name = "second"
        url = "unix:/run/second"
        path = "/second"
        [session]
        app = "second"
        method = "POST"
        path = "/tasks?x=1"
        cookies = ["wok"]
        allow-cache = "0s"
        interval = "1s"
        workers = 3
        timeout = "4s"
        name-header = "Remote-User"
        groups-header = "Remote-Groups"
        token-path = "/vms/{vm}/rights"
        channel-path = "/may/{channel}"
        open-tokens = ["news"]
        logout = ["/a", "/b"]
        logout-ends = "user"
        switch = ["/auth/switch"]
        [session.headers]
        Wok-Robot = "wok-robot"
        "#,
    )
    .session;
    let expected = Session {
        app: 1,
        method: "POST",
        path: Some("/tasks?x=1".to_owned()),
        headers: [("Wok-Robot".to_owned(), "wok-robot".to_owned())].into(),
        cookies: vec!["wok".to_owned()],
        allow_cache: Duration::ZERO,
        interval: seconds(1),
        workers: 3,
        timeout: seconds(4),
        name_header: Some("Remote-User".to_owned()),
        groups_header: Some("Remote-Groups".to_owned()),
        token_path: Some("/vms/{vm}/rights".to_owned()),
        channel_path: Some("/may/{channel}".to_owned()),
        open_tokens: vec!["news".to_owned()],
        logout: vec!["/a".to_owned(), "/b".to_owned()],
        logout_ends: LogoutEnds::User,
        switch: vec!["/auth/switch".to_owned()],
    };
    assert_eq!(session, expected);
}

#[test]
fn what_opens_a_channel_is_read() {
    let config = with_app(
        r#"
        [session]
        path = "/tasks"
        name-header = "Remote-User"
        groups-header = "Remote-Groups"
        [hub.tokens]
        keys = ["/etc/keys", "credential:channels"]
        audience = "noren"
        longest = "off"
        leeway = "0s"
        cookie = "ticket"
        [[channel]]
        name = "jobs"
        needs = "session"
        subscribers = ["ann", "group:kitchen"]
        publish = ["token"]
        publishers = ["bob"]
        [[channel]]
        name = "news"
        "#,
    );
    let expected = ChannelTokens {
        keys: vec![
            SecretFile::File("/etc/keys".into()),
            SecretFile::Credential("channels".to_owned()),
        ],
        audience: Some("noren".to_owned()),
        longest: None,
        leeway: Duration::ZERO,
        cookie: "ticket".to_owned(),
    };
    assert_eq!(config.hub.tokens, expected);
    let [jobs, news] = config.channels.as_slice() else {
        unreachable!("two channels were written");
    };
    let user = |name: &str| Member::User(name.to_owned());
    assert_eq!(
        jobs.subscribers,
        [user("ann"), Member::Group("kitchen".to_owned())]
    );
    assert_eq!(jobs.publishers, [user("bob")]);
    assert_eq!(config.needs(Some(jobs)), Needs::Session);
    assert_eq!(config.needs(Some(news)), Needs::Either);
}

#[test]
fn what_is_not_said_of_a_channel_is_never_less_than_what_the_hub_asks_for() {
    let session = "[session]\npath = \"/tasks\"\n";
    let keys = "[hub.tokens]\nkeys = [\"/k\"]\n";
    let open = "[hub]\nsession = \"none\"\n";
    for (text, needs) in [
        (String::new(), Needs::Nothing),
        (session.to_owned(), Needs::Session),
        (keys.to_owned(), Needs::Token),
        (format!("{session}{keys}"), Needs::Either),
        (format!("{session}{open}"), Needs::Nothing),
        (format!("{session}{open}{keys}"), Needs::Token),
    ] {
        assert_eq!(with_app(&text).needs(None), needs, "{text}");
    }
}

#[test]
fn a_question_makes_sessions_required_and_a_word_decides_otherwise() {
    let asked = with_app("[session]\npath = \"/tasks\"\n");
    assert!(asked.session.is_required(asked.bridge.session));
    let told = with_app("[session]\npath = \"/tasks\"\n[bridge]\nsession = \"none\"\n");
    assert!(!told.session.is_required(told.bridge.session));
    let silent = with_app("[session]\n[bridge]\n");
    assert!(!silent.session.is_required(silent.bridge.session));
}

#[test]
fn token_sources_and_targets_keep_their_order() {
    let bridge = parsed(
        r#"
        [[bridge.tokens]]
        source = "sockets"
        path = "/s"
        [[bridge.tokens]]
        source = "directory"
        path = "/d"
        [[bridge.tokens]]
        source = "file"
        path = "/f"
        [[bridge.target]]
        token = "b"
        address = "localhost:5900"
        [[bridge.target]]
        token = "a"
        address = "unix:/a"
        rfb = {}
        "#,
    )
    .bridge;
    let tokens = [
        TokenSource::trusted(SourceKind::Sockets("/s".into())),
        TokenSource::trusted(SourceKind::Directory("/d".into())),
        TokenSource::trusted(SourceKind::File("/f".into())),
    ];
    assert_eq!(bridge.tokens, tokens);
    let targets = [
        StaticTarget {
            subprotocols: None,
            token: "b".to_owned(),
            address: Endpoint::Tcp {
                host: "localhost".to_owned(),
                port: 5900,
            },
            tls: None,
            rfb: None,
        },
        StaticTarget {
            subprotocols: None,
            token: "a".to_owned(),
            address: Endpoint::Unix("/a".into()),
            tls: None,
            rfb: Some(Rfb {
                enabled: true,
                ..Rfb::default()
            }),
        },
    ];
    assert_eq!(bridge.targets, targets);
}

#[test]
fn an_entrance_is_read_in_each_route() {
    let keys = r#"
        origins = ["https://a.example"]
        missing-origin = false
        users = "/etc/users"
        realm = "Kitchen"
        client-certificate = "required"
        client-names = ["cook", "b.example"]
    "#;
    let config = parsed(&format!(
        "[[listener]]\nclient-authority = '/ca'\nclient-certificate = 'optional'\n\
         [[app]]\nurl = 'unix:/a'\nuser-header = 'Remote-User'\n\
         certificate-header = 'X-Client'\n{keys}\n[bridge]\n{keys}\n[hub]\n{keys}"
    ));
    let expected = Entrance {
        origins: vec![OriginRule::Exact("https://a.example".to_owned())],
        missing_origin: false,
        users: Some("/etc/users".into()),
        realm: "Kitchen".to_owned(),
        certificate: CertificateRule::Required,
        certificate_names: vec!["cook".to_owned(), "b.example".to_owned()],
    };
    assert_eq!(config.bridge.entrance, expected);
    assert_eq!(config.hub.entrance, expected);
    let app = config.apps.first().expect("an app");
    assert_eq!(app.entrance, expected);
    assert_eq!(app.user_header.as_deref(), Some("remote-user"));
    assert_eq!(app.certificate_header.as_deref(), Some("x-client"));
    let clients = ClientCertificates {
        authority: "/ca".into(),
        required: false,
    };
    let listener = config.listeners.first().expect("a listener");
    assert_eq!(listener.clients, Some(clients));
}

#[test]
fn users_of_consoles_are_read_where_visitors_are_asked_who_they_are() {
    let keys = "rfb = { operators = ['ann', 'group:kitchen'], viewers = ['bob'] }";
    let config = with_app(&format!(
        "[session]
path = '/me'
name-header = 'Remote-User'
groups-header = 'Remote-Groups'
         [[bridge.tokens]]
source = 'sockets'
path = '/s'
{keys}"
    ));
    let source = config
        .bridge
        .tokens
        .first()
        .and_then(|source| source.rfb.clone());
    let expected = RfbAccess {
        operators: vec![
            Member::User("ann".to_owned()),
            Member::Group("kitchen".to_owned()),
        ],
        viewers: vec![Member::User("bob".to_owned())],
        ..RfbAccess::default()
    };
    assert_eq!(source.map(|rfb| rfb.access), Some(expected));
}

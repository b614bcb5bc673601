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
        health_silence: seconds(5),
        retry_elsewhere: false,
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

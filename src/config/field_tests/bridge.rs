//! Keys of the bridge, of its targets and of its sources of tokens.

use super::*;

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
        announce = true
        size = "1MiB"
        total = "2MiB"
        age = "30d"
        when-full = "close"
        buffer = "64KiB"
        [bridge.consoles]
        path = "/consoles"
        list = "all"
        novnc = "/n"
        xterm = "/x"
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
        shared: ConsoleSharing::default(),
        host_token: true,
        token_cookie: None,
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
            ports: None,
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
                view: ViewRules {
                    view_only: true,
                    ..ViewRules::default()
                },
                clipboard: Clipboard::ToBrowser,
            },
        },
        recording: Recording {
            directory: Some("/r".into()),
            consoles: vec!["vm*".to_owned()],
            input: false,
            announce: true,
            size: 1 << 20,
            total: 2 << 20,
            age: Some(seconds(30 * 86_400)),
            when_full: WhenUnrecordable::Close,
            buffer: 64 << 10,
        },
        consoles: Consoles {
            path: Some(PathPrefix::parse("/consoles").expect("a path")),
            list: ConsoleList::All,
            novnc: Some("/n".into()),
            xterm: Some("/x".into()),
        },
        boundaries: [("a b".to_owned(), "\n".to_owned())].into(),
    };
    assert_eq!(config.bridge, expected);
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
            shared: None,
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
            shared: None,
        },
    ];
    assert_eq!(bridge.targets, targets);
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
        view: ViewRules {
            operators: vec![
                Member::User("ann".to_owned()),
                Member::Group("kitchen".to_owned()),
            ],
            viewers: vec![Member::User("bob".to_owned())],
            ..ViewRules::default()
        },
        ..RfbAccess::default()
    };
    assert_eq!(source.map(|rfb| rfb.access), Some(expected));
}

//! Command lines of websockify.

use noren::Config;
use noren::config::{ListenAddress, Protocol, SourceKind, TlsVersion, TokenSource};

use super::import;

#[test]
fn command_lines_of_websockify_become_a_bridge() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().to_str().unwrap();
    let line = |words: &[&str]| {
        let made = import(&[&["websockify", "--"], words].concat());
        let config = Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
        (config, made)
    };
    let (config, made) = line(&[
        "websockify",
        "--web",
        "/usr/share/novnc",
        "--cert=/etc/ssl/self.pem",
        "--token-plugin",
        "TokenFile",
        "--token-source",
        tokens,
        "--heartbeat=20",
        "-D",
        "192.0.2.1:6080",
    ]);
    assert_eq!(
        config.bridge.tokens,
        [TokenSource::trusted(SourceKind::Directory(tokens.into()))]
    );
    assert_eq!(
        config.bridge.heartbeat.map(|limit| limit.as_secs()),
        Some(20)
    );
    let listener = config.listeners.first().unwrap();
    assert_eq!(
        listener.address,
        ListenAddress::parse("192.0.2.1:6080").unwrap()
    );
    assert_eq!(listener.protocol, Protocol::Https);
    let certificate = config.tls.certificates.first().unwrap();
    assert_eq!(
        certificate.certificate, certificate.key,
        "both are in one file"
    );
    let files = config.files.first().unwrap();
    assert_eq!(files.directory.to_str(), Some("/usr/share/novnc"));
    assert!(!made.contains("not carried over"), "{made}");

    let (config, made) = line(&["6080", "localhost:5901"]);
    assert_eq!(config.listeners.first().unwrap().protocol, Protocol::Http);
    assert_eq!(
        config.bridge.targets.first().unwrap().address.to_string(),
        "localhost:5901"
    );
    assert!(made.contains("/websockify?token=console"), "{made}");

    let (config, _) = line(&["--unix-target=/run/vnc.sock", ":6080"]);
    assert_eq!(
        config.bridge.targets.first().unwrap().address.to_string(),
        "unix:/run/vnc.sock"
    );

    let (config, _) = line(&["--target-config=/etc/tokens.conf", "6080"]);
    assert_eq!(
        config.bridge.tokens,
        [TokenSource::trusted(SourceKind::File(
            "/etc/tokens.conf".into()
        ))]
    );

    let made = import(&[
        "websockify",
        "--",
        "6080",
        "--token-plugin",
        "own.Plugin",
        "--token-source",
        "/k",
        "--",
        "vncserver",
    ]);
    assert!(made.starts_with("# This is not complete yet:"), "{made}");
    assert!(
        made.contains("--token-plugin own.Plugin") && made.contains("vncserver"),
        "{made}"
    );
}

#[test]
fn every_source_and_every_login_of_websockify_has_its_place() {
    let made = |words: &[&str]| {
        let made = import(&[&["websockify", "--", "6080"], words].concat());
        let config = Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
        (config, made)
    };
    let source = |plugin, source| {
        let (config, made) = made(&[
            "--token-plugin",
            plugin,
            "--token-source",
            source,
            "--ssl-target",
        ]);
        let tokens = config.bridge.tokens.first().cloned();
        (tokens, config.bridge.signed, made)
    };
    let (tokens, _, _) = source("TokenFileName", "/run/vms");
    let tokens = tokens.unwrap();
    assert_eq!(tokens.kind, SourceKind::FileName("/run/vms".into()));
    assert!(tokens.tls.is_some());
    let (tokens, _, text) = source("BaseTokenAPI", "https://api.example/%s");
    let tokens = tokens.unwrap();
    assert_eq!(tokens.to_string(), "http https://api.example/{token}");
    assert!(text.contains("add yours"), "{text}");
    let (tokens, _, text) = source("TokenRedis", "redis.example:6380:3:secret:vms");
    let SourceKind::Redis(redis) = tokens.unwrap().kind else {
        panic!("{text}");
    };
    assert_eq!(redis.address.to_string(), "redis.example:6380");
    assert_eq!(
        (redis.database, redis.namespace.as_deref()),
        (3, Some("vms"))
    );
    assert!(!text.contains("secret\""), "{text}");
    let (_, signed, _) = source("websockify.token_plugins.JWTTokenApi", "/etc/key.pem");
    assert_eq!(signed.keys.first().unwrap().to_string(), "/etc/key.pem");
    assert_eq!((signed.longest, signed.tls.is_some()), (None, true));

    let (config, _) = made(&[
        "--auth-plugin=ExpectOrigin",
        "--auth-source=https://a.example https://b.example",
        "--host-token",
        "--ssl-version=tlsv1_3",
        "--record=/var/log/vnc/session",
        "--target-config=/t",
    ]);
    assert_eq!(config.bridge.entrance.origins.len(), 2);
    assert!(!config.bridge.entrance.missing_origin && config.bridge.host_token);
    assert_eq!(config.tls.minimum_version, TlsVersion::Tls13);
    let recording = config.bridge.recording.directory.unwrap();
    assert_eq!(recording.to_str(), Some("/var/log/vnc"));

    let (config, _) = made(&[
        "--cert=/c.pem",
        "--verify-client",
        "--cafile=/ca.pem",
        "--auth-plugin=ClientCertCNAuth",
        "--auth-source=ann bob",
        "--target-config=/t",
    ]);
    assert!(config.listeners.first().unwrap().clients.is_some());
    assert_eq!(config.bridge.entrance.certificate_names, ["ann", "bob"]);
    let (_, made) = made(&[
        "--auth-plugin=BasicHTTPAuth",
        "--auth-source=ann:tea",
        "h:1",
    ]);
    assert!(
        made.contains("htpasswd -nB ann") && !made.contains("tea"),
        "{made}"
    );
}

#[test]
fn options_of_websockify_with_a_value_take_it_and_a_socket_leaves_the_target_alone() {
    let config = |words: &[&str]| {
        let made = import(&[&["websockify", "--"], words].concat());
        Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"))
    };
    let listening = |config: &Config| config.listeners.first().unwrap().address.to_string();
    let target = |config: &Config| config.bridge.targets.first().unwrap().address.to_string();
    let made = config(&["--syslog", "/dev/log", "--legacy-syslog", "6080", "h:5901"]);
    assert_eq!(
        (listening(&made), target(&made)),
        ("[::]:6080".to_owned(), "h:5901".to_owned())
    );
    let made = config(&[
        "--unix-listen",
        "/run/d",
        "--unix-listen-mode=0600",
        "h:5901",
    ]);
    assert_eq!(
        (listening(&made), target(&made)),
        ("unix:/run/d".to_owned(), "h:5901".to_owned())
    );
}

#[test]
fn whole_command_lines_are_read_and_nothing_is_opened_by_a_default() {
    let config = |words: &[&str]| {
        let made = import(&[&["websockify", "--"], words].concat());
        let config = Config::parse(&made, "made").unwrap_or_else(|error| panic!("{error}\n{made}"));
        (config, made)
    };
    for words in [
        &["python3", "-m", "websockify", "6080", "h:5901"][..],
        &["python3", "/usr/bin/websockify", "6080", "h:5901"],
        &[
            "sudo",
            "-u",
            "vnc",
            "env",
            "A=b",
            "/opt/websockify/run",
            "6080",
            "h:5901",
        ],
        &["ExecStart=/usr/bin/python3 -u /opt/websockify.py 6080 h:5901"],
        &["/usr/share/novnc/utils/novnc_proxy --vnc h:5901"],
    ] {
        let (config, made) = config(words);
        let listener = config.listeners.first().unwrap();
        assert_eq!(listener.address.to_string(), "[::]:6080", "{made}");
        let target = config.bridge.targets.first().unwrap();
        assert_eq!(target.address.to_string(), "h:5901", "{made}");
    }
    let (made, _) = config(&["websockify", "--ssl-only", "6080", "h:1"]);
    assert_eq!(made.listeners.first().unwrap().protocol, Protocol::Https);
    let (_, text) = config(&["websockify", "--unix-listen", "/run/d", "h:1"]);
    assert!(text.contains("mode = \"0600\""), "{text}");
    // A target has no meaning beside tokens, and one token source is a host alone.
    let (made, text) = config(&[
        "websockify",
        "--token-plugin=TokenRedis",
        "--token-source=r",
        "-vD",
        "6080",
        "h:1",
    ]);
    assert!(made.bridge.targets.is_empty(), "{text}");
    assert_eq!(made.bridge.tokens.len(), 1, "{text}");
    let redis = r#"--token-source=r:6379:0::"a:b""#;
    let (_, text) = config(&["websockify", "--token-plugin=TokenRedis", redis, "6080"]);
    assert!(text.contains("namespace = \"a:b\""), "{text}");
}

//! The configuration as operators meet it: the files in `config/` are true, and each key means what
//! it says.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should fail where it stands"
)]

mod reference;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noren::config::{
    Admin, App, AppUrl, AppUrls, Bridge, Certificate, Channel, ChannelPattern, Config, ConfigError,
    ConsoleSharing, Endpoint, History, Limits, Publisher, Session, SharedConsoles, Slow, Source,
    SourceKind, Tls, TokenSource,
};

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config")
        .join(name)
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
        (
            "",
            "subscribers = ['ann']",
            "visitors are not asked who they are",
        ),
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
            urls: AppUrls::one(AppUrl::plain(Endpoint::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 8010,
            })),
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
            tokens: vec![TokenSource {
                shared: Some(ConsoleSharing {
                    enabled: true,
                    consoles: SharedConsoles::Serial,
                    linger: Duration::ZERO,
                    reconnect: None,
                    ..ConsoleSharing::default()
                }),
                ..TokenSource::trusted(SourceKind::Directory("/var/lib/wok/ws-tokens".into()))
            }],
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
            compress: false,
            compress_private: false,
            history: History::default(),
            sources: vec![Source::Wok {
                address: "/run/user/0/woknotifications".into(),
            }],
        }],
        admin: Admin {
            socket: Some("/run/noren/admin.sock".into()),
            ..Admin::default()
        },
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
        "{}:2: log.level: expected a string, found the number 3: \"3\" is not known here; write \"error\", \
         \"warn\", \"info\", \"debug\" or \"trace\"",
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

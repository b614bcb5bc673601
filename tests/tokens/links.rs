//! Signed links, from the outside.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use noren::config::{SecretFile, Signed};
use noren::{LinkOrder, sign_link};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::knock;
use crate::harness::{Backend, Door};

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// A door that takes only signed links, with a store that outlives it.
struct Signer {
    directory: TempDir,
    more: &'static str,
}

impl Signer {
    fn new(more: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = noren::encode_token(std::str::from_utf8(SECRET).unwrap());
        fs::write(directory.path().join("key"), key).unwrap();
        Self { directory, more }
    }

    fn settings(&self) -> String {
        let file = |name| self.directory.path().join(name).display().to_string();
        format!(
            "[bridge.signed]\nkeys = ['{}']\nstore = '{}'\n{}\n",
            file("key"),
            file("used"),
            self.more
        )
    }

    /// As `noren token --sign` makes it.
    fn link(&self, name: &str, single_use: bool) -> String {
        let rules = Signed {
            keys: vec![SecretFile::File(self.directory.path().join("key"))],
            ..Signed::default()
        };
        let order = LinkOrder {
            name,
            expires: Duration::from_secs(60),
            single_use,
            view_only: false,
            address: None,
        };
        sign_link(&rules, &order).unwrap()
    }
}

/// As an app makes it.
fn minted(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET);
    encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn in_a_minute() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs() + 60
}

#[tokio::test]
async fn a_signed_link_opens_its_console_and_a_plain_token_does_not() {
    let signer = Signer::new("");
    let console = Backend::tcp().await;
    let door = Door::open(&(signer.settings() + &console.target("vm"))).await;
    for _ in 0..2 {
        assert_eq!(knock(&door, &signer.link("vm", false)).await.status, 101);
        console.accept().await;
    }
    for token in ["vm", "dm0", "unknown"] {
        let answer = knock(&door, token).await;
        assert_eq!(answer.status, 403, "{token}");
        assert_eq!(answer.text(), "only signed links are accepted here\n");
    }
    console.has_nobody().await;
}

#[tokio::test]
async fn a_bad_link_says_nothing_of_what_there_is() {
    let signer = Signer::new("");
    let console = Backend::tcp().await;
    let door = Door::open(&(signer.settings() + &console.target("vm"))).await;
    let expired = |name| minted(&json!({"token": name, "exp": in_a_minute() - 120}));
    let elsewhere = |name| minted(&json!({"token": name, "exp": in_a_minute(), "ip": "192.0.2.1"}));
    let forged = |name| signer.link(name, false) + "x";
    for (vm, nothing, said) in [
        (
            expired("vm"),
            expired("no"),
            "this link has expired; ask for a new one\n",
        ),
        (
            elsewhere("vm"),
            elsewhere("no"),
            "this link was made for another address\n",
        ),
        (forged("vm"), forged("no"), "this link is not valid\n"),
    ] {
        for link in [vm, nothing] {
            let answer = knock(&door, &link).await;
            assert_eq!((answer.status, answer.text()), (403, said));
        }
    }
    assert_eq!(knock(&door, &signer.link("no", false)).await.status, 404);
    console.has_nobody().await;
}

#[tokio::test]
async fn a_single_use_link_is_refused_the_second_time_also_after_a_restart() {
    let signer = Signer::new("grace = '0s'");
    let console = Backend::tcp().await;
    let settings = signer.settings() + &console.target("vm");
    let door = Door::open(&settings).await;
    let link = signer.link("vm", true);
    assert_eq!(knock(&door, &link).await.status, 101);
    console.accept().await;
    let used = "this link was used already; ask for a new one\n";
    let answer = knock(&door, &link).await;
    assert_eq!((answer.status, answer.text()), (403, used));
    assert_eq!(door.stop().await.unwrap().left, 0);
    let door = Door::open(&settings).await;
    let answer = knock(&door, &link).await;
    assert_eq!((answer.status, answer.text()), (403, used));
    assert_eq!(knock(&door, &signer.link("vm", true)).await.status, 101);
    console.accept().await;
    console.has_nobody().await;
}

#[tokio::test]
async fn within_its_grace_the_same_client_may_come_back() {
    let signer = Signer::new("");
    let console = Backend::tcp().await;
    let door = Door::open(&(signer.settings() + &console.target("vm"))).await;
    let link = signer.link("vm", true);
    for _ in 0..3 {
        assert_eq!(knock(&door, &link).await.status, 101);
        console.accept().await;
    }
}

#[tokio::test]
async fn a_link_is_not_used_up_by_a_handshake_that_is_refused() {
    let signer = Signer::new("grace = '0s'");
    let console = Backend::tcp().await;
    let door = Door::open(&(signer.settings() + &console.target("vm"))).await;
    let link = signer.link("vm", true);
    let path = format!("/websockify?token={link}");
    for lines in [
        "Origin: https://evil.example\r\n",
        "Sec-WebSocket-Protocol: unknown\r\n",
    ] {
        let answer = door.tls().await.ask(&Door::handshake(&path, lines)).await;
        assert!(
            answer.status == 403 || answer.status == 400,
            "{}",
            answer.status
        );
    }
    assert_eq!(knock(&door, &link).await.status, 101);
    console.accept().await;
}

#[tokio::test]
async fn a_link_names_a_host_and_port_only_where_that_is_allowed() {
    let console = Backend::tcp().await;
    let (host, port) = console.address().split_once(':').unwrap();
    let claims = json!({"host": host, "port": port, "exp": in_a_minute()});
    for (rules, status) in [
        ("", 404),
        ("allow = ['10.0.0.0/8:*', '*:*']", 404),
        ("allow = ['127.0.0.0/8:*']", 101),
    ] {
        let signer = Signer::new(rules);
        let door = Door::open(&(signer.settings() + &Backend::tcp().await.target("vm"))).await;
        assert_eq!(
            knock(&door, &minted(&claims)).await.status,
            status,
            "{rules}"
        );
        if status == 101 {
            console.accept().await;
        } else {
            console.has_nobody().await;
        }
    }
}

#[tokio::test]
async fn noren_token_signs_with_the_key_that_the_configuration_names() {
    let signer = Signer::new("");
    let console = Backend::tcp().await;
    let settings = signer.settings() + &console.target("vm");
    let file = signer.directory.path().join("noren.toml");
    fs::write(&file, &settings).unwrap();
    let noren = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_noren"));
        command
            .arg("token")
            .args(arguments)
            .arg("--config")
            .arg(&file);
        command.output().unwrap()
    };
    let said = noren(&["--sign", "--expires", "1m", "--single-use", "vm"]);
    let said = String::from_utf8(said.stdout).unwrap();
    let (link, url) = said.trim_end().split_once('\n').unwrap();
    assert_eq!(url, format!("wss://localhost:8001/websockify?token={link}"));
    let door = Door::open(&settings).await;
    assert_eq!(knock(&door, link).await.status, 101);
    console.accept().await;

    for (arguments, said) in [
        (
            &["--sign", "--expires", "2d", "vm"][..],
            "a link may be good for",
        ),
        (&["--sign", "--expires", "5", "vm"], "has no unit"),
        (
            &["--sign", "--address", "here", "vm"],
            "write an address such as",
        ),
        (&["--single-use", "vm"], "--sign"),
    ] {
        let failed = noren(arguments);
        assert!(!failed.status.success(), "{arguments:?}");
        let words = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(words.contains(said), "{words}");
    }
    fs::write(
        &file,
        "[bridge]\n[[bridge.target]]\ntoken = 'a'\naddress = 'a:1'",
    )
    .unwrap();
    let failed = noren(&["--sign", "vm"]);
    assert_eq!(failed.status.code(), Some(78));
}

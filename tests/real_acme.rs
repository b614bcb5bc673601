//! Certificates from a real authority: pebble, which the makers of Let's Encrypt have for such tests.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::support::{Certificates, Door, Peer, ask, path, run, scratch, until};

const NAME: &str = "www.noren.test";

/// A door that an authority can look at.
struct Fixture {
    door: Door,
    /// Of the listener that sends everybody to https.
    http: u16,
    /// Beginning of the configuration, without `[acme]`.
    text: String,
    files: tempfile::TempDir,
    authority: Option<Peer>,
}

impl Fixture {
    fn open() -> Self {
        let files = scratch();
        Certificates::new(files.path()).sign(files.path(), "pebble", &["localhost", "127.0.0.1"]);
        fs::rename(
            files.path().join("ca.pem"),
            files.path().join("directory.pem"),
        )
        .unwrap();
        let door = Door::open(&format!(
            "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'redirect'\n\
             [admin]\nsocket = '{}'\n[server]\nwelcome = true\n",
            path(&files, "admin.sock")
        ));
        let http = until("the listener for redirects", || {
            let log = door.log();
            let mut lines = log.lines();
            let line = lines.find(|line| line.contains("protocol=redirect"))?;
            let (_, rest) = line.split_once("address=127.0.0.1:")?;
            rest.split_ascii_whitespace().next()?.parse().ok()
        });
        Self {
            text: fs::read_to_string(door.file("noren.toml")).unwrap(),
            door,
            http,
            files,
            authority: None,
        }
    }

    /// An authority that finds the door, unless it is told other ports.
    fn found(&mut self, ports: Option<(u16, u16)>, more: &[&str]) -> &mut Peer {
        let (http, https) = ports.unwrap_or((self.http, self.door.port));
        let directory = self.files.path().to_str().unwrap().to_owned();
        let (http, https) = (http.to_string(), https.to_string());
        let arguments = [&[directory.as_str(), &http, &https], more].concat();
        let mut authority = Peer::start("authority.py", &arguments);
        let _ = authority.ask("root");
        self.authority.insert(authority)
    }

    /// Writes the file with `[acme]` and has it loaded.
    fn wants(&self, keys: &str) {
        let directory = &self.authority.as_ref().unwrap().address;
        let acme = format!(
            "[acme]\nnames = ['{NAME}']\nterms-of-service-agreed = true\ncontact = ['admin@noren.test']\n\
             directory = '{directory}'\nca = '{}'\nstore = '{}'\n{keys}\n",
            path(&self.files, "directory.pem"),
            path(&self.files, "store")
        );
        fs::write(self.door.file("noren.toml"), format!("{}{acme}", self.text)).unwrap();
        let _ = self.noren("reload", &[]);
    }

    fn noren(&self, command: &str, more: &[&str]) -> String {
        let mut noren = Command::new(env!("CARGO_BIN_EXE_noren"));
        noren.args([command, "--socket", &path(&self.files, "admin.sock")]);
        run(noren.args(more)).well().stdout
    }

    /// True if a client that trusts the authority, and nobody else, accepts the server's certificate.
    fn is_trusted(&self) -> bool {
        let port = self.door.port;
        let request = ask(&self.door, &format!("https://{NAME}:{port}/"))
            .with("--cacert", &path(&self.files, "root.pem"))
            .with("--resolve", &format!("{NAME}:{port}:127.0.0.1"));
        run(&mut request.into_command()).status.success()
    }

    /// The number of the certificate that the door shows.
    fn serial(&self) -> String {
        let shown = run(Command::new("sh").args([
            "-c",
            "openssl s_client -connect \"$1\" -servername \"$2\" </dev/null 2>/dev/null | openssl x509 -noout -serial",
            "sh",
            &format!("127.0.0.1:{}", self.door.port),
            NAME,
        ]));
        shown.well().stdout
    }

    /// The name's status in `noren status`.
    fn status(&self) -> serde_json::Value {
        let status = self.noren("status", &["--json"]);
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["certificates"][0].clone()
    }
}

#[test]
fn an_authority_looks_at_a_handshake_and_gives_a_certificate_to_a_door_that_runs() {
    let mut fixture = Fixture::open();
    fixture.found(None, &[]);
    assert!(!fixture.is_trusted());
    fixture.wants("");
    until("the certificate", || fixture.is_trusted().then_some(()));
    // The door's own certificate is still there for its own name.
    ask(&fixture.door, "/").gets(200);

    let store = fixture.files.path().join("store");
    let home = fs::read_dir(&store)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    for file in ["account.json", &format!("{NAME}.pem")] {
        let mode = fs::metadata(home.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(
        fs::read_dir(&home).unwrap().count(),
        2,
        "nothing else is left there"
    );
    let status = fixture.status();
    assert_eq!(status["name"], NAME);
    assert!(
        status["next"].as_u64() < status["expires"].as_u64(),
        "{status}"
    );
    assert!(status["last_error"].is_null(), "{status}");
    assert!(fixture.noren("status", &[]).contains("Certificates"));

    // An existing certificate is not ordered again, and is served without the authority too.
    drop(fixture.authority.take());
    let _ = fixture.noren("reload", &[]);
    assert!(fixture.is_trusted());
    let log = fixture.door.log();
    assert_eq!(log.matches("asking for a certificate").count(), 1, "{log}");
    assert_eq!(log.matches("account made").count(), 1, "{log}");
}

#[test]
fn an_authority_asks_for_a_file_where_everybody_else_is_sent_to_https() {
    let mut fixture = Fixture::open();
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    fs::write(fixture.files.path().join("key"), format!("{key}\n")).unwrap();
    // Nobody is at the port for handshakes, and nobody has an account without the key.
    fixture.found(Some((fixture.http, 1)), &["86400", "kid-1", key]);
    fixture.wants(&format!(
        "challenge = 'http-01'\nkey-id = 'kid-1'\nkey-file = '{}'",
        path(&fixture.files, "key")
    ));
    until("the certificate", || fixture.is_trusted().then_some(()));
    let url = format!(
        "http://localhost:{}/.well-known/acme-challenge/x",
        fixture.http
    );
    ask(&fixture.door, &url).gets(308);
}

#[test]
fn a_certificate_is_renewed_before_it_ends() {
    let mut fixture = Fixture::open();
    fixture.found(None, &["30"]);
    fixture.wants("");
    until("the certificate", || fixture.is_trusted().then_some(()));
    let first = fixture.serial();
    until("another certificate", || {
        (fixture.serial() != first).then_some(())
    });
    assert!(fixture.is_trusted());
    let log = fixture.door.log();
    assert_eq!(log.matches("account made").count(), 1, "{log}");
    let issued = fixture.authority.as_mut().unwrap().count("issued");
    assert!((2..=4).contains(&issued), "{issued} certificates");
}

#[test]
fn a_certificate_is_renewed_when_the_authority_says_so_but_not_again_and_again() {
    let mut fixture = Fixture::open();
    // By its age it would not be due before most of a minute has gone.
    fixture.found(None, &["100", "windows"]);
    fixture.wants("");
    until("the certificate", || fixture.is_trusted().then_some(()));
    let first = fixture.serial();
    let _ = fixture.noren("reload", &[]);
    until("the word of the authority", || {
        let log = fixture.door.log();
        log.contains("renewed earlier").then_some(())
    });
    until("another certificate", || {
        (fixture.serial() != first).then_some(())
    });
    // The window of this one is over too, and still it is left in peace for a while.
    let _ = fixture.noren("reload", &[]);
    let status = fixture.status();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    assert!(
        u128::from(status["next"].as_u64().unwrap()) > now,
        "{status}"
    );
    let authority = fixture.authority.as_mut().unwrap();
    assert!(authority.count("windows") >= 1);
    assert_eq!(authority.count("issued"), 2);
}

#[test]
fn a_name_that_the_authority_cannot_reach_is_told_and_tried_again_after_a_reload() {
    let mut fixture = Fixture::open();
    fixture.found(Some((1, fixture.door.port)), &[]);
    fixture.wants("challenge = 'http-01'");
    let error = until("the failure", || {
        let status = fixture.status();
        status["last_error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("refused"), "{error}");
    assert!(
        error.contains("its port 80 to a listener of Noren"),
        "{error}"
    );
    assert!(
        fixture.door.log().contains("no certificate"),
        "{}",
        fixture.door.log()
    );
    assert!(fixture.status()["expires"].is_null());
    ask(&fixture.door, "/").gets(200);

    fixture.wants("challenge = 'tls-alpn-01'");
    until("the certificate", || fixture.is_trusted().then_some(()));
    assert!(fixture.status()["last_error"].is_null());
}

#[test]
fn what_an_authority_that_looks_at_once_has_not_seen_is_told_with_the_remedy() {
    let mut fixture = Fixture::open();
    fixture.found(Some((1, fixture.door.port)), &["hasty"]);
    fixture.wants("challenge = 'http-01'");
    let error = until("the failure", || {
        let status = fixture.status();
        status["last_error"].as_str().map(str::to_owned)
    });
    assert!(error.contains("refused"), "{error}");
    assert!(
        error.contains("its port 80 to a listener of Noren"),
        "{error}"
    );
}

#[test]
fn an_account_that_the_authority_has_lost_is_made_again() {
    let mut fixture = Fixture::open();
    fixture.found(None, &[]);
    fixture.wants("");
    until("the certificate", || fixture.is_trusted().then_some(()));
    // Another one begins with nothing, and the account of the first is put where its own would be.
    let store = fixture.files.path().join("store");
    let before = fs::read_dir(&store)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    drop(fixture.authority.take());
    fixture.found(None, &[]);
    let authority = fixture.authority.as_ref().unwrap();
    let home = store.join(
        authority
            .address
            .trim_start_matches("https://")
            .trim_end_matches("/dir")
            .replace(':', "-"),
    );
    fs::create_dir(&home).unwrap();
    let account = fs::read_to_string(before.join("account.json")).unwrap();
    let account = account.replace(
        before
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replace("localhost-", "localhost:")
            .as_str(),
        &home
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replace("localhost-", "localhost:"),
    );
    fs::write(home.join("account.json"), account).unwrap();
    fixture.wants("");
    until("the loss", || {
        fixture.door.log().contains("no certificate").then_some(())
    });
    let _ = fixture.noren("reload", &[]);
    until("the certificate", || fixture.is_trusted().then_some(()));
}

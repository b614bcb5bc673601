//! Webhooks as services send them: curl with the signature that openssl makes, through TLS, to a channel on disk.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{Answer, Door, ask, path, run, scratch};

const SECRET: &str = "It's a Secret to Everybody";

struct Fixture {
    door: Door,
    directory: tempfile::TempDir,
}

impl Fixture {
    /// A channel that takes all forms, each at the path of its name.
    fn open(limits: &str) -> Self {
        let directory = scratch();
        let write = |name: &str, text: &str| {
            let file = path(&directory, name);
            fs::write(&file, format!("{text}\n")).expect("a file");
            file
        };
        let (old, own) = (
            write("old", "the secret of yesterday"),
            write("own", SECRET),
        );
        let standard = write("standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let source = |form: &str, secrets: &str, rest: &str| {
            format!(
                "[[channel.source]]\nsource = 'webhook'\npath = '/hooks/{form}'\nsignature = '{form}'\n\
                 secrets = [{secrets}]\n{rest}\n"
            )
        };
        let both = format!("'{old}', '{own}'");
        let door = Door::open(&format!(
            "[hub]\nstore = '{}'\n[[channel]]\nname = 'a'\n[channel.history]\nstore = 'disk'\n{}{}{}{}{limits}\n\
             [admin]\nsocket = '{}'\n",
            path(&directory, "store"),
            source(
                "github",
                &both,
                "key = '{/repository/full_name}'\ndata = '{/zen}'\nbody-size = '2KiB'"
            ),
            source("gitlab", &both, "data = '{/object_kind}'"),
            source("stripe", &both, "data = '{/id}'"),
            source("standard", &format!("'{standard}'"), "data = '{/test}'"),
            path(&directory, "admin.sock"),
        ));
        Self { door, directory }
    }

    fn post(&self, form: &str, headers: &[String], body: &str) -> Answer {
        self.post_to(&format!("/hooks/{form}"), headers, body)
    }

    fn post_to(&self, target: &str, headers: &[String], body: &str) -> Answer {
        let mut request = ask(&self.door, target).with("--data-binary", body);
        request = request.header("Content-Type: application/json");
        for header in headers {
            request = request.header(header);
        }
        request.send()
    }

    fn github(&self, body: &str) -> Answer {
        let signature = format!("X-Hub-Signature-256: sha256={}", signed(SECRET, body));
        self.post(
            "github",
            &[signature, "X-GitHub-Event: ping".to_owned()],
            body,
        )
    }

    fn command(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
        command.args(arguments);
        command.args(["--socket", &path(&self.directory, "admin.sock")]);
        run(&mut command).well().stdout
    }

    /// Event and data of the first messages.
    fn first(&self, count: usize) -> Vec<(String, String)> {
        let count = count.to_string();
        let heard = self.command(&[
            "subscribe",
            "a",
            "--from",
            "earliest",
            "--json",
            "--once",
            &count,
        ]);
        let text = |value: &serde_json::Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        };
        let lines = heard.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let field = |name: &str| text(line.get(name).unwrap_or_default());
            (field("event"), field("data"))
        });
        lines.collect()
    }

    fn sources(&self) -> serde_json::Value {
        let status = self.command(&["status", "--json"]);
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status.get("sources").cloned().unwrap_or_default()
    }
}

/// The HMAC that openssl makes.
fn signed(secret: &str, text: &str) -> String {
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    let output = child.wait_with_output().expect("it ends").stdout;
    let output = String::from_utf8(output).expect("text");
    output
        .rsplit_once("= ")
        .expect("a digest")
        .1
        .trim()
        .to_owned()
}

fn pair(event: &str, data: &str) -> (String, String) {
    (event.to_owned(), data.to_owned())
}

#[test]
fn each_form_becomes_a_message_once_and_what_is_not_signed_does_not() {
    let fixture = Fixture::open("[limits]\ntoken-failures = 1000");
    let body = r#"{"zen": "Keep it logically awesome.", "repository": {"full_name": "o/r"}}"#;
    assert_eq!(fixture.github(body).status, 202);
    // Again, with another id of the delivery, which is not signed.
    assert_eq!(fixture.github(body).status, 202);
    let token = |token: &str| {
        let headers = [
            format!("X-Gitlab-Token: {token}"),
            "X-Gitlab-Event: Push Hook".to_owned(),
            "Idempotency-Key: k1".to_owned(),
        ];
        fixture.post("gitlab", &headers, r#"{"object_kind": "push"}"#)
    };
    assert_eq!(token("the secret of yesterday").status, 202);
    assert_eq!(token(SECRET).status, 202);
    assert_eq!(token("It's a Secret to Nobody!!!").status, 403);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("a clock").as_secs();
    let stripe = |time: u64, body: &str| {
        let signature = signed(SECRET, &format!("{time}.{body}"));
        fixture.post(
            "stripe",
            &[format!("Stripe-Signature: t={time},v1={signature}")],
            body,
        )
    };
    let event = r#"{"id": "evt_1", "type": "charge.succeeded"}"#;
    assert_eq!(stripe(now, event).status, 202);
    // Stripe repeats with another time and another signature.
    assert_eq!(stripe(now - 10, event).status, 202);
    assert_eq!(stripe(now - 301, event).status, 403);
    let old = [
        "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
        "webhook-timestamp: 1614265330".to_owned(),
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned(),
    ];
    assert_eq!(
        fixture
            .post("standard", &old, r#"{"test": 2432232314}"#)
            .status,
        403
    );
    let wrong = format!("X-Hub-Signature-256: sha256={}", "0".repeat(64));
    assert_eq!(fixture.post("github", &[wrong], body).status, 403);
    assert_eq!(fixture.post("github", &[], body).status, 403);
    assert_eq!(ask(&fixture.door, "/hooks/github").send().status, 405);
    assert_eq!(fixture.github("no JSON").status, 422);
    assert_eq!(
        fixture
            .github(&format!(r#"{{"zen": "{}"}}"#, "x".repeat(3000)))
            .status,
        413
    );
    assert_eq!(fixture.github(r#"{"zen": "the last"}"#).status, 202);
    let expected = [
        pair("ping", "Keep it logically awesome."),
        pair("Push Hook", "push"),
        pair("charge.succeeded", "evt_1"),
        pair("ping", "the last"),
    ];
    assert_eq!(fixture.first(4), expected);
    let sources = fixture.sources();
    assert_eq!(
        (&sources[0]["kind"], &sources[0]["address"]),
        (&"webhook".into(), &"/hooks/github".into())
    );
    assert!(sources[0]["since"].is_u64() && sources[0]["refused"].as_u64() >= Some(3));
    for secret in [SECRET, "the secret of yesterday"] {
        assert!(
            !fixture.door.log().contains(secret),
            "a secret is in the log"
        );
    }
}

#[test]
fn guesses_at_a_signature_count_as_wrong_tokens() {
    let fixture = Fixture::open("[limits]\ntoken-failures = 5");
    let wrong = [format!("X-Hub-Signature-256: sha256={}", "0".repeat(64))];
    let answers: Vec<u16> = (0..8)
        .map(|_| fixture.post("github", &wrong, "{}").status)
        .collect();
    assert_eq!(answers.first(), Some(&403));
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    // Whoever has guessed too often is not read, right or wrong.
    assert_eq!(fixture.github(r#"{"zen": "x"}"#).status, 429);
}

#[test]
fn a_new_secret_is_read_by_a_reload() {
    let fixture = Fixture::open("");
    let body = r#"{"zen": "new"}"#;
    let signature = format!(
        "X-Hub-Signature-256: sha256={}",
        signed("a secret of tomorrow", body)
    );
    assert_eq!(
        fixture
            .post("github", std::slice::from_ref(&signature), body)
            .status,
        403
    );
    fs::write(path(&fixture.directory, "old"), "a secret of tomorrow\n").expect("a file");
    fixture.command(&["reload"]);
    assert_eq!(fixture.post("github", &[signature], body).status, 202);
    assert_eq!(fixture.github(r#"{"zen": "own"}"#).status, 202);
    assert_eq!(fixture.first(2).last(), Some(&pair("ping", "own")));
}

#[test]
fn the_gates_that_are_shipped_take_githubs_requests() {
    let directory = scratch();
    let mut text = include_str!("../config/gates.toml").to_owned();
    let tables = text.split_off(text.find("[hub]").expect("the hub"));
    let secret = path(&directory, "secret");
    // The one secret fits all forms.
    fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a file");
    let tables = ["github", "gitlab", "standard"]
        .iter()
        .fold(tables, |tables, gate| {
            tables.replace(&format!("/etc/noren/gate-{gate}"), &secret)
        });
    let tables = tables.replace("/var/lib/noren", &path(&directory, "store"));
    let tables = tables.replace("/run/noren/admin.sock", &path(&directory, "admin.sock"));
    let fixture = Fixture {
        door: Door::open(&tables),
        directory,
    };
    let body = r#"{"action": "opened", "repository": {"full_name": "nasqueron/notifications"}}"#;
    let signature = signed("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body);
    let headers = [
        format!("X-Hub-Signature-256: sha256={signature}"),
        "X-GitHub-Event: pull_request".to_owned(),
    ];
    assert_eq!(
        fixture
            .post_to("/gate/github/nasqueron", &headers, body)
            .status,
        202
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
    let socket = path(&fixture.directory, "admin.sock");
    command.args([
        "subscribe",
        "gates",
        "--from",
        "earliest",
        "--once",
        "1",
        "--socket",
        &socket,
    ]);
    let heard = run(&mut command).well().stdout;
    assert!(heard.contains("opened nasqueron/notifications"), "{heard}");
}

//! Mercure with real clients: an `EventSource` in Chromium, curl, and PHP that publishes as symfony/mercure does.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Door, Ran, alone, ask, chromium, path, python_in_venv, run, scratch, until};

/// The secret that Symfony's recipe writes into a new app, and one of subscribers.
const SECRET: &str = "!ChangeThisMercureHubJWTSecretKey!";
const OTHER: &str = "!AnotherSecretForThoseWhoSubscribe!";
const HUB: &str = "/.well-known/mercure";
const URL: &str = "https://localhost/.well-known/mercure";
const ISSUER: &str = "https://localhost";

/// A door with a Mercure hub for both versions.
struct Fixture {
    door: Door,
    directory: tempfile::TempDir,
}

fn signed(kind: &str, secret: &str, claims: &Value) -> String {
    let header = Header {
        typ: Some(kind.to_owned()),
        ..Header::default()
    };
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&header, claims, &key).expect("a token")
}

fn access_token() -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let detail = |action: &str| {
        json!({
            "type": "https://mercure.rocks/authorization-detail",
            "actions": [action],
            "topics": [{"match": "*"}],
        })
    };
    let claims = json!({
        "iss": ISSUER, "aud": URL, "exp": now.as_secs() + 600,
        "authorization_details": [detail("publish"), detail("subscribe")],
    });
    signed("at+jwt", SECRET, &claims)
}

impl Fixture {
    #[track_caller]
    fn open(keys: &str) -> Self {
        let directory = scratch();
        let (publisher, subscriber) = (
            path(&directory, "publisher"),
            path(&directory, "subscriber"),
        );
        fs::write(&publisher, SECRET).expect("the secret written");
        fs::write(&subscriber, OTHER).expect("the secret written");
        let door = Door::open(&format!(
            "[hub]\nretry = '100ms'\n[server]\nwelcome = true\n[mercure]\npublisher-keys = ['{publisher}']\n\
             subscriber-keys = ['{subscriber}']\nurl = '{URL}'\nanonymous = true\n{keys}\n\
             [[mercure.issuer]]\nname = '{ISSUER}'\nkeys = ['{publisher}']\n"
        ));
        Self { door, directory }
    }

    /// The PHP of `examples/`, as a user would copy it.
    fn php(&self, topic: &str, data: &str) -> Command {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/publish_mercure.php");
        let mut command = Command::new(example);
        command
            .env("SSL_CERT_FILE", self.door.file("ca.pem"))
            .env_remove("SSL_CERT_DIR")
            .env("MERCURE_JWT_SECRET", SECRET)
            .args([&self.door.url(HUB), topic, data]);
        command
    }
}

/// A curl that subscribes, and ends with the test.
struct Listener {
    child: Child,
    output: String,
}

impl Listener {
    fn start(fixture: &Fixture, name: &str, query: &str, lines: &[String]) -> Self {
        let output = path(&fixture.directory, name);
        let file = File::create(&output).expect("a file for what it prints");
        let mut request = ask(&fixture.door, &format!("{HUB}?{query}")).with("--max-time", "60");
        for line in lines {
            request = request.header(line);
        }
        let mut command = request.into_command();
        let child = command
            .arg("--no-buffer")
            .stdin(Stdio::null())
            .stdout(file)
            .spawn()
            .expect("curl is installed by tests/run");
        Self { child, output }
    }

    /// Waits until it has printed this, and returns all of it.
    fn heard(&self, text: &str) -> String {
        until(&format!("{text:?} in a stream"), || {
            let heard = fs::read_to_string(&self.output).expect("what it has printed");
            heard.contains(text).then_some(heard)
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_page_subscribes_and_publishes_in_both_versions_of_mercure() {
    let _alone = alone();
    let fixture = Fixture::open("lifetime = '3s'");
    let all = signed(
        "JWT",
        SECRET,
        &json!({"mercure": {"publish": ["*"], "subscribe": ["*"]}}),
    );
    let books = json!({"mercure": {"subscribe": ["https://example.net/books/{id}"]}});
    let mut command = chromium("mercure_page.mjs", &fixture.door);
    let Ran { stdout, .. } = run(command.args([
        "--token",
        &all,
        "--access",
        &access_token(),
        "--reader",
        &signed("JWT", OTHER, &books),
    ]))
    .well();
    assert_eq!(stdout, "mercure=ok cases=24\n");
}

#[test]
fn php_publishes_to_the_hub_as_symfony_does() {
    let fixture = Fixture::open("");
    let topic = "https://example.com/books/1";
    let query = "topic=https%3A%2F%2Fexample.com%2Fbooks%2F%7Bid%7D";
    let public = Listener::start(&fixture, "public", query, &[]);
    let claims = json!({"mercure": {"subscribe": [topic]}});
    let line = format!("Authorization: Bearer {}", signed("JWT", OTHER, &claims));
    let private = Listener::start(&fixture, "private", query, &[line]);
    for listener in [&public, &private] {
        listener.heard("retry: ");
    }
    let secret = run(fixture
        .php(topic, "only for readers")
        .env("MERCURE_PRIVATE", "1"))
    .well();
    assert!(
        secret.stdout.starts_with("urn:example:"),
        "{}",
        secret.stdout
    );
    let open = run(&mut fixture.php(topic, "{\"status\":\"it's “ready”\"}\n")).well();
    let event = format!(
        "id: {}\ndata: {{\"status\":\"it's “ready”\"}}\ndata: \n\n",
        open.stdout.trim_end()
    );
    assert!(!public.heard(&event).contains("only for readers"));
    assert!(private.heard(&event).contains("data: only for readers\n"));
    let refused = run(fixture.php(topic, "x").env("MERCURE_JWT_SECRET", OTHER));
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("401"), "{}", refused.stderr);
}

#[test]
fn a_python_library_for_mercure_publishes_unchanged() {
    let fixture = Fixture::open("");
    let topic = "https://example.com/books/2";
    let public = Listener::start(&fixture, "public", "topic=*", &[]);
    let claims = json!({"mercure": {"subscribe": ["*"]}});
    let line = format!("Authorization: Bearer {}", signed("JWT", OTHER, &claims));
    let private = Listener::start(&fixture, "private", "topic=*", &[line]);
    for listener in [&public, &private] {
        listener.heard("retry: ");
    }
    let mut program = python_in_venv("mercure_program.py");
    program
        .env("SSL_CERT_FILE", fixture.door.file("ca.pem"))
        .env_remove("SSL_CERT_DIR")
        .args([&fixture.door.url(HUB), SECRET, topic]);
    let printed = run(&mut program).well().stdout;
    let lines: Vec<_> = printed.lines().collect();
    let [first, second, status] = lines.as_slice() else {
        panic!("{printed}");
    };
    assert!(first.starts_with("urn:uuid:"), "{first}");
    assert_eq!((*second, *status), ("urn:example:1", "403"));
    let event = "event: news\nretry: 500\nid: urn:example:1\ndata: {\"open\": \"to all\"}\n\n";
    assert!(!public.heard(event).contains("wide"));
    assert!(
        private
            .heard(event)
            .contains(&format!("id: {first}\ndata: {{\"open\": \"wide\"}}\n\n"))
    );
}

//! Tokens that name channels: where they are found, what they open, and when that ends.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Hub, channel, hub};
use crate::harness::{Answer, Door};

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8; 32] = b"fedcba9876543210fedcba9876543210";

/// The key of a door, in a file that outlives it.
struct Mint(TempDir);

impl Mint {
    fn new() -> Self {
        let mint = Self(tempfile::tempdir().unwrap());
        mint.keys(&[("old", SECRET)]);
        mint
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("keys")
    }

    /// Puts these keys in the place of those before, as a rotation does.
    fn keys(&self, keys: &[(&str, &[u8; 32])]) {
        let key = |(id, secret): &(&str, &[u8; 32])| {
            let secret = noren::encode_token(std::str::from_utf8(*secret).unwrap());
            json!({"kty": "oct", "kid": id, "k": secret})
        };
        let list: Vec<Value> = keys.iter().map(key).collect();
        let next = self.0.path().join("next");
        fs::write(&next, json!({"keys": list}).to_string()).unwrap();
        fs::rename(next, self.file()).unwrap();
    }

    /// A door with the channels `news`, `job.*` and `chat`, opened by tokens.
    async fn hub(&self, more: &str, tables: &str) -> Hub {
        let keys = format!("[hub.tokens]\nkeys = ['{}']\n{more}", self.file().display());
        let channels = [
            channel("news", "presence = true"),
            channel("job.*", ""),
            channel("chat", ""),
        ];
        hub("", &format!("{keys}\n{}{tables}", channels.concat())).await
    }
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

fn signed(id: &str, secret: &[u8], claims: &Value) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(id.to_owned());
    encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// A token for a minute, to listen to these.
fn token(topics: &[&str]) -> String {
    let claims = json!({"mercure": {"subscribe": topics}, "exp": now() + 60, "sub": "ann"});
    signed("old", SECRET, &claims)
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// The answer to a poll.
async fn poll(hub: &Hub, path: &str, lines: &str) -> Answer {
    hub.poll(path, lines).await
}

#[tokio::test]
async fn a_token_is_found_in_every_place_and_without_one_nobody_listens() {
    let mint = Mint::new();
    let hub = mint.hub("", "").await;
    let token = token(&["news"]);
    for (query, lines) in [
        (String::new(), bearer(&token)),
        (format!("?authorization={token}"), String::new()),
        (format!("?access_token={token}"), String::new()),
        (
            String::new(),
            format!("Cookie: a=b; mercureAuthorization={token}\r\n"),
        ),
    ] {
        let path = format!("/events/news{query}");
        assert_eq!(poll(&hub, &path, &lines).await.status, 200, "{lines}");
        hub.stream(&path, &lines).await;
        let mut client = hub.door.tls().await;
        let answer = client.ask(&Door::handshake(&path, &lines)).await;
        assert_eq!(answer.status, 101);
    }
    for path in [
        "/events/news",
        "/events/news/presence",
        "/events/unknown",
        "/events/news?access_token=",
    ] {
        for accept in ["text/event-stream", "text/html", "*/*"] {
            let answer = poll(&hub, path, &format!("Accept: {accept}\r\n")).await;
            assert_eq!(answer.status, 401, "{path} {accept}");
            assert_eq!(answer.head.one("www-authenticate"), Some("Bearer"));
        }
    }
}

#[tokio::test]
async fn a_token_opens_the_channels_that_it_names_and_no_others() {
    let mint = Mint::new();
    let hub = mint.hub("", "").await;
    for (topics, path, status) in [
        (&["*"][..], "/events/news", 200),
        (&["job.*"], "/events/job.17", 200),
        (&["job.{id}"], "/events/job.17,job.18", 200),
        (&["job.17", "news"], "/events/news,job.17", 200),
        (&["job.17"], "/events/job.18", 403),
        (&["job.17"], "/events/job.17,news", 403),
        (&["job.17"], "/events/news/presence", 403),
        (&["https://door.example/events/news"], "/events/news", 403),
        (&[], "/events/news", 403),
    ] {
        let answer = poll(&hub, path, &bearer(&token(topics))).await;
        assert_eq!(answer.status, status, "{topics:?} {path}");
    }
}

#[tokio::test]
async fn a_token_for_a_pattern_makes_no_more_channels_from_one_address_than_its_share() {
    let mint = Mint::new();
    let keys = format!("[hub.tokens]\nkeys = ['{}']\n", mint.file().display());
    let hub = hub("channels = 16", &(keys + &channel("job.*", ""))).await;
    let claims = json!({"mercure": {"publish": ["job.*"]}, "exp": now() + 60});
    let lines = bearer(&signed("old", SECRET, &claims)) + "Content-Type: text/plain\r\n";
    for number in 0..8 {
        let path = format!("/events/job.n{number}");
        assert_eq!(hub.post(&path, &lines, "x").await.status, 202);
    }
    let refused = hub.post("/events/job.another", &lines, "x").await;
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.head.one("retry-after").is_some());
    let known = hub.post("/events/job.n1", &lines, "x").await;
    assert_eq!(known.status, 202, "its channel is there");
    // A program with the publish token is trusted with the names.
    hub.say("job.mine", "x").await;
}

#[tokio::test]
async fn a_token_that_is_forged_expired_early_or_endless_opens_nothing() {
    let mint = Mint::new();
    let hub = mint.hub("", "").await;
    let claims = |more: Value| {
        let mut claims = json!({"mercure": {"subscribe": ["*"]}, "exp": now() + 60});
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        claims
    };
    let good = claims(json!({}));
    let none = format!(
        "{}.{}.",
        noren::encode_token(r#"{"alg":"none"}"#),
        noren::encode_token(&good.to_string())
    );
    for (token, said) in [
        (signed("old", OTHER, &good), "not valid\n"),
        (signed("new", SECRET, &good), "not valid\n"),
        (none, "not valid\n"),
        (signed("old", SECRET, &claims(json!({"exp": 1}))), "expired"),
        (
            signed("old", SECRET, &claims(json!({"nbf": now() + 60}))),
            "not valid yet",
        ),
        (
            signed("old", SECRET, &claims(json!({"exp": now() + 200_000}))),
            "not valid\n",
        ),
        (
            signed("old", SECRET, &json!({"mercure": {"subscribe": ["*"]}})),
            "not valid\n",
        ),
        (
            signed("old", SECRET, &claims(json!({"aud": "other"}))),
            "not valid\n",
        ),
        (
            signed("old", SECRET, &claims(json!({"sub": "a\nb"}))),
            "not valid\n",
        ),
    ] {
        let answer = poll(&hub, "/events/news", &bearer(&token)).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.text().contains(said), "{said}: {}", answer.text());
    }
    let answer = poll(&hub, "/events/news?access_token=guess", "").await;
    assert_eq!(answer.status, 401);
    let good = signed("old", SECRET, &good);
    assert_eq!(poll(&hub, "/events/news", &bearer(&good)).await.status, 200);
}

#[tokio::test]
async fn a_key_is_changed_without_a_gap_and_without_a_restart() {
    let mint = Mint::new();
    let hub = mint.hub("", "").await;
    let claims = json!({"mercure": {"subscribe": ["news"]}, "exp": now() + 60});
    let old = bearer(&signed("old", SECRET, &claims));
    let new = bearer(&signed("new", OTHER, &claims));
    let status = async |lines: &str| poll(&hub, "/events/news", lines).await.status;
    assert_eq!((status(&old).await, status(&new).await), (200, 401));
    mint.keys(&[("old", SECRET), ("new", OTHER)]);
    assert_eq!((status(&old).await, status(&new).await), (200, 200));
    mint.keys(&[("new", OTHER)]);
    assert_eq!((status(&old).await, status(&new).await), (401, 200));
    fs::remove_file(mint.file()).unwrap();
    assert_eq!((status(&old).await, status(&new).await), (502, 502));
}

#[tokio::test]
async fn what_a_token_has_opened_ends_when_it_expires() {
    let mint = Mint::new();
    let hub = mint.hub("leeway = '0s'", "").await;
    let claims = json!({"mercure": {"subscribe": ["chat"]}, "exp": now() + 5});
    let query = format!("?access_token={}", signed("old", SECRET, &claims));
    let path = format!("/events/chat{query}");
    let stream = hub.stream(&path, "").await;
    let mut socket = hub.socket(&path).await;
    let begun = poll(&hub, &path, "").await;
    let cursor: Value = serde_json::from_slice(&begun.body).unwrap();
    let cursor = cursor["id"].as_str().unwrap();
    let waiting = format!("{path}&wait=120&last-event-id={cursor}");
    let (rest, code, answer) = tokio::join!(
        stream.rest(),
        socket.0.close_code(),
        poll(&hub, &waiting, "")
    );
    assert!(rest.ends_with(": the token has expired\n\n"), "{rest}");
    assert_eq!(code, 4401);
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(poll(&hub, &path, "").await.status, 401);
}

#[tokio::test]
async fn a_token_publishes_where_its_claim_says_so() {
    let mint = Mint::new();
    let hub = mint.hub("", "").await;
    let claims = json!({"mercure": {"publish": ["chat", "job.*"], "subscribe": ["chat"]},
        "exp": now() + 60});
    let lines = bearer(&signed("old", SECRET, &claims)) + "Content-Type: text/plain\r\n";
    let mut events = hub.stream("/events/chat", &lines).await;
    for (path, lines, status) in [
        ("/events/chat", lines.as_str(), 202),
        ("/events/job.17", lines.as_str(), 202),
        ("/events/news", lines.as_str(), 403),
        ("/events/chat", &bearer(&token(&["chat"])), 403),
        ("/events/chat", &bearer("guess"), 401),
        ("/events/chat", "", 401),
    ] {
        let answer = hub.post(path, lines, "hi").await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    hub.say("chat", "from a program").await;
    assert_eq!(events.data().await, "hi");
    assert_eq!(events.data().await, "from a program");
}

#[tokio::test]
async fn who_listens_by_a_token_is_known_by_its_subject() {
    let mint = Mint::new();
    let hub = mint.hub("", "").await;
    let lines = bearer(&token(&["news"]));
    let _events = hub.stream("/events/news", &lines).await;
    let told = poll(&hub, "/events/news/presence", &lines).await;
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(told["names"], json!(["ann"]));
}

#[tokio::test]
async fn wrong_tokens_for_channels_count_as_guesses_and_expired_ones_do_not() {
    let mint = Mint::new();
    let hub = mint.hub("", "[limits]\ntoken-failures = 3\n").await;
    let good = bearer(&token(&["news"]));
    let expired = signed("old", SECRET, &json!({"exp": 1}));
    for _ in 0..10 {
        let answer = poll(&hub, "/events/news", &bearer(&expired)).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(poll(&hub, "/events/news", &good).await.status, 200);
    let mut last = 401;
    for _ in 0..5 {
        let path = "/events/news?access_token=guess";
        last = poll(&hub, path, "").await.status;
    }
    assert_eq!(last, 429);
    assert_eq!(poll(&hub, "/events/news", &good).await.status, 429);
}

#[tokio::test]
async fn a_channel_behind_a_token_of_the_bridge_is_as_closed_as_at_the_hub() {
    let tables = "[[channel]]\nname = 'wok'\ntoken = 'notifications'\n";
    let mint = Mint::new();
    let hub = mint.hub("", tables).await;
    for (query, status) in [
        (String::new(), 401),
        (format!("&access_token={}", token(&["news"])), 403),
        (format!("&access_token={}", token(&["wok"])), 101),
    ] {
        let path = format!("/websockify?token=notifications{query}");
        let mut client = hub.door.tls().await;
        let answer = client.ask(&Door::handshake(&path, "")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_channel_may_say_that_it_needs_nothing() {
    let tables = channel("open", "needs = 'nothing'");
    let mint = Mint::new();
    let hub = mint.hub("", &tables).await;
    assert_eq!(poll(&hub, "/events/open", "").await.status, 200);
    let lines = bearer(&token(&["news"]));
    for (lines, status) in [("", 401), (lines.as_str(), 200)] {
        assert_eq!(poll(&hub, "/events/open,news", lines).await.status, status);
    }
}

#[tokio::test]
async fn a_channel_behind_a_token_of_the_bridge_has_the_entrance_of_the_hub() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (cooks, guests) = (file("cooks", "cook:wok\n"), file("guests", "guest:tea\n"));
    let channel = "[[channel]]\nname = 'wok'\ntoken = 'notifications'\n";
    let (cook, guest) = (
        "Authorization: Basic Y29vazp3b2s=\r\n",
        "Authorization: Basic Z3Vlc3Q6dGVh\r\n",
    );
    let page = "Origin: https://evil.example\r\n";
    for (hub, bridge, lines, status) in [
        (format!("users = '{cooks}'"), String::new(), "", 401),
        (format!("users = '{cooks}'"), String::new(), guest, 401),
        (format!("users = '{cooks}'"), String::new(), cook, 101),
        (
            format!("users = '{cooks}'"),
            format!("users = '{cooks}'"),
            cook,
            101,
        ),
        (
            format!("users = '{cooks}'"),
            format!("users = '{guests}'"),
            guest,
            401,
        ),
        (
            format!("users = '{cooks}'"),
            format!("users = '{guests}'"),
            cook,
            401,
        ),
        (String::new(), format!("users = '{guests}'"), guest, 101),
        (String::new(), "origins = ['any']".to_owned(), page, 403),
        (
            "origins = ['any']".to_owned(),
            "origins = ['any']".to_owned(),
            page,
            101,
        ),
        ("missing-origin = false".to_owned(), String::new(), "", 403),
    ] {
        let settings = format!("[hub]\n{hub}\n[bridge]\n{bridge}\n{channel}");
        let door = Door::open(&settings).await;
        let handshake = Door::handshake("/websockify?token=notifications", lines);
        let answer = door.tls().await.ask(&handshake).await;
        assert_eq!(
            answer.status,
            status,
            "{hub} {bridge} {lines}: {}",
            answer.text()
        );
    }
}

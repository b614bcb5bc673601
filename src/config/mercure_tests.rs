//! Tests of `[mercure]`: each key is read, and one that could not work is refused.

use super::*;

fn parsed(rest: &str) -> Result<Config, String> {
    let text = format!("[mercure]\n{rest}");
    Config::parse(&text, "noren.toml").map_err(|error| error.to_string())
}

#[test]
fn every_key_of_mercure_is_read() {
    let config = parsed(
        r#"
        path = "/hub"
        versions = ["1.0"]
        publisher-keys = ["/p"]
        subscriber-keys = ["credential:s"]
        url = "https://a.example/hub"
        cookie = "c"
        query-token = false
        anonymous = true
        subscriptions = true
        lifetime = "off"
        leeway = "1s"
        topics = 1
        selectors = 2
        patterns = 3
        topic-length = 64
        origins = ["any"]
        history = { messages = 4 }
        [[mercure.issuer]]
        name = "i"
        keys = ["/i"]
        "#,
    )
    .expect("a configuration");
    let expected = Mercure {
        path: "/hub".to_owned(),
        versions: vec![MercureVersion::One],
        publisher_keys: vec![SecretFile::File("/p".into())],
        subscriber_keys: vec![SecretFile::Credential("s".to_owned())],
        url: Some("https://a.example/hub".to_owned()),
        issuers: vec![MercureIssuer {
            name: "i".to_owned(),
            keys: vec![SecretFile::File("/i".into())],
        }],
        cookie: "c".to_owned(),
        query_token: false,
        anonymous: true,
        session: false,
        subscriptions: true,
        lifetime: None,
        leeway: std::time::Duration::from_secs(1),
        topics: 1,
        selectors: 2,
        patterns: 3,
        topic_length: 64,
        entrance: Entrance {
            origins: vec![OriginRule::Any],
            ..Entrance::default()
        },
        history: History {
            messages: 4,
            ..History::default()
        },
    };
    assert_eq!(config.mercure, Some(expected));
    assert_eq!(config.channels.len(), 1);
    assert!(config.channels.iter().all(Channel::is_internal) && !config.has_open_channels());
}

#[test]
fn a_mercure_hub_without_keys_or_with_half_of_version_1_is_refused() {
    let keys = "publisher-keys = ['/k']\n";
    let issuer = "[[mercure.issuer]]\nname = 'i'\nkeys = ['/i']\n";
    let url = "url = 'https://a.example/hub'\n";
    for (rest, said) in [
        (String::new(), "mercure.publisher-keys: is missing"),
        (
            format!("{keys}{url}"),
            "mercure.url: and [[mercure.issuer]] belong together",
        ),
        (
            format!("{keys}{issuer}"),
            "mercure.url: and [[mercure.issuer]] belong together",
        ),
        (
            format!("{keys}{url}versions = ['0.x']\n{issuer}"),
            "signs tokens of version 1.0",
        ),
        (format!("{url}{issuer}{issuer}"), "has the same name twice"),
        (
            format!("{url}[[mercure.issuer]]\nname = 'i'\n"),
            "mercure.issuer.i.keys: is missing",
        ),
        (format!("{keys}versions = []"), "names none"),
        (format!("{keys}versions = ['2']"), "versions"),
        (format!("{keys}path = '/'"), "every address"),
        (format!("{keys}path = '/events'"), "have the same path"),
        (
            format!("{keys}url = 'example.org'"),
            "is not the address of a hub",
        ),
        (
            format!("{keys}session = true"),
            "session = true needs a question",
        ),
        (
            format!("{keys}[[channel]]\nname = 'mercure.a'"),
            r#"the names that begin with "mercure.""#,
        ),
        (
            format!(
                "{keys}history = {{ store = 'disk' }}\n[cluster]\nurl = 'amqp://localhost'\ncredentials = '/c'"
            ),
            "the history of a cluster is in its stream",
        ),
        (
            format!("{keys}client-certificate = 'required'"),
            "needs a listener that asks for one",
        ),
    ] {
        let found = parsed(&rest).expect_err(&rest);
        assert!(found.contains(said), "{rest}: {found}");
    }
}

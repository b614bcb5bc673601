use std::future::Future;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::*;
use crate::config::{SourceKind, StaticTarget, TokenSource};
use crate::tokens::encode;
use crate::tokens::file_access::CONCURRENT;
use crate::tokens::sources::RETRY_STEP;
use crate::tokens::test_directory::TestDirectory;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime can be built")
        .block_on(future)
}

fn token(text: &str) -> Token {
    Token::from_query(Some(&format!("token={text}"))).expect("a token")
}

impl Resolver {
    /// Resolves a token that is not a signed link.
    async fn find(&self, token: &Token) -> Result<Target, ResolveError> {
        let asked = self
            .admit(token.clone(), Peer::Unix)
            .await
            .expect("no links here");
        self.resolve(&asked).await
    }
}

fn resolver(bridge: &Bridge) -> Resolver {
    Resolver::new(bridge).expect("no certificates are loaded")
}

fn bridge(tokens: Vec<SourceKind>) -> Bridge {
    Bridge {
        tokens: tokens.into_iter().map(TokenSource::trusted).collect(),
        token_retry: Duration::from_millis(60),
        connect: Duration::from_secs(30),
        ..Bridge::default()
    }
}

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp {
        host: host.to_owned(),
        port,
    }
}

#[test]
fn without_targets_and_sources_every_token_is_unknown() {
    let resolver = resolver(&bridge(Vec::new()));
    assert!(resolver.is_empty());
    let result = run(resolver.find(&token("vm")));
    assert!(matches!(result, Err(ResolveError::Unknown)));
}

#[test]
fn a_static_target_is_known_by_its_name_and_its_encoding_and_asked_first() {
    let directory = TestDirectory::new();
    let tokens = directory.write("tokens", "café: localhost:2\nother: localhost:3\n");
    let mut bridge = bridge(vec![SourceKind::File(tokens)]);
    bridge.targets = vec![StaticTarget {
        subprotocols: None,
        token: "café".to_owned(),
        address: tcp("localhost", 1),
        tls: None,
        rfb: None,
        shared: None,
    }];
    let resolver = resolver(&bridge);
    assert!(!resolver.is_empty());
    for sent in ["caf%C3%A9", "Y2Fmw6k", "Y2Fmw6k=", "Y2Fm6Q"] {
        let target = run(resolver.find(&token(sent))).expect("known");
        assert_eq!(target.endpoint, tcp("localhost", 1), "{sent}");
    }
    let target = run(resolver.find(&token("other"))).expect("known");
    assert_eq!(target.to_string(), "localhost:3");
}

#[test]
fn a_target_has_the_name_it_was_found_by_whatever_else_its_token_could_mean() {
    let directory = TestDirectory::new();
    // "dm0x" is "vm1" in base64url: as the name of a socket it is itself, in a token file it is vm1.
    UnixListener::bind(directory.path().join("dm0x")).expect("a socket");
    let by_name = resolver(&bridge(vec![SourceKind::Sockets(
        directory.path().to_owned(),
    )]));
    let target = run(by_name.find(&token("dm0x"))).expect("known");
    assert_eq!(target.name, "dm0x");
    let tokens = directory.write("tokens", "dm0x: localhost:1\nplain.name: localhost:2");
    let mut by_token = bridge(vec![SourceKind::File(tokens)]);
    by_token.targets = vec![StaticTarget {
        subprotocols: None,
        token: "dm0y".to_owned(),
        address: tcp("localhost", 3),
        tls: None,
        rfb: None,
        shared: None,
    }];
    let by_token = resolver(&by_token);
    for (sent, name) in [
        ("dm0x", "vm1"),
        ("plain.name", "plain.name"),
        ("dm0y", "dm0y"),
    ] {
        let target = run(by_token.find(&token(sent))).expect("known");
        assert_eq!(target.name, name);
    }
}

#[test]
fn the_first_source_that_knows_the_token_wins() {
    let directory = TestDirectory::new();
    let first = directory.write("first", "a: localhost:1");
    let second = directory.write("second", "a: localhost:2\nb: localhost:2");
    let resolver = resolver(&bridge(vec![
        SourceKind::File(first),
        SourceKind::File(second),
    ]));
    assert_eq!(
        run(resolver.find(&token("a"))).expect("known").to_string(),
        "localhost:1"
    );
    assert_eq!(
        run(resolver.find(&token("b"))).expect("known").to_string(),
        "localhost:2"
    );
}

#[test]
fn a_source_that_cannot_be_used_does_not_hide_the_next() {
    let directory = TestDirectory::new();
    let missing = directory.path().join("missing");
    UnixListener::bind(directory.path().join("vm")).expect("a socket");
    let resolver = resolver(&bridge(vec![
        SourceKind::Directory(missing.clone()),
        SourceKind::File(missing.clone()),
        SourceKind::Sockets(missing.clone()),
        SourceKind::Sockets(directory.path().to_owned()),
    ]));
    let target = run(resolver.find(&token("dm0"))).expect("known");
    assert_eq!(target.endpoint, Endpoint::Unix(directory.path().join("vm")));
    let error = run(resolver.find(&token("other"))).expect_err("unknown");
    assert!(matches!(error, ResolveError::Unreadable { path, .. } if path == missing));
}

#[test]
fn a_target_has_the_boundary_of_its_name() {
    let directory = TestDirectory::new();
    let name = "woknotifications";
    directory.write(name, format!("{}: unix_socket:/run/{name}", encode(name)));
    directory.write("vm", "dm0: localhost:5901");
    let mut bridge = bridge(vec![SourceKind::Directory(directory.path().to_owned())]);
    bridge.boundaries = BTreeMap::from([(name.to_owned(), "//EOM//".to_owned())]);
    let resolver = resolver(&bridge);
    let target = run(resolver.find(&token(&encode(name)))).expect("known");
    assert_eq!(target.boundary.as_deref(), Some(&b"//EOM//"[..]));
    assert_eq!(
        run(resolver.find(&token("dm0"))).expect("known").boundary,
        None
    );
}

#[test]
fn a_file_that_is_being_written_is_read_again() {
    let directory = TestDirectory::new();
    directory.write("vm", "");
    let mut bridge = bridge(vec![SourceKind::Directory(directory.path().to_owned())]);
    bridge.token_retry = Duration::from_secs(30);
    let resolver = resolver(&bridge);
    let sent = token("dm0");
    let target = run(async {
        let mut resolve = Box::pin(resolver.find(&sent));
        // Several steps long: the answer must not come while the file is empty.
        let early = timeout(4 * RETRY_STEP, &mut resolve).await;
        assert!(early.is_err(), "{early:?}");
        directory.write("vm", "dm0: localhost:5901");
        resolve.await
    });
    assert_eq!(target.expect("known").to_string(), "localhost:5901");
}

#[test]
fn a_file_that_stays_empty_is_given_up_after_the_retry_time() {
    let directory = TestDirectory::new();
    let tokens = directory.write("tokens", "");
    let resolver = resolver(&bridge(vec![SourceKind::File(tokens)]));
    let start = Instant::now();
    let result = run(resolver.find(&token("dm0")));
    assert!(matches!(result, Err(ResolveError::Unknown)), "{result:?}");
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn an_empty_file_does_not_delay_a_token_that_another_source_knows() {
    let directory = TestDirectory::new();
    let empty = directory.write("empty", "");
    let tokens = directory.write("tokens", "a: localhost:1");
    let mut bridge = bridge(vec![SourceKind::File(empty), SourceKind::File(tokens)]);
    bridge.token_retry = Duration::from_secs(3600);
    let resolver = resolver(&bridge);
    assert_eq!(
        run(resolver.find(&token("a"))).expect("known").to_string(),
        "localhost:1"
    );
}

#[test]
fn a_look_up_that_gets_no_turn_is_given_up_after_the_limit() {
    let directory = TestDirectory::new();
    let mut bridge = bridge(vec![SourceKind::Sockets(directory.path().to_owned())]);
    bridge.connect = Duration::from_millis(10);
    let resolver = resolver(&bridge);
    let all = u32::try_from(CONCURRENT).expect("a small number");
    let _busy = resolver
        .files
        .permits
        .try_acquire_many(all)
        .expect("nobody reads yet");
    let result = run(resolver.find(&token("a")));
    assert!(matches!(result, Err(ResolveError::Slow)));
}

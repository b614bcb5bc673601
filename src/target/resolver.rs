//! Asks the static targets and the sources in order, off the runtime's threads and within limits.
//!
//! Must not know how a source stores its tokens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::search::Search;
use super::{ResolveError, Target, Token, sockets, token_directory, token_file};
use crate::config::{Bridge, Endpoint, StaticTarget, TokenSource};

/// How long an empty token file is left alone before it is read again. Between truncating and writing lie
/// microseconds, so the first retry usually succeeds.
const RETRY_STEP: Duration = Duration::from_millis(20);

/// The most look-ups that read files at once. Each may read thousands of files for a token somebody made up;
/// without this bound a flood of those would take all of tokio's blocking threads, which also resolve names.
const READERS: usize = 8;

/// Finds the target of a token. Nothing is cached: what Wok has removed must not be found again.
pub struct Resolver {
    targets: Vec<StaticTarget>,
    sources: Arc<[TokenSource]>,
    boundaries: BTreeMap<String, Arc<[u8]>>,
    retry: Duration,
    /// The files of one look-up get as long as the connection to the target.
    limit: Duration,
    readers: Arc<Semaphore>,
}

/// Without the tokens.
impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Takes targets, sources, boundaries and limits from the configuration. Reads no file.
    pub fn new(bridge: &Bridge) -> Self {
        let boundaries = bridge
            .boundaries
            .iter()
            .map(|(name, marker)| (name.clone(), Arc::from(marker.as_bytes())))
            .collect();
        Self {
            targets: bridge.targets.clone(),
            sources: bridge.tokens.clone().into(),
            boundaries,
            retry: bridge.token_retry,
            limit: bridge.connect,
            readers: Arc::new(Semaphore::new(READERS)),
        }
    }

    /// True if there is nothing to ask, and so no token can be known.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.sources.is_empty()
    }

    /// Finds the target of a token. The first that knows it wins: a static target, then the sources in the order
    /// of the configuration.
    ///
    /// If none knows it and a token file was empty, that file is read again for `bridge.token-retry`, because
    /// Wok truncates a file before it writes it.
    pub async fn resolve(&self, token: &Token) -> Result<Target, ResolveError> {
        let (endpoint, name) = match self
            .targets
            .iter()
            .find(|target| token.means(&target.token))
        {
            Some(target) => (target.address.clone(), target.token.clone()),
            None => self.search(token).await?,
        };
        let boundary = token.names().find_map(|name| self.boundaries.get(name));
        Ok(Target {
            name,
            endpoint,
            boundary: boundary.cloned(),
        })
    }

    /// The endpoint, and the name it was found by.
    async fn search(&self, token: &Token) -> Result<(Endpoint, String), ResolveError> {
        let sources = Arc::clone(&self.sources);
        let mut search = Search::new(token.clone());
        let mut found;
        (found, search) = self
            .read(search, move |search| {
                sources.iter().find_map(|source| ask(source, search))
            })
            .await?;
        let start = Instant::now();
        while found.is_none() && search.may_yet_find() && start.elapsed() < self.retry {
            tokio::time::sleep(RETRY_STEP.min(self.retry)).await;
            let files = search.take_being_written();
            (found, search) = self
                .read(search, move |search| read_again(&files, search))
                .await?;
        }
        let Some(endpoint) = found else {
            return Err(search.into_error());
        };
        // A token file holds the token as it was sent, which Wok makes of a name. What is asked about this name
        // must hold for this socket, so the client's choice of a spelling may not change it.
        let name = search
            .name
            .unwrap_or_else(|| token.decoded().unwrap_or(token.plain()).to_owned());
        Ok((endpoint, name))
    }

    /// Runs one look-up where it may block. It holds its permit until it has really ended, even when nobody waits
    /// for it any more.
    async fn read<F>(
        &self,
        mut search: Search,
        look: F,
    ) -> Result<(Option<Endpoint>, Search), ResolveError>
    where
        F: FnOnce(&mut Search) -> Option<Endpoint> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let reading = async {
            let permit = readers.acquire_owned().await.ok()?;
            let look_up = move || {
                let found = look(&mut search);
                drop(permit);
                (found, search)
            };
            tokio::task::spawn_blocking(look_up).await.ok()
        };
        // The semaphore is never closed, and the task fails only when the runtime stops: both are "not in time".
        let ended = tokio::time::timeout(self.limit, reading).await;
        ended.ok().flatten().ok_or(ResolveError::Slow)
    }
}

fn ask(source: &TokenSource, search: &mut Search) -> Option<Endpoint> {
    match source {
        TokenSource::Directory(path) => token_directory::find(path, search),
        TokenSource::File(path) => token_file::find(path, search),
        TokenSource::Sockets(path) => sockets::find(path, search),
    }
}

fn read_again(files: &[PathBuf], search: &mut Search) -> Option<Endpoint> {
    files.iter().find_map(|path| token_file::find(path, search))
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::target::encode;
    use crate::target::test_directory::TestDirectory;

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

    fn bridge(tokens: Vec<TokenSource>) -> Bridge {
        Bridge {
            tokens,
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
        let resolver = Resolver::new(&bridge(Vec::new()));
        assert!(resolver.is_empty());
        let result = run(resolver.resolve(&token("vm")));
        assert!(matches!(result, Err(ResolveError::Unknown)));
    }

    #[test]
    fn a_static_target_is_known_by_its_name_and_its_encoding_and_asked_first() {
        let directory = TestDirectory::new();
        let tokens = directory.write("tokens", "café: localhost:2\nother: localhost:3\n");
        let mut bridge = bridge(vec![TokenSource::File(tokens)]);
        bridge.targets = vec![StaticTarget {
            token: "café".to_owned(),
            address: tcp("localhost", 1),
        }];
        let resolver = Resolver::new(&bridge);
        assert!(!resolver.is_empty());
        for sent in ["caf%C3%A9", "Y2Fmw6k", "Y2Fmw6k=", "Y2Fm6Q"] {
            let target = run(resolver.resolve(&token(sent))).expect("known");
            assert_eq!(target.endpoint, tcp("localhost", 1), "{sent}");
        }
        let target = run(resolver.resolve(&token("other"))).expect("known");
        assert_eq!(target.to_string(), "localhost:3");
    }

    #[test]
    fn a_target_has_the_name_it_was_found_by_whatever_else_its_token_could_mean() {
        let directory = TestDirectory::new();
        // "dm0x" is "vm1" in base64url: as the name of a socket it is itself, in a token file it is vm1.
        UnixListener::bind(directory.path().join("dm0x")).expect("a socket");
        let by_name = Resolver::new(&bridge(vec![TokenSource::Sockets(
            directory.path().to_owned(),
        )]));
        let target = run(by_name.resolve(&token("dm0x"))).expect("known");
        assert_eq!(target.name, "dm0x");
        let tokens = directory.write("tokens", "dm0x: localhost:1\nplain.name: localhost:2");
        let mut by_token = bridge(vec![TokenSource::File(tokens)]);
        by_token.targets = vec![StaticTarget {
            token: "dm0y".to_owned(),
            address: tcp("localhost", 3),
        }];
        let by_token = Resolver::new(&by_token);
        for (sent, name) in [
            ("dm0x", "vm1"),
            ("plain.name", "plain.name"),
            ("dm0y", "dm0y"),
        ] {
            let target = run(by_token.resolve(&token(sent))).expect("known");
            assert_eq!(target.name, name);
        }
    }

    #[test]
    fn the_first_source_that_knows_the_token_wins() {
        let directory = TestDirectory::new();
        let first = directory.write("first", "a: localhost:1");
        let second = directory.write("second", "a: localhost:2\nb: localhost:2");
        let resolver = Resolver::new(&bridge(vec![
            TokenSource::File(first),
            TokenSource::File(second),
        ]));
        assert_eq!(
            run(resolver.resolve(&token("a")))
                .expect("known")
                .to_string(),
            "localhost:1"
        );
        assert_eq!(
            run(resolver.resolve(&token("b")))
                .expect("known")
                .to_string(),
            "localhost:2"
        );
    }

    #[test]
    fn a_source_that_cannot_be_used_does_not_hide_the_next() {
        let directory = TestDirectory::new();
        let missing = directory.path().join("missing");
        UnixListener::bind(directory.path().join("vm")).expect("a socket");
        let resolver = Resolver::new(&bridge(vec![
            TokenSource::Directory(missing.clone()),
            TokenSource::File(missing.clone()),
            TokenSource::Sockets(missing.clone()),
            TokenSource::Sockets(directory.path().to_owned()),
        ]));
        let target = run(resolver.resolve(&token("dm0"))).expect("known");
        assert_eq!(target.endpoint, Endpoint::Unix(directory.path().join("vm")));
        let error = run(resolver.resolve(&token("other"))).expect_err("unknown");
        assert!(matches!(error, ResolveError::Unreadable { path, .. } if path == missing));
    }

    #[test]
    fn a_target_has_the_boundary_of_its_name() {
        let directory = TestDirectory::new();
        let name = "woknotifications";
        directory.write(name, format!("{}: unix_socket:/run/{name}", encode(name)));
        directory.write("vm", "dm0: localhost:5901");
        let mut bridge = bridge(vec![TokenSource::Directory(directory.path().to_owned())]);
        bridge.boundaries = BTreeMap::from([(name.to_owned(), "//EOM//".to_owned())]);
        let resolver = Resolver::new(&bridge);
        let target = run(resolver.resolve(&token(&encode(name)))).expect("known");
        assert_eq!(target.boundary.as_deref(), Some(&b"//EOM//"[..]));
        assert_eq!(
            run(resolver.resolve(&token("dm0")))
                .expect("known")
                .boundary,
            None
        );
    }

    #[test]
    fn a_file_that_is_being_written_is_read_again() {
        let directory = TestDirectory::new();
        directory.write("vm", "");
        let mut bridge = bridge(vec![TokenSource::Directory(directory.path().to_owned())]);
        bridge.token_retry = Duration::from_secs(30);
        let resolver = Resolver::new(&bridge);
        let sent = token("dm0");
        let target = run(async {
            let mut resolve = Box::pin(resolver.resolve(&sent));
            // Several steps long: the answer must not come while the file is empty.
            let early = tokio::time::timeout(4 * RETRY_STEP, &mut resolve).await;
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
        let resolver = Resolver::new(&bridge(vec![TokenSource::File(tokens)]));
        let start = Instant::now();
        let result = run(resolver.resolve(&token("dm0")));
        assert!(matches!(result, Err(ResolveError::Unknown)), "{result:?}");
        assert!(start.elapsed() >= Duration::from_millis(60));
    }

    #[test]
    fn an_empty_file_does_not_delay_a_token_that_another_source_knows() {
        let directory = TestDirectory::new();
        let empty = directory.write("empty", "");
        let tokens = directory.write("tokens", "a: localhost:1");
        let mut bridge = bridge(vec![TokenSource::File(empty), TokenSource::File(tokens)]);
        bridge.token_retry = Duration::from_secs(3600);
        let resolver = Resolver::new(&bridge);
        assert_eq!(
            run(resolver.resolve(&token("a")))
                .expect("known")
                .to_string(),
            "localhost:1"
        );
    }

    #[test]
    fn a_look_up_that_gets_no_turn_is_given_up_after_the_limit() {
        let directory = TestDirectory::new();
        let mut bridge = bridge(vec![TokenSource::Sockets(directory.path().to_owned())]);
        bridge.connect = Duration::from_millis(10);
        let resolver = Resolver::new(&bridge);
        let all = u32::try_from(READERS).expect("a small number");
        let _busy = resolver
            .readers
            .try_acquire_many(all)
            .expect("nobody reads yet");
        let result = run(resolver.resolve(&token("a")));
        assert!(matches!(result, Err(ResolveError::Slow)));
    }
}

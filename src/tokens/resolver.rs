//! Looks a token up in the static targets and the sources in order, on blocking threads and within limits.
//!
//! Independent of how a source stores its tokens.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::lookup::Search;
use super::signed::{Links, Once, Purpose};
use super::source::{By, Source, Terms};
use super::{CloudServer, LinkError, LinksError, ResolveError, Target, Token, names, token_file};
use crate::clock::now_seconds;
use crate::config::{Bridge, Endpoint};
use crate::faults::Faults;
use crate::net::Peer;
use crate::telemetry::TokenSourceCounts;
use crate::text::Secret;
use crate::tls::TlsError;

/// Delay before an empty token file is read again. Between truncating and writing lie microseconds, so the first
/// retry usually succeeds.
const RETRY_STEP: Duration = Duration::from_millis(20);

/// Limit on concurrent look-ups in files. Each may read thousands of files for an invented token. Without this limit a
/// flood of them would occupy all of tokio's blocking threads, which also resolve host names.
const READERS: usize = 8;

/// Limit on concurrent look-ups for open consoles: half of the limit for a source in the network, so that those of a
/// slow source do not keep new consoles out.
const AGAIN: usize = 8;

/// Resolves tokens to targets. Targets are not cached, because a removed one must not be found again.
pub(crate) struct Resolver {
    targets: Vec<Fixed>,
    sources: Vec<Source>,
    links: Option<(Arc<Links>, Terms)>,
    boundaries: BTreeMap<String, Arc<[u8]>>,
    retry: Duration,
    /// Size limit of a token file, in bytes.
    largest_file: u64,
    /// Time limit of the look-ups in files: the same as for the connection to the target.
    limit: Duration,
    readers: Arc<Semaphore>,
    again: Semaphore,
}

/// A client's request for a target. Its signed link, if there is one, was verified.
#[derive(Debug)]
pub(crate) struct TargetRequest {
    token: Token,
    /// The target that the link itself names.
    target: Option<Endpoint>,
    once: Option<Once>,
    /// True if the link is view-only.
    view_only: bool,
    /// The client, whose look-ups at a source in the network are a part of all.
    client: Option<IpAddr>,
}

impl TargetRequest {
    /// The token to resolve.
    pub(crate) fn token(&self) -> &Token {
        &self.token
    }

    /// True if it has a single-use link.
    pub(crate) fn is_single_use(&self) -> bool {
        self.once.is_some()
    }
}

/// Reasons why this configuration cannot be used on this machine.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A certificate or key of a `tls` table cannot be loaded.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys or the store of signed links cannot be loaded.
    #[error(transparent)]
    Links(#[from] LinksError),
}

impl TargetError {
    /// The file, if this user may not use it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        match self {
            Self::Tls(error) => error.denied(),
            Self::Links(error) => error.denied(),
        }
    }
}

/// A static target of the configuration.
struct Fixed {
    token: String,
    address: Endpoint,
    terms: Terms,
}

/// A target found by a source.
struct Found {
    endpoint: Endpoint,
    name: String,
    terms: Terms,
    password: Option<Secret>,
    view_only: bool,
    path: Option<String>,
    expires: Option<u64>,
    server: Option<CloudServer>,
}

impl Found {
    /// A target of the configuration, or of a link, without further properties.
    fn fixed(name: String, endpoint: Endpoint, terms: &Terms) -> Self {
        Self {
            endpoint,
            name,
            terms: terms.clone(),
            password: None,
            view_only: false,
            path: None,
            expires: None,
            server: None,
        }
    }
}

/// Omits the tokens.
impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Creates a resolver from the configuration. Reads certificates, but no tokens.
    ///
    /// # Errors
    /// A [`TargetError`] for each file that cannot be used.
    pub(crate) fn new(bridge: &Bridge) -> Result<Self, Faults<TargetError>> {
        let mut faults = Faults::default();
        let boundaries = bridge
            .boundaries
            .iter()
            .map(|(name, marker)| (name.clone(), Arc::from(marker.as_bytes())))
            .collect();
        let targets = bridge.targets.iter().filter_map(|target| {
            Some(Fixed {
                token: target.token.clone(),
                address: target.address.clone(),
                terms: faults
                    .keep(Terms::new(
                        None,
                        target.tls.as_ref(),
                        target.rfb.as_ref().unwrap_or(&bridge.rfb),
                    ))?
                    .sharing(target.shared.as_ref().unwrap_or(&bridge.shared))
                    .speaking(target.subprotocols.as_ref().unwrap_or(&bridge.subprotocols)),
            })
        });
        let targets = targets.collect();
        let mut links = None;
        if bridge.signed.is_on() {
            let signed = &bridge.signed;
            let terms = Terms::new(Some(&signed.allow), signed.tls.as_ref(), &bridge.rfb);
            let terms = faults
                .keep(terms)
                .map(|terms| terms.sharing(&bridge.shared).speaking(&bridge.subprotocols));
            links = faults
                .keep_all(Links::open(&bridge.signed))
                .map(Arc::new)
                .zip(terms);
        }
        let sources = bridge.tokens.iter();
        let sources = sources.map(|source| Source::new(source, bridge));
        let sources = faults.keep_all(Faults::gather(sources)).unwrap_or_default();
        faults.or(Self {
            links,
            targets,
            sources,
            boundaries,
            retry: bridge.token_retry,
            largest_file: bridge.token_file_size,
            limit: bridge.connect,
            readers: Arc::new(Semaphore::new(READERS)),
            again: Semaphore::new(AGAIN),
        })
    }

    /// True if there are no targets and no sources, so that no token can be known.
    pub(crate) fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.sources.is_empty() && self.links.is_none()
    }

    /// The tokens of the static targets and of the sources in files, sorted, at most `most`. Empty if only signed links
    /// open anything. Tokens are secrets, unless the configuration says otherwise.
    ///
    /// # Errors
    /// [`ResolveError::Slow`] if the files could not be read in time.
    pub(crate) async fn names(&self, most: usize) -> Result<Vec<String>, ResolveError> {
        let links = self.links.as_ref();
        if links.is_some_and(|(links, _)| links.required()) {
            return Ok(Vec::new());
        }
        let fixed = self.targets.iter().map(|target| target.token.clone());
        let mut found: Vec<_> = fixed.take(most).collect();
        let kinds: Vec<_> = self
            .sources
            .iter()
            .filter_map(|source| source.files.clone())
            .collect();
        let largest = self.largest_file;
        let read = move || {
            let listed = kinds
                .iter()
                .flat_map(|kind| names::names(kind, largest, most));
            listed.collect::<Vec<_>>()
        };
        found.extend(self.blocking(read).await.ok_or(ResolveError::Slow)?);
        found.sort_unstable();
        found.dedup();
        found.truncate(most);
        Ok(found)
    }

    /// Verifies a token: a signed link must be valid for this peer, a plain token must be permitted.
    ///
    /// # Errors
    /// [`LinkError`] gives the reason. Nothing was looked up, so it reveals nothing about existing targets.
    pub(crate) async fn admit(&self, token: Token, peer: Peer) -> Result<TargetRequest, LinkError> {
        let client = peer.counted_as();
        let plain = |token| TargetRequest {
            token,
            target: None,
            once: None,
            view_only: false,
            client,
        };
        let Some((links, _)) = &self.links else {
            return Ok(plain(token));
        };
        if !Links::is_link(&token) {
            return if links.required() {
                Err(LinkError::Unsigned)
            } else {
                Ok(plain(token))
            };
        }
        let reader = Arc::clone(links);
        let read = move || reader.read(&token, peer.ip());
        let link = self.blocking(read).await.ok_or(LinkError::Slow)??;
        Ok(match link.purpose {
            Purpose::Token(name) => TargetRequest {
                token: Token::named(&name),
                target: None,
                once: link.once,
                view_only: link.view_only,
                client,
            },
            Purpose::Target(target) => TargetRequest {
                token: Token::named(&target.to_string()),
                target: Some(target),
                once: link.once,
                view_only: link.view_only,
                client,
            },
        })
    }

    /// Marks a single-use link as used. To be called after all other checks, and before anything is opened.
    ///
    /// # Errors
    /// [`LinkError`] if the link was used before, or its use cannot be recorded.
    pub(crate) async fn spend(&self, asked: &TargetRequest) -> Result<(), LinkError> {
        let (Some(once), Some((links, _))) = (asked.once.clone(), &self.links) else {
            return Ok(());
        };
        let links = Arc::clone(links);
        let spend = move || links.spend(&once);
        self.blocking(spend).await.ok_or(LinkError::Slow)?
    }

    /// Finds the target of a token: the first match of the static targets, then of the sources in the order of the
    /// configuration.
    ///
    /// If none knows it and a token file was empty, that file is read again for `bridge.token-retry`, because
    /// Wok truncates a file before it writes it.
    pub(crate) async fn resolve(&self, asked: &TargetRequest) -> Result<Target, ResolveError> {
        self.resolve_for(asked, asked.client).await
    }

    /// Does the same for a client, whose part in the look-ups it takes.
    async fn resolve_for(
        &self,
        asked: &TargetRequest,
        client: Option<IpAddr>,
    ) -> Result<Target, ResolveError> {
        let token = &asked.token;
        let fixed = self.targets.iter();
        let mut is_fixed = false;
        let Found {
            endpoint,
            name,
            terms,
            password,
            view_only,
            path,
            expires,
            server,
        } = if let Some(target) = &asked.target {
            self.named_by_link(target).await?
        } else if let Some(target) = fixed.into_iter().find(|known| token.means(&known.token)) {
            is_fixed = true;
            Found::fixed(target.token.clone(), target.address.clone(), &target.terms)
        } else {
            self.search(token, client).await?
        };
        let boundary = token.names().find_map(|name| self.boundaries.get(name));
        Ok(Target {
            name,
            endpoint,
            boundary: boundary.cloned(),
            terms,
            password,
            view_only: view_only || asked.view_only,
            is_fixed,
            path,
            expires,
            server,
        })
    }

    /// Finds the target again, for an open console. Waits while others are looked up again.
    pub(crate) async fn resolve_again(
        &self,
        asked: &TargetRequest,
    ) -> Result<Target, ResolveError> {
        // The semaphore is never closed.
        let _turn = self.again.acquire().await;
        self.resolve_for(asked, None).await
    }

    /// The look-ups of each source in the network.
    pub(crate) fn source_counts(&self) -> Vec<Arc<TokenSourceCounts>> {
        let counts = self.sources.iter().map(|source| source.counts.clone());
        counts.flatten().collect()
    }

    /// Checks the target that a link itself names.
    async fn named_by_link(&self, target: &Endpoint) -> Result<Found, ResolveError> {
        let Some((_, terms)) = &self.links else {
            return Err(ResolveError::Unknown);
        };
        let (rules, named) = (terms.clone(), target.clone());
        let check = move || rules.check(named, "a signed link");
        let endpoint = self.blocking(check).await.ok_or(ResolveError::Slow)??;
        Ok(Found::fixed(endpoint.to_string(), endpoint, terms))
    }

    async fn search(&self, token: &Token, client: Option<IpAddr>) -> Result<Found, ResolveError> {
        let mut search = Search::new(token.clone(), self.largest_file);
        for (index, source) in self.sources.iter().enumerate() {
            let _turn = self.turn(source, client).await?;
            let found;
            (found, search) = self.query(index, source, search).await?;
            if let Some(endpoint) = found {
                return self.found(source, endpoint, search).await;
            }
        }
        let start = Instant::now();
        while search.may_yet_find() && start.elapsed() < self.retry {
            tokio::time::sleep(RETRY_STEP.min(self.retry)).await;
            for (index, path) in search.take_being_written() {
                let found;
                search.source = index;
                (found, search) = self
                    .read(search, move |search| token_file::find(&path, search))
                    .await?;
                if let (Some(endpoint), Some(source)) = (found, self.sources.get(index)) {
                    return self.found(source, endpoint, search).await;
                }
            }
        }
        Err(search.into_error())
    }

    /// Waits for a place among the look-ups of a source in the network, of which one client has half: a slow source and
    /// somebody with a good token could otherwise keep all others out.
    async fn turn(
        &self,
        source: &Source,
        client: Option<IpAddr>,
    ) -> Result<Option<OwnedSemaphorePermit>, ResolveError> {
        let Some(turns) = &source.turns else {
            return Ok(None);
        };
        let turn = timeout(self.limit, turns.take(client)).await;
        turn.map_err(|_| ResolveError::Slow)
    }

    /// Searches one source. A problem with it is recorded, and does not hide the next source.
    async fn query(
        &self,
        index: usize,
        source: &Source,
        mut search: Search,
    ) -> Result<(Option<Endpoint>, Search), ResolveError> {
        search.source = index;
        let asked = match &source.by {
            By::Files(find) => {
                let find = Arc::clone(find);
                return self.read(search, move |search| find(search)).await;
            }
            By::Api(api) => api.find(&search.token).await,
            By::Nova(nova) => nova.find(&search.token).await.map(|found| {
                let (answer, server) = found?;
                search.server = Some(nova.server(&server));
                search.name = Some(server);
                Some(answer)
            }),
            By::Redis(redis) => redis.find(&search.token).await,
        };
        if let Some(counts) = &source.counts {
            counts.add(asked.as_ref().map(Option::is_some));
        }
        match asked {
            Ok(Some(answer)) => {
                if answer.expires.is_some_and(|end| end <= now_seconds()) {
                    return Ok((None, search));
                }
                let plain = search.token.plain();
                search.name.get_or_insert_with(|| plain.to_owned());
                search.password = answer.password;
                search.view_only = answer.view_only;
                search.path = answer.path;
                search.expires = answer.expires;
                Ok((Some(answer.endpoint), search))
            }
            Ok(None) => Ok((None, search)),
            Err(reason) => {
                let asked = source.label.clone();
                search.note(ResolveError::Failed { asked, reason });
                Ok((None, search))
            }
        }
    }

    /// Checks that a source may name the target that it has found.
    async fn found(
        &self,
        source: &Source,
        endpoint: Endpoint,
        search: Search,
    ) -> Result<Found, ResolveError> {
        let (terms, label) = (source.terms.clone(), source.label.clone());
        let checked = move |search: &mut Search| {
            let checked = terms.check(endpoint, &label);
            checked.map_err(|error| search.forbid(error)).ok()
        };
        let (checked, search) = self.read(search, checked).await?;
        let Some(endpoint) = checked else {
            return Err(search.into_error());
        };
        // Questions about this name must refer to this socket, so the client's choice of a spelling must not
        // change it: each source reports the name by which it was found.
        let name = search
            .name
            .clone()
            .unwrap_or_else(|| search.token.plain().to_owned());
        Ok(Found {
            endpoint,
            name,
            terms: source.terms.clone(),
            password: search.password,
            view_only: search.view_only,
            path: search.path,
            expires: search.expires,
            server: search.server,
        })
    }

    /// Runs one look-up in files on a blocking thread.
    async fn read<F>(
        &self,
        mut search: Search,
        look: F,
    ) -> Result<(Option<Endpoint>, Search), ResolveError>
    where
        F: FnOnce(&mut Search) -> Option<Endpoint> + Send + 'static,
    {
        let look_up = move || (look(&mut search), search);
        self.blocking(look_up).await.ok_or(ResolveError::Slow)
    }

    /// Runs file access on a blocking thread; `None` if it takes too long. The permit is held until it has really
    /// ended, even if its caller has given up.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let readers = Arc::clone(&self.readers);
        let reading = async {
            let permit = readers.acquire_owned().await.ok()?;
            let held = move || {
                let done = work();
                drop(permit);
                done
            };
            tokio::task::spawn_blocking(held).await.ok()
        };
        // The semaphore is never closed, and the task fails only when the runtime stops: both are "not in time".
        timeout(self.limit, reading).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests;

//! Asks the static targets and the sources in order, off the runtime's threads and within limits.
//!
//! Must not know how a source stores its tokens.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::search::Search;
use super::signed::{Links, Once, Purpose};
use super::source::{By, Source, Terms};
use super::{LinkError, LinksError, ResolveError, Target, Token, token_file};
use crate::config::{Bridge, Endpoint};
use crate::tls::TlsError;

/// How long an empty token file is left alone before it is read again. Between truncating and writing lie
/// microseconds, so the first retry usually succeeds.
const RETRY_STEP: Duration = Duration::from_millis(20);

/// The most look-ups that read files at once. Each may look at thousands of files for a token somebody made up;
/// without this bound a flood of those would take all of tokio's blocking threads, which also resolve names.
const READERS: usize = 8;

/// Finds the target of a token. No target is cached: what Wok has removed must not be found again.
pub struct Resolver {
    targets: Vec<Fixed>,
    sources: Vec<Source>,
    links: Option<(Arc<Links>, Terms)>,
    boundaries: BTreeMap<String, Arc<[u8]>>,
    retry: Duration,
    /// In bytes.
    largest_file: u64,
    /// The files of one look-up get as long as the connection to the target.
    limit: Duration,
    readers: Arc<Semaphore>,
}

/// What a client asks for, after its link, if it has one, was found to be in order.
#[derive(Debug)]
pub struct Asked {
    token: Token,
    /// What the link itself names.
    target: Option<Endpoint>,
    once: Option<Once>,
}

impl Asked {
    /// The token that is meant.
    pub fn token(&self) -> &Token {
        &self.token
    }
}

/// Why targets cannot be found with this configuration on this machine.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A certificate or key of a `tls` table.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The keys or the store of signed links.
    #[error(transparent)]
    Links(#[from] LinksError),
}

/// A target of the configuration.
struct Fixed {
    token: String,
    address: Endpoint,
    terms: Terms,
}

/// What a source has found.
struct Found {
    endpoint: Endpoint,
    name: String,
    terms: Terms,
}

/// Without the tokens.
impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// Takes targets, sources, boundaries and limits from the configuration. Reads certificates, and no tokens.
    ///
    /// # Errors
    /// [`TargetError`] names the file that cannot be used.
    pub fn new(bridge: &Bridge) -> Result<Self, TargetError> {
        let boundaries = bridge
            .boundaries
            .iter()
            .map(|(name, marker)| (name.clone(), Arc::from(marker.as_bytes())))
            .collect();
        let targets = bridge.targets.iter().map(|target| {
            Ok(Fixed {
                token: target.token.clone(),
                address: target.address.clone(),
                terms: Terms::new(None, target.tls.as_ref())?,
            })
        });
        let links = if bridge.signed.is_on() {
            let terms = Terms::new(Some(&bridge.signed.allow), bridge.signed.tls.as_ref())?;
            Some((Arc::new(Links::open(&bridge.signed)?), terms))
        } else {
            None
        };
        Ok(Self {
            links,
            targets: targets.collect::<Result<_, TlsError>>()?,
            sources: bridge
                .tokens
                .iter()
                .map(Source::new)
                .collect::<Result<_, _>>()?,
            boundaries,
            retry: bridge.token_retry,
            largest_file: bridge.token_file_size,
            limit: bridge.connect,
            readers: Arc::new(Semaphore::new(READERS)),
        })
    }

    /// True if there is nothing to ask, and so no token can be known.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.sources.is_empty() && self.links.is_none()
    }

    /// Checks what kind of token this is, and a signed link whether it is in order for this peer.
    ///
    /// # Errors
    /// [`LinkError`]; nothing was looked up, so it says nothing of what there is.
    pub async fn admit(&self, token: Token, peer: Option<IpAddr>) -> Result<Asked, LinkError> {
        let plain = |token| Asked {
            token,
            target: None,
            once: None,
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
        let read = move || reader.read(&token, peer);
        let link = self.blocking(read).await.ok_or(LinkError::Slow)??;
        Ok(match link.purpose {
            Purpose::Token(name) => Asked {
                token: Token::named(&name),
                target: None,
                once: link.once,
            },
            Purpose::Target(target) => Asked {
                token: Token::named(&target.to_string()),
                target: Some(target),
                once: link.once,
            },
        })
    }

    /// Remembers that a single-use link is used now. To be called when all else permits it, and before anything
    /// is opened.
    ///
    /// # Errors
    /// [`LinkError`], if it was used before or cannot be remembered.
    pub async fn spend(&self, asked: &Asked) -> Result<(), LinkError> {
        let (Some(once), Some((links, _))) = (asked.once.clone(), &self.links) else {
            return Ok(());
        };
        let links = Arc::clone(links);
        let spend = move || links.spend(&once);
        self.blocking(spend).await.ok_or(LinkError::Slow)?
    }

    /// Finds the target of a token. The first that knows it wins: a static target, then the sources in the order
    /// of the configuration.
    ///
    /// If none knows it and a token file was empty, that file is read again for `bridge.token-retry`, because
    /// Wok truncates a file before it writes it.
    pub async fn resolve(&self, asked: &Asked) -> Result<Target, ResolveError> {
        let token = &asked.token;
        let fixed = self.targets.iter();
        let Found {
            endpoint,
            name,
            terms,
        } = if let Some(target) = &asked.target {
            self.named_by_link(target).await?
        } else if let Some(target) = fixed.into_iter().find(|known| token.means(&known.token)) {
            Found {
                endpoint: target.address.clone(),
                name: target.token.clone(),
                terms: target.terms.clone(),
            }
        } else {
            self.search(token).await?
        };
        let boundary = token.names().find_map(|name| self.boundaries.get(name));
        Ok(Target {
            name,
            endpoint,
            boundary: boundary.cloned(),
            terms,
        })
    }

    /// What a link names itself, if it may.
    async fn named_by_link(&self, target: &Endpoint) -> Result<Found, ResolveError> {
        let Some((_, terms)) = &self.links else {
            return Err(ResolveError::Unknown);
        };
        let (rules, named) = (terms.clone(), target.clone());
        let check = move || rules.check(named, "a signed link");
        let endpoint = self.blocking(check).await.ok_or(ResolveError::Slow)??;
        Ok(Found {
            name: endpoint.to_string(),
            endpoint,
            terms: terms.clone(),
        })
    }

    async fn search(&self, token: &Token) -> Result<Found, ResolveError> {
        let mut search = Search::new(token.clone(), self.largest_file);
        for (index, source) in self.sources.iter().enumerate() {
            let found;
            (found, search) = self.ask(index, source, search).await?;
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

    /// Asks one source. What is wrong with it is noted, and does not hide the next.
    async fn ask(
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
            By::Redis(redis) => redis.find(&search.token).await,
        };
        match asked {
            Ok(Some(endpoint)) => {
                search.name = Some(search.token.plain().to_owned());
                Ok((Some(endpoint), search))
            }
            Ok(None) => Ok((None, search)),
            Err(reason) => {
                let asked = source.label.clone();
                search.note(ResolveError::Failed { asked, reason });
                Ok((None, search))
            }
        }
    }

    /// What a source has named, if it may name it.
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
        // What is asked about this name must hold for this socket, so the client's choice of a spelling may not change
        // it: each source says by which one it was found.
        let name = search
            .name
            .unwrap_or_else(|| search.token.plain().to_owned());
        Ok(Found {
            endpoint,
            name,
            terms: source.terms.clone(),
        })
    }

    /// Runs one look-up where it may block.
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

    /// Runs what may block on files, off the runtime's threads; none if it took too long. It holds its permit
    /// until it has really ended, even when nobody waits for it any more.
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
        tokio::time::timeout(self.limit, reading)
            .await
            .ok()
            .flatten()
    }
}

#[cfg(test)]
mod tests;

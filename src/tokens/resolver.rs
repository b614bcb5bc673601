//! Verifies tokens, and resolves them to targets: by the signed link itself, the static targets, then the sources.
//!
//! Independent of how a source stores its tokens.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::file_access::FileAccess;
use super::signed::{Links, Once, Purpose};
use super::source::{ConnectPolicy, Source};
use super::sources::{Found, Sources};
use super::{LinkError, LinksError, ResolveError, Target, Token};
use crate::config::{Bridge, Endpoint};
use crate::faults::Faults;
use crate::net::Peer;
use crate::telemetry::TokenSourceCounts;
use crate::tls::TlsError;

/// Limit on concurrent look-ups for open consoles: half of the limit for a source in the network, so that those of a
/// slow source do not keep new consoles out.
const CONCURRENT_RECHECKS: usize = 8;

/// Resolves tokens to targets. Targets are not cached, because a removed one must not be found again.
pub(crate) struct Resolver {
    targets: Vec<Fixed>,
    sources: Sources,
    links: Option<(Arc<Links>, ConnectPolicy)>,
    boundaries: BTreeMap<String, Arc<[u8]>>,
    files: FileAccess,
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
    terms: ConnectPolicy,
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
                    .keep(ConnectPolicy::new(
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
            let terms = ConnectPolicy::new(Some(&signed.allow), signed.tls.as_ref(), &bridge.rfb);
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
        let files = FileAccess::new(bridge.connect);
        let sources = Sources::new(sources, bridge, files.clone());
        faults.or(Self {
            links,
            targets,
            sources,
            boundaries,
            files,
            again: Semaphore::new(CONCURRENT_RECHECKS),
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
        found.extend(self.sources.names(most).await?);
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
        let link = self.files.run(read).await.ok_or(LinkError::Slow)??;
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
    pub(crate) async fn mark_used(&self, asked: &TargetRequest) -> Result<(), LinkError> {
        let (Some(once), Some((links, _))) = (asked.once.clone(), &self.links) else {
            return Ok(());
        };
        let links = Arc::clone(links);
        let spend = move || links.mark_used(&once);
        self.files.run(spend).await.ok_or(LinkError::Slow)?
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
        } else if let Some(target) = fixed.into_iter().find(|known| token.matches(&known.token)) {
            is_fixed = true;
            Found::fixed(target.token.clone(), target.address.clone(), &target.terms)
        } else {
            self.sources.search(token, client).await?
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
        self.sources.counts()
    }

    /// Checks the target that a link itself names.
    async fn named_by_link(&self, target: &Endpoint) -> Result<Found, ResolveError> {
        let Some((_, terms)) = &self.links else {
            return Err(ResolveError::Unknown);
        };
        let (rules, named) = (terms.clone(), target.clone());
        let check = move || rules.check(named, "a signed link");
        let endpoint = self.files.run(check).await.ok_or(ResolveError::Slow)??;
        Ok(Found::fixed(endpoint.to_string(), endpoint, terms))
    }
}

#[cfg(test)]
mod tests;

//! Searches the sources of tokens in order, each within its limits. Must not connect to a target, and does not know
//! sessions and routes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::file_access::FileAccess;
use super::lookup::Search;
use super::source::{ConnectPolicy, Source, SourceBackend};
use super::{CloudServer, ResolveError, Token, names, token_file};
use crate::clock::now_seconds;
use crate::config::{Bridge, Endpoint};
use crate::telemetry::TokenSourceCounts;
use crate::text::Secret;

/// Delay before an empty token file is read again. Between truncating and writing lie microseconds, so the first
/// retry usually succeeds.
pub(super) const RETRY_STEP: Duration = Duration::from_millis(20);

/// The sources of tokens of a configuration, in its order.
pub(super) struct Sources {
    list: Vec<Source>,
    files: FileAccess,
    /// Time for which empty token files are read again.
    retry: Duration,
    /// Size limit of a token file, in bytes.
    largest_file: u64,
    /// Time limit of waiting for a look-up at a source in the network.
    limit: Duration,
}

/// A target found by a source.
pub(super) struct Found {
    pub(super) endpoint: Endpoint,
    pub(super) name: String,
    pub(super) terms: ConnectPolicy,
    pub(super) password: Option<Secret>,
    pub(super) view_only: bool,
    pub(super) path: Option<String>,
    pub(super) expires: Option<u64>,
    pub(super) server: Option<CloudServer>,
}

impl Found {
    /// A target of the configuration, or of a link, without further properties.
    pub(super) fn fixed(name: String, endpoint: Endpoint, terms: &ConnectPolicy) -> Self {
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

impl Sources {
    pub(super) fn new(list: Vec<Source>, bridge: &Bridge, files: FileAccess) -> Self {
        Self {
            list,
            files,
            retry: bridge.token_retry,
            largest_file: bridge.token_file_size,
            limit: bridge.connect,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The look-ups of each source in the network.
    pub(super) fn counts(&self) -> Vec<Arc<TokenSourceCounts>> {
        let counts = self.list.iter().map(|source| source.counts.clone());
        counts.flatten().collect()
    }

    /// The tokens of the sources in files, at most `most` of each.
    ///
    /// # Errors
    /// [`ResolveError::Slow`] if the files could not be read in time.
    pub(super) async fn names(&self, most: usize) -> Result<Vec<String>, ResolveError> {
        let kinds = self.list.iter().filter_map(|source| source.files.clone());
        let kinds: Vec<_> = kinds.collect();
        let largest = self.largest_file;
        let read = move || {
            let listed = kinds
                .iter()
                .flat_map(|kind| names::names(kind, largest, most));
            listed.collect::<Vec<_>>()
        };
        self.files.run(read).await.ok_or(ResolveError::Slow)
    }

    /// Finds the target of a token in the first source that knows it.
    ///
    /// # Errors
    /// [`ResolveError`] if no source knows the token, or the target is not permitted.
    pub(super) async fn search(
        &self,
        token: &Token,
        client: Option<IpAddr>,
    ) -> Result<Found, ResolveError> {
        let mut search = Search::new(token.clone(), self.largest_file);
        for (index, source) in self.list.iter().enumerate() {
            let _turn = self.lookup_permit(source, client).await?;
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
                if let (Some(endpoint), Some(source)) = (found, self.list.get(index)) {
                    return self.found(source, endpoint, search).await;
                }
            }
        }
        Err(search.into_error())
    }

    /// Waits for a place among the look-ups of a source in the network, of which one client has half: a slow source and
    /// somebody with a good token could otherwise keep all others out.
    async fn lookup_permit(
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
        let asked = match &source.backend {
            SourceBackend::Files(find) => {
                let find = Arc::clone(find);
                return self.read(search, move |search| find(search)).await;
            }
            SourceBackend::Api(api) => api.find(&search.token).await,
            SourceBackend::Nova(nova) => nova.find(&search.token).await.map(|found| {
                let (answer, server) = found?;
                search.server = Some(nova.server(&server));
                search.name = Some(server);
                Some(answer)
            }),
            SourceBackend::Redis(redis) => redis.find(&search.token).await,
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
        self.files.run(look_up).await.ok_or(ResolveError::Slow)
    }
}

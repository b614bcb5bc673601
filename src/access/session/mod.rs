//! Sessions, verified by querying the app: before anything is opened for a visitor, and repeatedly while it is open.
//!
//! The query is a request of Noren with the visitor's cookies and `Authorization`. For each credential one query is in
//! flight at a time, no matter how many visitors wait for it, and a positive response is cached for a moment if every
//! parser reads the same credential. It fails closed: any result other than a positive response is a refusal. Must not
//! know what is opened, or how a refusal is sent.

mod cache;
mod changes;
mod cookies;
mod credential;
mod entry;
mod named;
mod query;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::config::{self, ChannelName, Config, LogoutEnds};
use crate::http::{Context, Head, Lease, take_affinity};
use crate::shutdown::Shutdown;
use crate::tokens::Console;
use crate::upstream::Upstream;

pub(crate) use cache::SessionCache;

use credential::CredentialHashes;
use entry::{Entry, Watched};
use named::Naming;
use query::{Queries, QueryObject, Verdict};

/// Queries the app about visitors.
pub(crate) struct Sessions {
    settings: config::Session,
    queries: Queries,
    logout: Vec<String>,
    switch: Vec<String>,
    /// True for each app that has the same address as the app that is queried about sessions.
    routes: Vec<bool>,
    /// True if the app treats `/LOGOUT` as `/logout`.
    ignores_case: bool,
    /// True if there are cookies of Noren that do not belong to a session.
    hides_affinity: bool,
    /// True if other nodes of a cluster identify a session by the same hash.
    is_shared: bool,
    known: Arc<SessionCache>,
}

/// A visitor with a session that the app has confirmed.
#[derive(Clone)]
pub(crate) struct Visitor {
    identity: Identity,
    shown: CredentialHashes,
    entry: Arc<Entry>,
    ended: CancellationToken,
    headers: Arc<HeaderMap>,
    came: Instant,
}

/// Identity of a visitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// User name, if the app reports one.
    pub name: Option<Arc<str>>,
    /// Groups that the app reports.
    pub groups: Arc<[Box<str>]>,
}

/// Reasons why a visitor is refused. The text is for the log.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Denied {
    /// There is no session, or it has expired.
    #[error("the app has no session of this visitor")]
    NotLoggedIn,
    /// Different parsers read too many different sessions from the cookies.
    #[error("the cookies of this visitor could be read in too many ways")]
    Illegible,
    /// The session has no permission for the object of the query.
    #[error("the app forbids it to this visitor")]
    Forbidden,
    /// Several parts of the request claim to be the name of the visitor.
    #[error(
        "two guests may claim a console of this name: call its socket like the guest, or like the token \
         (see token-path)"
    )]
    Ambiguous,
    /// Too many queries are waiting.
    #[error("{0}")]
    Busy(Arc<str>),
    /// The app did not respond in time.
    #[error("{0}")]
    Slow(Arc<str>),
    /// The connection failed, or the response is neither positive nor negative.
    #[error("{0}")]
    Broken(Arc<str>),
}

impl Denied {
    /// True if the app has given a negative response, as opposed to none.
    fn is_no(&self) -> bool {
        matches!(
            self,
            Self::NotLoggedIn | Self::Illegible | Self::Forbidden | Self::Ambiguous
        )
    }
}

impl Visitor {
    /// User name, if the app reports one.
    #[must_use]
    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.identity.name.clone()
    }

    /// Identity of the visitor.
    #[must_use]
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns a lease, while which is held the app is queried repeatedly. The lease ends with the session, at once if
    /// the session has ended since the query.
    #[must_use]
    pub(crate) fn watch(&self) -> Lease {
        let watched = self.entry.watch(&self.headers);
        Lease::new(self.ended.clone(), self.name(), watched).of_session(self.entry.number())
    }
}

impl Sessions {
    /// Creates the queries of a configuration, if there are any. Opens no connection. From now on the app is queried
    /// about open connections according to this configuration.
    #[must_use]
    pub(crate) fn new(
        config: &Config,
        apps: &[Arc<Upstream>],
        cache: &Arc<SessionCache>,
    ) -> Option<Self> {
        let upstream = apps.get(config.session.app)?;
        let app = upstream.settings();
        let queries = Queries::new(&config.session, upstream)?;
        let below = |path: &String| query::below_root(path, app);
        let paths = |list: &[String]| list.iter().map(below).collect();
        Some(Self {
            queries,
            is_shared: cluster_key(config).is_some(),
            logout: paths(&config.session.logout),
            switch: paths(&config.session.switch),
            routes: config
                .apps
                .iter()
                .map(|other| other.shares_an_address(app))
                .collect(),
            ignores_case: app.siblings.fold_case,
            hides_affinity: app.hides_affinity,
            settings: config.session.clone(),
            known: Arc::clone(cache),
        })
    }

    /// Queries the app about a visitor, or uses a recent response.
    ///
    /// # Errors
    /// [`Denied`]; also if the app could not be queried.
    pub(crate) async fn query(
        &self,
        headers: &HeaderMap,
        context: &Context,
        head: &Head,
    ) -> Result<Visitor, Denied> {
        let came = Instant::now();
        let headers = Arc::new(query::visitor(headers, context, head));
        let shown = self.hashes(&headers);
        if !shown.is_complete {
            return Err(Denied::Illegible);
        }
        let entry = self.known.session(&shown);
        let (identity, ended) = self.response(&entry, &headers, &shown).await?;
        Ok(Visitor {
            identity,
            shown,
            entry,
            ended,
            headers,
            came,
        })
    }

    /// Queries the app for permission to open the console of this name, if that is configured.
    ///
    /// # Errors
    /// As for [`query`](Self::query); and [`Denied::Ambiguous`] if the guest of the console is not certain.
    pub(crate) async fn query_console(
        &self,
        visitor: Visitor,
        name: &str,
        console: Option<Console>,
    ) -> Result<Visitor, Denied> {
        if !self.queries.has_consoles() || self.settings.open_tokens.iter().any(|open| open == name)
        {
            return Ok(visitor);
        }
        let console = console.ok_or(Denied::Ambiguous)?;
        self.query_about(visitor, QueryObject::Console(console))
            .await
    }

    /// Queries the app for permission to subscribe to each of these channels, if that is configured. The lease then has
    /// a part for each channel, in the same order, which ends when the app refuses that channel.
    ///
    /// # Errors
    /// As for [`query`](Self::query), with the first refusal.
    pub(crate) async fn query_channels(
        &self,
        visitor: Visitor,
        names: &[ChannelName],
    ) -> Result<Lease, Denied> {
        let mut parts = Vec::new();
        if self.queries.has_channels() {
            for name in names {
                parts.push(self.query_channel(&visitor, name).await?);
            }
        }
        Ok(visitor.watch().with_parts(parts))
    }

    /// Permission for one channel: by the response about the session if that names channels, otherwise by a query of
    /// its own.
    async fn query_channel(&self, visitor: &Visitor, name: &ChannelName) -> Result<Lease, Denied> {
        let entry = &visitor.entry;
        let mut found = entry.channel(name);
        // As for every other refusal, an earlier one is not used: rights may have changed.
        if matches!(found, Naming::Missing) && entry.response_for(visitor.came).is_none() {
            self.response_within(Duration::ZERO, entry, &visitor.headers, &visitor.shown)
                .await?;
            found = entry.channel(name);
        }
        if visitor.ended.is_cancelled() {
            return Err(Denied::NotLoggedIn);
        }
        match found {
            Naming::Named(channel) => {
                let ended = channel.ended.clone();
                let held = Arc::new((channel, entry.watch(&visitor.headers)));
                Ok(Lease::new(ended, visitor.name(), held).of_session(entry.number()))
            }
            Naming::Missing => Err(Denied::Forbidden),
            Naming::Unsaid => {
                let object = QueryObject::Channel(name.clone());
                Ok(self.query_about(visitor.clone(), object).await?.watch())
            }
        }
    }

    async fn query_about(&self, visitor: Visitor, object: QueryObject) -> Result<Visitor, Denied> {
        let entry = self
            .known
            .object_entry(visitor.shown.whole, &visitor.entry, object);
        let settled = self
            .response(&entry, &visitor.headers, &visitor.shown)
            .await;
        // The session may have ended since the query, and a new one with the same cookie have begun.
        if visitor.ended.is_cancelled() {
            return Err(Denied::NotLoggedIn);
        }
        let (_, ended) = settled?;
        Ok(Visitor {
            entry,
            ended,
            ..visitor
        })
    }

    /// True if the last response of the app about the visitor with these headers was positive. Sends no query.
    #[must_use]
    pub(crate) fn is_known_visitor(&self, headers: &HeaderMap) -> bool {
        let cookies = &self.settings.cookies;
        let (sessions, is_complete) = self.known.secret.sessions(headers, cookies);
        is_complete && self.known.has_session(&sessions)
    }

    /// Closes connections that have been idle for too long; to be called about once a second.
    pub(crate) fn close_idle(&self) {
        self.queries.close_idle();
    }

    /// Repeats due queries about open connections: one for each credential, no matter how many connections it has. To
    /// be called about once a second.
    pub(crate) async fn repeat_queries(self: &Arc<Self>, tasks: &Shutdown) {
        let config::Session {
            interval,
            allow_cache,
            repeat_rate,
            ..
        } = self.settings;
        let due = self.known.due(interval, allow_cache, repeat_rate);
        let turns = Arc::new(Semaphore::new(self.settings.workers));
        for watched in due {
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else {
                return;
            };
            let (sessions, stop) = (Arc::clone(self), tasks.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = sessions.repeat(&watched) => {}
                    () = stop.tunnels_requested() => {}
                }
                drop(turn);
            });
        }
    }

    fn hashes(&self, told: &HeaderMap) -> CredentialHashes {
        let names = &self.settings.cookies;
        if !self.hides_affinity {
            return self.known.secret.hashes(told, names);
        }
        // The app does not see that cookie, so it is no part of the session; which of its processes has answered
        // depends on it.
        let mut seen = told.clone();
        take_affinity(&mut seen, "", |_| None::<()>);
        CredentialHashes {
            whole: self.known.secret.whole(told),
            ..self.known.secret.hashes(&seen, names)
        }
    }

    /// Returns a valid response: a cached one, that of the query in flight, or a new one.
    async fn response(
        &self,
        entry: &Entry,
        visitor: &HeaderMap,
        shown: &CredentialHashes,
    ) -> Result<(Identity, CancellationToken), Denied> {
        self.response_within(self.settings.allow_cache, entry, visitor, shown)
            .await
    }

    /// Like [`response`](Self::response), with cached responses that are not older than `believed`.
    async fn response_within(
        &self,
        believed: Duration,
        entry: &Entry,
        visitor: &HeaderMap,
        shown: &CredentialHashes,
    ) -> Result<(Identity, CancellationToken), Denied> {
        let came = Instant::now();
        let token = entry.token();
        let known = entry.response_since(came.checked_sub(believed));
        let granted = match known.filter(|verdict| is_believed(verdict, shown)) {
            Some(verdict) => verdict?,
            None => self.in_turn(entry, visitor, came, &token).await?,
        };
        let identity = granted.identity;
        if !token.is_cancelled() {
            return Ok((identity, token));
        }
        // By a logout, or because the response was about another user than the last one.
        let token = entry.token_of(&identity).ok_or(Denied::NotLoggedIn)?;
        Ok((identity, token))
    }

    /// Waits for the query in flight, or performs it if there is none.
    async fn in_turn(
        &self,
        entry: &Entry,
        visitor: &HeaderMap,
        came: Instant,
        token: &CancellationToken,
    ) -> Verdict {
        let limit = self.settings.timeout;
        let answered = timeout(limit, async {
            let _turn = entry.turn.acquire().await;
            // A logout leaves no answer.
            if let Some(verdict) = entry.response_for(came) {
                return verdict;
            }
            if token.is_cancelled() {
                return Err(Denied::NotLoggedIn);
            }
            self.put(entry, visitor, token).await
        });
        let late = |_| Err(Denied::Slow(slow(limit)));
        answered.await.unwrap_or_else(late)
    }

    async fn put(&self, entry: &Entry, visitor: &HeaderMap, token: &CancellationToken) -> Verdict {
        let asked = Instant::now();
        let verdict = self.queries.send(entry.object.as_ref(), visitor).await;
        match (&verdict, entry.session()) {
            (Err(denied), Some(session)) if denied.is_no() => {
                self.confirm(session, visitor, asked).await;
            }
            (Ok(granted), None) if self.settings.logout_ends == LogoutEnds::User => {
                if let Some(name) = &granted.identity.name {
                    self.known.name(entry, self.known.secret.user(name));
                }
            }
            _ => {}
        }
        entry.store_response(&verdict, asked, token);
        verdict
    }

    /// Queries a session for which the app has refused a channel or console, unless its response is recent. An app may
    /// refuse a channel in the same way to a visitor who is logged in and to one who is not, and only for the latter
    /// the session has ended.
    async fn confirm(&self, session: &Entry, visitor: &HeaderMap, refused: Instant) {
        let _turn = session.turn.acquire().await;
        let earliest = refused.checked_sub(self.settings.allow_cache);
        if session.response_since(earliest).is_none() {
            let (token, asked) = (session.token(), Instant::now());
            let verdict = self.queries.send(None, visitor).await;
            session.store_response(&verdict, asked, &token);
        }
    }

    /// Repeats a query, unless one is in flight.
    async fn repeat(&self, watched: &Watched) {
        let entry = &watched.entry;
        let Ok(_turn) = entry.turn.try_acquire() else {
            return;
        };
        let (token, started_at) = (entry.token(), Instant::now());
        let asked = timeout(
            self.settings.timeout,
            self.put(entry, &watched.visitor, &token),
        );
        match asked.await {
            Ok(Err(cause)) if !cause.is_no() => {
                debug!(%cause, "the app could not be queried again; open connections stay open");
            }
            Ok(_) => {}
            // Otherwise it would be due again at once.
            Err(_) => {
                let late = Err(Denied::Slow(slow(self.settings.timeout)));
                entry.store_response(&late, started_at, &token);
            }
        }
    }
}

/// True if a response may be cached for the next request. A negative one may not, because a login makes the credential
/// valid; and after a failure the next request may try again at once.
fn is_believed(verdict: &Verdict, shown: &CredentialHashes) -> bool {
    match verdict {
        Ok(_) => shown.is_usual,
        Err(denied) => shown.is_anonymous && denied.is_no(),
    }
}

/// The file of the key that all nodes of the cluster share.
fn cluster_key(config: &Config) -> Option<&Path> {
    config.cluster.as_ref()?.key.as_deref()
}

fn slow(limit: Duration) -> Arc<str> {
    format!("the app did not say within {limit:?} who this visitor is").into()
}

/// Omits credentials.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Omits the credential.
impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor")
            .field("name", &self.identity.name)
            .finish_non_exhaustive()
    }
}

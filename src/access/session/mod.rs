//! The session, asked of the app: before anything is opened for a visitor, and again while it is open.
//!
//! The question is a request of our own with the visitor's cookies and `Authorization`. For each credential one
//! question is under way at a time, whatever the number of visitors who wait for it, and a yes is believed
//! for a moment, where every parser reads the same credential. Nobody is let in by a mistake: whatever is not a yes is
//! a refusal. Must not know what is opened, nor how a refusal is sent.

mod cookies;
mod credential;
mod known;
mod question;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::config::{self, ChannelName, Config};
use crate::http::{Context, Head, Lease};
use crate::shutdown::Shutdown;
use crate::target::Console;
use crate::text::file::{LARGEST_SECRET, read};

use credential::{Credential, Secret, Shown};
use known::{Entry, Known, Watched};
use question::{Matter, Question, Verdict};

/// Asks the app who may pass.
pub struct Sessions {
    settings: config::Session,
    question: Question,
    logout: Vec<String>,
    /// Whether the app takes `/LOGOUT` for `/logout`.
    ignores_case: bool,
    /// Whether other nodes of a cluster know a session by the same hash.
    is_shared: bool,
    known: Arc<Known>,
}

/// A visitor whom the app knows.
#[derive(Clone)]
pub struct Visitor {
    identity: Identity,
    shown: Shown,
    entry: Arc<Entry>,
    ended: CancellationToken,
    headers: Arc<HeaderMap>,
}

/// Who a visitor is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The name, if there is one.
    pub name: Option<Arc<str>>,
    /// The groups that the app tells of.
    pub groups: Arc<[Box<str>]>,
}

/// The sessions that a request may end, if the app agrees.
pub struct Leaving(Box<[Credential]>);

/// Why a visitor may not pass. The text is for the log.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Denied {
    /// No session, or one that has expired.
    #[error("the app knows no session of this visitor")]
    NotLoggedIn,
    /// Cookies that different parsers take for too many sessions.
    #[error("the cookies of this visitor could be read in too many ways")]
    Illegible,
    /// A session without the right to this.
    #[error("the app forbids it to this visitor")]
    Forbidden,
    /// A name that two guests may claim.
    #[error(
        "two guests may claim a console of this name: call its socket like the guest, or like the token (see token-path)"
    )]
    Ambiguous,
    /// More questions wait than may.
    #[error("{0}")]
    Busy(Arc<str>),
    /// No answer in time.
    #[error("{0}")]
    Slow(Arc<str>),
    /// No connection, or an answer that is neither yes nor no.
    #[error("{0}")]
    Broken(Arc<str>),
}

impl Denied {
    /// Whether the app has said no, rather than nothing.
    fn is_no(&self) -> bool {
        matches!(
            self,
            Self::NotLoggedIn | Self::Illegible | Self::Forbidden | Self::Ambiguous
        )
    }
}

impl Visitor {
    /// What the app calls it, if it says so.
    #[must_use]
    pub fn name(&self) -> Option<Arc<str>> {
        self.identity.name.clone()
    }

    /// Who the app says it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Has the app asked again as long as the lease is held. It ends with the session, at once if the session
    /// has ended since the question.
    #[must_use]
    pub fn watch(&self) -> Lease {
        let watched = self.entry.watch(&self.headers);
        Lease::new(self.ended.clone(), self.name(), watched).of_session(self.entry.number())
    }
}

impl Sessions {
    /// The question of a configuration, if there is one. Opens nothing. What `before` knew of open sockets is
    /// kept, so that they are still asked about, in the new way.
    #[must_use]
    pub fn new(config: &Config, before: Option<&Self>, tasks: &Shutdown) -> Option<Self> {
        let app = config.apps.get(config.session.app)?;
        let asked = before.map(|before| &before.question);
        let question = Question::new(&config.session, app, asked, tasks)?;
        let paths = config.session.logout.iter();
        let known = before.map_or_else(
            || Arc::new(Known::new(secret(config))),
            |before| Arc::clone(&before.known),
        );
        known.forget_answers();
        Some(Self {
            question,
            is_shared: cluster_key(config).is_some(),
            logout: paths.map(|path| question::below_root(path, app)).collect(),
            ignores_case: app.case_insensitive,
            settings: config.session.clone(),
            known,
        })
    }

    /// Asks about a visitor, or believes what was said a moment ago.
    ///
    /// # Errors
    /// [`Denied`]; also when the app could not be asked.
    pub async fn ask(
        &self,
        headers: &HeaderMap,
        context: &Context,
        head: &Head,
    ) -> Result<Visitor, Denied> {
        let headers = Arc::new(question::visitor(headers, context, head));
        let shown = self.shown(&headers);
        if !shown.is_complete {
            return Err(Denied::Illegible);
        }
        let entry = self.known.session(&shown);
        let (identity, ended) = self.settle(&entry, &headers, &shown).await?;
        Ok(Visitor {
            identity,
            shown,
            entry,
            ended,
            headers,
        })
    }

    /// Asks whether a visitor may open the console of this name, if that is a question here.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask); and [`Denied::Ambiguous`] if it is not known whose the console is.
    pub async fn ask_for_console(
        &self,
        visitor: Visitor,
        name: &str,
        console: Option<Console>,
    ) -> Result<Visitor, Denied> {
        if !self.question.has_consoles()
            || self.settings.open_tokens.iter().any(|open| open == name)
        {
            return Ok(visitor);
        }
        let console = console.ok_or(Denied::Ambiguous)?;
        self.ask_about(visitor, Matter::Console(console)).await
    }

    /// Asks whether a visitor may listen to all of these channels, where each is a question; the lease ends with
    /// the first that is not granted any more.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask), with the first refusal.
    pub async fn ask_for_channels(
        &self,
        visitor: Visitor,
        names: &[ChannelName],
    ) -> Result<Lease, Denied> {
        let mut leases = Vec::new();
        if self.question.has_channels() {
            for name in names {
                let matter = Matter::Channel(name.clone());
                let granted = self.ask_about(visitor.clone(), matter).await?;
                leases.push(granted.watch());
            }
        }
        Ok(Lease::all(leases).unwrap_or_else(|| visitor.watch()))
    }

    async fn ask_about(&self, visitor: Visitor, matter: Matter) -> Result<Visitor, Denied> {
        let entry = self
            .known
            .matter(visitor.shown.whole, &visitor.entry, matter);
        let (_, ended) = self
            .settle(&entry, &visitor.headers, &visitor.shown)
            .await?;
        // The session may have ended since it was asked about, and a new one of the same cookie have begun.
        if visitor.ended.is_cancelled() {
            return Err(Denied::NotLoggedIn);
        }
        Ok(Visitor {
            entry,
            ended,
            ..visitor
        })
    }

    /// Whether the app is known to know the visitor who is in these headers for an app: it has said so, and nothing
    /// else since. Asks nobody.
    #[must_use]
    pub fn knows(&self, headers: &HeaderMap) -> bool {
        let cookies = &self.settings.cookies;
        let (sessions, is_complete) = self.known.secret.sessions(headers, cookies);
        is_complete && self.known.has_session(&sessions)
    }

    /// Looks whether a request to the app with index `app` is a logout.
    #[must_use]
    pub fn leaving(
        &self,
        app: usize,
        request: &http::Request<impl Sized>,
        head: &Head,
        context: &Context,
    ) -> Option<Leaving> {
        let is_path = |known: &String| head.path.may_be(known, self.ignores_case);
        let is_logout = app == self.settings.app
            && request.method() == Method::POST
            && self.logout.iter().any(is_path);
        is_logout.then(|| {
            let told = question::visitor(request.headers(), context, head);
            Leaving(self.shown(&told).sessions)
        })
    }

    /// Ends the session of a logout, and with it all that is open: to be called when the app has agreed.
    pub fn end(&self, leaving: &Leaving) {
        for session in &leaving.0 {
            self.known.end(*session);
        }
    }

    /// What to tell the other nodes of a cluster of a logout, if they can understand it: something for each reading.
    pub fn to_tell(&self, leaving: &Leaving) -> impl Iterator<Item = Vec<u8>> {
        let sessions = if self.is_shared { &*leaving.0 } else { &[] };
        sessions.iter().map(|session| session.to_bytes())
    }

    /// Ends a session of which another node has told.
    pub fn end_told(&self, told: &[u8]) {
        if let Some(credential) = Credential::of_bytes(told) {
            self.known.end(credential);
        }
    }

    /// Closes connections that were idle for too long; to be called about once a second.
    pub fn close_idle(&self) {
        self.question.close_idle();
    }

    /// Asks again about what is open, as far as it is due: once for each credential, whatever is open for it.
    /// To be called about once a second.
    pub async fn ask_again(self: &Arc<Self>, tasks: &Shutdown) {
        let due = self
            .known
            .due(self.settings.interval, self.settings.allow_cache);
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

    fn shown(&self, told: &HeaderMap) -> Shown {
        self.known.secret.shown(told, &self.settings.cookies)
    }

    /// An answer that may be believed: known, or of the question under way, or of one asked now.
    async fn settle(
        &self,
        entry: &Entry,
        visitor: &HeaderMap,
        shown: &Shown,
    ) -> Result<(Identity, CancellationToken), Denied> {
        let came = Instant::now();
        let token = entry.token();
        let known = entry.answer_since(came.checked_sub(self.settings.allow_cache));
        let identity = match known.filter(|verdict| is_believed(verdict, shown)) {
            Some(verdict) => verdict?,
            None => self.in_turn(entry, visitor, came, &token).await?,
        };
        if !token.is_cancelled() {
            return Ok((identity, token));
        }
        // By a logout, or because the answer was about somebody else than the one before.
        let token = entry.token_of(&identity).ok_or(Denied::NotLoggedIn)?;
        Ok((identity, token))
    }

    /// Waits for the question under way, and asks if there is none.
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
            if let Some(verdict) = entry.answer_for(came) {
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
        let verdict = self.question.ask(entry.matter.as_ref(), visitor).await;
        entry.learn(&verdict, asked, token);
        verdict
    }

    /// Asks once more, unless somebody does right now.
    async fn repeat(&self, watched: &Watched) {
        let entry = &watched.entry;
        let Ok(_turn) = entry.turn.try_acquire() else {
            return;
        };
        let (token, begun) = (entry.token(), Instant::now());
        let asked = timeout(
            self.settings.timeout,
            self.put(entry, &watched.visitor, &token),
        );
        match asked.await {
            Ok(Err(cause)) if !cause.is_no() => {
                debug!(%cause, "the app could not be asked again; what is open stays open");
            }
            Ok(_) => {}
            // Otherwise it would be due again at once.
            Err(_) => {
                let late = Err(Denied::Slow(slow(self.settings.timeout)));
                entry.learn(&late, begun, &token);
            }
        }
    }
}

/// Whether an answer holds for the next request. A no to a credential does not, for with a login it becomes good; and
/// whoever has no answer yet may try again at once.
fn is_believed(verdict: &Verdict, shown: &Shown) -> bool {
    match verdict {
        Ok(_) => shown.is_usual,
        Err(denied) => shown.is_anonymous && denied.is_no(),
    }
}

/// The file of the key that the nodes of a cluster share.
fn cluster_key(config: &Config) -> Option<&Path> {
    config.cluster.as_ref()?.key.as_deref()
}

fn secret(config: &Config) -> Secret {
    let Some(path) = cluster_key(config) else {
        return Secret::new();
    };
    match read(path, LARGEST_SECRET) {
        Ok(key) => Secret::shared(key.trim_ascii()),
        // The hub has read it a moment ago, and would have said so.
        Err(error) => {
            warn!(path = %path.display(), %error, "the key of the cluster cannot be read; logouts stay on this node");
            Secret::new()
        }
    }
}

fn slow(limit: Duration) -> Arc<str> {
    format!("the app did not say within {limit:?} who this visitor is").into()
}

/// Without credentials.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Without the credential.
impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor")
            .field("name", &self.identity.name)
            .finish_non_exhaustive()
    }
}

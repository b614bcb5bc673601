//! The app's answer about one session, or about a console or channel of it, with the visitors who wait for it and the
//! connections that depend on it. Does not know which other entries there are.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::session::credential::Credential;
use crate::access::session::named::{NamedChannel, NamedChannels, Naming};
use crate::access::session::query::{QueryObject, Verdict};
use crate::access::session::{Denied, Identity};
use crate::config::ChannelName;
use crate::sync::lock;

/// The entry of a session, or of a console or channel that was asked about for it.
pub(super) struct Entry {
    /// Key of the entry.
    pub(super) credential: Credential,
    /// Number of the session, unique in this process: an administrator can name it without a credential.
    pub(super) number: NonZeroU64,
    /// The console or channel, if the entry is not about the session itself.
    pub(super) object: Option<QueryObject>,
    /// The session's entry, if this is about a console or channel. It is held so that a logout reaches this entry.
    pub(super) session: Option<Arc<Entry>>,
    /// Hashes of the sessions that it may belong to, and of parts of their credentials.
    pub(super) sessions: Box<[Credential]>,
    /// Single-flight: the holder queries the app, the others await its result.
    pub(super) turn: Semaphore,
    state: Mutex<State>,
}

struct State {
    answer: Option<CachedResponse>,
    /// Time of a possible change, such as a logout: a positive answer to an earlier query is not used.
    doubted: Option<Instant>,
    /// Identity in the last positive answer; open connections belong to it.
    identity: Option<Identity>,
    /// The channels that it names, and those of them with subscribers.
    channels: NamedChannels,
    /// Cancelled by a negative answer. A connection holds the token of the positive answer it was opened on.
    ended: CancellationToken,
    watched: Weak<Watched>,
}

/// An answer of the app.
struct CachedResponse {
    /// Time of the query.
    asked: Instant,
    /// Time of the answer.
    at: Instant,
    verdict: Verdict,
}

/// An entry with open connections, and the credential in clear, which repeating the query requires. It is dropped
/// with the last connection.
pub(super) struct Watched {
    pub(super) entry: Arc<Entry>,
    pub(super) visitor: Arc<HeaderMap>,
    _session: Option<Arc<Watched>>,
}

impl Entry {
    pub(super) fn new(
        credential: Credential,
        number: NonZeroU64,
        object: Option<QueryObject>,
        session: Option<Arc<Self>>,
    ) -> Self {
        let ended = token_below(session.as_ref());
        Self {
            credential,
            number,
            object,
            session,
            sessions: Box::default(),
            turn: Semaphore::new(1),
            state: Mutex::new(State {
                answer: None,
                doubted: None,
                identity: None,
                channels: NamedChannels::default(),
                ended,
                watched: Weak::new(),
            }),
        }
    }

    /// The session's entry, if this is about a console or channel.
    pub(super) fn session(&self) -> Option<&Self> {
        self.session.as_deref()
    }

    /// Number of the session.
    pub(super) fn number(&self) -> NonZeroU64 {
        self.number
    }

    /// The token for a query that starts now. It must be taken before the query: a logout during the query then
    /// ends what its answer opens.
    pub(super) fn token(&self) -> CancellationToken {
        // A session's lock is taken before its console's is, never the other way round.
        let fresh = token_below(self.session.as_ref());
        let mut state = lock(&self.state);
        if state.ended.is_cancelled() {
            // It went with its session; nothing it knew holds for the next one.
            state.answer = None;
            state.identity = None;
            state.channels = NamedChannels::default();
            state.ended = fresh;
        }
        state.ended.clone()
    }

    /// The token for a connection that is opened now for the identity of the last positive answer; connections of
    /// another identity have just been ended. `None` if the session itself has ended.
    pub(super) fn token_of(&self, identity: &Identity) -> Option<CancellationToken> {
        let state = lock(&self.state);
        let is_last = state.identity.as_ref() == Some(identity);
        (is_last && !state.ended.is_cancelled()).then(|| state.ended.clone())
    }

    /// Looks up a channel in the last positive answer about the session. It is told of the end of what it names
    /// while the result is held.
    pub(super) fn channel(&self, name: &ChannelName) -> Naming<Arc<NamedChannel>> {
        let mut state = lock(&self.state);
        let ended = state.ended.clone();
        state.channels.find(name, &ended)
    }

    /// Time of the last answer, unless it is in doubt.
    pub(super) fn answered(&self) -> Option<Instant> {
        lock(&self.state).answer.as_ref().map(|said| said.at)
    }

    /// The answer, if it was given since `earliest`.
    pub(super) fn response_since(&self, earliest: Option<Instant>) -> Option<Verdict> {
        let state = lock(&self.state);
        let said = state.answer.as_ref()?;
        let is_new = earliest.is_none_or(|earliest| said.at >= earliest);
        is_new.then(|| said.verdict.clone())
    }

    /// The answer to a concurrent query, for a visitor who arrived at `came`. A negative answer to an earlier
    /// query does not count: a login may have come in between.
    pub(super) fn response_for(&self, came: Instant) -> Option<Verdict> {
        let state = lock(&self.state);
        let said = state.answer.as_ref()?;
        let is_no = said.verdict.as_ref().is_err_and(Denied::is_no);
        let since = if is_no { said.asked } else { said.at };
        (since >= came).then(|| said.verdict.clone())
    }

    /// Stores the answer to a query that started at `asked` under `token`. A negative answer ends open
    /// connections, and so does a positive one for another identity: a visitor who has lost a name or a group may
    /// have lost what it opened.
    pub(super) fn store_response(
        &self,
        verdict: &Verdict,
        asked: Instant,
        token: &CancellationToken,
    ) {
        let fresh = token_below(self.session.as_ref());
        let mut state = lock(&self.state);
        // The session was ended after the query had begun, so its response may be outdated.
        if token.is_cancelled() {
            return;
        }
        if verdict.is_ok() && state.doubted.is_some_and(|doubted| asked <= doubted) {
            return;
        }
        state.answer = Some(CachedResponse {
            asked,
            at: Instant::now(),
            verdict: verdict.clone(),
        });
        let (ends, refused) = match verdict {
            // For a console or channel, only the session identifies the visitor.
            Ok(granted) if self.object.is_none() => {
                let before = state.identity.replace(granted.identity.clone());
                let ends = before.is_some_and(|before| before != granted.identity);
                (ends, state.channels.replace(granted.channels.clone()))
            }
            Ok(_) => (false, Vec::new()),
            Err(denied) => (denied.is_no(), Vec::new()),
        };
        let ended = ends.then(|| state.renew(fresh));
        drop(state);
        // Never under the lock: a receiver may query at once.
        for channel in refused {
            channel.refuse();
        }
        if let Some(ended) = ended {
            ended.cancel();
        }
    }

    /// Forgets the answer, and closes nothing.
    pub(super) fn forget_response(&self) {
        lock(&self.state).answer = None;
    }

    pub(super) fn invalidate(&self) {
        let mut state = lock(&self.state);
        state.answer = None;
        state.doubted = Some(Instant::now());
    }

    pub(super) fn end(&self) {
        let fresh = token_below(self.session.as_ref());
        let mut state = lock(&self.state);
        state.answer = None;
        state.identity = None;
        let ended = state.renew(fresh);
        drop(state);
        ended.cancel();
    }

    pub(super) fn is_known_for_less_than(&self, time: Duration) -> bool {
        let state = lock(&self.state);
        state
            .answer
            .as_ref()
            .is_some_and(|said| said.at.elapsed() < time)
    }

    /// Makes the app be queried again about the entry, and its session, while the returned value is held.
    pub(super) fn watch(self: &Arc<Self>, visitor: &Arc<HeaderMap>) -> Arc<Watched> {
        let session = self.session.as_ref().map(|session| session.watch(visitor));
        let mut state = lock(&self.state);
        if let Some(watched) = state.watched.upgrade() {
            return watched;
        }
        let watched = Arc::new(Watched {
            entry: Arc::clone(self),
            visitor: Arc::clone(visitor),
            _session: session,
        });
        state.watched = Arc::downgrade(&watched);
        watched
    }

    pub(super) fn watched(&self) -> Option<Arc<Watched>> {
        lock(&self.state).watched.upgrade()
    }
}

impl State {
    /// Begins anew with this token, for what is opened from now on; gives the one of what is open.
    fn renew(&mut self, fresh: CancellationToken) -> CancellationToken {
        self.channels.forget();
        std::mem::replace(&mut self.ended, fresh)
    }
}

/// A child token of the session's, if there is one.
fn token_below(session: Option<&Arc<Entry>>) -> CancellationToken {
    session.map_or_else(CancellationToken::new, |session| {
        session.token().child_token()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::session::credential::Secret;
    use crate::access::session::query::Granted;

    #[test]
    fn a_no_is_only_for_those_who_came_before_it_was_asked_for() {
        let credential = Secret::new().user("ann");
        let entry = Entry::new(credential, NonZeroU64::MIN, None, None);
        let (before, asked) = (Instant::now(), Instant::now());
        let came = asked + Duration::from_nanos(1);
        entry.store_response(&Err(Denied::NotLoggedIn), asked, &entry.token());
        assert!(entry.response_for(before).is_some(), "it is shared");
        assert!(
            entry.response_for(came).is_none(),
            "a login may have come between"
        );
        entry.store_response(&Ok(Granted::default()), asked, &entry.token());
        assert!(entry.response_for(before).is_some());
    }

    #[test]
    fn after_a_doubt_only_the_answer_to_a_later_question_is_a_yes() {
        let credential = Secret::new().user("ann");
        let entry = Entry::new(credential, NonZeroU64::MIN, None, None);
        let yes = Ok(Granted::default());
        let asked = Instant::now();
        let token = entry.token();
        entry.store_response(&yes, asked, &token);
        assert!(entry.response_since(None).is_some());
        entry.invalidate();
        assert!(entry.response_since(None).is_none());
        entry.store_response(&yes, asked, &token);
        assert!(entry.response_since(None).is_none());
        assert!(!token.is_cancelled(), "nothing is closed by a doubt");
        entry.store_response(&yes, Instant::now() + Duration::from_nanos(1), &token);
        assert!(entry.response_since(None).is_some());
    }
}

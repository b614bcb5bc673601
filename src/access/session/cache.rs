//! Cache of the app's answers by credential, with the visitors who wait for one, and the connections that depend
//! on it.
//!
//! Does not query the app. There is one entry for all that the app gets to know about a visitor, and one for each
//! console or channel it was asked about; each has a token that is cancelled when the app, or a logout, says no.
//! Entries that may belong to a session are indexed by it, for logouts and for administrators.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::access::session::credential::{Credential, Secret, Shown};
use crate::access::session::named::{NamedChannel, NamedChannels, Naming};
use crate::access::session::query::{Matter, Verdict};
use crate::access::session::{Denied, Identity, cluster_key};
use crate::config::{ChannelName, Config, RequestRate};
use crate::sync::lock;
use crate::text::file::{LARGEST_SECRET, read};

/// Number of entries above which unused ones are dropped, even if their answer could still be used: made-up
/// cookies cost a client nothing.
const MOST: usize = 10_000;
/// Number of entries of one session that are checked where one with a positive answer suffices.
const SAMPLE: usize = 16;

/// Number of visitors from which on a part of their credentials, such as a password that all of them share, names no
/// session: a logout of one would have the app queried about all.
const COMMON: usize = 1000;

/// Cached answers of the app about sessions. It outlives a reload, so that a logout still finds connections opened
/// before.
pub(crate) struct SessionCache {
    pub(super) secret: Secret,
    entries: Mutex<Entries>,
}

struct Entries {
    of: HashMap<Credential, Arc<Entry>>,
    /// Keys of the entries of each session, and of those with a part of its credentials.
    sessions: HashMap<Credential, Vec<Credential>>,
    /// Sweep threshold: when the map grows to this, unused entries are dropped and the threshold becomes twice
    /// what survived (amortised O(1)).
    limit: usize,
    /// Time up to which the limit on repeated queries is used up.
    repeated: Instant,
}

/// The entry of a session, or of a console or channel that was asked about for it.
pub(super) struct Entry {
    /// Key of the entry.
    credential: Credential,
    /// Number of the session, unique in this process: an administrator can name it without a credential.
    number: NonZeroU64,
    /// The console or channel, if the entry is not about the session itself.
    pub(super) matter: Option<Matter>,
    /// The session's entry, if this is about a console or channel. It is held so that a logout reaches this entry.
    session: Option<Arc<Entry>>,
    /// Hashes of the sessions that it may belong to, and of parts of their credentials.
    sessions: Box<[Credential]>,
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

impl SessionCache {
    /// Creates an empty cache. Where nodes of a cluster share a key, it reads the file of the key.
    #[must_use]
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            secret: secret(config),
            entries: Mutex::new(Entries {
                of: HashMap::new(),
                sessions: HashMap::new(),
                limit: MOST,
                repeated: Instant::now(),
            }),
        }
    }

    /// The entry of a visitor's session.
    pub(super) fn session(&self, shown: &Shown) -> Arc<Entry> {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.of.get(&shown.whole) {
            return Arc::clone(entry);
        }
        let number = entries.number_of(&shown.sessions).unwrap_or_else(|| {
            let before = LAST.fetch_add(1, Ordering::Relaxed);
            NonZeroU64::MIN.saturating_add(before)
        });
        let mut entry = Entry::new(shown.whole, number, None, None);
        entry.sessions = shown.sessions.iter().chain(&shown.parts).copied().collect();
        entries.insert(entry)
    }

    /// The entry of one console or channel for a session.
    pub(super) fn matter(
        &self,
        credential: Credential,
        session: &Arc<Entry>,
        matter: Matter,
    ) -> Arc<Entry> {
        let credential = self.secret.matter(credential, &matter);
        // A session's lock is taken before its console's is, and the list's before both.
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.of.get(&credential) {
            return Arc::clone(entry);
        }
        let session = Some(Arc::clone(session));
        let number = session
            .as_ref()
            .map_or(NonZeroU64::MIN, |session| session.number);
        entries.insert(Entry::new(credential, number, Some(matter), session))
    }

    /// True if the last answer about one of these sessions was positive.
    pub(super) fn has_session(&self, sessions: &[Credential]) -> bool {
        let found: Vec<_> = lock(&self.entries).found(sessions).take(SAMPLE).collect();
        let knows = |entry: &Arc<Entry>| matches!(entry.response_since(None), Some(Ok(_)));
        found.iter().any(knows)
    }

    /// Ends a session, in all its readings, with all of its consoles.
    pub(super) fn end(&self, session: Credential) {
        let found: Vec<_> = lock(&self.entries).found(&[session]).collect();
        for entry in found {
            entry.end();
        }
    }

    /// Adds the user's key to the session's, so that a logout of the user ends this session, too.
    pub(super) fn name(&self, entry: &Entry, user: Credential) {
        let mut entries = lock(&self.entries);
        if entries.of.contains_key(&entry.credential) {
            let found = entries.sessions.entry(user).or_default();
            if !found.contains(&entry.credential) {
                found.push(entry.credential);
            }
        }
    }

    /// Forgets the answers about sessions, in all their readings, and about their consoles and channels, so that the
    /// app is queried again about their open connections.
    pub(super) fn doubt(&self, sessions: &[Credential]) {
        let entries = lock(&self.entries);
        let found = entries.found(sessions).collect();
        doubt(entries, found);
    }

    /// Doubts the sessions whose credentials contain one of these parts and that are not among `ended`; returns true
    /// if there are any. A part that many sessions share does not identify one, so none of them is ended.
    pub(super) fn doubt_parts(&self, parts: &[Credential], ended: &[Credential]) -> bool {
        let entries = lock(&self.entries);
        let is_common = |part: &&Credential| {
            let having = entries.sessions.get(part);
            having.is_some_and(|having| having.len() > COMMON)
        };
        let parts: Vec<_> = parts
            .iter()
            .filter(|part| !is_common(part))
            .copied()
            .collect();
        let ended: HashSet<_> = entries.found(ended).map(|entry| entry.credential).collect();
        let is_left = |entry: &Arc<Entry>| !ended.contains(&entry.credential);
        let found: Vec<_> = entries.found(&parts).filter(is_left).collect();
        let is_any = !found.is_empty();
        doubt(entries, found);
        is_any
    }

    /// Forgets all answers, but keeps open connections: another app may answer the next query.
    pub(crate) fn forget_responses(&self) {
        for entry in lock(&self.entries).of.values() {
            lock(&entry.state).answer = None;
        }
    }

    /// Entries with open connections that were not queried for `interval`, as many as the rate permits, those first
    /// whose session was not queried about for the longest time; and all whose answer is in doubt. Also drops entries
    /// that are unused and too old.
    pub(super) fn due(
        &self,
        interval: Duration,
        believed: Duration,
        rate: Option<RequestRate>,
    ) -> Vec<Arc<Watched>> {
        let mut entries = lock(&self.entries);
        entries.retain(|entry| is_needed(entry) || entry.is_known_for_less_than(believed));
        let due = |entry: &&Arc<Entry>| !entry.is_known_for_less_than(interval);
        let due: Vec<_> = entries.of.values().filter(due).cloned().collect();
        let dated = due.iter().filter_map(|entry| {
            // One that is being queried now takes no place of another.
            let is_free = entry.turn.available_permits() > 0;
            Some((entry.answered(), is_free.then(|| entry.watched())??))
        });
        let (doubtful, mut routine): (Vec<_>, Vec<_>) =
            dated.partition(|(answered, _)| answered.is_none());
        if let Some(rate) = rate {
            // By the session, which may have any number of entries: its visitor chooses what else stands in a cookie.
            let latest = entries.latest_answers();
            let turn = |watched: &Watched| latest.get(&watched.entry.number).copied();
            routine.sort_unstable_by_key(|(answered, watched)| (turn(watched), *answered));
            routine.truncate(entries.permits(rate, routine.len()));
        }
        drop(entries);
        let due = doubtful.into_iter().chain(routine);
        due.map(|(_, watched)| watched).collect()
    }
}

impl Entries {
    fn insert(&mut self, entry: Entry) -> Arc<Entry> {
        if self.of.len() >= self.limit {
            self.retain(is_needed);
            self.limit = MOST.max(2 * self.of.len());
        }
        let entry = Arc::new(entry);
        for session in &entry.sessions {
            let found = self.sessions.entry(*session).or_default();
            found.push(entry.credential);
        }
        self.of.insert(entry.credential, Arc::clone(&entry));
        entry
    }

    fn retain(&mut self, is_kept: impl Fn(&Arc<Entry>) -> bool) {
        let before = self.of.len();
        self.of.retain(|_, entry| is_kept(entry));
        if self.of.len() < before {
            self.sessions.retain(|_, entries| {
                entries.retain(|entry| self.of.contains_key(entry));
                !entries.is_empty()
            });
        }
    }

    /// The entries that may belong to these sessions.
    fn found<'a>(&'a self, sessions: &'a [Credential]) -> impl Iterator<Item = Arc<Entry>> + 'a {
        let entries = sessions
            .iter()
            .filter_map(|session| self.sessions.get(session));
        entries
            .flatten()
            .filter_map(|entry| self.of.get(entry).cloned())
    }

    /// Time of the last answer about each session, or something of it.
    fn latest_answers(&self) -> HashMap<NonZeroU64, Instant> {
        let mut latest = HashMap::new();
        for entry in self.of.values() {
            if let Some(answered) = entry.answered() {
                let last = latest.entry(entry.number).or_insert(answered);
                *last = answered.max(*last);
            }
        }
        latest
    }

    /// Takes up to `wanted` permits of the rate, of which a second's are kept for later at most.
    fn permits(&mut self, rate: RequestRate, wanted: usize) -> usize {
        let (each, now) = (rate.each(), Instant::now());
        let burst = each.max(Duration::from_secs(1));
        let begin = now
            .checked_sub(burst)
            .map_or(self.repeated, |earliest| self.repeated.max(earliest));
        let free = now.saturating_duration_since(begin).as_nanos() / each.as_nanos().max(1);
        let taken = wanted.min(usize::try_from(free).unwrap_or(usize::MAX));
        self.repeated = begin + each * u32::try_from(taken).unwrap_or(u32::MAX);
        taken
    }

    fn number_of(&self, sessions: &[Credential]) -> Option<NonZeroU64> {
        self.found(sessions).next().map(|entry| entry.number)
    }
}

/// Forgets the answers about these sessions, and about the consoles and channels below them.
fn doubt(entries: MutexGuard<'_, Entries>, mut found: Vec<Arc<Entry>>) {
    if found.is_empty() {
        return;
    }
    let above: HashSet<_> = found.iter().map(|entry| entry.credential).collect();
    let is_below = |entry: &&Arc<Entry>| {
        let session = entry.session.as_ref();
        session.is_some_and(|session| above.contains(&session.credential))
    };
    let below: Vec<_> = entries.of.values().filter(is_below).cloned().collect();
    drop(entries);
    found.extend(below);
    for entry in found {
        entry.doubt();
    }
}

/// True if the entry is in use: by a connection, a waiting visitor, or a console of the session.
fn is_needed(entry: &Arc<Entry>) -> bool {
    Arc::strong_count(entry) > 1
}

impl Entry {
    fn new(
        credential: Credential,
        number: NonZeroU64,
        matter: Option<Matter>,
        session: Option<Arc<Self>>,
    ) -> Self {
        let ended = token_below(session.as_ref());
        Self {
            credential,
            number,
            matter,
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
    fn answered(&self) -> Option<Instant> {
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
    pub(super) fn learn(&self, verdict: &Verdict, asked: Instant, token: &CancellationToken) {
        let fresh = token_below(self.session.as_ref());
        let mut state = lock(&self.state);
        // The session was ended after the question was asked, so the answer may be from before.
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
            // Of a console or a channel only the session says who asks.
            Ok(granted) if self.matter.is_none() => {
                let before = state.identity.replace(granted.identity.clone());
                let ends = before.is_some_and(|before| before != granted.identity);
                (ends, state.channels.replace(granted.channels.clone()))
            }
            Ok(_) => (false, Vec::new()),
            Err(denied) => (denied.is_no(), Vec::new()),
        };
        let ended = ends.then(|| state.renew(fresh));
        drop(state);
        // Never under the lock: whoever is told may ask at once.
        for channel in refused {
            channel.refuse();
        }
        if let Some(ended) = ended {
            ended.cancel();
        }
    }

    fn doubt(&self) {
        let mut state = lock(&self.state);
        state.answer = None;
        state.doubted = Some(Instant::now());
    }

    fn end(&self) {
        let fresh = token_below(self.session.as_ref());
        let mut state = lock(&self.state);
        state.answer = None;
        state.identity = None;
        let ended = state.renew(fresh);
        drop(state);
        ended.cancel();
    }

    fn is_known_for_less_than(&self, time: Duration) -> bool {
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

    fn watched(&self) -> Option<Arc<Watched>> {
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

/// Omits credentials.
impl fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;
    use crate::access::session::query::Granted;

    #[test]
    fn a_no_is_only_for_those_who_came_before_it_was_asked_for() {
        let credential = Secret::new().user("ann");
        let entry = Entry::new(credential, NonZeroU64::MIN, None, None);
        let (before, asked) = (Instant::now(), Instant::now());
        let came = asked + Duration::from_nanos(1);
        entry.learn(&Err(Denied::NotLoggedIn), asked, &entry.token());
        assert!(entry.response_for(before).is_some(), "it is shared");
        assert!(
            entry.response_for(came).is_none(),
            "a login may have come between"
        );
        entry.learn(&Ok(Granted::default()), asked, &entry.token());
        assert!(entry.response_for(before).is_some());
    }

    #[test]
    fn after_a_doubt_only_the_answer_to_a_later_question_is_a_yes() {
        let credential = Secret::new().user("ann");
        let entry = Entry::new(credential, NonZeroU64::MIN, None, None);
        let yes = Ok(Granted::default());
        let asked = Instant::now();
        let token = entry.token();
        entry.learn(&yes, asked, &token);
        assert!(entry.response_since(None).is_some());
        entry.doubt();
        assert!(entry.response_since(None).is_none());
        entry.learn(&yes, asked, &token);
        assert!(entry.response_since(None).is_none());
        assert!(!token.is_cancelled(), "nothing is closed by a doubt");
        entry.learn(&yes, Instant::now() + Duration::from_nanos(1), &token);
        assert!(entry.response_since(None).is_some());
    }

    #[test]
    fn a_session_with_many_cookies_beside_its_own_has_its_turn_as_others_have() {
        let cache = SessionCache::new(&Config::default());
        let names = ["sid".to_owned()];
        let yes =
            |entry: &Entry| entry.learn(&Ok(Granted::default()), Instant::now(), &entry.token());
        let open = |cookie: String| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, cookie.parse().expect("a header value"));
            let entry = cache.session(&cache.secret.shown(&headers, &names));
            yes(&entry);
            entry.watch(&Arc::new(headers))
        };
        let many: Vec<_> = (0..100)
            .map(|other| open(format!("sid=a; other={other}")))
            .collect();
        let one = open("sid=b".to_owned());
        let rate = Some(RequestRate {
            requests: 20,
            time: Duration::from_secs(1),
        });
        let round = || {
            loop {
                let due = cache.due(Duration::ZERO, Duration::ZERO, rate);
                if !due.is_empty() {
                    for watched in &due {
                        yes(&watched.entry);
                    }
                    return due;
                }
                std::thread::yield_now();
            }
        };
        // A second has twenty questions at most.
        let of_many =
            |due: &[Arc<Watched>]| many.iter().any(|watched| Arc::ptr_eq(watched, &due[0]));
        assert!(of_many(&round()));
        assert!(Arc::ptr_eq(&round()[0], &one));
        assert!(of_many(&round()));
    }
}

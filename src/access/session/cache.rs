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
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tracing::warn;

use crate::access::session::cluster_key;
use crate::access::session::credential::{Credential, CredentialHashes, Secret};
use crate::access::session::entry::{Entry, Watched};
use crate::access::session::query::QueryObject;
use crate::config::{Config, RequestRate};
use crate::sweep::Sweep;
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
    sweep: Sweep,
    /// Time up to which the limit on repeated queries is used up.
    repeated: Instant,
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
                sweep: Sweep::default(),
                repeated: Instant::now(),
            }),
        }
    }

    /// The entry of a visitor's session.
    pub(super) fn session(&self, shown: &CredentialHashes) -> Arc<Entry> {
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
    pub(super) fn object_entry(
        &self,
        credential: Credential,
        session: &Arc<Entry>,
        object: QueryObject,
    ) -> Arc<Entry> {
        let credential = self.secret.with_object(credential, &object);
        // A session's lock is taken before its console's is, and the list's before both.
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.of.get(&credential) {
            return Arc::clone(entry);
        }
        let session = Some(Arc::clone(session));
        let number = session
            .as_ref()
            .map_or(NonZeroU64::MIN, |session| session.number);
        entries.insert(Entry::new(credential, number, Some(object), session))
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
    pub(super) fn invalidate(&self, sessions: &[Credential]) {
        let entries = lock(&self.entries);
        let found = entries.found(sessions).collect();
        invalidate(entries, found);
    }

    /// Doubts the sessions whose credentials contain one of these parts and that are not among `ended`; returns true
    /// if there are any. A part that many sessions share does not identify one, so none of them is ended.
    pub(super) fn invalidate_parts(&self, parts: &[Credential], ended: &[Credential]) -> bool {
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
        invalidate(entries, found);
        is_any
    }

    /// Forgets all answers, but keeps open connections: another app may answer the next query.
    pub(crate) fn forget_responses(&self) {
        for entry in lock(&self.entries).of.values() {
            entry.forget_response();
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
        if self.sweep.is_due(self.of.len(), MOST) {
            self.retain(is_needed);
            self.sweep.done(self.of.len());
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
fn invalidate(entries: MutexGuard<'_, Entries>, mut found: Vec<Arc<Entry>>) {
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
        entry.invalidate();
    }
}

/// True if the entry is in use: by a connection, a waiting visitor, or a console of the session.
fn is_needed(entry: &Arc<Entry>) -> bool {
    Arc::strong_count(entry) > 1
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
    use http::HeaderMap;
    use http::header::COOKIE;

    use super::*;
    use crate::access::session::query::Granted;

    #[test]
    fn a_session_with_many_cookies_beside_its_own_has_its_turn_as_others_have() {
        let cache = SessionCache::new(&Config::default());
        let names = ["sid".to_owned()];
        let yes = |entry: &Entry| {
            entry.store_response(&Ok(Granted::default()), Instant::now(), &entry.token());
        };
        let open = |cookie: String| {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, cookie.parse().expect("a header value"));
            let entry = cache.session(&cache.secret.hashes(&headers, &names));
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
        // A second has twenty queries at most.
        let of_many =
            |due: &[Arc<Watched>]| many.iter().any(|watched| Arc::ptr_eq(watched, &due[0]));
        assert!(of_many(&round()));
        assert!(Arc::ptr_eq(&round()[0], &one));
        assert!(of_many(&round()));
    }
}

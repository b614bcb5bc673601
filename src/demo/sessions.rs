//! The table of logins: value of the cookie `demo` to user name.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use super::directory::random_name;

use crate::sync::lock;

/// Limit on logins; another one ends the oldest.
const MOST: usize = 1000;

/// A logged-in user.
#[derive(Clone)]
pub(super) struct Visitor {
    pub(super) name: String,
    pub(super) since: SystemTime,
}

// A HashMap, for it compares the *keyed hash* of a guess first: the time a lookup takes says
// nothing about how much of a guessed cookie is right.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Visitor>>);

impl Sessions {
    /// Logs `name` in and returns the value of the cookie.
    pub(super) fn open(&self, name: &str) -> io::Result<String> {
        let cookie = random_name()?;
        let mut sessions = self.sessions();
        if sessions.len() >= MOST {
            let oldest = sessions.iter().min_by_key(|(_, visitor)| visitor.since);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                sessions.remove(&key);
            }
        }
        let visitor = Visitor {
            name: name.to_owned(),
            since: SystemTime::now(),
        };
        sessions.insert(cookie.clone(), visitor);
        Ok(cookie)
    }

    pub(super) fn find(&self, cookie: &str) -> Option<Visitor> {
        self.sessions().get(cookie).cloned()
    }

    pub(super) fn close(&self, cookie: &str) {
        self.sessions().remove(cookie);
    }

    /// All logged-in users, oldest login first.
    pub(super) fn visitors(&self) -> Vec<Visitor> {
        let mut visitors: Vec<_> = self.sessions().values().cloned().collect();
        visitors.sort_by_key(|visitor| visitor.since);
        visitors
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Visitor>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_login_makes_room() {
        let sessions = Sessions::default();
        let first = sessions.open("ann").expect("a login");
        let others: Vec<_> = (0..MOST)
            .map(|_| sessions.open("bob").expect("a login"))
            .collect();
        assert!(sessions.find(&first).is_none());
        assert!(others.iter().all(|cookie| sessions.find(cookie).is_some()));
    }
}

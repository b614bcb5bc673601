//! The user log: user, action, time and address.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::SystemTime;

use super::calendar::Moment;
use super::json;

use crate::sync::lock;

/// Number of lines kept; older ones are removed.
const KEPT: usize = 100;

#[derive(Default)]
pub(super) struct Journal(Mutex<VecDeque<Entry>>);

struct Entry {
    time: SystemTime,
    user: String,
    action: String,
    address: String,
}

impl Journal {
    pub(super) fn add(&self, user: &str, action: &str, address: &str) {
        let mut entries = self.entries();
        entries.truncate(KEPT - 1);
        entries.push_front(Entry {
            time: SystemTime::now(),
            user: user.to_owned(),
            action: action.to_owned(),
            address: address.to_owned(),
        });
    }

    /// The log as a JSON array, newest line first.
    pub(super) fn json(&self) -> String {
        json::array(self.entries().iter().map(|entry| {
            format!(
                r#"{{"time":{},"user":{},"action":{},"address":{}}}"#,
                json::quote(&Moment::of(entry.time).stamp()),
                json::quote(&entry.user),
                json::quote(&entry.action),
                json::quote(&entry.address),
            )
        }))
    }

    fn entries(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_hundred_lines_are_kept() {
        let journal = Journal::default();
        (0..KEPT + 5).for_each(|number| journal.add("ann", &format!("action {number}"), "::1"));
        let text = journal.json();
        assert_eq!(
            text.matches("action").count(),
            KEPT * 2,
            "each line names the key and the text"
        );
        assert!(text.find("action 104").expect("newest") < text.find("action 103").expect("next"));
        assert!(!text.contains("action 4\""));
    }
}

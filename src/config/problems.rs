//! Collects the problems of a file while it is read. Must not know TOML and the keys.

use std::cell::RefCell;

use super::error::{Problem, line_at};

/// Problems found so far.
#[derive(Default)]
pub(super) struct Problems {
    found: RefCell<Vec<Found>>,
}

struct Found {
    offset: Option<usize>,
    key: String,
    text: String,
}

impl Problems {
    /// All problems, from the top of the file to its end.
    pub(super) fn in_order(self, text: &str, file_name: &str) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.offset);
        // Each goes on counting where the one before it ended: a long file may be wrong on every line.
        let (mut line, mut at) = (1, 0);
        let named = found.into_iter().map(|problem| Problem {
            file: file_name.to_owned(),
            line: problem.offset.map(|offset| {
                let between = text.as_bytes().get(at..offset).unwrap_or_default();
                line += line_at(between, between.len()) - 1;
                at = at.max(offset);
                line
            }),
            key: problem.key,
            text: problem.text,
        });
        named.collect()
    }

    /// Notes a problem with `key`, at `offset` in the text or, without one, with the file as a
    /// whole.
    pub(super) fn report(&self, offset: Option<usize>, key: String, text: String) {
        self.found.borrow_mut().push(Found { offset, key, text });
    }

    /// Number of problems so far.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }
}

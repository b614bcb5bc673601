//! Choice between the addresses of an app: of the open ones, the address with the fewest busy workers.
//!
//! It has no clock and no lock. If no address is open, all are tried that no operator drains, because one of them may
//! have recovered.

use std::sync::Arc;

use crate::upstream::affinity::Affinity;
use crate::upstream::availability::ClosedReason;
use crate::upstream::backend::Backend;

/// The addresses of an app, and the number of their busy workers.
#[derive(Debug, Default)]
pub(super) struct Balancer {
    /// The addresses. A removed address stays until its last worker is free, so that positions do not change.
    members: Vec<Member>,
    /// Position at which the choice among equally busy addresses begins, so that they are used in turn.
    first: usize,
}

#[derive(Debug)]
struct Member {
    backend: Arc<Backend>,
    /// Number of workers; 0 if the address was removed from the configuration.
    workers: usize,
    busy: usize,
}

impl Member {
    fn is_free(&self) -> bool {
        self.busy < self.workers
    }
}

impl Balancer {
    /// Replaces the addresses, and returns the former ones that are not used any more. Busy workers stay counted.
    pub(super) fn set(&mut self, backends: &[Arc<Backend>], workers: usize) -> Vec<Arc<Backend>> {
        let mut former = Vec::new();
        for member in &mut self.members {
            member.workers = 0;
        }
        for backend in backends {
            let is_same = |member: &Member| member.backend.url == backend.url;
            let is_unused = |member: &Member| member.workers == 0 && member.busy == 0;
            let same = self.members.iter().position(is_same);
            let at = same.or_else(|| self.members.iter().position(is_unused));
            if let Some(member) = at.and_then(|at| self.members.get_mut(at)) {
                former.push(std::mem::replace(&mut member.backend, Arc::clone(backend)));
                member.workers = workers;
            } else {
                self.members.push(Member {
                    backend: Arc::clone(backend),
                    workers,
                    busy: 0,
                });
            }
        }
        let removed = self.members.iter().filter(|member| member.workers == 0);
        former.extend(removed.map(|member| Arc::clone(&member.backend)));
        former.retain(|one| !backends.iter().any(|used| Arc::ptr_eq(used, one)));
        former
    }

    /// Takes a worker for a request: of the address that its affinity requires, or otherwise of the least busy address.
    pub(super) fn take(&mut self, affinity: Affinity) -> Option<(usize, Arc<Backend>)> {
        let at = match self.members.as_slice() {
            [only] => only.is_free().then_some(0),
            _ => match self.affinity_position(affinity) {
                Some(position) => self.members.get(position)?.is_free().then_some(position),
                None => self.least_busy(),
            },
        };
        self.occupy(at?)
    }

    /// Position of the address that the affinity of a request requires, if there is one; it may be busy.
    pub(super) fn affinity_position(&self, affinity: Affinity) -> Option<usize> {
        let found = match affinity {
            Affinity::None | Affinity::Cookie(None) => None,
            Affinity::Cookie(Some(tag)) => {
                self.usable().find(|(_, member)| member.backend.tag == tag)
            }
            Affinity::Key(key) => self
                .usable()
                .max_by_key(|(_, member)| member.backend.tag.rank(key)),
        };
        found.map(|(at, _)| at)
    }

    /// True if this address may serve a request whose affinity requires the address `affinity_position`.
    pub(super) fn serves(&self, at: usize, affinity_position: Option<usize>) -> bool {
        if self.members.len() <= 1 {
            return true;
        }
        let mut here = false;
        let mut wished = false;
        for (usable, _) in self.usable() {
            here |= usable == at;
            wished |= Some(usable) == affinity_position;
        }
        here && (!wished || affinity_position == Some(at))
    }

    /// Positions of the usable addresses with a free worker.
    pub(super) fn free(&self) -> impl Iterator<Item = usize> {
        let free = self.usable().filter(|(_, member)| member.is_free());
        free.map(|(at, _)| at)
    }

    /// Takes a worker of this address.
    pub(super) fn occupy(&mut self, at: usize) -> Option<(usize, Arc<Backend>)> {
        let member = self.members.get_mut(at)?;
        member.busy += 1;
        Some((at, Arc::clone(&member.backend)))
    }

    /// Takes a worker while no address is open: of the next address, behind this position, that has a free one.
    pub(super) fn take_next(&mut self, after: usize) -> Option<(usize, Arc<Backend>)> {
        let count = self.members.len();
        let next = |step| (after + step) % count.max(1);
        let others = (1..count).map(next);
        let free: Vec<usize> = self.free().collect();
        let at = others.into_iter().find(|at| free.contains(at))?;
        self.occupy(at)
    }

    /// Takes a worker of the address `backend`, if it has a free one.
    pub(super) fn take_at(&mut self, backend: &Arc<Backend>) -> Option<(usize, Arc<Backend>)> {
        let is_it = |member: &Member| member.backend.url == backend.url && member.is_free();
        let at = self.members.iter().position(is_it)?;
        self.occupy(at)
    }

    /// True if the freed worker of this address may be assigned again; false if more workers are busy than configured.
    pub(super) fn may_reassign(&self, at: usize) -> bool {
        let member = self.members.get(at);
        member.is_some_and(|member| member.busy <= member.workers)
    }

    /// The address at this position.
    pub(super) fn backend(&self, at: usize) -> Option<&Arc<Backend>> {
        self.members.get(at).map(|member| &member.backend)
    }

    /// Counts a worker as free.
    pub(super) fn release(&mut self, at: usize) {
        if let Some(member) = self.members.get_mut(at) {
            member.busy -= 1;
        }
    }

    /// True if there is an open address.
    pub(super) fn any_is_open(&self) -> bool {
        self.members.iter().any(is_open)
    }

    /// True if another address than this one is open.
    pub(super) fn another_is_open(&self, at: usize) -> bool {
        let mut members = self.members.iter().enumerate();
        members.any(|(other, member)| other != at && is_open(member))
    }

    /// Number of workers and of busy workers, of all addresses or of one of them.
    pub(super) fn load(&self, of: Option<&Arc<Backend>>) -> (usize, usize) {
        let is_meant = |member: &&Member| of.is_none_or(|of| of.url == member.backend.url);
        let members = self.members.iter().filter(is_meant);
        members.fold((0, 0), |(workers, busy), member| {
            (workers + member.workers, busy + member.busy)
        })
    }

    /// Addresses to which requests may be sent: the open ones, or otherwise all that are not drained.
    fn usable(&self) -> impl Iterator<Item = (usize, &Member)> {
        let any_is_open = self.any_is_open();
        let is_usable = move |member: &Member| {
            if any_is_open {
                is_open(member)
            } else {
                let availability = &member.backend.shared.availability;
                member.workers > 0 && !availability.is(ClosedReason::Drained)
            }
        };
        let members = self.members.iter().enumerate();
        members.filter(move |(_, member)| is_usable(member))
    }

    fn least_busy(&mut self) -> Option<usize> {
        let count = self.members.len();
        let first = self.first;
        // Equals take turns.
        let turn = |at: usize| (at + count - first % count.max(1)) % count.max(1);
        let free = self.usable().filter(|(_, member)| member.is_free());
        let (at, _) = free.min_by_key(|(at, member)| (member.busy, turn(*at)))?;
        self.first = at + 1;
        Some(at)
    }
}

fn is_open(member: &Member) -> bool {
    member.workers > 0 && member.backend.is_open()
}

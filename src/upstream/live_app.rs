//! The part of an app that outlives a reload: its worker permits with the requests that wait for one, and the condition
//! of its addresses. Must not know the settings in force.

use std::sync::{Arc, Mutex, Weak};

use crate::config::AppUrl;
use crate::shares::HeldAmounts;
use crate::sync::lock;
use crate::upstream::backend::{AddressState, Backend};
use crate::upstream::workers::Queue;

/// The worker permits of an app, and the condition of its addresses.
#[derive(Debug, Default)]
pub(crate) struct LiveApp {
    pub(super) queue: Queue,
    /// Workers that uploads occupy while they arrive.
    pub(super) uploads: HeldAmounts,
    addresses: Mutex<Vec<(AppUrl, Arc<AddressState>)>>,
    /// The permits for requests of Noren itself, which are counted separately.
    beside: Mutex<Weak<Self>>,
}

impl LiveApp {
    /// The condition of an address.
    pub(super) fn address(&self, url: &AppUrl) -> Arc<AddressState> {
        let mut addresses = lock(&self.addresses);
        if let Some((_, shared)) = addresses.iter().find(|(known, _)| known == url) {
            return Arc::clone(shared);
        }
        let shared = Arc::default();
        addresses.push((url.clone(), Arc::clone(&shared)));
        shared
    }

    /// Forgets the condition of all other addresses.
    pub(super) fn keep_only(&self, backends: &[Arc<Backend>]) {
        let is_kept = |url: &AppUrl| backends.iter().any(|backend| backend.url == *url);
        lock(&self.addresses).retain(|(url, _)| is_kept(url));
    }

    /// The permits for requests of Noren itself; new ones if no request uses the former ones any more.
    pub(super) fn for_own_requests(&self) -> Arc<Self> {
        let mut beside = lock(&self.beside);
        beside.upgrade().unwrap_or_else(|| {
            let new = Arc::default();
            *beside = Arc::downgrade(&new);
            new
        })
    }
}

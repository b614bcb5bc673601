//! Finds slow clients: scans the unfinished responses of an app every 20 ms.
//!
//! When a client stops reading, hyper only stops polling for the next piece, and nothing else happens. So the
//! unfinished responses of an app, of which there are at most as many as it has workers, are scanned often. The first
//! unfinished response starts the scanner task, which sleeps while there is none.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::sync::lock;
use crate::upstream::Upstream;
use crate::upstream::response_flow::Flow;

/// Scan interval. A client that has not polled for one to two intervals is slow, or busy otherwise.
const SCAN_INTERVAL: Duration = Duration::from_millis(20);
/// Number of scans without an unfinished response after which the task sleeps.
const IDLE_SCANS: u32 = 50;

/// The unfinished responses of an app.
#[derive(Debug, Default)]
pub(super) struct SlowClients {
    flows: Arc<Mutex<Flows>>,
    wake: Arc<Notify>,
    started: AtomicBool,
    asleep: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Flows {
    last: u64,
    watched: HashMap<u64, Arc<Flow>>,
}

/// Registration of one response.
pub(super) struct Registration {
    flows: Arc<Mutex<Flows>>,
    number: u64,
}

impl SlowClients {
    /// Scans a response until it is unregistered.
    pub(super) fn watch(&self, flow: &Arc<Flow>, upstream: &Arc<Upstream>) -> Registration {
        let number = lock(&self.flows).insert(flow);
        if !self.started.swap(true, Ordering::Relaxed) {
            let scanning = scan(
                Arc::downgrade(upstream),
                Arc::clone(&self.wake),
                Arc::clone(&self.asleep),
            );
            let stop = upstream.tasks.clone();
            upstream.tasks.spawn(async move {
                tokio::select! {
                    () = scanning => {}
                    () = stop.requested() => {}
                }
            });
        } else if self.asleep.swap(false, Ordering::Relaxed) {
            self.wake.notify_one();
        }
        Registration {
            flows: Arc::clone(&self.flows),
            number,
        }
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        // Its task finds nothing left to look after, and ends.
        self.wake.notify_one();
    }
}

impl Registration {
    pub(super) fn unregister(&self) {
        lock(&self.flows).watched.remove(&self.number);
    }
}

impl Flows {
    fn insert(&mut self, flow: &Arc<Flow>) -> u64 {
        self.last += 1;
        self.watched.insert(self.last, Arc::clone(flow));
        self.last
    }
}

async fn scan(upstream: Weak<Upstream>, wake: Arc<Notify>, asleep: Arc<AtomicBool>) {
    let mut idle_scans = 0;
    loop {
        sleep(SCAN_INTERVAL).await;
        let Some(upstream) = upstream.upgrade() else {
            return;
        };
        let flows: Vec<(u64, Arc<Flow>)> = {
            let flows = lock(&upstream.slow_clients.flows);
            let watched = flows.watched.iter();
            watched
                .map(|(number, flow)| (*number, Arc::clone(flow)))
                .collect()
        };
        idle_scans = if flows.is_empty() { idle_scans + 1 } else { 0 };
        for (number, flow) in flows {
            if let Some(source) = flow.take_from_slow_client() {
                lock(&upstream.slow_clients.flows).watched.remove(&number);
                let spool = upstream.spool.clone();
                upstream.tasks.spawn(flow.buffer_rest(source, spool));
            }
        }
        if idle_scans < IDLE_SCANS {
            continue;
        }
        asleep.store(true, Ordering::Relaxed);
        // A response that registered before this line has not seen the flag, and wakes nobody.
        let still = lock(&upstream.slow_clients.flows).watched.is_empty();
        drop(upstream);
        if still {
            wake.notified().await;
        }
        idle_scans = 0;
    }
}

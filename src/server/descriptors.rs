//! Lowers the limits of a configuration to the available file descriptors, so that accepted connections can be served.
//!
//! A connection takes one descriptor, and as a tunnel another one for its target; a request to an app takes one, and a
//! body in the spool one. Without descriptors for these, the client of an accepted connection would get 503 instead of
//! waiting.

use tracing::{info, warn};

use crate::config::{App, Config, StoreKind};
use crate::net::{most_descriptors, raise_descriptors};

/// Number of descriptors for the runtime, the log, the signals, and files that are read briefly: certificates, tokens,
/// users.
const OWN: u64 = 32;
/// Number of concurrent look-ups of one token source in the network, or of all token sources in files together.
const LOOK_UPS: u64 = 16;
/// Number of descriptors for the histories on disk.
const STORE: u64 = 16;

/// The number of descriptors that a configuration needs, and the maximum number.
#[derive(Debug)]
pub(super) struct Budget {
    needed: u64,
    most: u64,
    is_lower: bool,
}

/// Lowers the limits of a configuration to the maximum number of descriptors. Has no other effect.
pub(super) fn plan(config: &mut Config) -> Budget {
    let (needed, most) = (needed(config), most_descriptors());
    Budget {
        needed,
        most,
        is_lower: fit(config, most),
    }
}

/// Raises the soft limit to the hard limit, and logs it. At a start this precedes opening anything: listeners and
/// histories may need more than the soft limit.
pub(super) fn raise() {
    match raise_descriptors() {
        Ok(descriptors) => {
            let (from, to) = (descriptors.before, descriptors.now);
            if from < to {
                info!(from, to, "the limit of file descriptors was raised");
            }
        }
        Err(error) => warn!(%error, "the limit of file descriptors cannot be raised"),
    }
}

/// Logs the limits that are lower than configured. The soft limit is raised again, as it may have been lowered since
/// the start.
pub(super) fn commit(budget: &Budget, config: &Config) {
    raise();
    if budget.is_lower {
        warn!(
            descriptors = budget.most,
            needed = budget.needed,
            connections = config.limits.connections,
            files = config.spool.files,
            workers = workers(config),
            "there are fewer file descriptors than the limits need, so these are lower: raise LimitNOFILE= \
             or `ulimit -Hn`"
        );
    }
}

/// Lowers the limits that need descriptors; false if there are enough descriptors.
fn fit(config: &mut Config, most: u64) -> bool {
    if needed(config) <= most {
        return false;
    }
    let left = most.saturating_sub(own(config)).max(8);
    let at_work = workers(config);
    lower_workers(config, left / 4);
    let left = left.saturating_sub(workers(config).min(at_work));
    config.spool.files = at_most(config.spool.files, left / 4);
    let left = left.saturating_sub(config.spool.files as u64);
    config.limits.connections = at_most(config.limits.connections, left / of_connection(config));
    true
}

/// Number of descriptors that may be needed at the same time.
fn needed(config: &Config) -> u64 {
    let connections = config.limits.connections as u64 * of_connection(config);
    own(config) + workers(config) + config.spool.files as u64 + connections
}

/// Number of descriptors for a connection: a tunnel needs one for its target, and a recorded one another for its file.
fn of_connection(config: &Config) -> u64 {
    2 + u64::from(config.bridge.recording.directory.is_some())
}

fn workers(config: &Config) -> u64 {
    let workers = |app: &App| app.workers as u64 * app.urls.len() as u64;
    config.apps.iter().map(workers).sum()
}

/// Number of descriptors that does not depend on the number of connections.
fn own(config: &Config) -> u64 {
    let sources = config.channels.iter().map(|channel| channel.sources.len());
    // The socket of a source, and a program that writes to it.
    let sources = 2 * sources.sum::<usize>() as u64;
    let tokens = &config.bridge.tokens;
    let look_ups = tokens.iter().filter(|source| source.kind.is_in_network());
    let look_ups = look_ups.count() as u64 + u64::from(!tokens.is_empty());
    let on_disk = |store: StoreKind| store == StoreKind::Disk;
    let mut channels = config.channels.iter();
    let store = channels.any(|channel| on_disk(channel.history.store));
    let session = config.session.path.as_ref();
    let queries = session.map_or(0, |_| config.session.workers as u64);
    let listeners = config.listeners.len() as u64 + 4;
    OWN + listeners + sources + look_ups * LOOK_UPS + u64::from(store) * STORE + queries
}

/// Lowers the workers of all apps in proportion, to no less than one.
fn lower_workers(config: &mut Config, most: u64) {
    let all = workers(config);
    if all <= most {
        return;
    }
    for app in &mut config.apps {
        let part = app.workers as u64 * most / all.max(1);
        app.workers = at_most(app.workers, part);
    }
}

fn at_most(value: usize, most: u64) -> usize {
    usize::try_from(most).map_or(value, |most| value.min(most.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tables: &str) -> Config {
        let app = "[[app]]\nurl = 'http://127.0.0.1:8010'\n";
        Config::parse(&format!("{app}{tables}"), "test").expect("a configuration")
    }

    #[test]
    fn with_enough_descriptors_nothing_is_lower_than_the_file_says() {
        let mut fitted = config("");
        assert!(
            !fit(&mut fitted, 65_536),
            "as the unit of the package has it"
        );
        assert_eq!(fitted, config(""));
    }

    #[test]
    fn with_fewer_all_that_may_be_open_fits_into_them() {
        let recorded = "[bridge.recording]\ndirectory = '/r'\n[[bridge.tokens]]\nsource = 'file'\npath = '/t'\n\
                        [[app]]\nname = 'b'\npath = '/b'\nurl = 'unix:/b'\nworkers = 7\n";
        for tables in ["", recorded] {
            for most in [100, 128, 256, 1024, 4096, 20_000] {
                let mut fitted = config(tables);
                assert!(fit(&mut fitted, most));
                let needed = needed(&fitted);
                assert!(needed <= most, "{needed} of {most}");
                assert!(needed > most / 2, "only {needed} of {most} are used");
                assert!(fitted.apps.iter().all(|app| app.workers >= 1));
            }
        }
    }

    #[test]
    fn with_hardly_any_there_is_still_one_of_each() {
        let mut fitted = config("");
        assert!(fit(&mut fitted, 10));
        assert!(fitted.limits.connections >= 1 && fitted.spool.files >= 1);
    }
}

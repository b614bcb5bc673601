//! The limit on file descriptors of this process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit on descriptors, before and after it was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// The soft limit as found.
    pub before: u64,
    /// The soft limit now.
    pub now: u64,
}

/// The maximum number of descriptors: the hard limit.
#[must_use]
pub(crate) fn most_descriptors() -> u64 {
    // None is no limit, which no system has for descriptors.
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard limit. Most systems start with a soft limit of 1,024, for programs that
/// cannot handle more, and a much higher hard limit.
///
/// # Errors
/// The error of the system, if it does not raise the limit, which is unchanged then.
pub(crate) fn raise_descriptors() -> io::Result<Descriptors> {
    let limit = getrlimit(Resource::Nofile);
    let before = limit.current.unwrap_or(u64::MAX);
    let hard = most_descriptors();
    if before < hard {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(Descriptors { before, now: hard })
}

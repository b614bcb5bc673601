//! The limit on file descriptors of this process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit on descriptors, before and after it was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The soft limit as found.
    pub before: u64,
    /// The soft limit now.
    pub now: u64,
}

/// Raises the soft limit to the hard limit. Most systems start with a soft limit of 1,024, for programs that
/// cannot handle more, and a much higher hard limit.
///
/// # Errors
/// The error of the system, if it does not raise the limit, which is unchanged then.
pub fn raise_descriptors() -> io::Result<Descriptors> {
    let limit = getrlimit(Resource::Nofile);
    // None is no limit, which no system has for descriptors.
    let before = limit.current.unwrap_or(u64::MAX);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    if before < hard {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(Descriptors { before, now: hard })
}

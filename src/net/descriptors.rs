//! How many file descriptors this process may have.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors there may be, before and after the limit was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// The soft limit as it was found.
    pub before: u64,
    /// The soft limit as it is now.
    pub now: u64,
}

/// Raises the soft limit to the hard one. Most systems begin with a soft limit of 1,024, for programs that cannot
/// have more, and a hard one that is high enough.
///
/// # Errors
/// The system does not raise it; it is as it was.
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

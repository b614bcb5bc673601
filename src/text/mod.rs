//! Foreign text: escaping for terminals, percent-encoding, reading without a byte order mark, PEM sections, and the
//! reason why a file cannot be used, with its remedy. Independent of the purpose of a file, and of the destination of a
//! log line.

pub mod escape;
pub mod file;
pub mod pem;
pub mod percent;
pub mod permission;
pub mod reason;
pub mod secret;

pub use reason::Reason;
pub use secret::Secret;

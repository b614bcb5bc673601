//! Foreign text: escaping for terminals, reading without a byte order mark, and PEM sections. Independent of the
//! purpose of a file, and of the destination of a log line.

pub mod escape;
pub mod file;
pub mod pem;

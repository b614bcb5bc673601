//! Text that others have written: shown without what commands a terminal, read without a byte order mark, and the
//! sections of PEM files in it. Must not know what a file is for, nor where a line of a log goes.

pub mod escape;
pub mod file;
pub mod pem;

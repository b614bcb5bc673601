//! The file of a recorded tunnel: its format, writer and reader, its verification, and its export to other formats.
//!
//! A file is one line of JSON, followed by records. A record is one byte with its kind, eight bytes of time in
//! microseconds since the beginning, four bytes of length, and as many bytes of data; numbers are big-endian. In
//! version 2 a digest follows each record, which covers everything before it. Bytes behind the last complete record
//! were cut off when the writer was killed, and are ignored. The guide documents the format for other programs.
//! Independent of sockets and limits.

mod asciicast;
mod chain;
mod directory;
mod format;
mod reader;
mod verify;

pub use asciicast::{Asciicast, NotText};
pub use chain::{Chain, Digest};
pub use directory::{State, Summary, is_being_written, list, summary};
pub use format::{EXTENSION, Header, Kind, Record, encode};
pub use reader::{ReadError, Reader};
pub use verify::{Fault, Verdict, verify};

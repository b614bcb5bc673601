//! The types of data that messages have.

/// The type of a message's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The data is UTF-8 text.
    Text,
    /// The data is one JSON value, on one line.
    Json,
    /// The data is arbitrary bytes.
    Bytes,
}

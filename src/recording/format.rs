//! The first line and the records of a recording, and their encoding. Does not decode.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// File name extension of recordings.
pub const EXTENSION: &str = ".noren";

/// The version without digests, of earlier programs.
pub(super) const PLAIN: u32 = 1;
/// The version in which a digest follows each record.
pub(super) const CHAINED: u32 = 2;
/// Length of the kind, the time and the length of a record, before its data.
pub(super) const HEAD: usize = 13;

/// The first line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Format version of the records: 1, or 2 with digests.
    #[serde(rename = "noren-recording")]
    pub version: u32,
    /// Start of the tunnel, in Unix milliseconds.
    pub begun: u64,
    /// Address of the target.
    pub target: String,
    /// Name of the console, if it is known and not secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// Address of the client.
    pub peer: String,
    /// User name: the one that the app reports, or the one of a password login, or the name in the client
    /// certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `<`: bytes from the client to the target.
    Input,
    /// `>`: bytes from the target to the client.
    Output,
    /// `!`: a gap; the data is the number of missing bytes (eight bytes), because the disk did not keep up.
    Gap,
    /// `.`: the end; the data is its reason.
    End,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Time since the beginning.
    pub at: Duration,
    /// Kind of the record.
    pub kind: Kind,
    /// Data of the record.
    pub data: Vec<u8>,
}

impl Header {
    /// Creates the header of a recording without digests.
    #[must_use]
    pub fn new(begun: u64, target: String, peer: String) -> Self {
        Self {
            version: PLAIN,
            begun,
            target,
            console: None,
            peer,
            user: None,
        }
    }

    /// The header of the same recording with a digest behind each record.
    #[must_use]
    pub fn chained(self) -> Self {
        Self {
            version: CHAINED,
            ..self
        }
    }

    /// True if a digest follows each record.
    #[must_use]
    pub fn is_chained(&self) -> bool {
        self.version == CHAINED
    }

    /// The first line, including its line end.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Input => b'<',
            Self::Output => b'>',
            Self::Gap => b'!',
            Self::End => b'.',
        }
    }

    pub(super) fn of(byte: u8) -> Option<Self> {
        let all = [Self::Input, Self::Output, Self::Gap, Self::End];
        all.into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Appends an encoded record, without a digest: see [`Chain`](super::Chain).
pub fn encode(kind: Kind, at: Duration, data: &[u8], into: &mut Vec<u8>) {
    let microseconds = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    // Nothing that is recorded at once comes near the limit: it is what was read at once.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    into.push(kind.byte());
    into.extend_from_slice(&microseconds.to_be_bytes());
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(data);
}

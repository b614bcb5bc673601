//! `ProtocolVersion`, the first message of either side (RFC 6143 §7.1.1). Does not know what follows.

/// Length of the message.
pub(super) const LENGTH: usize = 12;

/// A version that changes the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// 3.3: the host decides on the method.
    V3_3,
    /// 3.7: the host offers methods.
    V3_7,
    /// 3.8: a failure comes with its reason.
    V3_8,
}

/// Reasons why a first message is no version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unversioned {
    /// Anything but `RFB ddd.ddd\n`.
    NotRfb,
    /// 0.0, by which an UltraVNC repeater waits for the name of a host.
    Repeater,
    /// Older than 3.3.
    Ancient,
}

impl Version {
    /// Reads a message. What is not known counts as the next lower version, as RFC 6143 §7.1.1 has it.
    pub(crate) fn read(message: [u8; LENGTH]) -> Result<Self, Unversioned> {
        let [b'R', b'F', b'B', b' ', m0, m1, m2, b'.', n0, n1, n2, b'\n'] = message else {
            return Err(Unversioned::NotRfb);
        };
        let number = |digits: [u8; 3]| {
            let all = digits.iter().all(u8::is_ascii_digit);
            let value = |sum: u16, digit: &u8| sum * 10 + u16::from(digit.wrapping_sub(b'0'));
            all.then(|| digits.iter().fold(0, value))
        };
        match (number([m0, m1, m2]), number([n0, n1, n2])) {
            (Some(0), Some(0)) => Err(Unversioned::Repeater),
            (Some(3), Some(3..=6)) => Ok(Self::V3_3),
            (Some(3), Some(7)) => Ok(Self::V3_7),
            (Some(3), Some(8..)) | (Some(4..), Some(_)) => Ok(Self::V3_8),
            (Some(_), Some(_)) => Err(Unversioned::Ancient),
            _ => Err(Unversioned::NotRfb),
        }
    }

    /// The message that says this version.
    pub(super) fn message(self) -> &'static [u8; LENGTH] {
        match self {
            Self::V3_3 => b"RFB 003.003\n",
            Self::V3_7 => b"RFB 003.007\n",
            Self::V3_8 => b"RFB 003.008\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_known_counts_as_the_next_lower_one() {
        for (said, version) in [
            (b"RFB 003.003\n", Ok(Version::V3_3)),
            (b"RFB 003.005\n", Ok(Version::V3_3)),
            (b"RFB 003.007\n", Ok(Version::V3_7)),
            (b"RFB 003.008\n", Ok(Version::V3_8)),
            (b"RFB 003.889\n", Ok(Version::V3_8)),
            (b"RFB 004.001\n", Ok(Version::V3_8)),
            (b"RFB 005.000\n", Ok(Version::V3_8)),
            (b"RFB 000.000\n", Err(Unversioned::Repeater)),
            (b"RFB 002.002\n", Err(Unversioned::Ancient)),
            (b"RFB 003.+08\n", Err(Unversioned::NotRfb)),
            (b"RFB 003.008\r", Err(Unversioned::NotRfb)),
            (b"SSH-2.0-Open", Err(Unversioned::NotRfb)),
        ] {
            assert_eq!(Version::read(*said), version);
        }
    }
}

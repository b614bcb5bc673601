//! VNC authentication (RFC 6143 §7.2.2): the host's challenge, encrypted with the password as a DES key.
//!
//! DES is broken, and so is every password of eight bytes; it keeps out who cannot listen, and nobody else. Does not
//! know where the password comes from.

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt as _, KeyInit as _};

/// Length of a challenge, and of its response.
pub(super) const CHALLENGE: usize = 16;

/// Returns the response. Only the first eight bytes of the password count, and the bits of each are reversed.
pub(super) fn respond(password: &str, challenge: [u8; CHALLENGE]) -> [u8; CHALLENGE] {
    let mut key = [0; 8];
    for (byte, of_password) in key.iter_mut().zip(password.bytes()) {
        *byte = of_password.reverse_bits();
    }
    let cipher = Des::new(&Array::from(key));
    let mut response = challenge;
    let (halves, _) = response.as_chunks_mut::<8>();
    for half in halves {
        let mut block = Array::from(*half);
        cipher.encrypt_block(&mut block);
        *half = block.into();
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_as_other_programs_make_it() {
        let mut challenge = [0; CHALLENGE];
        for (value, byte) in (0..).zip(&mut challenge) {
            *byte = value;
        }
        for (password, expected) in [
            ("secret", "ee22539f33a5983ec12f9c2edbc995dd"),
            ("passwordlong", "b866924125c8eebb9debc1db61c538e2"),
        ] {
            let response = respond(password, challenge);
            let shown: Vec<_> = response.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(shown.concat(), expected, "{password}");
        }
    }
}

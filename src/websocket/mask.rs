//! Unmasking (RFC 6455 §5.3).

/// Undoes the mask on `payload`, whose first byte is byte number `position` of its frame.
pub(super) fn unmask(payload: &mut [u8], mask: [u8; 4], position: u64) {
    let mut mask = mask;
    // A mask of four bytes, turned to the place in the frame where this piece begins.
    mask.rotate_left((position % 4) as usize);
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        // The chunk is eight bytes long; a slice of that length converts.
        if let Ok(bytes) = <[u8; 8]>::try_from(&*word) {
            word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_unmasked_in_pieces_is_the_frame_unmasked_at_once() {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let masked: Vec<u8> = (0..100_u8).collect();
        let expected: Vec<u8> = masked
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask)
            .collect();
        for cut in 0..masked.len() {
            let mut frame = masked.clone();
            let (first, second) = frame.split_at_mut(cut);
            unmask(first, mask, 0);
            unmask(second, mask, cut as u64);
            assert_eq!(frame, expected, "cut at {cut}");
        }
    }
}

//! Compresses single messages, each without the context of earlier ones: as deflate blocks for WebSockets, and as zstd
//! frames or gzip for event streams. Each form is made once and shared by all subscribers. Must not know messages.
//!
//! Without a shared context, the length of a message reveals nothing about another message (compare CRIME and BREACH).

use std::cell::RefCell;

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress_to_output, create_comp_flags_from_zip_params,
};

use crate::websocket::Window;

/// Size below which compression of a single message saves nothing.
const LEAST: usize = 256;
/// Size above which compression would occupy a thread for too long: 20 ms and more.
const MOST: usize = 1 << 20;
/// Compression level of deflate: most of the savings of the highest level, in a third of its time.
const LEVEL: i32 = 4;
/// Compression level of zstd: its default.
const ZSTD_LEVEL: i32 = 3;
/// The end of a flushed block, which is not sent (RFC 7692 §7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

thread_local! {
    /// The deflate compressor of this thread. It takes a third of a megabyte, so there is not one for each connection.
    static DEFLATER: RefCell<CompressorOxide> = RefCell::new(CompressorOxide::new(
        create_comp_flags_from_zip_params(LEVEL, -15, 0),
    ));
    static ZSTD: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// A content coding of event streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// A frame of zstd for each event (RFC 8878).
    Zstd,
    /// A block of deflate for each event, inside of gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// The name in `Content-Encoding`.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// Encodes an event so that a client can decode it at once, and without the events before it.
    #[must_use]
    pub(crate) fn encode(self, event: &[u8]) -> Vec<u8> {
        match self {
            Self::Zstd => zstd_frame(event),
            Self::Gzip => match deflate(event, Window::Full) {
                Some(mut block) => {
                    block.extend_from_slice(&FLUSHED);
                    block
                }
                None => stored_blocks(event),
            },
        }
    }
}

/// Encodes an event as one zstd frame with its size. The blocks are stored uncompressed if compression saves nothing.
fn zstd_frame(event: &[u8]) -> Vec<u8> {
    let plain = plain_frame(event);
    if !(LEAST..=MOST).contains(&event.len()) {
        return plain;
    }
    let packed = ZSTD.with_borrow_mut(|zstd| {
        if zstd.is_none() {
            *zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        zstd.as_mut()?.compress(event).ok()
    });
    // It fails only without memory.
    packed
        .filter(|packed| packed.len() < plain.len())
        .unwrap_or(plain)
}

/// Encodes an event as one zstd frame of uncompressed blocks (RFC 8878 §3.1.1).
fn plain_frame(event: &[u8]) -> Vec<u8> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    // One segment, and a content size of eight bytes.
    const DESCRIPTOR: u8 = 0b1110_0000;
    const LARGEST_BLOCK: usize = 128 * 1024;
    let mut frame = Vec::with_capacity(event.len() + 16);
    frame.extend_from_slice(&MAGIC);
    frame.push(DESCRIPTOR);
    frame.extend_from_slice(&(event.len() as u64).to_le_bytes());
    let mut chunks = event.chunks(LARGEST_BLOCK).peekable();
    loop {
        let chunk = chunks.next().unwrap_or_default();
        let is_last = chunks.peek().is_none();
        let header = (chunk.len() << 3) | usize::from(is_last);
        let [first, second, third, ..] = header.to_le_bytes();
        frame.extend_from_slice(&[first, second, third]);
        frame.extend_from_slice(chunk);
        if is_last {
            return frame;
        }
    }
}

/// Encodes an event as uncompressed deflate blocks (RFC 1951 §3.2.4), none of which is marked as the last.
fn stored_blocks(event: &[u8]) -> Vec<u8> {
    let mut blocks = Vec::with_capacity(event.len() + 8);
    for chunk in event.chunks(usize::from(u16::MAX)) {
        // A chunk has no more.
        let length = u16::try_from(chunk.len()).unwrap_or_default();
        blocks.push(0);
        blocks.extend_from_slice(&length.to_le_bytes());
        blocks.extend_from_slice(&(!length).to_le_bytes());
        blocks.extend_from_slice(chunk);
    }
    blocks
}

/// Compresses the payload of a WebSocket message (RFC 7692 §7.2.1); `None` if that saves nothing.
///
/// For the small window, pieces of its size are compressed each by itself, because the compressor has no smaller one.
pub(super) fn deflate(payload: &[u8], window: Window) -> Option<Vec<u8>> {
    if !(LEAST..=MOST).contains(&payload.len()) {
        return None;
    }
    let piece = match window {
        Window::Full => payload.len(),
        Window::Small => Window::SMALL,
    };
    let mut blocks = Vec::with_capacity(payload.len() / 2);
    let whole = payload.chunks(piece).all(|piece| {
        let (status, _) = DEFLATER.with_borrow_mut(|deflater| {
            deflater.reset();
            compress_to_output(deflater, piece, TDEFLFlush::Sync, |block| {
                blocks.extend_from_slice(block);
                true
            })
        });
        matches!(status, TDEFLStatus::Okay) && blocks.ends_with(&FLUSHED)
    });
    blocks.truncate(blocks.len().saturating_sub(FLUSHED.len()));
    (whole && blocks.len() < payload.len()).then_some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_any_size_are_frames_that_follow_each_other() {
        let mut coded = Vec::new();
        let mut whole = Vec::new();
        for size in [0, 1, 200, 256, 4000, 65_535, 65_536, 131_073, MOST + 1] {
            let event: Vec<u8> = b"data: abc\n".iter().copied().cycle().take(size).collect();
            coded.extend(Coding::Zstd.encode(&event));
            whole.extend(event);
        }
        let read = zstd::stream::decode_all(coded.as_slice()).expect("zstd");
        assert!(read == whole, "{} of {}", read.len(), whole.len());
    }

    #[test]
    fn events_of_any_size_are_blocks_that_follow_each_other() {
        let mut coded = Vec::new();
        let mut whole = Vec::new();
        for size in [0, 1, 200, 256, 4000, 65_535, 65_536, 131_073, MOST + 1] {
            let event: Vec<u8> = b"data: abc\n".iter().copied().cycle().take(size).collect();
            coded.extend(Coding::Gzip.encode(&event));
            whole.extend(event);
        }
        coded.extend([3, 0]);
        let read = miniz_oxide::inflate::decompress_to_vec(&coded).expect("deflate");
        assert!(read == whole, "{} of {}", read.len(), whole.len());
    }

    #[test]
    fn with_a_small_window_nothing_refers_to_what_is_further_back() {
        // Equal pieces: with a larger window each but the first would be a few bytes.
        let mut state = 1_u64;
        let mut letter = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            b'a' + (state.to_be_bytes()[0] >> 4)
        };
        let noise: Vec<u8> = std::iter::repeat_with(&mut letter).take(512).collect();
        let text = noise.repeat(20);
        let full = deflate(&text, Window::Full).expect("it pays");
        let small = deflate(&text, Window::Small).expect("it pays");
        assert!(full.len() < 1000 && small.len() > 4000, "{}", small.len());
        let read = crate::websocket::inflate(small, text.len()).expect("deflate");
        assert!(read == text);
    }

    #[test]
    fn a_message_is_compressed_by_itself_and_only_where_it_pays() {
        let text = r#"{"id": 17, "state": "running", "progress": 0.5}"#.repeat(20);
        let block = deflate(text.as_bytes(), Window::Full).expect("it pays");
        assert!(
            block.len() < text.len() / 4,
            "{} of {}",
            block.len(),
            text.len()
        );
        assert_eq!(
            deflate(text.as_bytes(), Window::Full),
            Some(block.clone()),
            "nothing is remembered"
        );
        let read = crate::websocket::inflate(block, text.len()).expect("deflate");
        assert_eq!(read, text.as_bytes());
        assert_eq!(deflate(b"short", Window::Full), None);
        let noise: Vec<u8> = (0..4000_u32)
            .map(|number| number.wrapping_mul(2_654_435_761).to_be_bytes()[0])
            .collect();
        let packed = deflate(&noise, Window::Full);
        assert!(packed.is_none_or(|packed| packed.len() < noise.len()));
        assert_eq!(deflate(&vec![0; MOST + 1], Window::Full), None);
    }
}

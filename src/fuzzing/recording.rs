//! The fuzz target of recordings.

use crate::recording::{Asciicast, Fault, Reader, verify};
use crate::video::Video;

/// Limit on the pixels of a screen whose video is written: the frames of a large one only take time.
const MOST_PIXELS: usize = 256 * 256;

/// Checks that a file is read, checked and exported without a panic, and that an export is JSON in every line.
///
/// # Panics
///
/// If it is not, or if a file without an end is found complete.
pub fn recording(file: &[u8]) {
    let Ok(mut reader) = Reader::open(file) else {
        assert!(verify(file).is_err(), "what is no recording was checked");
        return;
    };
    let mut count = 0;
    while let Ok(Some(_)) = reader.read() {
        count += 1;
    }
    if let Ok(verdict) = verify(file) {
        assert!(
            verdict.records <= count,
            "more records match than there are"
        );
        let is_cut = matches!(verdict.fault, Some(Fault::Truncated { .. }));
        assert!(
            !is_cut || verdict.records == count,
            "a record was not checked"
        );
    }
    let settings = Asciicast {
        columns: 80,
        rows: 24,
        input: true,
        max_pause: Some(1.0),
    };
    let mut cast = Vec::new();
    if let Ok(reader) = Reader::open(file)
        && settings.write(reader, &mut cast).is_ok()
    {
        for line in cast
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let read: Result<serde_json::Value, _> = serde_json::from_slice(line);
            assert!(read.is_ok(), "a line of an asciicast is no JSON");
        }
    }
    film(file);
}

/// Checks that a recording with a picture has a video.
fn film(file: &[u8]) {
    let settings = Video {
        speed: 1.0,
        max_pause: None,
    };
    if let Ok(reader) = Reader::open(file)
        && let Ok(size) = settings.measure(reader)
        && size.width * size.height <= MOST_PIXELS
        && let Ok(reader) = Reader::open(file)
    {
        let written = settings.write(reader, size, std::io::sink());
        assert!(written.is_ok(), "a video was measured and cannot be drawn");
    }
}

//! Tests of the filter of a host's messages: the clipboard is found behind every encoding, wherever the stream is cut.

use super::*;

/// `ServerInit` with 32 bits and 24 of depth, and a name.
fn init() -> Vec<u8> {
    let format = [32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];
    [&[1, 0, 1, 0][..], &format, &[0, 0, 0, 2], b"\x03\x03"].concat()
}

fn rectangle(width: u16, height: u16, encoding: i32, data: &[u8]) -> Vec<u8> {
    let (width, height) = (width.to_be_bytes(), height.to_be_bytes());
    [
        &[0; 4],
        width.as_slice(),
        &height,
        &encoding.to_be_bytes(),
        data,
    ]
    .concat()
}

fn update(rectangles: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(rectangles.len()).expect("a few");
    [&[0, 0][..], &count.to_be_bytes(), &rectangles.concat()].concat()
}

fn cut_text(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a few");
    [&[3, 0, 0, 0][..], &length.to_be_bytes(), text].concat()
}

/// Data that would be read as clipboards if a length were wrong.
fn fill(head: &[u8], length: usize) -> Vec<u8> {
    let mut data = head.to_vec();
    data.resize(head.len() + length, 3);
    data
}

/// A message with each encoding, of pixels of four bytes.
fn pictures() -> Vec<u8> {
    let palette = |colours: u8, length: usize| {
        fill(&[0x40, 1, colours - 1], 3 * usize::from(colours) + length)
    };
    let two_colours = [&fill(&[0x40, 1, 1], 6)[..], &fill(&[20], 20)].concat();
    update(&[
        rectangle(2, 3, 0, &fill(&[], 24)),
        rectangle(9, 9, 1, &fill(&[], 4)),
        rectangle(9, 9, 6, &fill(&[0, 0, 0, 5], 5)),
        rectangle(9, 9, 16, &fill(&[0, 0, 1, 0], 256)),
        rectangle(9, 9, 17, &[0; 4]),
        rectangle(9, 9, 7, &fill(&[0x80], 3)),
        rectangle(9, 9, 7, &fill(&[0x90, 0x83, 0x01], 131)),
        rectangle(9, 9, -260, &fill(&[0xA0, 0x81, 0x80, 0x01], 16385)),
        rectangle(1, 3, 7, &fill(&[0], 9)),
        rectangle(2, 2, 7, &fill(&[0x10, 5], 5)),
        rectangle(1, 3, 7, &fill(&[0x40, 0], 9)),
        rectangle(2, 2, 7, &fill(&[0x40, 2, 7], 7)),
        // Two colours are a bit for each pixel, more are a byte.
        rectangle(9, 5, 7, &palette(2, 10)),
        rectangle(9, 10, 7, &two_colours),
        rectangle(3, 3, 7, &palette(4, 9)),
        rectangle(9, 2, -239, &fill(&[], 72 + 4)),
        rectangle(9, 2, -240, &fill(&[], 6 + 8)),
        rectangle(0, 0, -240, &[]),
        rectangle(9, 9, -223, &[]),
        rectangle(9, 9, -308, &fill(&[2, 0, 0, 0], 32)),
        rectangle(0, 0, -258, &[]),
        rectangle(0, 0, -261, &[3]),
        rectangle(0, 0, -307, &fill(&[0, 0, 0, 3], 3)),
    ])
}

/// Everything else that a host says.
fn words() -> Vec<u8> {
    let endless = [&[0, 0, 0xFF, 0xFF][..], &rectangle(0, 0, -224, &[])].concat();
    [
        fill(&[1, 0, 0, 0, 0, 2], 12),
        vec![2, 150],
        fill(&[248, 0, 0, 0, 0, 0, 0, 0, 3], 3),
        vec![250, 0, 1, 1],
        vec![255, 1, 0, 1, 255, 1, 0, 0],
        fill(&[255, 1, 0, 2, 0, 0, 0, 9], 9),
        vec![0, 0, 0, 0],
        endless,
    ]
    .concat()
}

/// Filters a stream that comes in pieces of this size.
fn sifted(filter: &mut HostFilter, stream: &[u8], step: usize) -> Result<Vec<u8>, ProtocolError> {
    let mut passed = Vec::new();
    for piece in stream.chunks(step) {
        let mut piece = piece.to_vec();
        let kept = filter.sift(&mut piece)?;
        passed.extend_from_slice(piece.get(..kept).unwrap_or_default());
    }
    Ok(passed)
}

#[test]
fn every_clipboard_is_left_out_and_nothing_else_wherever_it_is_cut() {
    let extended = [&[3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFC][..], b"soup"].concat();
    let parts = [
        (init(), true),
        (cut_text(b"soup"), false),
        (pictures(), true),
        (cut_text(b""), false),
        (words(), true),
        (extended, false),
        (pictures(), true),
        (cut_text(&[0; 300]), false),
    ];
    let stream: Vec<u8> = parts.iter().flat_map(|(bytes, _)| bytes).copied().collect();
    let kept = parts.iter().filter(|(_, passes)| *passes);
    let kept: Vec<u8> = kept.flat_map(|(bytes, _)| bytes).copied().collect();
    for step in (1..200).chain([stream.len()]) {
        let mut filter = HostFilter::new();
        let passed = sifted(&mut filter, &stream, step).expect("a good host");
        assert!(passed == kept, "{step}");
        assert_eq!((filter.field, filter.left), (Field::Message, 0));
    }
}

#[test]
fn pixels_are_as_large_as_the_client_wants_them() {
    let small = [16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0];
    let mut filter = HostFilter::new();
    filter.set_pixel(&small).expect("before any picture");
    filter.picture_requested();
    let raw = update(&[
        rectangle(3, 3, 0, &fill(&[], 18)),
        rectangle(3, 3, 7, &fill(&[0x80], 2)),
    ]);
    let stream = [init(), raw.clone(), cut_text(b"soup")].concat();
    let passed = sifted(&mut filter, &stream, 7).expect("a good host");
    assert!(passed == [init(), raw].concat());
    assert!(
        filter.set_pixel(&small).is_err(),
        "a change that cannot be followed"
    );
}

#[test]
fn what_cannot_be_read_ends_the_console() {
    for stream in [
        vec![4],
        vec![127],
        vec![255, 0, 0, 0],
        vec![255, 1, 0, 3],
        update(&[rectangle(1, 1, 5, &[0])]),
        update(&[rectangle(1, 1, 21, &[0])]),
        update(&[rectangle(1, 1, 7, &[0xB0])]),
        update(&[rectangle(1, 1, 7, &[0x40, 3])]),
    ] {
        let stream = [init(), stream].concat();
        for step in [1, stream.len()] {
            let broken = sifted(&mut HostFilter::new(), &stream, step);
            assert_eq!(broken, Err(SHORT), "{stream:?}");
        }
    }
}

#[test]
fn only_encodings_whose_length_is_known_may_be_asked_for() {
    for known in [0, 1, 7, 16, -239, -258, -32, -23, -247, -256] {
        assert!(is_known(known), "{known}");
    }
    for unknown in [2, 4, 5, 21, 50, -314, -316, 0x574D_5664, -33, -22] {
        assert!(!is_known(unknown), "{unknown}");
    }
}

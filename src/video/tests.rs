use std::time::Duration;

use miniz_oxide::deflate::compress_to_vec_zlib;

use super::*;
use crate::recording::{Header, Kind, encode};

/// Red, green, blue and white, as noVNC wants its pixels.
const RED: [u8; 4] = [255, 0, 0, 0];
const GREEN: [u8; 4] = [0, 255, 0, 0];
const BLUE: [u8; 4] = [0, 0, 255, 0];
const WHITE: [u8; 4] = [255, 255, 255, 0];

const AS_IT_WAS: Video = Video {
    speed: 1.0,
    max_pause: None,
};

/// A recording, to which is added.
struct Recorded(Vec<u8>);

impl Recorded {
    fn new() -> Self {
        Self(Header::new(0, "vm1".into(), "unix".into()).line())
    }

    /// A console whose viewer has come in, with a screen of this size.
    fn console(width: u16, height: u16) -> Self {
        let mut init = [&width.to_be_bytes()[..], &height.to_be_bytes()].concat();
        // The format of the console itself, which is not the one of its client.
        init.extend([16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0]);
        init.extend([0, 0, 0, 2, b'v', b'm']);
        let mut new = Self::new();
        new.says(0, b"RFB 003.008\n").hears(0, b"RFB 003.008\n");
        new.says(0, &[2, 2, 1]).hears(0, &[1]);
        new.says(0, &[0; 4]).hears(0, &[1]).says(0, &init);
        new.hears(0, &[0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255]);
        new.hears(0, &[0, 255, 0, 8, 16, 0, 0, 0]);
        new
    }

    fn add(&mut self, kind: Kind, milliseconds: u64, data: &[u8]) -> &mut Self {
        let at = Duration::from_millis(milliseconds);
        encode(kind, at, data, &mut self.0);
        self
    }

    fn says(&mut self, milliseconds: u64, data: &[u8]) -> &mut Self {
        self.add(Kind::Output, milliseconds, data)
    }

    fn hears(&mut self, milliseconds: u64, data: &[u8]) -> &mut Self {
        self.add(Kind::Input, milliseconds, data)
    }

    /// An update with one rectangle.
    fn draws(&mut self, at: u64, area: [u16; 4], encoding: i32, data: &[u8]) -> &mut Self {
        let mut update = vec![0, 0, 0, 1];
        update.extend(area.iter().flat_map(|number| number.to_be_bytes()));
        update.extend(encoding.to_be_bytes());
        update.extend(data);
        self.says(at, &update)
    }

    fn reader(&self) -> Reader<&[u8]> {
        Reader::open(&self.0[..]).expect("a recording")
    }

    fn film(&self, settings: Video) -> Film {
        let size = settings.measure(self.reader()).expect("a picture");
        let mut file = Vec::new();
        let written = settings.write(self.reader(), size, &mut file);
        let written = written.expect("a video");
        Film {
            frames: frames(&file, size),
            size,
            written,
        }
    }

    /// The only picture of a recording.
    fn picture(&self) -> Vec<[u8; 3]> {
        let film = self.film(AS_IT_WAS);
        assert_eq!(film.written.cut, None);
        film.frames.last().expect("a frame").1.clone()
    }
}

struct Film {
    frames: Vec<(u64, Vec<[u8; 3]>)>,
    size: FrameSize,
    written: Written,
}

impl Film {
    fn times(&self) -> Vec<u64> {
        self.frames.iter().map(|(time, _)| *time).collect()
    }
}

/// The times and pictures in a file, whose clusters have one length.
fn frames(file: &[u8], size: FrameSize) -> Vec<(u64, Vec<[u8; 3]>)> {
    let begin = file
        .windows(4)
        .position(|four| four == [0x1F, 0x43, 0xB6, 0x75]);
    let (before, pixels) = (12 + 17 + 9 + 4, size.width * size.height * 4);
    let clusters = file[begin.unwrap_or(file.len())..].chunks_exact(before + pixels);
    assert!(clusters.remainder().is_empty());
    let frame = |cluster: &[u8]| {
        let time = cluster[21..29].try_into().expect("eight bytes");
        let (pixels, _) = cluster[before..].as_chunks::<4>();
        assert!(pixels.iter().all(|pixel| pixel[3] == 255));
        let colours = pixels.iter().map(|[r, g, b, _]| [*r, *g, *b]);
        (u64::from_be_bytes(time), colours.collect())
    };
    clusters.map(frame).collect()
}

fn colours(pixels: &[[u8; 4]]) -> Vec<[u8; 3]> {
    pixels.iter().map(|[r, g, b, _]| [*r, *g, *b]).collect()
}

#[test]
fn pictures_become_frames_at_their_time_and_the_last_one_stays_to_the_end() {
    let mut recorded = Recorded::console(2, 2);
    recorded.draws(1000, [0, 0, 2, 2], 0, &[RED; 4].concat());
    recorded.draws(1010, [0, 0, 1, 1], 0, &GREEN);
    recorded.draws(61_000, [1, 1, 1, 1], 0, &BLUE);
    recorded.add(Kind::End, 62_000, b"the client closed it");
    let film = recorded.film(AS_IT_WAS);
    assert_eq!(film.times(), [1000, 61_000, 62_000]);
    assert_eq!(film.frames[0].1, colours(&[GREEN, RED, RED, RED]));
    assert_eq!(film.frames[2].1, colours(&[GREEN, RED, RED, BLUE]));
    assert_eq!(film.written.duration, Duration::from_millis(62_040));
    let quick = Video {
        speed: 2.0,
        max_pause: Some(1.0),
    };
    assert_eq!(recorded.film(quick).times(), [480, 1480, 2000]);
}

#[test]
fn a_screen_that_changes_its_size_lies_in_the_largest_one() {
    let mut recorded = Recorded::console(1, 1);
    recorded.draws(0, [0, 0, 1, 1], 0, &RED);
    recorded.draws(80, [0, 0, 3, 1], -223, &[]);
    recorded.draws(80, [2, 0, 1, 1], 0, &GREEN);
    // A refused request for another size changes nothing.
    recorded.draws(
        120,
        [1, 3, 9, 9],
        -308,
        &[&[1, 0, 0, 0][..], &[0; 16]].concat(),
    );
    let film = recorded.film(AS_IT_WAS);
    let size = FrameSize {
        width: 4,
        height: 2,
    };
    assert_eq!(film.size, size);
    let black = [0; 4];
    assert_eq!(film.frames[0].1[..4], colours(&[RED, black, black, black]));
    assert_eq!(film.frames[1].1[..4], colours(&[RED, black, GREEN, black]));
}

#[test]
fn the_pointer_is_drawn_where_the_client_had_it() {
    let mut recorded = Recorded::console(2, 2);
    recorded.draws(0, [0, 0, 2, 2], 0, &[RED; 4].concat());
    // One of two pixels is seen, and points one to the left.
    recorded.draws(
        40,
        [1, 0, 2, 1],
        -239,
        &[&GREEN[..], &BLUE, &[0x40]].concat(),
    );
    recorded.hears(400, &[5, 0, 0, 1, 0, 1]);
    recorded.hears(800, &[5, 0, 0, 0, 0, 0]);
    let film = recorded.film(AS_IT_WAS);
    assert_eq!(film.times(), [0, 40, 400, 800]);
    assert_eq!(film.frames[1].1, colours(&[RED; 4]));
    assert_eq!(film.frames[2].1, colours(&[RED, RED, RED, BLUE]));
    assert_eq!(film.frames[3].1, colours(&[BLUE, RED, RED, RED]));
}

#[test]
fn all_encodings_of_a_picture_are_the_same_picture() {
    let square = [RED, GREEN, RED, RED].map(|[r, g, b, _]| [r, g, b]);
    let zlib = |bytes: &[u8]| {
        let bytes = compress_to_vec_zlib(bytes, 6);
        let length = u32::try_from(bytes.len()).expect("a short one");
        [&length.to_be_bytes()[..], &bytes].concat()
    };
    let raw = [RED, GREEN, RED, RED].concat();
    let (red, green) = (&RED[..3], &GREEN[..3]);
    let rectangle = [&[0, 0, 0, 1][..], &RED, &GREEN, &[0, 1, 0, 0, 0, 1, 0, 1]].concat();
    let tiles = [&[2 | 4 | 8][..], &RED, &GREEN, &[1, 0x10, 0x00]].concat();
    let coloured = [&[2 | 8 | 16][..], &RED, &[1], &GREEN, &[0x10, 0x00]].concat();
    let whole = [&[0][..], red, green, red, red].concat();
    let palette = [&[2][..], red, green, &[0x40, 0x00]].concat();
    let runs = [&[128][..], red, &[0], green, &[0], red, &[1]].concat();
    let indices = [&[130][..], red, green, &[0, 1, 0x80, 1]].concat();
    let copied = [red, green, red, red].concat();
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).expect("a short one");
    let tight = |kind: &[u8], bytes: &[u8]| {
        let bytes = compress_to_vec_zlib(bytes, 6);
        [kind, &[length(&bytes)], &bytes].concat()
    };
    let bits = [&[0x40, 1, 1][..], red, green, &[0x40, 0x00]].concat();
    let steps = [255, 0, 0, 1, 255, 0, 0, 0, 0, 255, 1, 0];
    for (encoding, data) in [
        (0, raw.clone()),
        (2, rectangle),
        (5, [&[1][..], &raw].concat()),
        (5, tiles),
        (5, coloured),
        (6, zlib(&raw)),
        (16, zlib(&whole)),
        (16, zlib(&palette)),
        (16, zlib(&runs)),
        (16, zlib(&indices)),
        (7, tight(&[0x00], &copied)),
        (7, tight(&[0x40, 0], &copied)),
        (7, bits),
        (7, tight(&[0x40, 2], &steps)),
    ] {
        let mut recorded = Recorded::console(2, 2);
        recorded.draws(0, [0, 0, 2, 2], encoding, &data);
        assert_eq!(recorded.picture(), square, "{encoding}: {data:02x?}");
    }
    let mut recorded = Recorded::console(2, 2);
    recorded.draws(0, [0, 0, 2, 2], 7, &[0x80, 255, 0, 0]);
    recorded.draws(0, [1, 0, 1, 1], 7, &[0x80, 255, 255, 255]);
    recorded.draws(0, [0, 0, 2, 1], 1, &[0, 0, 0, 0]);
    recorded.draws(0, [0, 1, 1, 1], 1, &[0, 1, 0, 0]);
    assert_eq!(recorded.picture(), colours(&[RED, WHITE, WHITE, RED]));
}

#[test]
fn a_stream_of_zlib_goes_on_over_rectangles() {
    let mut recorded = Recorded::console(2, 2);
    let mut deflate = miniz_oxide::deflate::core::CompressorOxide::new(0x1000 | 128);
    for (x, colour) in [(0, RED), (1, GREEN)] {
        let mut out = vec![0; 256];
        let flush = miniz_oxide::MZFlush::Sync;
        let done = miniz_oxide::deflate::stream::deflate(
            &mut deflate,
            &[colour; 2].concat(),
            &mut out,
            flush,
        );
        let length = u32::try_from(done.bytes_written).expect("a short one");
        let data = [&length.to_be_bytes()[..], &out[..done.bytes_written]].concat();
        recorded.draws(0, [x, 0, 1, 2], 6, &data);
    }
    assert_eq!(recorded.picture(), colours(&[RED, GREEN, RED, GREEN]));
}

#[test]
fn the_pixel_format_is_the_clients() {
    let mut recorded = Recorded::console(2, 1);
    recorded.hears(
        0,
        &[
            0, 0, 0, 0, 16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0,
        ],
    );
    recorded.draws(0, [0, 0, 2, 1], 0, &[0xF8, 0x00, 0x07, 0xE0]);
    assert_eq!(recorded.picture()[..2], colours(&[RED, GREEN]));
    let mut recorded = Recorded::console(2, 1);
    recorded.hears(
        0,
        &[0, 0, 0, 0, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    );
    recorded.says(0, &[1, 0, 0, 7, 0, 1, 0, 0, 255, 255, 0, 0]);
    recorded.draws(0, [0, 0, 2, 1], 0, &[7, 0]);
    assert_eq!(recorded.picture()[..2], [[0, 255, 0], [0, 0, 0]]);
}

#[test]
fn a_viewer_that_logged_in_by_itself_is_followed() {
    for (version, types) in [
        ("3.003", &[0, 0, 0, 2][..]),
        ("3.007", &[2, 16, 2]),
        ("3.008", &[1, 2]),
    ] {
        for with_input in [true, false] {
            let mut recorded = Recorded::new();
            let hears = |recorded: &mut Recorded, data: &[u8]| {
                if with_input {
                    recorded.hears(0, data);
                }
            };
            let version = format!("RFB 00{version}\n");
            recorded.says(0, version.as_bytes());
            hears(&mut recorded, version.as_bytes());
            recorded.says(0, types);
            if types.len() < 4 {
                hears(&mut recorded, &[2]);
            }
            recorded.says(0, &[7; 16]);
            hears(&mut recorded, &[9; 16]);
            recorded.says(0, &[0; 4]);
            hears(&mut recorded, &[1]);
            recorded.says(
                0,
                &[
                    0, 1, 0, 1, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 0, 8, 16, 0, 0, 0, 0, 0, 0, 0,
                ],
            );
            recorded.draws(0, [0, 0, 1, 1], 0, &RED);
            assert_eq!(
                recorded.picture()[..1],
                colours(&[RED]),
                "{version} {with_input}"
            );
        }
    }
}

#[test]
fn a_console_that_offers_one_security_type_is_followed_too() {
    let mut recorded = Recorded::new();
    recorded
        .says(0, b"RFB 003.008\n")
        .hears(0, b"RFB 003.008\n");
    recorded.says(0, &[1, 1]).hears(0, &[1]).says(0, &[0; 4]);
    recorded.hears(0, &[0]);
    let init = [
        0, 2, 0, 1, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    recorded.says(0, &init);
    // 16 bits, little endian, five of them red, six green and five blue.
    recorded.hears(
        0,
        &[
            0, 0, 0, 0, 16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0,
        ],
    );
    recorded.draws(0, [0, 0, 2, 1], 0, &[0, 0xF8, 0xE0, 0x07]);
    recorded.draws(40, [0, 0, 1, 1], -239, &[0x1F, 0, 0x80]);
    recorded.hears(400, &[5, 0, 0, 1, 0, 0]);
    let film = recorded.film(AS_IT_WAS);
    assert_eq!(film.frames[0].1[..2], colours(&[RED, GREEN]));
    let last = &film.frames.last().expect("a frame").1;
    assert_eq!(last[..2], colours(&[RED, BLUE]), "the pointer");
}

#[test]
fn messages_that_are_cut_anywhere_become_frames_all_the_same() {
    let mut whole = Recorded::console(1, 1);
    let update = |colour: [u8; 4]| {
        let head = [0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0];
        [&head[..], &colour].concat()
    };
    // Each record ends within a message.
    let bytes = [RED, GREEN, BLUE, WHITE].map(update).concat();
    for (at, part) in (0_u64..).step_by(1000).zip(bytes.chunks(13)) {
        whole.says(at, part);
    }
    let seen: Vec<_> = whole.film(AS_IT_WAS).frames;
    let seen: Vec<_> = seen.iter().map(|(_, picture)| picture[0]).collect();
    for colour in colours(&[RED, GREEN, BLUE, WHITE]) {
        assert!(seen.contains(&colour), "{colour:?} of {seen:?}");
    }
}

#[test]
fn a_rectangle_needs_no_more_memory_than_the_screen() {
    let palette = [0x40, 1, 1, 0, 0, 0, 255, 255, 255, 0];
    for (encoding, data) in [
        (0, &[0; 4][..]),
        (6, &[0, 0, 0, 0]),
        (7, &palette),
        (16, &[0, 0, 0, 0]),
    ] {
        let mut recorded = Recorded::console(1, 1);
        recorded.draws(0, [0, 0, 1, 1], 0, &RED);
        recorded.draws(40, [0, 0, 0xFFFF, 0xFFFF], encoding, data);
        let cut = recorded.film(AS_IT_WAS).written.cut;
        assert!(
            cut.is_some_and(|cut| cut.contains("larger than its screen")),
            "{encoding}"
        );
    }
    let mut spice = Recorded::new();
    spice.says(0, b"REDQ\x02\0\0\0");
    let reason = AS_IT_WAS.measure(spice.reader());
    let reason = reason.expect_err("no picture").to_string();
    assert!(reason.contains("SPICE"), "{reason}");
}

#[test]
fn what_cannot_be_drawn_ends_the_video_with_its_reason() {
    let drawn = || {
        let mut recorded = Recorded::console(1, 1);
        recorded.draws(0, [0, 0, 1, 1], 0, &RED);
        recorded
    };
    let cut = |recorded: &Recorded| recorded.film(AS_IT_WAS).written.cut.unwrap_or_default();
    let mut gap = drawn();
    gap.add(Kind::Gap, 40, &7_u64.to_be_bytes());
    assert!(cut(&gap).starts_with("7 bytes are missing"));
    let mut encoding = drawn();
    encoding.draws(40, [0, 0, 1, 1], 50, &[0; 8]);
    assert!(cut(&encoding).contains("the encoding 50"));
    let mut part = drawn();
    part.says(40, &[0, 0, 0, 1, 0]);
    assert_eq!(
        part.film(AS_IT_WAS).written.cut,
        None,
        "a writer that was killed"
    );

    let reason = |recorded: &Recorded| {
        let measured = AS_IT_WAS.measure(recorded.reader());
        measured.expect_err("no picture").to_string()
    };
    let mut serial = Recorded::new();
    serial.says(0, b"login: ");
    assert!(reason(&serial).contains("a serial console"));
    assert!(reason(&Recorded::console(1, 1)).contains("before the console has drawn"));
    assert!(reason(&Recorded::console(0xFFFF, 0xFFFF)).contains("too large"));
    let mut refused = Recorded::new();
    refused
        .says(0, b"RFB 003.008\n")
        .says(0, &[0, 0, 0, 0, 2, b'n', b'o']);
    assert!(reason(&refused).contains("let nobody in"));
}

#[test]
fn damaged_recordings_end_somewhere() {
    let mut recorded = Recorded::console(64, 64);
    let pixels = compress_to_vec_zlib(&[0x80, 1, 2, 3, 255, 255, 255], 6);
    let length = u32::try_from(pixels.len()).expect("a short one");
    recorded.draws(
        0,
        [0, 0, 64, 64],
        16,
        &[&length.to_be_bytes()[..], &pixels].concat(),
    );
    recorded.draws(1, [0, 0, 16, 16], 5, &[8 | 16, 1, 1, 2, 3, 4, 0x10, 0x10]);
    recorded.draws(2, [0, 0, 9, 9], 7, &[0x50, 2, 4, 1, 2, 3, 4]);
    let mut seed = 1_u32;
    for _ in 0..3000 {
        let mut file = recorded.0.clone();
        for _ in 0..3 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = seed as usize % file.len();
            file[at] = seed.to_be_bytes()[0];
        }
        let Ok(reader) = Reader::open(&file[..]) else {
            continue;
        };
        let Ok(size) = AS_IT_WAS.measure(reader) else {
            continue;
        };
        if size.width * size.height < 100_000 {
            let reader = Reader::open(&file[..]).expect("the same file");
            let written = AS_IT_WAS.write(reader, size, io::sink());
            assert!(written.is_ok(), "{written:?}");
        }
    }
}

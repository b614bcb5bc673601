use lapin::types::AMQPValue;
use lapin::types::parsing::parse_field_table;

use super::*;

/// A header with this table behind two short strings, and a body.
fn frames(table: &[u8]) -> Vec<u8> {
    let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xF0, 0];
    payload.extend(b"\x0aapplicatio\x00");
    payload.extend(table);
    payload.push(2);
    let mut frames = frame(2, &payload);
    frames.extend(frame(3, b"\x02"));
    frames.extend(frame(8, b""));
    frames
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind, 0, 1];
    frame.extend(prefixed(payload));
    frame.push(0xCE);
    frame
}

fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short frame");
    [&length.to_be_bytes(), bytes].concat()
}

/// A table with an array of arrays, this many inside each other.
fn nested(depth: usize) -> Vec<u8> {
    let length = |depth: usize| u32::try_from(depth * 5).expect("a short frame");
    let mut entry = b"\x01a".to_vec();
    for inside in (0..depth).rev() {
        entry.push(b'A');
        entry.extend(length(inside).to_be_bytes());
    }
    entry.extend(b"\x01bI\x00\x00\x00\x07");
    prefixed(&entry)
}

fn passed(bytes: &[u8], piece: usize) -> Result<Vec<u8>, Malformed> {
    let (mut nesting, mut all) = (Nesting::default(), bytes.to_vec());
    for piece in all.chunks_mut(piece) {
        nesting.pass(piece)?;
    }
    Ok(all)
}

#[test]
fn what_a_broker_sends_passes_unchanged_wherever_it_is_cut() {
    let values = b"\x01aS\x00\x00\x00\x02hi\x01bt\x01\x01cs\x00\x01\x01dl\x00\x00\x00\x00\x00\x00\x00\x01\
            \x01eF\x00\x00\x00\x07\x01fI\x00\x00\x00\x01\x01gA\x00\x00\x00\x01V\x01hD\x00\x00\x00\x00\x01\x01iV";
    let mut stream = frame(
        1,
        &[
            &[0, 10, 0, 10, 0, 9][..],
            &prefixed(values),
            &prefixed(b"PLAIN"),
        ]
        .concat(),
    );
    stream.extend(frame(1, &[0, 10, 0, 30, 0, 0]));
    stream.extend(frames(&prefixed(values)));
    stream.extend(frames(&nested(DEEPEST - 1)));
    stream.extend(frames(&prefixed(b"")));
    for piece in [1, 2, 3, 7, stream.len()] {
        assert_eq!(passed(&stream, piece).as_ref(), Ok(&stream), "{piece}");
    }
}

#[test]
fn a_table_that_is_too_deep_is_read_by_lapin_as_bytes_and_what_is_behind_it_too() {
    let stream = frames(&nested(26_000));
    let begin = stream.len() - frames(b"").len();
    for piece in [1, 5, stream.len()] {
        let passed = passed(&stream, piece).expect("frames");
        assert_eq!(passed.len(), stream.len());
        // Behind the frame's head, 14 bytes of numbers and 12 of strings.
        let table = passed
            .get(7 + 14 + 12..7 + 14 + 12 + begin)
            .expect("a table");
        let (_, table) = parse_field_table(table).expect("a table");
        assert_eq!(table.inner().get("b"), Some(&AMQPValue::LongInt(7)));
    }
}

#[test]
fn what_no_broker_sends_ends_the_connection() {
    let beyond = frames(b"\x00\x00\x00\x04\x01aI\x00\x00\x00\x01");
    let unknown = frames(&prefixed(b"\x01a?"));
    let of_a_client = frame(1, &[0, 60, 0, 20, 0, 0, 0, 0, 0]);
    for stream in [
        beyond,
        unknown,
        of_a_client,
        b"AMQP\x00\x00\x09\x01".to_vec(),
        frame(2, b"\x00"),
    ] {
        assert_eq!(passed(&stream, 1), Err(Malformed));
    }
}

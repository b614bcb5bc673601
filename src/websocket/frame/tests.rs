//! Tests with frames cut anywhere, and with clients that break the protocol.

use super::*;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;

/// A masked frame, as a client sends it.
fn client_frame(opcode: OpCode, last: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader {
        is_final: last,
        opcode,
        mask: Some([1, 2, 3, 4]),
        ..FrameHeader::default()
    };
    let frame = Frame::from_payload(header, payload.to_vec().into());
    let mut bytes = Vec::new();
    frame.format(&mut bytes).expect("a vector takes everything");
    bytes
}

/// All events of some bytes that arrive in pieces of `step`, with the payload of data joined.
fn read(bytes: &[u8], step: usize) -> Result<(Vec<u8>, Vec<Event>), Violation> {
    let mut reader = FrameReader::new();
    let (mut data, mut others) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        let (mut piece, mut at) = (piece.to_vec(), 0);
        while let Some(event) = reader.next(&mut piece, &mut at)? {
            match event {
                Event::Data { piece: range, .. } => data.extend_from_slice(&piece[range]),
                other => others.push(other),
            }
        }
    }
    Ok((data, others))
}

#[test]
fn frames_cut_anywhere_are_read_alike() {
    let mut bytes = client_frame(OpCode::Data(Data::Binary), false, &[7; 300]);
    bytes.extend(client_frame(OpCode::Control(Control::Ping), true, b"hi"));
    bytes.extend(client_frame(
        OpCode::Data(Data::Continue),
        true,
        &vec![8; 70_000],
    ));
    bytes.extend(client_frame(
        OpCode::Control(Control::Close),
        true,
        &[3, 232, b'x'],
    ));
    let mut expected = vec![7; 300];
    expected.extend(vec![8; 70_000]);
    for step in [1, 2, 3, 7, 299, 65_536, 1_000_000] {
        let (data, others) = read(&bytes, step).expect("valid frames");
        assert_eq!(data, expected, "in steps of {step}");
        assert_eq!(
            others,
            [Event::Ping(b"hi".to_vec()), Event::Close(Some(1000))]
        );
    }
}

#[test]
fn the_first_frame_of_a_message_says_that_it_is_compressed_where_that_was_agreed_on() {
    let text = OpCode::Data(Data::Text);
    let marked = |mut frame: Vec<u8>| {
        frame[0] |= 0x40;
        frame
    };
    let read = |frames: &[Vec<u8>], deflates: bool| {
        let mut reader = FrameReader::new().with_deflate(deflates);
        let (mut bytes, mut at) = (frames.concat(), 0);
        let mut found = Vec::new();
        while let Some(event) = reader.next(&mut bytes, &mut at)? {
            if matches!(event, Event::Data { .. }) {
                found.push(reader.is_compressed());
            }
        }
        Ok::<_, Violation>(found)
    };
    let ping = client_frame(OpCode::Control(Control::Ping), true, b"");
    let rest = client_frame(OpCode::Data(Data::Continue), true, b"y");
    let frames = [
        marked(client_frame(text, false, b"x")),
        ping.clone(),
        rest.clone(),
        client_frame(text, true, b"plain"),
        marked(client_frame(text, true, b"x")),
    ];
    assert_eq!(read(&frames, true), Ok(vec![true, true, false, true]));
    let first = client_frame(text, false, b"x");
    for (frames, deflates) in [
        (vec![marked(client_frame(text, true, b"x"))], false),
        (vec![first, marked(rest)], true),
        (vec![marked(ping)], true),
    ] {
        assert_eq!(
            read(&frames, deflates).map_err(|fault| fault.code),
            Err(1002)
        );
    }
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_which_rule() {
    let binary = OpCode::Data(Data::Binary);
    let unmasked = vec![0x82, 1, b'x'];
    let reserved_bit = vec![0xc2, 0x81, 0, 0, 0, 0, 0];
    let reserved_opcode = vec![0x83, 0x80, 0, 0, 0, 0];
    let reserved_control = vec![0x8b, 0x80, 0, 0, 0, 0];
    let long_ping = client_frame(OpCode::Control(Control::Ping), true, &[0; 126]);
    let cut_ping = client_frame(OpCode::Control(Control::Ping), false, b"");
    let stray = client_frame(OpCode::Data(Data::Continue), true, b"x");
    let mut nested = client_frame(binary, false, b"x");
    nested.extend(client_frame(binary, true, b"x"));
    let half_code = client_frame(OpCode::Control(Control::Close), true, &[3]);
    let bad_code = client_frame(
        OpCode::Control(Control::Close),
        true,
        &1005_u16.to_be_bytes(),
    );
    let huge = vec![0x82, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (name, bytes) in [
        ("unmasked", unmasked),
        ("reserved bit", reserved_bit),
        ("reserved opcode", reserved_opcode),
        ("reserved control", reserved_control),
        ("long ping", long_ping),
        ("fragmented ping", cut_ping),
        ("stray continuation", stray),
        ("nested message", nested),
        ("half a close code", half_code),
        ("forbidden close code", bad_code),
        ("impossible length", huge),
    ] {
        assert_eq!(read(&bytes, 64).expect_err(name).code, 1002, "{name}");
    }
    let reason = client_frame(OpCode::Control(Control::Close), true, &[3, 232, 0xff]);
    assert_eq!(read(&reason, 64).expect_err("not UTF-8").code, 1007);
}

#[test]
fn headers_end_where_the_payload_begins() {
    for length in [0, 125, 126, 65_535, 65_536] {
        let mut space = [0; HEADER_SPACE];
        let start = write_header(&mut space, Opcode::Binary, length);
        let (header, parsed) = FrameHeader::parse(&mut Cursor::new(&space[start..]))
            .expect("valid")
            .expect("complete");
        assert_eq!(
            (header.opcode, parsed),
            (OpCode::Data(Data::Binary), length as u64)
        );
    }
}

#[test]
fn a_close_reason_is_cut_at_a_character() {
    let frame = close_frame(Some(1001), &"é".repeat(100));
    assert!(frame.len() <= 2 + CONTROL_PAYLOAD);
    assert!(std::str::from_utf8(&frame[4..]).is_ok());
    assert_eq!(usize::from(frame[1]), frame.len() - 2);
}

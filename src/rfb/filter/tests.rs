//! Tests of the filter: nothing that a viewer sends moves anything, and the stream stays whole wherever it is cut.

use super::*;

const VIEWER: Rules = Rules {
    view_only: true,
    clipboard: Clipboard::Both,
};
const NO_PASTE: Rules = Rules {
    view_only: false,
    clipboard: Clipboard::ToBrowser,
};

const NO_CLIPBOARD: Rules = Rules {
    view_only: false,
    clipboard: Clipboard::None,
};

/// Filters a stream that comes in pieces of this size.
fn passed(rules: Rules, stream: &[u8], step: usize) -> Result<Vec<u8>, ProtocolError> {
    let mut filter = Filter::new(rules);
    let mut host = Vec::new();
    for piece in stream.chunks(step) {
        filter.pass(piece, &mut host)?;
    }
    Ok(host)
}

fn encodings(list: &[i32]) -> Vec<u8> {
    let mut message = vec![2, 0];
    message.extend(u16::try_from(list.len()).expect("a few").to_be_bytes());
    message.extend(list.iter().flat_map(|encoding| encoding.to_be_bytes()));
    message
}

/// A message of each type that noVNC, TigerVNC and QEMU's clients send, and whether a viewer's, and one of a client
/// without a clipboard, reaches the host.
fn messages() -> Vec<(Vec<u8>, bool, bool)> {
    let fill = |head: &[u8], length: usize| {
        let mut message = head.to_vec();
        // Each of these bytes is the type of a message with input.
        message.extend([4, 5, 6].iter().cycle().take(length - head.len()));
        message
    };
    vec![
        (fill(&[0], 20), true, true),
        (encodings(&[7, -239, -313]), true, true),
        (fill(&[3], 10), true, true),
        (fill(&[4], 8), false, true),
        (fill(&[5, 0x81], 6), false, true),
        (fill(&[6, 0, 0, 0, 0, 0, 1, 0], 8 + 256), false, false),
        (fill(&[6, 0, 0, 0, 0, 0, 0, 0], 8), false, false),
        (fill(&[150], 10), true, true),
        (fill(&[248, 0, 0, 0, 0, 0, 0, 1, 5], 14), true, true),
        (fill(&[250, 0, 1, 2], 4), false, true),
        (fill(&[251, 0, 0, 9, 0, 9, 2, 0], 40), false, true),
        (fill(&[253, 0x80, 0, 6], 10), false, false),
        (fill(&[253, 0x02, 6, 0], 10), false, false),
        (fill(&[255, 0], 12), false, true),
        (fill(&[255, 1, 0, 0], 4), true, true),
        (fill(&[255, 1, 0, 1], 4), true, true),
        (fill(&[255, 1, 0, 2], 10), true, true),
    ]
}

#[test]
fn of_a_viewer_only_what_shows_the_picture_reaches_the_host_wherever_it_is_cut() {
    let stream: Vec<u8> = messages()
        .into_iter()
        .flat_map(|(bytes, ..)| bytes)
        .collect();
    let kept = |which: fn(&(Vec<u8>, bool, bool)) -> bool| {
        let kept = messages().into_iter().filter(which);
        kept.flat_map(|(bytes, ..)| bytes).collect::<Vec<u8>>()
    };
    let (viewer, no_paste) = (kept(|one| one.1), kept(|one| one.2));
    for step in 1..stream.len() {
        assert_eq!(passed(VIEWER, &stream, step), Ok(viewer.clone()), "{step}");
        assert_eq!(
            passed(NO_PASTE, &stream, step),
            Ok(no_paste.clone()),
            "{step}"
        );
    }
}

#[test]
fn a_message_is_passed_on_as_soon_as_it_is_complete() {
    for (message, viewer, _) in messages() {
        let expected = if viewer { message.clone() } else { Vec::new() };
        assert_eq!(passed(VIEWER, &message, message.len()), Ok(expected));
    }
}

#[test]
fn extensions_that_change_a_length_or_bring_input_are_not_offered_to_the_host() {
    let listed = encodings(&[1, -316, -305, EXTENDED_CLIPBOARD, -309, 16]);
    let viewer = passed(VIEWER, &listed, 3).expect("a good client");
    assert_eq!(viewer, encodings(&[1, 16]));
    let no_paste = passed(NO_PASTE, &listed, 3).expect("a good client");
    assert_eq!(no_paste, encodings(&[1, -309, 16]));
    // Where the host's clipboard is looked for, only what can be measured may be asked for.
    let listed = encodings(&[7, 5, 2, 21, 50, -26, -314, 0x574D_5664, -239]);
    let none = passed(NO_CLIPBOARD, &listed, 3).expect("a good client");
    assert_eq!(none, encodings(&[7, -26, -239]));
}

#[test]
fn a_pixel_format_passes_before_the_first_picture_and_not_later() {
    let format = [
        &[0; 4][..],
        &[16, 16, 0, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0],
    ]
    .concat();
    let ask = [3, 0, 0, 0, 0, 0, 0, 9, 0, 9];
    for step in [1, 3, 30] {
        let good = [&format[..], &ask].concat();
        assert_eq!(passed(NO_CLIPBOARD, &good, step), Ok(good.clone()));
        let late = [&ask[..], &format].concat();
        let broken =
            passed(NO_CLIPBOARD, &late, step).expect_err("a change that cannot be followed");
        assert!(
            broken.by_client && broken.reason.contains("pixel format"),
            "{broken}"
        );
    }
}

#[test]
fn what_cannot_be_told_apart_ends_the_console() {
    for (stream, reason) in [
        (
            &[6, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xF0][..],
            "extended clipboard",
        ),
        (&[1], "not known"),
        (&[7], "not known"),
        (&[127], "not known"),
        (&[252], "not known"),
        (&[255, 2], "not known"),
        (&[255, 1, 0, 3], "not known"),
        (&[255, 1, 1, 0], "not known"),
        (&[2, 0, 4, 1], "more than 1,024"),
    ] {
        for rules in [VIEWER, NO_PASTE] {
            for step in [1, stream.len()] {
                let broken = passed(rules, stream, step).expect_err(reason);
                assert!(
                    broken.by_client && broken.reason.contains(reason),
                    "{broken}"
                );
            }
        }
    }
}

#[test]
fn a_clipboard_of_gigabytes_is_skipped_without_memory() {
    let mut filter = Filter::new(VIEWER);
    let mut host = Vec::new();
    let head = [6, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF];
    filter.pass(&head, &mut host).expect("a good client");
    let piece = vec![4; 1 << 16];
    for _ in 0..16 {
        filter.pass(&piece, &mut host).expect("a good client");
    }
    assert_eq!((host.capacity(), filter.head.capacity()), (0, 0));
    assert_eq!(filter.rest.left, (1 << 31) - 1 - (1 << 20));
}

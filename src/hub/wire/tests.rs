use super::*;
use std::time::Instant;

use crate::config::ChannelName;
use crate::hub::message::{Data, Draft, Epoch, EventId};

fn message(data: Data, event: Option<&str>) -> Message {
    let id = EventId {
        epoch: Epoch::parse("abc").expect("an epoch"),
        offset: 7,
    };
    let draft = Draft {
        event: event.map(Into::into),
        key: None,
        id: None,
        data,
    };
    let channel = ChannelName::parse("c").expect("a name");
    Message::new(id, channel, draft, 5, Instant::now())
}

#[test]
fn an_envelope_holds_text_values_and_bytes() {
    let text = message(Data::text("a\"b\n"), Some("e"));
    assert_eq!(
        text.envelope(),
        r#"{"id":"abc:7","channel":"c","event":"e","data":"a\"b\n","time":5}"#
    );
    let value = message(Data::json("{\"a\":1}").expect("json"), None);
    assert_eq!(
        value.envelope(),
        r#"{"id":"abc:7","channel":"c","data":{"a":1},"time":5}"#
    );
    let bytes = message(Data::bytes(&b"\xff\x00"[..]), None);
    assert_eq!(
        bytes.envelope(),
        r#"{"id":"abc:7","channel":"c","data":"/wA=","encoding":"base64","time":5}"#
    );
    let long = message(Data::text("x".repeat(70_000)), None);
    assert!(long.envelope().starts_with(b"{\"id\""));
}

#[test]
fn an_event_has_a_data_line_for_each_line() {
    let event = message(Data::text("a\nb\r\nc\rd\n"), Some("e")).stream_event(Format::Plain);
    assert_eq!(
        event,
        "id: abc:7\nevent: e\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
    );
    let empty = message(Data::text(""), None).stream_event(Format::Plain);
    assert_eq!(empty, "id: abc:7\ndata: \n\n");
}

#[test]
fn a_page_of_woks_kind_gets_whole_messages() {
    let message = message(Data::text("POST:/wok/login"), None);
    assert_eq!(
        message.wok_frame("//EOM//", false),
        &b"\x82\x16POST:/wok/login//EOM//"[..]
    );
    let text = message.wok_frame("//EOM//", true);
    assert_eq!(
        text,
        "\u{81}\u{20}UE9TVDovd29rL2xvZ2luLy9FT00vLw=="
            .chars()
            .map(|c| c as u8)
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_form_is_made_once() {
    let message = message(Data::text("x"), None);
    let (first, second) = (
        message.socket_frame(Format::Plain),
        message.socket_frame(Format::Plain),
    );
    assert_eq!(first.as_ptr(), second.as_ptr());
}

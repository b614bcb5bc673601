//! Tests of the life of a session, and of the delivery to its owner only.

use std::task::Waker;

use http_body_util::BodyExt;

use super::*;
use crate::config::Config;
use crate::http::Body;
use crate::hub::SubscribeError;
use crate::hub::{Data, Draft, From};
use crate::push::sockjs::stream;

fn hub(settings: &str) -> Hub {
    let text = format!("{settings}\n[[channel]]\nname = 'a'\n");
    let config = Config::parse(&text, "noren.toml").expect("a configuration");
    Hub::new(&config, None).expect("a hub")
}

fn name() -> ChannelName {
    ChannelName::parse("a").expect("a name")
}

fn key(session: &str) -> Key {
    (vec![name()], session.into())
}

fn say(hub: &Hub, text: &str) {
    let draft = Draft::new(Data::text(text));
    hub.publish(&name(), draft).expect("published");
}

fn attach(sessions: &Sessions, hub: &Hub, credential: &[u64]) -> Attached {
    let open = || hub.subscribe(&[name()], From::Now, None);
    let attached = sessions.attach(hub, key("s"), credential.to_vec(), open);
    attached.expect("subscribed")
}

fn opened(sessions: &Sessions, hub: &Hub) -> Reception {
    match attach(sessions, hub, &[1, 3]) {
        Attached::Opened(reception) => reception,
        _ => panic!("there was a session already"),
    }
}

fn resumed(sessions: &Sessions, hub: &Hub) -> Reception {
    match attach(sessions, hub, &[1, 3]) {
        Attached::Resumed(reception) => reception,
        _ => panic!("there was no session to go on with"),
    }
}

fn refused(sessions: &Sessions, hub: &Hub) -> Close {
    match attach(sessions, hub, &[1, 3]) {
        Attached::Refused(close) => close,
        _ => panic!("it was let in"),
    }
}

/// The lines that are available now.
fn lines(reception: &mut Reception) -> String {
    let mut lines = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    if let Poll::Ready(batch) = reception.poll(1 << 20, &mut cx) {
        batch.encode(Framing::Lines, &mut lines);
    }
    String::from_utf8(lines).expect("UTF-8")
}

#[test]
fn a_session_keeps_its_place_between_two_answers() {
    let (hub, sessions) = (hub(""), Sessions::default());
    let mut first = opened(&sessions, &hub);
    say(&hub, "1");
    let got = lines(&mut first);
    assert!(got.starts_with(r#"a["{\"id\":\""#), "{got}");
    assert!(got.contains(r#"\"data\":\"1\""#), "{got}");
    assert_eq!(lines(&mut first), "");
    first.release();
    say(&hub, "2");
    say(&hub, "3");
    let got = lines(&mut resumed(&sessions, &hub));
    assert_eq!(got.lines().count(), 1, "one frame holds both: {got}");
    assert!(got.contains(r#"\"data\":\"2\""#) && got.contains(r#"\"data\":\"3\""#));
    assert!(!got.contains(r#"\"data\":\"1\""#));
}

#[test]
fn only_one_receives() {
    let (hub, sessions) = (hub(""), Sessions::default());
    let first = opened(&sessions, &hub);
    assert_eq!(refused(&sessions, &hub), Close::SECOND);
    first.release();
    resumed(&sessions, &hub).release();
}

#[test]
fn an_answer_that_breaks_off_ends_the_session() {
    let (hub, sessions) = (hub(""), Sessions::default());
    drop(opened(&sessions, &hub));
    assert_eq!(refused(&sessions, &hub), Close::INTERRUPTED);
    assert_eq!(refused(&sessions, &hub), Close::INTERRUPTED);
    assert!(sessions.find(&key("s"), &vec![1, 3]).is_none());
    assert_eq!(hub.subscribers(), 0);
}

#[test]
fn a_session_that_nobody_receives_is_forgotten_after_its_time_and_not_before() {
    let (hub, sessions) = (hub(""), Sessions::default());
    let reception = opened(&sessions, &hub);
    sessions.sweep(Instant::now() + ALONE * 2);
    assert_eq!(sessions.count(), 1, "it is received");
    reception.release();
    sessions.sweep(Instant::now() + ALONE / 2);
    assert_eq!((sessions.count(), hub.subscribers()), (1, 1));
    sessions.sweep(Instant::now() + ALONE);
    assert_eq!((sessions.count(), hub.subscribers()), (0, 0));
}

#[test]
fn to_others_a_session_does_not_exist() {
    let (hub, sessions) = (hub(""), Sessions::default());
    opened(&sessions, &hub).release();
    assert!(matches!(
        attach(&sessions, &hub, &[2, 3]),
        Attached::Foreign
    ));
    assert!(matches!(attach(&sessions, &hub, &[]), Attached::Foreign));
    assert!(sessions.find(&key("s"), &vec![2, 3]).is_none());
    assert!(sessions.find(&key("other"), &vec![1, 3]).is_none());
    assert!(sessions.find(&key("s"), &vec![1, 2, 3]).is_some());
    resumed(&sessions, &hub).release();
}

#[test]
fn sessions_count_as_subscribers() {
    let (hub, sessions) = (hub("[hub]\nsubscribers = 1"), Sessions::default());
    opened(&sessions, &hub).release();
    let open = || hub.subscribe(&[name()], From::Now, None);
    let second = sessions.attach(&hub, key("t"), vec![], open);
    assert_eq!(second.err(), Some(SubscribeError::Full(1)));
    assert_eq!(sessions.count(), 1);
}

#[test]
fn answers_to_the_page_are_few_and_come_first() {
    let (hub, sessions) = (hub(""), Sessions::default());
    let mut reception = opened(&sessions, &hub);
    let session = sessions.find(&key("s"), &vec![1, 3]).expect("a session");
    say(&hub, "1");
    session.queue_text("{}");
    assert!(!session.is_full());
    assert!(lines(&mut reception).starts_with(r#"a["{}","{\"id\""#));
    session.queue_text(&"x".repeat(ANSWERS));
    assert!(session.is_full());
    lines(&mut reception);
    assert!(!session.is_full());
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let (hub, sessions) = (hub(""), Sessions::default());
    let mut reception = opened(&sessions, &hub);
    hub.dismiss(Duration::ZERO).await;
    let got = lines(&mut reception);
    assert!(got.starts_with(r#"a["{\"retry\":"#), "{got}");
    assert!(got.ends_with("\nc[1001,\"the server stops\"]\n"), "{got}");
    reception.release();
    assert_eq!(refused(&sessions, &hub), Close::STOPPING);
}

async fn next(body: &mut Body) -> String {
    let frame = body.frame().await.expect("more").expect("no error");
    let data = frame.into_data().expect("data");
    String::from_utf8(data.into()).expect("UTF-8")
}

#[tokio::test(start_paused = true)]
async fn while_nothing_happens_there_is_a_sign_of_life() {
    let (hub, sessions) = (hub(""), Sessions::default());
    let attached = attach(&sessions, &hub, &[1, 3]);
    let mut body = stream::stream(attached, Framing::Events).expect("a stream");
    assert_eq!(next(&mut body).await, "\r\ndata: o\r\n\r\n");
    for _ in 0..2 {
        assert_eq!(next(&mut body).await, "data: h\r\n\r\n");
    }
    let sessions = Sessions::default();
    for expected in ["o\n", "h\n", "h\n"] {
        let answer = stream::poll(attach(&sessions, &hub, &[1, 3])).await;
        assert_eq!(next(&mut answer.expect("an answer")).await, expected);
    }
}

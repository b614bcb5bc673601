//! `channels-header` and `repeat-rate`: one question for all that a session listens to, and how often it is repeated.

use std::time::{Duration, Instant};

use super::{App, COOK, kitchen, knock, log_out};
use crate::harness::{Backend, CLOSE, Door, Wire, until};

const SETTINGS: &str = "allow-cache = '60s'\ninterval = '60s'\nchannels-header = 'Noren-Channels'\n\
    channel-path = '/may/{channel}'\nswitch = ['/switch']\n";
const CHANNELS: &str = "[[channel]]\nname = 'nova.*'\npresence = true\n";
const ALPHA: &str = "200 OK\r\nNoren-Channels: *.alpha, nova.common\r\n";
const BETA: &str = "200 OK\r\nNoren-Channels: *.beta, nova.common\r\n";

async fn fixture(settings: &str) -> (App, Door) {
    let (app, _console, door) = kitchen(&format!("{settings}{CHANNELS}")).await;
    app.answers("/tasks", ALPHA);
    (app, door)
}

async fn listener(door: &Door, path: &str, cookie: &str) -> Wire {
    let mut client = door.tls().await;
    let answer = client.ask(&Door::handshake(path, cookie)).await;
    assert_eq!(answer.status, 101, "{path}");
    client
}

/// The next text that holds these words, or the code with which the socket is closed.
async fn told(client: &mut Wire, words: &str) -> Result<String, u16> {
    loop {
        let frame = client.frame().await;
        let text = String::from_utf8_lossy(&frame.payload).into_owned();
        match frame.opcode {
            CLOSE => return Err(u16::from_be_bytes([frame.payload[0], frame.payload[1]])),
            _ if text.contains(words) => return Ok(text),
            _ => {}
        }
    }
}

#[tokio::test]
async fn one_answer_opens_the_channels_that_it_names_and_no_other() {
    let (app, door) = fixture(SETTINGS).await;
    for (path, status) in [
        ("/events/nova.alpha", 101),
        ("/events/nova.common,nova.alpha", 101),
        ("/events/nova.beta", 403),
        ("/events/nova.alpha,nova.beta", 403),
        ("/events/sockjs/nova.beta/websocket", 403),
        ("/events/sockjs/nova.alpha/websocket", 101),
    ] {
        assert_eq!(knock(&door, path, COOK).await.status, status, "{path}");
    }
    for (path, status) in [("/events/nova.alpha", 200), ("/events/nova.beta", 403)] {
        for accept in ["text/event-stream", "text/html", "*/*"] {
            let mut wire = door.tls().await;
            let lines = format!("{COOK}Accept: {accept}\r\n");
            wire.send(Door::get(path, &lines)).await;
            assert_eq!(wire.head().await.status(), status, "{path} {accept}");
        }
    }
    let asked: Vec<_> = ["/may/nova.alpha", "/may/nova.beta", "/may/nova.common"]
        .map(|path| app.asked(path))
        .into();
    assert_eq!(asked, [0, 0, 0], "no channel has a question of its own");
}

#[tokio::test]
async fn an_answer_that_names_no_channels_leaves_them_to_their_own_question() {
    let (app, door) = fixture(SETTINGS).await;
    app.answers("/tasks", "200 OK\r\n");
    app.answers("/may/nova.beta", "403 Forbidden\r\n");
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 101);
    assert_eq!(knock(&door, "/events/nova.beta", COOK).await.status, 403);
    assert_eq!(app.asked("/may/nova.alpha"), 1);
    // An empty list is one, and where there is no other question so is none at all.
    let (app, door) = fixture(SETTINGS).await;
    app.answers("/tasks", "200 OK\r\nNoren-Channels:\r\n");
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 403);
    assert_eq!(app.asked("/may/nova.alpha"), 0);
    let without = SETTINGS.replace("channel-path = '/may/{channel}'\n", "");
    let (app, door) = fixture(&without).await;
    app.answers("/tasks", "200 OK\r\n");
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 403);
    app.answers(
        "/tasks",
        "200 OK\r\nNoren-Channels: a b, nova.alpha, ../x, *.\r\n",
    );
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 101);
}

#[tokio::test]
async fn a_switch_ends_the_channels_of_before_and_opens_those_of_now() {
    let (app, door) = fixture(SETTINGS).await;
    let mut client = listener(&door, "/events/nova.alpha,nova.common", COOK).await;
    let mut single = listener(&door, "/events/nova.alpha?format=plain", COOK).await;
    assert_eq!(knock(&door, "/events/nova.beta", COOK).await.status, 403);
    app.answers("/switch", "302 Found\r\nLocation: /\r\n");
    app.answers("/tasks", BETA);
    log_out(&door, "GET", "/switch", COOK).await;
    let text = told(&mut client, "refused").await.unwrap();
    assert!(text.contains(r#""channel":"nova.alpha""#), "{text}");
    assert_eq!(told(&mut single, "refused").await, Err(4403));
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 403);
    assert_eq!(knock(&door, "/events/nova.beta", COOK).await.status, 101);
    // Nothing is left: 4401 is for the end of the session alone.
    app.answers("/tasks", "200 OK\r\nNoren-Channels: x.y\r\n");
    log_out(&door, "GET", "/switch", COOK).await;
    let text = told(&mut client, "refused").await.unwrap();
    assert!(text.contains(r#""channel":"nova.common""#), "{text}");
    assert_eq!(told(&mut client, "refused").await, Err(4403));
    app.answers("/tasks", BETA);
    let mut client = listener(&door, "/events/nova.beta", COOK).await;
    app.answers("/tasks", "401 Unauthorized\r\n");
    log_out(&door, "GET", "/switch", COOK).await;
    assert_eq!(told(&mut client, "refused").await, Err(4401));
}

#[tokio::test]
async fn an_answer_from_before_a_switch_is_not_believed_after_it() {
    let app = Backend::tcp().await;
    let session = format!("[session]\npath = '/tasks'\n{SETTINGS}");
    let door = Door::open(&format!("{}{session}{CHANNELS}", app.app())).await;
    // Each answer ends its connection, so that the next request comes with another one.
    let answer =
        |start: &str| format!("HTTP/1.1 {start}Connection: close\r\nContent-Length: 0\r\n\r\n");
    let mut client = door.tls().await;
    client
        .send(Door::handshake("/events/nova.alpha", COOK))
        .await;
    let mut question = app.accept().await;
    assert_eq!(question.head().await.start, "GET /tasks HTTP/1.1");
    let mut leaving = door.tls().await;
    leaving.send(Door::get("/switch", COOK)).await;
    let mut switch = app.accept().await;
    assert_eq!(switch.head().await.start, "GET /switch HTTP/1.1");
    switch.send(answer("302 Found\r\nLocation: /\r\n")).await;
    assert_eq!(leaving.answer().await.status, 302);
    // What the app found out before the switch comes only now.
    question.send(answer(ALPHA)).await;
    tokio::spawn(async move {
        loop {
            let mut wire = app.accept().await;
            tokio::spawn(async move {
                let now = match &*wire.head().await.start {
                    "GET /tasks HTTP/1.1" => BETA,
                    _ => "403 Forbidden\r\n",
                };
                wire.send(answer(now)).await;
            });
        }
    });
    let status = client.answer().await.status;
    if status == 101 {
        assert_eq!(told(&mut client, "refused").await, Err(4403));
    } else {
        assert_eq!(status, 403);
    }
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 403);
    assert_eq!(knock(&door, "/events/nova.beta", COOK).await.status, 101);
}

#[tokio::test]
async fn a_right_that_was_given_meanwhile_is_not_refused_from_the_cache() {
    let (app, door) = fixture(SETTINGS).await;
    assert_eq!(knock(&door, "/events/nova.alpha", COOK).await.status, 101);
    app.answers("/tasks", BETA);
    assert_eq!(knock(&door, "/events/nova.beta", COOK).await.status, 101);
    let asked = app.asked("/tasks");
    assert_eq!(knock(&door, "/events/nova.beta", COOK).await.status, 101);
    assert_eq!(app.asked("/tasks"), asked, "a yes is believed");
}

#[tokio::test]
async fn however_many_pages_and_channels_a_session_has_one_question_is_repeated() {
    let settings = SETTINGS.replace("interval = '60s'", "interval = '10ms'");
    let (app, door) = fixture(&settings).await;
    let mut open = Vec::new();
    for number in 0..20 {
        let path = format!("/events/nova.alpha,nova.common?page={number}");
        open.push(listener(&door, &path, COOK).await);
    }
    let before = app.asked("/tasks");
    assert_eq!(before, 1, "all of them share an answer");
    until("two more questions", || async {
        (app.asked("/tasks") >= before + 2).then_some(())
    })
    .await;
    assert_eq!(
        app.asked("/may/nova.alpha") + app.asked("/may/nova.common"),
        0
    );
}

#[tokio::test]
async fn repeated_questions_of_many_sessions_keep_to_the_rate_and_reach_them_all() {
    const SESSIONS: usize = 40;
    let settings = SETTINGS.replace(
        "interval = '60s'",
        "interval = '10ms'\nrepeat-rate = '20/s'",
    );
    let (app, door) = fixture(&settings).await;
    let cookies: Vec<_> = (0..SESSIONS)
        .map(|number| format!("Cookie: wok=cook{number}\r\n"))
        .collect();
    let begun = Instant::now();
    let mut open = Vec::new();
    for cookie in &cookies {
        open.push(listener(&door, "/events/nova.common", cookie).await);
    }
    until(
        "each session to be asked about again, and once more",
        || async {
            let heads = app.0.heads.lock().unwrap();
            let asked = |cookie: &String| {
                let line = cookie.trim_end().to_ascii_lowercase();
                let about = heads.iter().filter(|head| {
                    head.all("cookie")
                        .iter()
                        .any(|value| format!("cookie: {value}") == line)
                });
                about.count()
            };
            cookies
                .iter()
                .all(|cookie| asked(cookie) >= 3)
                .then_some(())
        },
    )
    .await;
    let repeated = app.asked("/tasks") - SESSIONS;
    let permitted = begun.elapsed().as_secs() * 20 + 40;
    assert!(repeated as u64 <= permitted, "{repeated} of {permitted}");
    // What may have changed does not wait for its turn.
    app.answers("/switch", "302 Found\r\nLocation: /\r\n");
    app.answers("/tasks", "200 OK\r\nNoren-Channels: x.y\r\n");
    log_out(&door, "GET", "/switch", &cookies[7]).await;
    let asked = Duration::from_secs(30);
    let closed = tokio::time::timeout(asked, told(&mut open[7], "refused")).await;
    assert!(closed.is_ok(), "it waited");
}

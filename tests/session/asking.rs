//! Tests of session queries: their content, their number, and the caching of answers.

use super::{COOK, PATH, configuration, kitchen, knock, tunnel};
use crate::harness::{Door, Http2, until};

#[tokio::test]
async fn the_question_has_the_visitors_credential_and_nothing_else_of_the_request() {
    let (app, console, door) =
        kitchen("[session.headers]\nAccept = 'application/json'\nWok-Robot = 'wok-robot'").await;
    let lines = "Cookie: a=1\r\nCookie: wok=cook\r\nAuthorization: Basic Y29vazp4\r\n\
                 X-Forwarded-For: 6.6.6.6\r\nX-Secret: 1\r\nWok-Robot: no\r\nNoren-Question: no\r\n\
                 Origin: https://door.example\r\n";
    let _open = tunnel(&door, &console, lines).await;
    let head = app.last();
    assert_eq!(head.start, "GET /tasks HTTP/1.1");
    assert_eq!(
        head.lines(),
        [
            "accept: application/json",
            "authorization: Basic Y29vazp4",
            "cookie: a=1; wok=cook",
            "host: door.example",
            "noren-question: session",
            "wok-robot: wok-robot",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: door.example",
            "x-forwarded-proto: https",
            "x-real-ip: 127.0.0.1",
        ]
    );
}

#[tokio::test]
async fn a_post_has_a_length_and_the_path_is_below_the_root_of_the_app() {
    let (app, console, door) = kitchen("method = 'POST'").await;
    let settings = configuration(&app, &console, "method = 'POST'");
    let rooted = settings.replacen("name = 'app'", "name = 'app'\nserver-root = '/wok'", 1);
    door.handle
        .reload(noren::Config::parse(&format!("{}{rooted}", door.base), "test").unwrap())
        .unwrap();
    let _open = tunnel(&door, &console, COOK).await;
    let head = app.last();
    assert_eq!(head.start, "POST /wok/tasks HTTP/1.1");
    assert_eq!(head.one("content-length"), Some("0"));
}

#[tokio::test]
async fn cookies_in_crumbs_over_http2_are_one_credential() {
    let (app, console, door) = kitchen("").await;
    let _open = tunnel(&door, &console, "Cookie: a=1; wok=cook\r\n").await;
    let mut client = Http2::open(&door).await;
    let crumbs = [("cookie", "a=1"), ("cookie", "wok=cook")];
    let _other = client.websocket_with(PATH, &crumbs).await;
    console.accept().await;
    assert_eq!(app.asked("/tasks"), 1, "the answer was known");
}

#[tokio::test]
async fn visitors_of_one_credential_who_come_at_once_are_asked_about_once() {
    let (app, console, door) = kitchen("workers = 100\nallow-cache = '60s'").await;
    app.open(false);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = door.tls().await;
        client.send(Door::handshake(PATH, COOK)).await;
        clients.push(client);
    }
    until("a question", || async {
        (app.asked("/tasks") > 0).then_some(())
    })
    .await;
    // Another visitor's question is a second one, and comes after all of these were read.
    let mut other = door.tls().await;
    other
        .send(Door::handshake(PATH, "Cookie: wok=other\r\n"))
        .await;
    until("a second question", || async {
        (app.asked("/tasks") > 1).then_some(())
    })
    .await;
    app.open(true);
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 101);
        console.accept().await;
    }
    assert_eq!(other.answer().await.status, 101);
    assert_eq!(app.asked("/tasks"), 2);
}

#[tokio::test]
async fn a_visitor_who_leaves_takes_the_question_along_and_the_next_one_asks() {
    let (app, console, door) = kitchen("").await;
    app.open(false);
    let mut impatient = door.plain().await;
    impatient.send(Door::handshake(PATH, COOK)).await;
    until("a question", || async {
        (app.asked("/tasks") == 1).then_some(())
    })
    .await;
    let mut next = door.plain().await;
    next.send(Door::handshake(PATH, COOK)).await;
    drop(impatient);
    until("the next one's question", || async {
        (app.asked("/tasks") == 2).then_some(())
    })
    .await;
    app.open(true);
    assert_eq!(next.answer().await.status, 101);
    console.accept().await;
}

#[tokio::test]
async fn an_answer_is_believed_for_as_long_as_the_configuration_says() {
    let (app, console, door) = kitchen("allow-cache = '60s'").await;
    for _ in 0..3 {
        let _open = tunnel(&door, &console, COOK).await;
    }
    assert_eq!(app.asked("/tasks"), 1);
    app.answers("/tasks", "401 Unauthorized\r\n");
    let _believed = tunnel(&door, &console, COOK).await;
    // No longer than it says, and not the answer of another configuration.
    let short = configuration(&app, &console, "allow-cache = '50ms'");
    let config = noren::Config::parse(&format!("{}{short}", door.base), "test").unwrap();
    door.handle.reload(config).unwrap();
    assert_eq!(knock(&door, PATH, COOK).await.status, 401);
    app.answers("/tasks", "200 OK\r\n");
    until("the refusal to be forgotten", || async {
        (knock(&door, PATH, COOK).await.status == 101).then_some(())
    })
    .await;
    app.answers("/tasks", "401 Unauthorized\r\n");
    until("the permission to be forgotten", || async {
        (knock(&door, PATH, COOK).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_yes_is_believed_for_the_same_credential_and_for_no_other() {
    let (app, console, door) = kitchen("cookies = ['wok']\nallow-cache = '60s'").await;
    let line = "Cookie: wok=cook; lang=en\r\n";
    let _open = tunnel(&door, &console, line).await;
    assert_eq!(app.last().one("cookie"), Some("wok=cook; lang=en"));
    let _known = tunnel(&door, &console, line).await;
    assert_eq!(
        app.asked("/tasks"),
        0,
        "it was asked once, and that was taken"
    );
    app.answers("/tasks", "401 Unauthorized\r\n");
    for other in [
        "",
        "Cookie: lang=en\r\n",
        "Cookie: lang=de; wok=cook\r\n",
        "Cookie: wok=cook\r\n",
        "Cookie: wok=cook;lang=en\r\n",
        "Cookie: lang=en; wok=other\r\n",
        "Cookie: wok=cook; lang=en\r\nAuthorization: Basic YTpi\r\n",
    ] {
        assert_eq!(knock(&door, PATH, other).await.status, 401, "{other}");
    }
    // Of the question the host is a part, too.
    let handshake = Door::handshake(PATH, line).replace("door.example", "also.example");
    assert_eq!(door.plain().await.ask(&handshake).await.status, 401);
    assert_eq!(knock(&door, PATH, line).await.status, 101);
}

#[tokio::test]
async fn a_cookie_that_is_read_in_several_ways_is_asked_about_each_time() {
    let (app, console, door) = kitchen("cookies = ['wok']\nallow-cache = '60s'").await;
    for line in [
        "wok =cook",
        "wok= cook",
        "a=b wok=cook",
        "a=b, wok=cook",
        "wok=\"cook\"",
        "wok=1; wok=cook",
        "wok=cook; wok=cook",
        "w%6fk=cook",
        "lang=en",
        "wok=cook; a=\"x, y\"",
    ] {
        let lines = format!("Cookie: {line}\r\n");
        app.answers("/tasks", "200 OK\r\n");
        for _ in 0..2 {
            let before = app.asked("/tasks");
            let _open = tunnel(&door, &console, &lines).await;
            assert_eq!(app.asked("/tasks"), before + 1, "{line}");
        }
        app.answers("/tasks", "401 Unauthorized\r\n");
        assert_eq!(knock(&door, PATH, &lines).await.status, 401, "{line}");
        let mut client = Http2::open(&door).await;
        let before = app.asked("/tasks");
        let (answer, _) = client.connect_with(PATH, &[("cookie", line)]).await;
        assert_eq!(answer.await.unwrap().status(), 401, "{line}");
        assert_eq!(app.asked("/tasks"), before + 1, "{line}");
    }
}

#[tokio::test]
async fn cookies_with_too_many_readings_are_nobodys() {
    let (app, _console, door) = kitchen("cookies = ['wok']").await;
    let many: Vec<String> = (0..40).map(|number| format!("wok={number}")).collect();
    let lines = format!("Cookie: {}\r\n", many.join("; "));
    assert_eq!(knock(&door, PATH, &lines).await.status, 401);
    assert_eq!(app.asked("/tasks"), 0);
}

#[tokio::test]
async fn a_no_is_not_believed_for_the_next_request() {
    let (app, console, door) = kitchen("allow-cache = '60s'\ntoken-path = '/vms/{vm}'").await;
    app.answers("/tasks", "401 Unauthorized\r\n");
    assert_eq!(knock(&door, PATH, COOK).await.status, 401);
    app.answers("/tasks", "200 OK\r\n");
    app.answers("/vms/vm", "403 Forbidden\r\n");
    assert_eq!(knock(&door, PATH, COOK).await.status, 403);
    app.answers("/vms/vm", "200 OK\r\n");
    let _open = tunnel(&door, &console, COOK).await;
}

#[tokio::test]
async fn nobody_is_asked_where_no_session_is_required() {
    let (app, console, door) = kitchen("[bridge]\nsession = 'none'").await;
    let _open = tunnel(&door, &console, "").await;
    assert_eq!(app.asked("/tasks"), 0);
}

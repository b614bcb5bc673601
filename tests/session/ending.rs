//! Tests of closing open connections: at once by a logout, by the app when it is queried again, and by nothing
//! else.

use tokio::net::UnixStream;

use super::{App, COOK, PATH, configuration, kitchen, knock, log_out, tunnel};
use crate::harness::{Backend, CLOSE, Door, FIN, Http2, Wire, binary, masked, until};

const OTHER: &str = "Cookie: wok=other\r\n";
const EVERY_SECOND: &str = "interval = '100ms'\nallow-cache = '0s'";

/// Asserts that bytes still pass.
async fn is_open((client, console): &mut (Wire, Wire)) {
    client.send(binary(b"knock")).await;
    assert_eq!(console.take(5).await, b"knock");
}

/// Asserts that the page is told, and that the console is let go of.
async fn is_ended((client, console): &mut (Wire, Wire)) {
    assert_eq!(client.close_code().await, 4401);
    client.send(masked(FIN | CLOSE, b"")).await;
    assert_eq!(console.rest().await, b"");
}

/// Waits until the app was asked once more from now on, from beginning to end.
async fn asked_again(app: &App) {
    let before = app.asked("/tasks");
    until("the app to be asked again", || async {
        (app.asked("/tasks") > before + 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_logout_closes_all_tunnels_of_its_session_and_no_others() {
    let (_app, console, door) = kitchen("token-path = '/vms/{vm}'").await;
    let mut own = tunnel(&door, &console, COOK).await;
    let mut second = tunnel(&door, &console, COOK).await;
    let mut other = tunnel(&door, &console, OTHER).await;
    assert_eq!(log_out(&door, "POST", "/logout", COOK).await, 200);
    is_ended(&mut own).await;
    is_ended(&mut second).await;
    is_open(&mut other).await;
}

#[tokio::test]
async fn where_the_cookie_changes_a_logout_ends_what_its_user_has_open() {
    let settings = "cookies = ['wok']\nname-header = 'Remote-User'\nlogout-ends = 'user'";
    let (app, console, door) = kitchen(settings).await;
    let ann = "200 OK\r\nRemote-User: ann\r\n";
    app.answers("/tasks", ann);
    let mut own = tunnel(&door, &console, "Cookie: wok=signed-1\r\n").await;
    app.answers("/tasks", "200 OK\r\nRemote-User: bob\r\n");
    let mut other = tunnel(&door, &console, "Cookie: wok=bobs\r\n").await;
    log_out(&door, "GET", "/logout", "Cookie: wok=bobs-2\r\n").await;
    is_ended(&mut other).await;
    is_open(&mut own).await;
    app.answers("/tasks", ann);
    log_out(&door, "GET", "/logout", "Cookie: wok=signed-2\r\n").await;
    is_ended(&mut own).await;
}

#[tokio::test]
async fn every_spelling_of_the_logout_ends_its_session() {
    let (_app, console, door) = kitchen("").await;
    for path in [
        "/logout/",
        "//logout",
        "/%6cogout",
        "/logout;x=1",
        "/logou%74/",
    ] {
        let mut own = tunnel(&door, &console, COOK).await;
        let mut other = tunnel(&door, &console, OTHER).await;
        assert_eq!(log_out(&door, "POST", path, COOK).await, 200, "{path}");
        is_ended(&mut own).await;
        is_open(&mut other).await;
    }
}

#[tokio::test]
async fn after_a_logout_the_app_is_asked_again_and_a_new_session_of_the_same_cookie_lasts() {
    let (app, console, door) = kitchen("allow-cache = '60s'\ntoken-path = '/vms/{vm}'").await;
    let mut before = tunnel(&door, &console, COOK).await;
    log_out(&door, "POST", "/logout", COOK).await;
    is_ended(&mut before).await;
    let mut after = tunnel(&door, &console, COOK).await;
    is_open(&mut after).await;
    assert_eq!((app.asked("/tasks"), app.asked("/vms/vm")), (2, 2));
    log_out(&door, "POST", "/logout", COOK).await;
    is_ended(&mut after).await;
}

#[tokio::test]
async fn a_logout_finds_its_session_in_whatever_spelling_either_was() {
    let (_app, console, door) = kitchen("cookies = ['wok']").await;
    let spelled = [
        "wok=cook",
        "lang=en; wok=cook",
        "wok =cook",
        "wok= cook",
        "a=b wok=cook",
        "a=b, wok=cook",
        "wok=\"cook\"",
        "wok=1; wok=cook",
        "w%6fk=cook",
    ];
    for logout in spelled {
        let mut opened = Vec::new();
        for line in spelled {
            opened.push(tunnel(&door, &console, &format!("Cookie: {line}\r\n")).await);
        }
        let mut other = tunnel(&door, &console, "Cookie: wok=other; lang=en\r\n").await;
        let lines = format!("Cookie: {logout}\r\n");
        assert_eq!(log_out(&door, "POST", "/logout", &lines).await, 200);
        for own in &mut opened {
            is_ended(own).await;
        }
        is_open(&mut other).await;
    }
}

#[tokio::test]
async fn a_logout_by_another_route_of_the_app_ends_its_session() {
    let app = App::start().await;
    let console = Backend::tcp().await;
    let other = app.0.settings.replace("'app'", "'other'");
    let settings = format!("logout = ['/wok/leave']\n{other}path = '/wok'\n");
    let door = Door::open(&configuration(&app, &console, &settings)).await;
    let mut own = tunnel(&door, &console, COOK).await;
    let mut stranger = tunnel(&door, &console, OTHER).await;
    assert_eq!(log_out(&door, "POST", "/wok/leave", COOK).await, 200);
    is_ended(&mut own).await;
    is_open(&mut stranger).await;
}

#[tokio::test]
async fn a_logout_finds_what_was_opened_with_more_or_less_than_it_shows() {
    const LONG: &str = "wok=0123456789abcdef0123456789abcdef";
    for (names, opened, shown) in [
        (
            "['wok']",
            "Cookie: wok=cook\r\nAuthorization: Bearer x\r\n",
            "Cookie: wok=cook\r\n",
        ),
        (
            "['wok']",
            "Cookie: wok=cook\r\n",
            "Cookie: wok=cook\r\nAuthorization: Bearer x\r\n",
        ),
        (
            "['wok', 'remember']",
            "Cookie: wok=cook; remember=made-up\r\n",
            "Cookie: wok=cook\r\n",
        ),
        (
            "['wok', 'remember']",
            "Cookie: wok=cook\r\n",
            "Cookie: wok=cook; remember=7\r\n",
        ),
        (
            "[]",
            "Cookie: wok=LONG; made=up\r\n",
            "Cookie: wok=LONG\r\n",
        ),
        (
            "[]",
            "Cookie: wok=LONG\r\n",
            "Cookie: lang=en; wok=LONG\r\n",
        ),
        (
            "[]",
            "Authorization: Bearer x\r\n",
            "Cookie: lang=en\r\nAuthorization: Bearer x\r\n",
        ),
    ] {
        let (opened, shown) = (
            opened.replace("wok=LONG", LONG),
            shown.replace("wok=LONG", LONG),
        );
        // Without the logout nobody would be asked again while this test runs.
        let settings = format!("interval = '1h'\nallow-cache = '1h'\ncookies = {names}");
        let (app, console, door) = kitchen(&settings).await;
        let mut own = tunnel(&door, &console, &opened).await;
        let mut other = tunnel(&door, &console, OTHER).await;
        app.answers("/tasks", "401 Unauthorized\r\n");
        assert_eq!(log_out(&door, "POST", "/logout", &shown).await, 200);
        is_ended(&mut own).await;
        is_open(&mut other).await;
    }
}

#[tokio::test]
async fn a_question_under_way_at_the_logout_lets_nobody_in() {
    let (app, console, door) = kitchen("").await;
    app.open(false);
    let mut client = door.tls().await;
    client.send(Door::handshake(PATH, COOK)).await;
    until("the question", || async {
        (app.asked("/tasks") == 1).then_some(())
    })
    .await;
    // Both wait at the app now; whichever is answered first, the visitor must be out in the end.
    let mut leaving = door.tls().await;
    let logout = Door::get("/logout", &format!("Content-Length: 0\r\n{COOK}"));
    leaving.send(logout.replacen("GET", "POST", 1)).await;
    until("the logout", || async {
        (app.asked("/logout") == 1).then_some(())
    })
    .await;
    app.open(true);
    assert_eq!(leaving.answer().await.status, 200);
    let answer = client.answer().await;
    if answer.status == 101 {
        assert_eq!(client.close_code().await, 4401);
    } else {
        assert_eq!(answer.status, 401);
        console.has_nobody().await;
    }
}

#[tokio::test]
async fn what_is_no_logout_closes_nothing() {
    let (app, console, door) = kitchen("").await;
    let mut open = tunnel(&door, &console, COOK).await;
    log_out(&door, "POST", "/logout/now", COOK).await;
    log_out(&door, "POST", "/logout", OTHER).await;
    log_out(&door, "POST", "/logout", "").await;
    app.answers("/logout", "500 Internal Server Error\r\n");
    assert_eq!(log_out(&door, "POST", "/logout", COOK).await, 500);
    app.answers("/logout", "405 Method Not Allowed\r\n");
    assert_eq!(log_out(&door, "GET", "/logout", COOK).await, 405);
    app.answers("/logout", "304 Not Modified\r\n");
    assert_eq!(log_out(&door, "GET", "/logout", COOK).await, 304);
    is_open(&mut open).await;
}

#[tokio::test]
async fn what_may_be_a_logout_has_the_app_asked_at_once() {
    // Without a logout nobody would be asked again while this test runs.
    let (app, console, door) = kitchen("interval = '1h'\nallow-cache = '1h'").await;
    for (method, path) in [
        ("GET", "/logout"),
        ("DELETE", "/logout"),
        ("POST", "/logout/now"),
        ("GET", "//logout/cook"),
        ("POST", "/logou%74//x"),
        ("POST", "/logout.json"),
    ] {
        app.answers("/tasks", "200 OK\r\n");
        let mut own = tunnel(&door, &console, COOK).await;
        let mut other = tunnel(&door, &console, OTHER).await;
        // The app says that it was none.
        let before = app.asked("/tasks");
        assert_eq!(log_out(&door, method, path, COOK).await, 200, "{path}");
        until("the app to be asked", || async {
            (app.asked("/tasks") > before).then_some(())
        })
        .await;
        is_open(&mut own).await;
        app.answers("/tasks", "401 Unauthorized\r\n");
        log_out(&door, method, path, COOK).await;
        is_ended(&mut own).await;
        is_open(&mut other).await;
    }
}

#[tokio::test]
async fn a_logout_still_reaches_what_was_opened_before_a_reload() {
    let (app, console, door) = kitchen("").await;
    let mut old = tunnel(&door, &console, COOK).await;
    let settings = configuration(&app, &console, EVERY_SECOND);
    let config = noren::Config::parse(&format!("{}{settings}", door.base), "test").unwrap();
    door.handle.reload(config).unwrap();
    asked_again(&app).await;
    is_open(&mut old).await;
    log_out(&door, "POST", "/logout", COOK).await;
    is_ended(&mut old).await;
}

#[tokio::test]
async fn a_session_that_has_ended_closes_all_that_is_open_after_one_question() {
    let (app, console, door) = kitchen(EVERY_SECOND).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(tunnel(&door, &console, COOK).await);
    }
    asked_again(&app).await;
    app.answers("/tasks", "401 Unauthorized\r\n");
    let before = app.asked("/tasks");
    for tunnel in &mut open {
        is_ended(tunnel).await;
    }
    // One question was perhaps under way when the answer changed.
    assert!(app.asked("/tasks") <= before + 2);
}

#[tokio::test]
async fn a_right_that_was_taken_away_closes_its_console_only() {
    let (app, console, door) =
        kitchen(&format!("{EVERY_SECOND}\ntoken-path = '/vms/{{vm}}'")).await;
    let mut own = tunnel(&door, &console, COOK).await;
    let mut other = tunnel(&door, &console, OTHER).await;
    app.answers("/vms/vm", "403 Forbidden\r\n");
    is_ended(&mut own).await;
    is_ended(&mut other).await;
    app.answers("/vms/vm", "200 OK\r\n");
    let mut again = tunnel(&door, &console, COOK).await;
    is_open(&mut again).await;
}

#[tokio::test]
async fn an_app_that_is_down_for_a_moment_refuses_newcomers_and_closes_nothing() {
    let (app, console, door) = kitchen(EVERY_SECOND).await;
    let mut open = tunnel(&door, &console, COOK).await;
    for trouble in ["", "503 Service Unavailable\r\n"] {
        app.answers("/tasks", trouble);
        asked_again(&app).await;
        assert_eq!(knock(&door, PATH, COOK).await.status, 502);
        is_open(&mut open).await;
    }
    app.answers("/tasks", "200 OK\r\n");
    let mut newcomer = tunnel(&door, &console, COOK).await;
    is_open(&mut newcomer).await;
    app.answers("/tasks", "403 Forbidden\r\n");
    is_ended(&mut open).await;
    is_ended(&mut newcomer).await;
}

#[tokio::test]
async fn a_visitor_who_is_refused_takes_what_is_open_of_the_same_session_along() {
    let (app, console, door) = kitchen("allow-cache = '0s'").await;
    let mut open = tunnel(&door, &console, COOK).await;
    app.answers("/tasks", "401 Unauthorized\r\n");
    assert_eq!(knock(&door, PATH, COOK).await.status, 401);
    is_ended(&mut open).await;
}

#[tokio::test]
async fn nobody_is_asked_about_when_nothing_is_open() {
    let (app, console, door) = kitchen(EVERY_SECOND).await;
    let mut closed = tunnel(&door, &console, COOK).await;
    closed.1.output.finish().await;
    assert_eq!(closed.0.close_code().await, 1000);
    closed.0.send(masked(FIN | CLOSE, b"")).await;
    closed.0.rest().await;
    let _open = tunnel(&door, &console, OTHER).await;
    asked_again(&app).await;
    asked_again(&app).await;
    assert_eq!(app.last().one("cookie"), Some("wok=other"));
    assert_eq!(app.last().one("cookie"), Some("wok=other"));
}

#[tokio::test]
async fn a_tunnel_over_http2_ends_with_its_session_too() {
    let (_app, console, door) = kitchen("").await;
    let mut client = Http2::open(&door).await;
    let cookie = [("cookie", "wok=cook")];
    let mut opened = client.websocket_with(PATH, &cookie).await;
    let _target = console.accept().await;
    log_out(&door, "POST", "/logout", COOK).await;
    assert_eq!(opened.close_code().await, 4401);
}

#[tokio::test]
async fn an_administrator_closes_all_of_one_session_and_nothing_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin.sock");
    let settings = format!("[admin]\nsocket = '{}'", socket.display());
    let (_app, console, door) = kitchen(&settings).await;
    let ask = async |request: String| {
        let stream = UnixStream::connect(&socket).await.unwrap();
        Wire::new(stream).ask(&request).await
    };
    let mut own = tunnel(&door, &console, COOK).await;
    let mut second = tunnel(&door, &console, COOK).await;
    let mut other = tunnel(&door, &console, OTHER).await;

    let status = ask(Door::get("/status", "")).await;
    let status: serde_json::Value = serde_json::from_slice(&status.body).unwrap();
    let sessions: Vec<_> = (0..3)
        .map(|row| &status["tunnels"][row]["session"])
        .collect();
    assert!(sessions[0].is_u64(), "{status}");
    assert_eq!(sessions[0], sessions[1]);
    assert_ne!(sessions[0], sessions[2]);

    let close = |number: &str| {
        Door::get(&format!("/close/v{number}"), "Content-Length: 0\r\n").replacen("GET", "POST", 1)
    };
    let closed = ask(close(&sessions[0].to_string())).await;
    let closed: serde_json::Value = serde_json::from_slice(&closed.body).unwrap();
    assert_eq!(closed["closed"].as_array().unwrap().len(), 2, "{closed}");
    assert_eq!(own.0.close_code().await, 4403);
    assert_eq!(second.0.close_code().await, 4403);
    is_open(&mut other).await;
    // No session has this number, and what belongs to none is not meant by it.
    let closed = ask(close("0")).await;
    assert!(closed.text().contains("[]"), "{}", closed.text());
    is_open(&mut other).await;
}

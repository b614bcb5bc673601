//! Tests of refused visitors, and of the responses they get.

use super::{COOK, PATH, kitchen, knock, tunnel};
use crate::harness::{Backend, Door};

#[tokio::test]
async fn an_anonymous_visitor_is_401_whether_the_token_is_known_or_not() {
    let (app, console, door) = kitchen("").await;
    app.answers("/tasks", "401 Unauthorized\r\nSet-Cookie: wok=new\r\n");
    for path in [PATH, "/websockify?token=nobody", "/websockify"] {
        let answer = knock(&door, path, "").await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(answer.text().contains("log in"), "{}", answer.text());
        assert!(answer.head.all("set-cookie").is_empty());
    }
    assert_eq!(app.asked("/tasks"), 1, "a no is believed as a yes is");
    console.has_nobody().await;
}

#[tokio::test]
async fn an_expired_session_is_401_and_not_an_anonymous_visit() {
    let (app, console, door) = kitchen("").await;
    let _anonymous = tunnel(&door, &console, "").await;
    app.answers("/tasks", "401 Unauthorized\r\n");
    assert_eq!(knock(&door, PATH, COOK).await.status, 401);
    console.has_nobody().await;
}

#[tokio::test]
async fn an_app_without_a_clear_answer_lets_nobody_in() {
    for (said, status) in [
        ("403 Forbidden\r\n", 403),
        ("302 Found\r\nLocation: /login\r\n", 401),
        ("303 See Other\r\nLocation: /login\r\n", 401),
        ("301 Moved Permanently\r\nLocation: /tasks/\r\n", 502),
        ("404 Not Found\r\n", 502),
        ("500 Internal Server Error\r\n", 502),
        ("", 502),
    ] {
        let (app, console, door) = kitchen("").await;
        app.answers("/tasks", said);
        let answer = knock(&door, PATH, COOK).await;
        assert_eq!(answer.status, status, "{said}");
        assert_eq!(answer.head.one("retry-after").is_some(), status == 502);
        console.has_nobody().await;
    }
}

#[tokio::test]
async fn an_app_that_is_not_there_is_502_and_one_that_is_silent_504() {
    let console = Backend::tcp().await;
    let door = Door::open(&format!(
        "[[app]]\nurl = 'unix:/nonexistent/app'\nrestart-wait = '0s'\n[session]\npath = '/tasks'\n{}",
        console.target("vm")
    ))
    .await;
    assert_eq!(knock(&door, PATH, COOK).await.status, 502);
    let (app, console, door) = kitchen("timeout = '100ms'").await;
    app.open(false);
    assert_eq!(knock(&door, PATH, COOK).await.status, 504);
    console.has_nobody().await;
}

#[tokio::test]
async fn what_the_app_sets_for_the_question_does_not_reach_the_visitor() {
    let (app, _console, door) = kitchen("").await;
    app.answers(
        "/tasks",
        "200 OK\r\nSet-Cookie: wok=new\r\nX-User: cook\r\n",
    );
    let answer = knock(&door, PATH, COOK).await;
    assert_eq!(answer.status, 101);
    assert!(answer.head.all("set-cookie").is_empty());
    assert!(answer.head.all("x-user").is_empty());
}

#[tokio::test]
async fn a_foreign_page_is_refused_before_anybody_is_asked() {
    let (app, _console, door) = kitchen("").await;
    let lines = format!("{COOK}Origin: https://evil.example\r\n");
    assert_eq!(knock(&door, PATH, &lines).await.status, 403);
    assert_eq!(app.asked("/tasks"), 0);
}

#[tokio::test]
async fn each_console_is_a_question_of_its_own() {
    let news = Backend::tcp().await;
    let other = Backend::tcp().await;
    let (app, console, door) = kitchen(&format!(
        "token-path = '/vms/{{vm}}'\nopen-tokens = ['news']\n{}{}",
        news.target("news"),
        other.target("o ther-console")
    ))
    .await;
    app.answers("/vms/o%20ther-console", "403 Forbidden\r\n");
    let _open = tunnel(&door, &console, COOK).await;
    assert_eq!(app.asked("/vms/vm"), 1);
    let path = "/websockify?token=o%20ther-console";
    assert_eq!(knock(&door, path, COOK).await.status, 403);
    assert_eq!(app.asked("/vms/o%20ther-console"), 1);
    let head = app.last();
    assert_eq!(head.one("noren-console"), Some("o%20ther-console"));
    assert_eq!(head.one("noren-console-guest"), Some("o%20ther-console"));
    assert_eq!(head.one("noren-console-kind"), Some("graphical"));
    other.has_nobody().await;
    assert_eq!(
        knock(&door, "/websockify?token=news", COOK).await.status,
        101
    );
    assert_eq!(app.asked("/vms/news"), 0);
    assert_eq!(app.asked("/tasks"), 1);
    app.answers("/vms/vm", "404 Not Found\r\n");
    let answer = knock(&door, PATH, "Cookie: wok=other\r\n").await;
    assert_eq!(answer.status, 403);
}

/// A console at a UNIX socket of this name, and the target that leads there.
fn at_socket(directory: &tempfile::TempDir, token: &str, name: &str) -> (Backend, String) {
    let path = directory.path().join(name);
    let console = Backend::unix(&path);
    let target = format!(
        "[[bridge.target]]\ntoken = '{token}'\naddress = 'unix:{}'\n",
        path.display()
    );
    (console, target)
}

#[tokio::test]
async fn whoever_may_see_a_guest_gets_its_serial_console_and_no_display_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let (serial, target) = at_socket(&directory, "web-console", "web");
    let (app, _console, door) = kitchen(&format!(
        "token-path = '/vms/{{vm}}?{{kind}}={{name}}'\n{target}"
    ))
    .await;
    app.answers(
        "/vms/web-console?graphical=web-console",
        "404 Not Found\r\n",
    );
    let path = "/websockify?token=web-console";
    let answer = knock(&door, path, COOK).await;
    assert_eq!(answer.status, 101, "{}", answer.text());
    serial.accept().await;
    assert_eq!(app.asked("/vms/web?serial=web-console"), 1);
    assert_eq!(app.asked("/vms/web-console?graphical=web-console"), 0);
    let display = Backend::tcp().await;
    let settings = format!(
        "token-path = '/vms/{{vm}}'\n{}",
        display.target("web-console")
    );
    let (app, _console, door) = kitchen(&settings).await;
    app.answers("/vms/web-console", "403 Forbidden\r\n");
    for token in ["web-console", &noren::encode_token("web-console")] {
        let path = format!("/websockify?token={token}");
        assert_eq!(knock(&door, &path, COOK).await.status, 403);
    }
    assert_eq!(
        (app.asked("/vms/web"), app.asked("/vms/web-console")),
        (0, 1 + 1)
    );
    display.has_nobody().await;
}

#[tokio::test]
async fn a_name_that_two_guests_can_claim_opens_nothing() {
    let directory = tempfile::tempdir().unwrap();
    // Neither the name of the one nor that of the other.
    let (console, target) = at_socket(&directory, "web-console", "echo");
    let settings = format!("token-path = '/vms/{{vm}}'\n{target}");
    let (app, _console, door) = kitchen(&settings).await;
    for path in [
        "/websockify?token=web-console",
        "/websockify?token=d2ViLWNvbnNvbGU",
    ] {
        let answer = knock(&door, path, COOK).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("two guests"), "{}", answer.text());
    }
    assert_eq!(
        (app.asked("/vms/web"), app.asked("/vms/web-console")),
        (0, 0)
    );
    console.has_nobody().await;
}

#[tokio::test]
async fn a_token_that_decodes_by_accident_is_not_the_console_of_another_guest() {
    let directory = tempfile::tempdir().unwrap();
    let other = Backend::tcp().await;
    let line = format!("web1: {}\n", other.address());
    std::fs::write(directory.path().join("tokens"), line).unwrap();
    let settings = format!(
        "token-path = '/vms/{{vm}}'\n[[bridge.tokens]]\nsource = 'file'\npath = '{}/tokens'\n",
        directory.path().display()
    );
    let (app, _console, door) = kitchen(&settings).await;
    let path = "/websockify?token=web1";
    let answer = knock(&door, path, COOK).await;
    assert_eq!(answer.status, 101, "{}", answer.text());
    assert_eq!(app.asked("/vms/web1"), 1);
}

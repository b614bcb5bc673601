//! Several routes to one app: what one of them guards, sets or ends holds on the others, too.

#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands"
)]

use std::fs;

use crate::harness::{Backend, Door, FIN, Head, Http2, TEXT, masked, within};

const CLAIMS: [(&str, &str); 4] = [
    ("x-remote-user", "root"),
    ("x_remote_user", "root"),
    ("x-certificate", "root"),
    ("x-other", "stays"),
];

/// The names of the claims that have come.
fn came(head: &Head) -> Vec<&'static str> {
    let names = CLAIMS.iter().map(|(name, _)| *name);
    names.filter(|name| !head.all(name).is_empty()).collect()
}

/// The settings of an app at `/` and of routes to the same and to another address, which tell names.
fn routes(app: &Backend, other: &Backend, users: &str) -> String {
    let (port, elsewhere) = (port(app), port(other));
    format!(
        "{}[[app]]\nname = 'admin'\nurl = 'http://localhost:{port}'\npath = '/admin'\nusers = '{users}'\n\
         user-header = 'X-Remote-User'\n\
         [[app]]\nname = 'keys'\nurl = 'http://127.0.0.1:{elsewhere}'\npath = '/keys'\n\
         certificate-header = 'X-Certificate'\n",
        app.app()
    )
}

fn port(app: &Backend) -> &str {
    app.address().rsplit(':').next().unwrap()
}

async fn serve(app: &Backend) -> Head {
    let mut worker = app.accept().await;
    let head = worker.head().await;
    worker
        .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .await;
    worker.output.finish().await;
    head
}

#[tokio::test]
async fn a_header_that_one_route_sets_comes_from_no_client_by_another() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users");
    fs::write(&users, "cook:wok\n").unwrap();
    let (app, other) = (Backend::tcp().await, Backend::tcp().await);
    let door = Door::open(&routes(&app, &other, &users.display().to_string())).await;
    let lines: Vec<_> = CLAIMS
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let lines = lines.concat();
    let left = ["x-other"];
    for path in ["/", "/elsewhere"] {
        let mut client = door.plain().await;
        let request = Door::get(path, &lines);
        let (answer, head) = tokio::join!(client.ask(&request), serve(&app));
        assert_eq!(answer.status, 200);
        assert_eq!(came(&head), left, "{path}");

        let mut client = door.tls().await;
        let request = Door::handshake(path, &lines);
        let (_, head) = tokio::join!(client.ask(&request), serve(&app));
        assert_eq!(came(&head), left, "a WebSocket to {path}");

        let mut http2 = Http2::open(&door).await;
        let mut request = Http2::get(path);
        for (name, value) in CLAIMS {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (status, head) = tokio::join!(http2.status(request), serve(&app));
        assert_eq!(status, Some(200));
        assert_eq!(came(&head), left, "{path} over HTTP/2");
    }
}

#[tokio::test]
async fn a_message_of_a_page_has_no_header_that_another_route_sets() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users");
    fs::write(&users, "cook:wok\n").unwrap();
    let (app, other) = (Backend::tcp().await, Backend::tcp().await);
    let door = Door::open(&format!(
        "{}[[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/say'\n",
        routes(&app, &other, &users.display().to_string())
    ))
    .await;
    let mut client = door.tls().await;
    let lines = "X-Remote-User: root\r\nX-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: PUT\r\n\
                 Content-Type: text/plain\r\nContent-Length: 0\r\n";
    let request = Door::get("/events/chat", lines).replacen("GET", "POST", 1);
    let (answer, head) = tokio::join!(client.ask(&request), serve(&app));
    assert_eq!(answer.status, 200);
    assert_eq!(head.start, "POST /say?channel=chat HTTP/1.1");
    for name in ["x-remote-user", "x-http-method-override", "x-http-method"] {
        assert_eq!(head.all(name), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn events_for_an_app_with_grip_come_by_no_other_route() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    fs::write(
        &key,
        "6b6579206f6620746865206170702c206f66207468697274792d74776f206279",
    )
    .unwrap();
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}[[app]]\nname = 'live'\nurl = 'http://{}'\npath = '/live'\n[app.grip]\nkeys = ['{}']\n",
        app.app(),
        app.address(),
        key.display()
    ))
    .await;
    let events = "Content-Type: application/websocket-events\r\nContent-Length: 0\r\n";
    let request = Door::get("/any", events).replacen("GET", "POST", 1);
    assert_eq!(door.plain().await.ask(&request).await.status, 403);
    app.has_nobody().await;
    let mut client = door.plain().await;
    let claims = "Connection-Id: 1\r\nMeta-User: root\r\nX-Other: stays\r\n";
    let request = Door::get("/any", claims);
    let (answer, head) = tokio::join!(client.ask(&request), serve(&app));
    assert_eq!(answer.status, 200);
    let lines = head.lines();
    let is_of_grip =
        |line: &&String| line.starts_with("meta-") || line.starts_with("connection-id");
    assert_eq!(lines.iter().find(is_of_grip), None);
    assert_eq!(head.one("x-other"), Some("stays"));
}

#[tokio::test]
async fn a_message_cannot_be_told_to_the_app_by_another_name_of_its_address() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}[[app]]\nname = 'other'\nurl = 'http://localhost:{}'\nhosts = ['also.example']\n\
         [[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/say'\n",
        app.app(),
        port(&app)
    ))
    .await;
    let request = Door::get("/say", "").replacen("door.example", "also.example", 1);
    let answer = within("an answer", async {
        door.plain().await.ask(&request).await
    })
    .await;
    assert_eq!(answer.status, 403);
    app.has_nobody().await;
}

#[tokio::test]
async fn a_login_counts_by_every_route_to_its_app() {
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}server-root = '/wok'\ncase-insensitive = true\n\
         [[app]]\nname = 'side'\nurl = 'http://localhost:{}'\npath = '/wok'\n\
         [limits]\nlogin-failures = 2\n",
        app.app(),
        port(&app)
    ))
    .await;
    for (from, path) in [
        ("127.0.0.2", "/wok/login"),
        ("127.0.0.3", "/wok/LogIn"),
        ("127.0.0.4", "/wok/login.json"),
    ] {
        let request = Door::get(path, "Content-Length: 0\r\n").replacen("GET", "POST", 1);
        for _ in 0..2 {
            let mut client = door.plain_from(from).await;
            let refuse = async {
                let mut worker = app.accept().await;
                worker.head().await;
                worker
                    .send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                    .await;
                worker.output.finish().await;
            };
            let (answer, ()) = tokio::join!(client.ask(&request), refuse);
            assert_eq!(answer.status, 401);
        }
        let mut client = door.plain_from(from).await;
        assert_eq!(client.ask(&request).await.status, 429, "{path}");
    }
    app.has_nobody().await;
}

#[tokio::test]
async fn a_message_of_a_page_comes_in_by_the_entrance_of_its_app() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (guests, staff) = (file("guests", "cook:wok\n"), file("staff", "cook:tea\n"));
    let (guest, cook) = (
        "Authorization: Basic Y29vazp3b2s=\r\n",
        "Authorization: Basic Y29vazp0ZWE=\r\n",
    );
    let app = Backend::tcp().await;
    let users = |file: &str| format!("users = '{file}'\n");
    let none = String::new();
    for (of_app, of_hub, lines, told) in [
        (users(&staff), none.clone(), "", Err(401)),
        (users(&staff), none.clone(), guest, Err(401)),
        (users(&staff), none.clone(), cook, Ok(Some("cook"))),
        // The same name is somebody else.
        (users(&staff), users(&guests), guest, Err(401)),
        (users(&staff), users(&guests), cook, Err(401)),
        (users(&guests), users(&guests), guest, Ok(Some("cook"))),
        (none.clone(), users(&guests), guest, Ok(Some("cook"))),
        (none.clone(), none.clone(), "", Ok(None)),
    ] {
        let door = Door::open(&format!(
            "{}{of_app}user-header = 'X-Remote-User'\n[hub]\n{of_hub}\
             [[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/say'\n",
            app.app()
        ))
        .await;
        let case = format!("{of_app} {of_hub} {lines}");
        let lines = format!("{lines}Content-Type: text/plain\r\nContent-Length: 0\r\n");
        let request = Door::get("/events/chat", &lines).replacen("GET", "POST", 1);
        let mut client = door.tls().await;
        match told {
            Err(status) => {
                assert_eq!(client.ask(&request).await.status, status, "{case}");
                app.has_nobody().await;
            }
            Ok(name) => {
                let (answer, head) = tokio::join!(client.ask(&request), serve(&app));
                assert_eq!(answer.status, 200, "{case}");
                assert_eq!(head.one("x-remote-user"), name, "{case}");
                let password = head.one("authorization");
                assert_eq!(password, None, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn a_socket_takes_no_messages_for_an_app_that_asks_for_more_than_the_hub() {
    let directory = tempfile::tempdir().unwrap();
    let staff = directory.path().join("staff");
    fs::write(&staff, "cook:tea\n").unwrap();
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}users = '{}'\n[[channel]]\nname = 'chat'\npublish = ['app']\nreceive = '/say'\n",
        app.app(),
        staff.display()
    ))
    .await;
    let mut client = door.tls().await;
    let lines = "Authorization: Basic Y29vazp0ZWE=\r\n";
    let opened = client.ask(&Door::handshake("/events/chat", lines)).await;
    assert_eq!(opened.status, 101);
    let message = br#"{"channel":"chat","data":"hi","ref":1}"#;
    client.send(masked(FIN | TEXT, message)).await;
    let refused = loop {
        let frame = within("a frame", client.input.frame()).await;
        let text = String::from_utf8(frame.payload).unwrap();
        if text.contains("\"ref\"") {
            break text;
        }
    };
    assert!(refused.contains("403"), "{refused}");
    app.has_nobody().await;
}

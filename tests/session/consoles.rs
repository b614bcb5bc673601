//! The pages of consoles: whom they are for, and which consoles they name.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{App, COOK};
use crate::harness::{Answer, Backend, Door, until};

/// The response to a GET with these lines.
async fn get(door: &Door, path: &str, lines: &str) -> Answer {
    door.tls().await.ask(&Door::get(path, lines)).await
}

/// A door that asks this app about visitors at `/tasks`. Keys of `[session]`, or tables, may be given.
async fn door_of(app: &App, settings: &str) -> Door {
    let asking = &app.0.settings;
    Door::open(&format!("{asking}[session]\npath = '/tasks'\n{settings}\n")).await
}

/// The names in the list, as this visitor gets it; none if the list itself is refused.
async fn listed(door: &Door, lines: &str) -> Option<Vec<String>> {
    let answer = get(door, "/consoles/list", lines).await;
    if answer.status != 200 {
        return None;
    }
    let list: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
    let names = list["consoles"].as_array().unwrap().iter();
    Some(
        names
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect(),
    )
}

const THREE: &str = "[[bridge.target]]\ntoken = 'vm1'\naddress = '127.0.0.1:1'\n\
                     [[bridge.target]]\ntoken = 'dm0y'\naddress = '127.0.0.1:1'\n\
                     [[bridge.target]]\ntoken = 'news'\naddress = '127.0.0.1:1'\n\
                     [bridge.boundaries]\nnews = '//EOM//'\n";

#[tokio::test]
async fn the_page_names_the_consoles_that_the_app_permits_this_visitor_and_no_others() {
    let app = App::start().await;
    let settings = format!(
        "token-path = '/vms/{{vm}}'\nallow-cache = '0s'\n[bridge.consoles]\npath = '/consoles'\n{THREE}"
    );
    let door = door_of(&app, &settings).await;
    assert_eq!(get(&door, "/consoles/", "").await.status, 200);
    assert_eq!(listed(&door, COOK).await.unwrap(), ["vm2", "vm1"]);
    app.answers("/vms/vm1", "403 Forbidden\r\n");
    assert_eq!(listed(&door, COOK).await.unwrap(), ["vm2"]);
    let about = get(&door, "/consoles/about?token=vm1", COOK).await;
    assert_eq!(about.status, 403, "{}", about.text());
    let about = get(&door, "/consoles/about?token=dm0y", COOK).await;
    assert_eq!(about.status, 200);
    let about: serde_json::Value = serde_json::from_str(about.text()).unwrap();
    assert_eq!(
        (&about["name"], &about["bridge"]),
        (&"vm2".into(), &"/websockify".into())
    );
    app.answers("/tasks", "401 Unauthorized\r\n");
    assert_eq!(listed(&door, COOK).await, None);
    let about = get(&door, "/consoles/about?token=dm0y", COOK).await;
    assert_eq!(about.status, 401);
}

#[tokio::test]
async fn those_who_may_open_a_console_are_told_who_has_it_open() {
    let app = App::start().await;
    app.answers("/tasks", "200 OK\r\nRemote-User: ann\r\n");
    let console = Backend::tcp().await;
    let settings = format!(
        "name-header = 'Remote-User'\n[bridge.consoles]\npath = '/consoles'\n{}",
        console.target("vm1")
    );
    let door = door_of(&app, &settings).await;
    let about = async || -> serde_json::Value {
        let about = get(&door, "/consoles/about?token=vm1", COOK).await;
        serde_json::from_str(about.text()).unwrap()
    };
    assert_eq!(about().await["viewers"], serde_json::json!([]));
    let mut open = Vec::new();
    for number in 1..=2 {
        let mut client = door.tls().await;
        client
            .send(Door::handshake("/websockify?token=vm1", COOK))
            .await;
        open.push((console.accept().await, client));
        let client = &mut open.last_mut().unwrap().1;
        assert_eq!(client.answer().await.status, 101);
        // The answer is on its way before the tunnel is listed.
        let seen = until("the viewers", || async {
            let about = about().await;
            let viewers = about["viewers"].as_array().unwrap();
            (viewers.len() == number).then_some(about)
        })
        .await;
        assert_eq!(seen["you"], "ann");
        let first = &seen["viewers"][0];
        assert_eq!(
            (&first["user"], &first["view_only"]),
            (&"ann".into(), &false.into())
        );
    }
    drop(open);
    until("nobody to be there", || async {
        (about().await["viewers"] == serde_json::json!([])).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_token_is_named_on_no_page_unless_the_file_says_that_it_is_no_secret() {
    for (keys, names) in [
        ("", &[][..]),
        ("list = 'none'", &[]),
        ("list = 'all'", &["vm2", "vm1"]),
    ] {
        let door = Door::open(&format!(
            "[bridge.consoles]\npath = '/consoles'\n{keys}\n{THREE}"
        ))
        .await;
        assert_eq!(listed(&door, "").await.unwrap(), names, "{keys}");
        let about = get(&door, "/consoles/about?token=vm1", "").await;
        let about: serde_json::Value = serde_json::from_str(about.text()).unwrap();
        assert_eq!(about["name"].is_null(), names.is_empty(), "{about}");
        // By its token each of them is opened.
        assert_eq!(
            (&about["view_only"], &about["to_host"]),
            (&false.into(), &true.into())
        );
        let unknown = get(&door, "/consoles/about?token=vm3", "").await;
        assert_eq!(unknown.status, 404);
    }
}

#[tokio::test]
async fn the_pages_are_for_whom_the_bridge_lets_in() {
    let directory = tempfile::tempdir().unwrap();
    let users = directory.path().join("users");
    fs::write(&users, "ann:soup\n").unwrap();
    fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).unwrap();
    let door = Door::open(&format!(
        "[bridge]\nusers = '{}'\n[bridge.consoles]\npath = '/consoles'\nlist = 'all'\n{THREE}",
        users.display()
    ))
    .await;
    for path in [
        "/consoles/",
        "/consoles/list",
        "/consoles/view",
        "/consoles/screens.js",
    ] {
        assert_eq!(get(&door, path, "").await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn without_a_path_there_are_no_pages_and_nothing_but_a_get_is_taken() {
    let door = Door::open(THREE).await;
    assert_eq!(get(&door, "/consoles/", "").await.status, 404);
    let door = Door::open(&format!("[bridge.consoles]\npath = '/consoles'\n{THREE}")).await;
    let page = get(&door, "/consoles/", "").await;
    assert_eq!(page.status, 200);
    let policy = page.head.one("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
        "{policy}"
    );
    let moved = get(&door, "/consoles", "").await;
    assert_eq!(
        (moved.status, moved.head.one("location")),
        (308, Some("/consoles/"))
    );
    for (path, status) in [
        ("/consoles/nothing", 404),
        ("/consoles/novnc/core/nothing.js", 404),
        ("/consoles/xterm/../../etc/passwd", 400),
    ] {
        assert_eq!(get(&door, path, "").await.status, status, "{path}");
    }
    let post = "POST /consoles/list HTTP/1.1\r\nHost: door.example\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(door.tls().await.ask(post).await.status, 405);
}

#[tokio::test]
async fn recordings_are_on_the_admin_page_only_where_the_file_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (console, app) = (Backend::tcp().await, App::start().await);
    for (key, status) in [("", 404), ("recordings = true\n", 200)] {
        let settings = format!(
            "name-header = 'Remote-User'\nallow-cache = '0s'\n[admin]\npage = '/noren'\nusers = ['cook']\n{key}\
                 [bridge.recording]\ndirectory = '{}'\n{}",
            directory.path().display(),
            console.target("vm")
        );
        let door = door_of(&app, &settings).await;
        app.answers("/tasks", "200 OK\r\nRemote-User: cook\r\n");
        for path in ["/noren/recordings/", "/noren/recordings/list"] {
            assert_eq!(get(&door, path, COOK).await.status, status, "{key} {path}");
        }
        app.answers("/tasks", "200 OK\r\nRemote-User: ann\r\n");
        assert_eq!(get(&door, "/noren/recordings/list", COOK).await.status, 403);
    }
}

#[tokio::test]
async fn one_address_has_two_lists_made_at_a_time_and_others_have_theirs() {
    let app = App::start().await;
    let settings = format!(
        "token-path = '/vms/{{vm}}'\nworkers = 10\ntimeout = '20s'\nallow-cache = '60s'\n\
         [server]\nhosts = ['door.example']\n[bridge.consoles]\npath = '/consoles'\n{THREE}"
    );
    let door = door_of(&app, &settings).await;
    let cookie = |number: u32| format!("Cookie: wok=cook; n={number}\r\n");
    let visitors = [
        (1, "127.0.0.1"),
        (2, "127.0.0.1"),
        (3, "127.0.0.1"),
        (4, "127.0.0.2"),
    ];
    let mut clients = Vec::new();
    for (number, address) in visitors {
        // The app knows each of them.
        let mut client = door.plain_from(address).await;
        let request = Door::get("/consoles/about?token=none", &cookie(number));
        assert_eq!(client.ask(&request).await.status, 404);
        clients.push(client);
    }
    app.open(false);
    let has_asked = |number: u32| {
        let heads = app.0.heads.lock().unwrap();
        heads.iter().any(|head| {
            let is_its = head
                .one("cookie")
                .is_some_and(|line| line.ends_with(&format!("n={number}")));
            is_its && head.start.contains("/vms/")
        })
    };
    for ((number, _), client) in visitors.into_iter().zip(&mut clients) {
        client
            .send(Door::get("/consoles/list", &cookie(number)))
            .await;
        if number != 3 {
            until("the app to be asked", || async {
                has_asked(number).then_some(())
            })
            .await;
        }
    }
    assert!(!has_asked(3));
    app.open(true);
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert!(has_asked(3));
}

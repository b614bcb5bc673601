//! Several addresses of one app: the choice between them, and what visitors notice when one is away.

use std::path::Path;

use noren::Config;

use crate::harness::{Backend, Door, FullBacklog, Wire, until};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An `[[app]]` with these addresses; further keys of it may follow.
pub(super) fn app(addresses: &[&str]) -> String {
    let url = |address: &&str| {
        let scheme = if address.starts_with("unix:") {
            ""
        } else {
            "http://"
        };
        format!("'{scheme}{address}'")
    };
    let urls: Vec<_> = addresses.iter().map(url).collect();
    format!("[[app]]\nname = 'app'\nurls = [{}]\n", urls.join(", "))
}

/// Answers every request at this address, one connection after another, with its name.
fn serve(backend: Backend, name: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let mut worker = backend.accept().await;
            tokio::spawn(async move {
                loop {
                    worker.head().await;
                    let length = name.len();
                    worker
                        .send(format!(
                            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}"
                        ))
                        .await;
                }
            });
        }
    })
}

async fn ask(door: &Door, path: &str) -> String {
    let answer = door.plain().await.ask(&Door::get(path, "")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

/// An address at which nobody listens.
async fn nobody() -> String {
    Backend::tcp().await.address().to_owned()
}

pub(super) async fn taken(backend: &Backend) -> (Wire, String) {
    let mut worker = backend.accept().await;
    let start = worker.head().await.start;
    (worker, start)
}

#[tokio::test]
async fn each_address_has_its_workers_and_there_is_one_queue_before_all() {
    let directory = tempfile::tempdir().unwrap();
    let one = Backend::tcp().await;
    let other = Backend::unix(&directory.path().join("app"));
    let settings = app(&[one.address(), other.address()]);
    let door = Door::open(&format!("{settings}workers = 1\nqueue = 1\n")).await;
    let mut clients = Vec::new();
    let mut workers = Vec::new();
    for path in ["/first", "/second"] {
        let mut client = door.plain().await;
        client.send(Door::get(path, "")).await;
        let worker = tokio::select! {
            worker = taken(&one) => worker,
            worker = taken(&other) => worker,
        };
        clients.push(client);
        workers.push(worker.0);
    }
    one.has_nobody().await;
    other.has_nobody().await;
    // One request waits, and the next finds the queue full.
    let (mut a, mut b) = (door.plain().await, door.plain().await);
    a.send(Door::get("/third", "")).await;
    b.send(Door::get("/third", "")).await;
    let (refused, mut waiting) = tokio::select! {
        answer = a.answer() => (answer, b),
        answer = b.answer() => (answer, a),
    };
    assert_eq!(refused.status, 503);
    // Whichever is free first serves it: here the second one.
    workers[1].send(OK).await;
    assert_eq!(clients[1].answer().await.text(), "ok");
    assert_eq!(workers[1].head().await.start, "GET /third HTTP/1.1");
    workers[1].send(OK).await;
    assert_eq!(waiting.answer().await.text(), "ok");
    workers[0].send(OK).await;
    assert_eq!(clients[0].answer().await.text(), "ok");
}

#[tokio::test]
async fn a_dead_address_among_several_costs_visitors_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let missing = format!("unix:{}", directory.path().join("missing").display());
    let live = Backend::tcp().await;
    let settings = app(&[&nobody().await, live.address(), &missing]);
    let live = serve(live, "live");
    let door = Door::open(&format!("{settings}restart-wait = '0s'\n")).await;
    for number in 0..12 {
        let mut client = door.plain().await;
        let request = "POST /x HTTP/1.1\r\nHost: door.example\r\nContent-Length: 2\r\n\r\nhi";
        let answer = client.ask(request).await;
        assert_eq!(answer.status, 200, "request {number}: {}", answer.text());
    }
    live.abort();
}

#[tokio::test]
async fn an_address_that_swallows_connections_delays_hardly_anybody() {
    let full = FullBacklog::tcp().await;
    let live = Backend::tcp().await;
    let settings = app(&[full.address(), live.address()]);
    let live = serve(live, "live");
    // Longer than any test waits.
    let door = Door::open(&format!("{settings}connect = '5m'\n")).await;
    for _ in 0..6 {
        assert_eq!(ask(&door, "/").await, "live");
    }
    live.abort();
}

const CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Sends a request until it arrives at the first of two addresses; the second answers what arrives there.
pub(super) async fn arrives_at(
    one: &Backend,
    other: &Backend,
    client: &mut Wire,
    request: &str,
) -> Wire {
    client.send(request).await;
    loop {
        tokio::select! {
            // What has arrived is read in any case, so that no connection is dropped unread.
            mut worker = one.accept() => {
                if !worker.head().await.start.starts_with("OPTIONS") {
                    return worker;
                }
                worker.send(CLOSE).await;
            }
            mut worker = other.accept() => {
                worker.head().await;
                worker.send(CLOSE).await;
                assert_eq!(client.answer().await.text(), "ok");
                client.send(request).await;
            }
        }
    }
}

/// The next request for a sign of life, which nothing answers yet.
pub(super) async fn question(backend: &Backend) -> Wire {
    let (worker, start) = taken(backend).await;
    assert_eq!(start, "OPTIONS * HTTP/1.1");
    worker
}

pub(super) const QUICK_SILENCE: &str =
    "health-silence = '50ms'\nhealth-interval = '20ms'\nkeep-alive = '0s'\n";

#[tokio::test]
async fn an_address_that_hangs_gets_no_requests_until_it_answers() {
    let (hung, live) = (Backend::tcp().await, Backend::tcp().await);
    let settings = app(&[hung.address(), live.address()]);
    let door = Door::open(&format!("{settings}{QUICK_SILENCE}")).await;
    let mut first = door.plain().await;
    let mut waits = arrives_at(&hung, &live, &mut first, &Door::get("/x", "")).await;
    // The second question comes when the first has had no answer.
    let unanswered = question(&hung).await;
    let mut answered = question(&hung).await;
    let mut workers = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = door.plain().await;
        client.send(Door::get("/y", "")).await;
        clients.push(client);
        workers.push(taken(&live).await.0);
    }
    answered
        .send("HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n")
        .await;
    // Now it is the less busy one again.
    let mut client = door.plain().await;
    let mut worker = arrives_at(&hung, &live, &mut client, &Door::get("/z", "")).await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    waits.send(OK).await;
    assert_eq!(first.answer().await.text(), "ok");
    drop((unanswered, workers, clients));
}

#[tokio::test]
async fn an_address_that_works_long_is_no_silent_one() {
    let (slow, other) = (Backend::tcp().await, Backend::tcp().await);
    let settings = app(&[slow.address(), other.address()]);
    let door = Door::open(&format!(
        "{settings}{QUICK_SILENCE}retry-elsewhere = true\n"
    ))
    .await;
    let mut client = door.plain().await;
    let mut worker = arrives_at(&slow, &other, &mut client, &Door::get("/x", "")).await;
    for _ in 0..3 {
        let mut asked = question(&slow).await;
        asked
            .send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            .await;
    }
    other.has_nobody().await;
    worker.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
}

#[tokio::test]
async fn a_safe_request_leaves_a_silent_or_a_dead_address_if_the_configuration_says_so() {
    let post = "POST /x HTTP/1.1\r\nHost: door.example\r\nContent-Length: 2\r\n\r\nhi".to_owned();
    let query = post.replacen("POST", "QUERY", 1);
    let put = post.replacen("POST", "PUT", 1);
    for (request, hangs, moves) in [
        (Door::get("/x", ""), true, true),
        (Door::get("/x", ""), false, true),
        (query.clone(), true, true),
        (query, false, true),
        (post.clone(), true, false),
        (post, false, false),
        (put, true, false),
    ] {
        let (bad, live) = (Backend::tcp().await, Backend::tcp().await);
        let settings = app(&[bad.address(), live.address()]);
        let keys = format!("{QUICK_SILENCE}retry-elsewhere = true\nrestart-wait = '0s'\n");
        let door = Door::open(&format!("{settings}{keys}")).await;
        let mut client = door.plain().await;
        let mut worker = arrives_at(&bad, &live, &mut client, &request).await;
        let mut questions = Vec::new();
        let bad = if hangs {
            questions.push(question(&bad).await);
            Some(bad)
        } else {
            drop(bad);
            worker.output.finish().await;
            None
        };
        if moves {
            let (mut other, start) = taken(&live).await;
            assert!(request.starts_with(&start), "{start}");
            other.send(OK).await;
            assert_eq!(client.answer().await.text(), "ok", "{request}");
        } else if let Some(bad) = bad {
            // It is out by now, and its request is still there.
            questions.push(question(&bad).await);
            live.has_nobody().await;
            worker.send(OK).await;
            assert_eq!(client.answer().await.text(), "ok", "{request}");
        } else {
            assert_eq!(client.answer().await.status, 502, "{request}");
            live.has_nobody().await;
        }
    }
}

#[tokio::test]
async fn a_request_that_may_have_run_is_not_repeated_on_another_address() {
    for request in [
        Door::get("/x", ""),
        "POST /x HTTP/1.1\r\nHost: door.example\r\nContent-Length: 2\r\n\r\nhi".to_owned(),
    ] {
        let (one, other) = (Backend::tcp().await, Backend::tcp().await);
        let settings = app(&[one.address(), other.address()]);
        let door = Door::open(&format!("{settings}restart-wait = '0s'\n")).await;
        let mut client = door.plain().await;
        client.send(&request).await;
        let (worker, left) = tokio::select! {
            (worker, _) = taken(&one) => (worker, &other),
            (worker, _) = taken(&other) => (worker, &one),
        };
        drop(worker);
        assert_eq!(client.answer().await.status, 502);
        left.has_nobody().await;
    }
}

/// The same where the app at the first address is gone for good after it has got the request.
#[tokio::test]
async fn a_request_to_an_app_that_dies_of_it_kills_no_second_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let one = Backend::unix(&path);
    let other = Backend::tcp().await;
    let settings = app(&[one.address(), other.address()]);
    let door = Door::open(&format!("{settings}restart-wait = '100ms'\n")).await;
    let mut client = door.plain().await;
    client.send(Door::get("/deadly", "")).await;
    let mut worker = tokio::select! {
        (worker, _) = taken(&one) => worker,
        (mut worker, _) = taken(&other) => {
            worker.send(OK).await;
            assert_eq!(client.answer().await.text(), "ok");
            client.send(Door::get("/deadly", "")).await;
            taken(&one).await.0
        }
    };
    worker.output.finish().await;
    drop((one, worker));
    assert!(client.answer().await.status >= 502);
    other.has_nobody().await;
}

#[tokio::test]
async fn an_address_that_comes_back_gets_requests_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app");
    let live = Backend::tcp().await;
    let settings = app(&[&format!("unix:{}", path.display()), live.address()]);
    let live = serve(live, "live");
    let door = Door::open(&format!("{settings}health-interval = '20ms'\n")).await;
    for _ in 0..4 {
        assert_eq!(ask(&door, "/").await, "live");
    }
    let back = serve(Backend::unix(&path), "back");
    until("the address to be used again", || async {
        (ask(&door, "/").await == "back").then_some(())
    })
    .await;
    live.abort();
    back.abort();
}

#[tokio::test]
async fn when_all_addresses_are_away_requests_wait_for_any_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let unix = |path: &Path| format!("unix:{}", path.display());
    let (one, other) = (path("one"), path("other"));
    let settings = app(&[&unix(&one), &unix(&other)]);
    let door = Door::open(&format!("{settings}workers = 1\n")).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = door.plain().await;
        client
            .send("POST /x HTTP/1.1\r\nHost: door.example\r\nContent-Length: 2\r\n\r\nhi")
            .await;
        clients.push(client);
    }
    // A request that came later has been answered, so the door has tried to connect.
    let later = door.plain().await.ask(&Door::get("/a/../b", "")).await;
    assert_eq!(later.status, 400);
    let back = serve(Backend::unix(&other), "back");
    for mut client in clients {
        assert_eq!(client.answer().await.text(), "back");
    }
    back.abort();
    // And not for ever.
    let door = Door::open(&format!(
        "{}restart-wait = '1ms'\n",
        app(&[&unix(&one), &unix(&path("none"))])
    ))
    .await;
    let answer = door.plain().await.ask(&Door::get("/", "")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("not running"), "{}", answer.text());
}

#[tokio::test]
async fn an_address_whose_health_check_fails_gets_no_requests_until_it_passes() {
    let (sick, well) = (Backend::tcp().await, Backend::tcp().await);
    let settings = app(&[sick.address(), well.address()]);
    let door = Door::open(&format!(
        "{settings}health-path = '/ready'\nhealth-interval = '20ms'\nhealth-failures = 2\nhealth-successes = 2\n"
    ))
    .await;
    let well = serve(well, "well");
    let (tell, told) = tokio::sync::watch::channel(false);
    let sick = tokio::spawn(async move {
        loop {
            let mut worker = sick.accept().await;
            let told = told.clone();
            tokio::spawn(async move {
                loop {
                    let is_check = worker.head().await.start.contains("/ready");
                    let status = if is_check && !*told.borrow() {
                        500
                    } else {
                        200
                    };
                    let answer =
                        format!("HTTP/1.1 {status} Status\r\nContent-Length: 4\r\n\r\nsick");
                    worker.send(answer).await;
                }
            });
        }
    });
    let in_a_row = |wanted: &'static str, count: usize| {
        let door = &door;
        async move {
            let mut found = 0;
            until("the health check to show", || async {
                ask(door, "/").await.contains(wanted).then_some(())
            })
            .await;
            for _ in 0..count {
                found += usize::from(ask(door, "/").await == wanted);
            }
            found
        }
    };
    // Both are used at first, and then the healthy one only.
    until("the sick one to be left out", || async {
        (in_a_row("well", 8).await == 8).then_some(())
    })
    .await;
    tell.send(true).unwrap();
    until("the other one to be used again", || async {
        (ask(&door, "/").await == "sick").then_some(())
    })
    .await;
    well.abort();
    sick.abort();
}

#[tokio::test]
async fn a_reload_that_takes_an_address_out_lets_its_requests_end() {
    let (one, other) = (Backend::tcp().await, Backend::tcp().await);
    let door = Door::open(&format!("{}workers = 1\n", app(&[one.address()]))).await;
    let mut first = door.plain().await;
    first.send(Door::get("/first", "")).await;
    let (mut worker, _) = taken(&one).await;
    let mut second = door.plain().await;
    second.send(Door::get("/second", "")).await;
    // It waits: a request that came later has been answered.
    let later = door.plain().await.ask(&Door::get("/a/../b", "")).await;
    assert_eq!(later.status, 400);
    let text = format!("{}{}workers = 1\n", door.base, app(&[other.address()]));
    door.handle
        .reload(Config::parse(&text, "test.toml").unwrap())
        .unwrap();
    // The one that waited goes to the new address at once, and the one in progress ends at the old one.
    let (mut newer, start) = taken(&other).await;
    assert_eq!(start, "GET /second HTTP/1.1");
    newer.send(OK).await;
    assert_eq!(second.answer().await.text(), "ok");
    worker.send(OK).await;
    assert_eq!(first.answer().await.text(), "ok");
    one.has_nobody().await;
}

#[tokio::test]
async fn a_websocket_of_the_app_finds_the_address_that_is_there() {
    let live = Backend::tcp().await;
    let door = Door::open(&app(&[&nobody().await, live.address()])).await;
    for _ in 0..2 {
        let mut client = door.plain().await;
        client.send(Door::handshake("/ws", "")).await;
        let (mut worker, _) = taken(&live).await;
        worker
            .send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )
            .await;
        assert_eq!(
            client.head().await.start,
            "HTTP/1.1 101 Switching Protocols"
        );
        client.send("up").await;
        assert_eq!(worker.take(2).await, b"up");
        worker.send("down").await;
        assert_eq!(client.take(4).await, b"down");
    }
}

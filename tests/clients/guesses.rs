//! Guesses of one address that are sent at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use tokio::sync::watch;

use crate::harness::{Backend, Door, Http2, until, within};

/// An app that answers when it is opened: 200 to all of `/open`, 404 to `/made-up`, 401 to the rest. It counts what it
/// was asked.
struct Slow {
    asked: Arc<AtomicUsize>,
    open: watch::Sender<bool>,
    door: Door,
}

impl Slow {
    async fn start(settings: &str) -> Self {
        Self::start_as(|app| format!("{}workers = 100\n{settings}\n", app.app())).await
    }

    async fn start_as(settings: impl FnOnce(&Backend) -> String) -> Self {
        let app = Backend::tcp().await;
        let door = Door::open(&settings(&app)).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let open = watch::Sender::new(true);
        let (count, gate) = (Arc::clone(&asked), open.clone());
        tokio::spawn(async move {
            loop {
                let mut worker = app.accept().await;
                let (count, mut gate) = (Arc::clone(&count), gate.subscribe());
                tokio::spawn(async move {
                    while worker.input.has(1).await {
                        let head = worker.head().await;
                        worker.input.body_of_request(&head).await;
                        count.fetch_add(1, Ordering::SeqCst);
                        gate.wait_for(|open| *open).await.unwrap();
                        let is_open = head.start.contains(" /open");
                        let status = match head.start.as_str() {
                            _ if is_open => "200 OK",
                            start if start.contains("/made-up") => "404 Not Found",
                            _ => "401 Unauthorized",
                        };
                        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                        worker.send(answer).await;
                    }
                });
            }
        });
        Self { asked, open, door }
    }

    /// The number of these requests, sent at once, that reach the app before it answers any of them.
    async fn reached(&self, requests: Vec<http::Request<()>>) -> usize {
        self.open.send_replace(false);
        let before = self.asked.load(Ordering::SeqCst);
        let number = requests.len();
        let mut client = Http2::open(&self.door).await;
        let refused = Arc::new(AtomicUsize::new(0));
        let mut answers = Vec::new();
        for request in requests {
            let (answer, _) = client.begin(request, true).await;
            let refused = Arc::clone(&refused);
            answers.push(tokio::spawn(async move {
                let status = answer.await.unwrap().status();
                refused.fetch_add(usize::from(status == 429), Ordering::SeqCst);
            }));
        }
        let reached = until("all to be asked or refused", || async {
            let reached = self.asked.load(Ordering::SeqCst) - before;
            (reached + refused.load(Ordering::SeqCst) == number).then_some(reached)
        })
        .await;
        self.open.send_replace(true);
        for answer in answers {
            answer.await.unwrap();
        }
        reached
    }
}

/// A request with HTTP Basic.
fn with_basic(path: &str, number: usize) -> http::Request<()> {
    let mut request = Http2::get(path);
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("cook:{number}"));
    let value = format!("Basic {encoded}").parse().unwrap();
    request.headers_mut().insert("authorization", value);
    request
}

#[tokio::test]
async fn a_page_that_is_open_to_everybody_does_not_make_guesses_good() {
    let slow = Slow::start("[limits]\nlogin-failures = 5").await;
    let mut client = Http2::open(&slow.door).await;
    for number in 0..20 {
        for path in ["/open", "/open?x", "/open/y"] {
            assert_eq!(client.status(with_basic(path, number)).await, Some(200));
        }
    }
    // Where a page has accepted it, it may come as often as it likes, and one is loaded with all of its parts.
    let again = (0..60)
        .map(|number| with_basic("/open", number % 20))
        .collect();
    assert_eq!(slow.reached(again).await, 60);
    let parts = (0..60)
        .map(|number| with_basic(&format!("/open/part{number}"), 7))
        .collect();
    assert_eq!(slow.reached(parts).await, 60);
    // Somewhere else it is a guess, as others are.
    let guesses = (0..60)
        .map(|number| with_basic("/private", number))
        .collect();
    assert_eq!(slow.reached(guesses).await, 5);
    assert_eq!(client.status(with_basic("/private", 3)).await, Some(429));
}

#[tokio::test]
async fn logins_by_a_query_or_by_arguments_in_the_path_count_from_the_beginning() {
    for target in [
        "/login?user=cook&password=",
        "/login/cook/",
        "/login;password=",
        "//login?x=",
    ] {
        let slow = Slow::start("[limits]\nlogin-failures = 5").await;
        let guesses = (0..40).map(|number| Http2::get(&format!("{target}{number}")));
        assert_eq!(slow.reached(guesses.collect()).await, 5, "{target}");
    }
    // What only shows the form does not.
    let slow = Slow::start("[limits]\nlogin-failures = 5\nlogin-paths = ['/open']").await;
    let forms = (0..40).map(|_| Http2::get("/open"));
    assert_eq!(slow.reached(forms.collect()).await, 40);
}

#[tokio::test]
async fn guesses_at_a_password_of_the_door_that_are_sent_at_once_are_limited() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users");
    let hash = bcrypt::hash("wok", 6).unwrap();
    std::fs::write(&file, format!("cook:{hash}\n")).unwrap();
    let users = format!("users = '{}'\n", file.display());
    let console = Backend::tcp().await;
    let settings = format!(
        "{users}[limits]\nlogin-failures = 5\n[bridge]\n{users}[hub]\n{users}[[channel]]\nname = 'news'\n{}",
        console.target("vm")
    );
    for path in ["/", "/websockify?token=vm", "/events/news"] {
        let slow = Slow::start(&settings).await;
        let mut client = Http2::open(&slow.door).await;
        let mut answers = Vec::new();
        for number in 0..60 {
            let (answer, _) = client.begin(with_basic(path, number), true).await;
            answers.push(answer);
        }
        let mut refused = 0;
        for answer in answers {
            let status = within("an answer", answer).await.unwrap().status().as_u16();
            assert!(matches!(status, 401 | 429), "{path} {status}");
            refused += usize::from(status == 429);
        }
        // A slow machine may give one back meanwhile.
        assert!((50..=55).contains(&refused), "{path} {refused}");
        assert_eq!(slow.asked.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn a_password_of_the_door_is_no_guess_whatever_the_app_says_to_its_user() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("users");
    std::fs::write(&file, "cook:7\n").unwrap();
    let settings = format!("users = '{}'\n[limits]\nlogin-failures = 2", file.display());
    let slow = Slow::start(&settings).await;
    let mut client = Http2::open(&slow.door).await;
    for _ in 0..6 {
        assert_eq!(client.status(with_basic("/private", 7)).await, Some(401));
    }
    assert_eq!(client.status(with_basic("/open", 7)).await, Some(200));
}

#[tokio::test]
async fn guesses_of_every_scheme_are_no_more_at_once_than_one_by_one() {
    for scheme in [
        "Bearer",
        "Digest username=cook, response=",
        "Token",
        "x-api",
    ] {
        let slow = Slow::start("[limits]\nlogin-failures = 5").await;
        let guess = |number: usize| {
            let mut request = Http2::get("/private");
            let value = format!("{scheme} {number}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
            request
        };
        let mut client = Http2::open(&slow.door).await;
        let mut answers = Vec::new();
        for number in 0..60 {
            answers.push(client.begin(guess(number), true).await.0);
        }
        for answer in answers {
            let status = within("an answer", answer).await.unwrap().status();
            assert!(matches!(status.as_u16(), 401 | 429), "{scheme}: {status}");
        }
        let asked = slow.asked.load(Ordering::SeqCst);
        // A slow machine may give one back meanwhile.
        assert!((5..=6).contains(&asked), "{scheme}: {asked}");
    }
}

#[tokio::test]
async fn an_app_that_is_slow_gets_few_guesses_at_once_and_good_tokens_wait_for_each_other() {
    let slow = Slow::start("[limits]\nlogin-failures = 5").await;
    let with_token = |path: &str, number: usize| {
        let mut request = Http2::get(path);
        let value = format!("Bearer {number}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        request
    };
    let good = (0..60).map(|number| with_token("/open", number));
    let mut client = Http2::open(&slow.door).await;
    let mut answers = Vec::new();
    for request in good {
        answers.push(client.begin(request, true).await.0);
    }
    for answer in answers {
        let answer = within("an answer", answer).await.unwrap();
        assert_eq!(answer.status(), 200, "none is refused");
    }
    // Those that the app has accepted do not count any more, wherever they are sent.
    let known = (0..60).map(|number| with_token("/open/more", number));
    assert_eq!(slow.reached(known.collect()).await, 60);
    // Places are held for a while only, so that long polls do not keep others out.
    let guesses = (100..160).map(|number| with_token("/private", number));
    let reached = slow.reached(guesses.collect()).await;
    assert!((5..=10).contains(&reached), "{reached}");
}

#[tokio::test]
async fn tokens_that_are_made_up_at_once_are_looked_up_as_often_as_one_by_one() {
    let slow = Slow::start_as(|api| {
        format!(
            "[[bridge.tokens]]\nsource = 'http'\nurl = 'http://{}/{{token}}'\nallow = ['192.0.2.1:1']\n\
             [limits]\ntoken-failures = 5\n",
            api.address()
        )
    })
    .await;
    let mut client = slow.door.plain().await;
    let open = Door::handshake("/websockify?token=open", "");
    assert_ne!(client.ask(&open).await.status, 429);
    let asked = slow.asked.swap(0, Ordering::SeqCst);
    assert_eq!(asked, 1);
    let mut guesses = tokio::task::JoinSet::new();
    for number in 0..60 {
        let mut client = slow.door.plain().await;
        guesses.spawn(async move {
            let handshake = Door::handshake(&format!("/websockify?token=made-up-{number}"), "");
            client.ask(&handshake).await.status
        });
    }
    let statuses = within("the answers", guesses.join_all()).await;
    let refused = statuses.iter().filter(|status| **status == 429).count();
    // A slow machine may give one back meanwhile.
    assert!((54..=55).contains(&refused), "{statuses:?}");
    assert_eq!(slow.asked.load(Ordering::SeqCst), 60 - refused);
}

#[tokio::test]
async fn a_publish_token_is_guessed_no_more_where_an_app_takes_messages_too() {
    const RIGHT: &str = "a-token-that-is-long-enough-for-anybody";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, format!("{RIGHT}\n")).unwrap();
    let app = Backend::tcp().await;
    let door = Door::open(&format!(
        "{}[[channel]]\nname = 'lobby'\npublish = ['token', 'app']\nreceive = '/say'\n\
         [hub]\npublish-token = '{}'\n[limits]\ntoken-failures = 3\n",
        app.app(),
        file.display()
    ))
    .await;
    let publish = |token: &str| {
        format!(
            "POST /events/lobby HTTP/1.1\r\nHost: door.example\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"
        )
    };
    // The app lets anybody say something.
    let taken = async |token: &str, from: &str| {
        let mut client = door.plain_from(from).await;
        let request = publish(token);
        let serve = async {
            let mut worker = app.accept().await;
            worker.head().await;
            worker
                .send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                .await;
            worker.output.finish().await;
        };
        let (answer, ()) = tokio::join!(client.ask(&request), serve);
        answer.status
    };
    for guess in ["one", "two", "three"] {
        assert_eq!(taken(guess, "127.0.0.2").await, 204);
    }
    for token in ["four", RIGHT] {
        let mut client = door.plain_from("127.0.0.2").await;
        assert_eq!(client.ask(&publish(token)).await.status, 429, "{token}");
    }
    // A token of the app counts once, however often it comes.
    for _ in 0..5 {
        assert_eq!(taken("two", "127.0.0.2").await, 204);
        assert_eq!(taken("own", "127.0.0.3").await, 204);
    }
    let mut client = door.plain_from("127.0.0.3").await;
    assert_eq!(client.ask(&publish(RIGHT)).await.status, 202);
    app.has_nobody().await;
}

//! The ends of streams and of connections, on either side.

use std::sync::Mutex;

use super::*;

#[tokio::test]
async fn a_client_that_resets_its_stream_ends_the_handler_or_the_body() {
    let (held, mut dropped) = mpsc::channel::<()>(1);
    let mut client = serve(move |request| {
        let held = held.clone();
        async move {
            if request.uri().path() == "/" {
                let _held = held;
                return pending().await;
            }
            endless(held)
        }
    })
    .await;
    let mut streaming = get();
    *streaming.uri_mut() = "https://door.example/body".parse().expect("a URL");
    let (response, mut body) = client.send_request(streaming, true).expect("a stream");
    let (_, response) = statuses(response).await;
    let (waiting, mut handler) = client.send_request(get(), true).expect("a stream");
    body.send_reset(Reason::CANCEL);
    handler.send_reset(Reason::CANCEL);
    drop((response, body, waiting, handler, client));
    // The connection ends when both are gone, and with it the service, which holds the last sender.
    assert_eq!(within(dropped.recv()).await, None);
}

#[tokio::test]
async fn a_connection_that_is_shut_down_ends_after_its_requests() {
    let (go, gone) = oneshot::channel::<()>();
    let gone = Mutex::new(Some(gone));
    let (begun, mut has_begun) = mpsc::channel(1);
    let (mut requests, client, stop, server) = connect(move |_| {
        let gone = gone.lock().expect("a lock").take();
        let begun = begun.clone();
        async move {
            let _ = begun.send(()).await;
            let _ = gone.expect("one request").await;
            full("ok")
        }
    })
    .await;
    let client = tokio::spawn(client);
    let (response, _) = requests.send_request(get(), true).expect("a stream");
    assert_eq!(within(has_begun.recv()).await, Some(()));
    stop.send(Change::ShutDown).await.expect("a connection");
    let refused = within(async {
        while poll_fn(|cx| requests.poll_ready(cx)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    refused.await;
    assert!(go.send(()).is_ok());
    let (_, response) = statuses(response).await;
    assert_eq!(read(response.into_body()).await.expect("a body"), b"ok");
    assert!(within(server).await.expect("a task").is_ok());
    assert!(within(client).await.expect("a task").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_pings_stays_and_one_that_does_not_is_dead() {
    let (_requests, client, _stop, mut server) = connect(|_| async { nothing() }).await;
    let mut client = Box::pin(client);
    let hour = Duration::from_secs(3600);
    tokio::select! {
        _ = &mut client => panic!("the client has not ended"),
        _ = &mut server => panic!("the server has not ended"),
        () = tokio::time::sleep(hour) => {}
    }
    let started_at = Instant::now();
    // From here on nothing reads or writes for the client.
    let ended = timeout(hour, server)
        .await
        .expect("an end")
        .expect("a task");
    assert!(matches!(ended, Err(Error::Silent)), "{ended:?}");
    let time = started_at.elapsed();
    assert!(
        time >= SETTINGS.ping && time <= 2 * SETTINGS.ping,
        "{time:?}"
    );
}

/// A response of which more is to come, that says when it is dropped.
fn endless(held: mpsc::Sender<()>) -> Response<Answer> {
    let body = StreamBody::new(futures_util::stream::poll_fn(move |_| {
        let _held = &held;
        Poll::<Option<io::Result<Frame<Bytes>>>>::Pending
    }));
    Response::new(body.boxed_unsync())
}

#[tokio::test]
async fn streams_whose_bodies_are_given_up_are_reset_and_the_others_go_on() {
    let (held, mut dropped) = mpsc::channel(1);
    let held = Mutex::new(Some(held));
    let (mut requests, client, change, _server) = connect(move |request| {
        let held = held.lock().expect("a lock").take();
        async move {
            let _request = request;
            held.map_or_else(|| full("ok"), endless)
        }
    })
    .await;
    tokio::spawn(client);
    let (response, _) = requests.send_request(get(), true).expect("a stream");
    let (_, response) = statuses(response).await;
    change.send(Change::Reset).await.expect("a connection");
    assert_eq!(within(dropped.recv()).await, None);
    let error = read(response.into_body()).await.expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    let (response, _) = requests.send_request(get(), true).expect("a stream");
    let (_, response) = statuses(response).await;
    assert_eq!(read(response.into_body()).await.expect("a body"), b"ok");
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_look_complete() {
    let mut client = serve(|_| async {
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"half"))),
            Err(io::Error::other("broken")),
        ];
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Response::new(body.boxed_unsync())
    })
    .await;
    let (response, _) = client.send_request(get(), true).expect("a stream");
    // h2 drops what was not written yet with the reset, perhaps the head too.
    let error = match within(response).await {
        Ok(response) => read(response.into_body()).await.expect_err("a reset"),
        Err(error) => error,
    };
    assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
}

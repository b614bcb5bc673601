//! Tests of whole connections, with h2's client over a stream in memory.

mod endings;

use std::future::{pending, poll_fn};
use std::io;

use h2::client::{self, ResponseFuture, SendRequest};
use http::header::{CONTENT_LENGTH, EXPECT, UPGRADE};
use http::{HeaderMap, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::*;

type Handler = Pin<Box<dyn Future<Output = Response<Answer>> + Send>>;
type Answer = UnsyncBoxBody<Bytes, io::Error>;
type Client = client::Connection<DuplexStream, Bytes>;

const SETTINGS: Settings = Settings {
    streams: 10,
    head_size: 16 * 1024,
    stream_window: 64 * 1024,
    window: 1024 * 1024,
    ping: Duration::from_secs(20),
    connect: true,
};

fn full(text: &'static str) -> Response<Answer> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    Response::new(body.map_err(|never| match never {}).boxed_unsync())
}

fn nothing() -> Response<Answer> {
    Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// A change of a connection.
enum Change {
    /// Resets the streams of all bodies without a known length.
    Reset,
    ShutDown,
}

/// A connection with this service; the client's side is not polled yet.
async fn connect<S, F>(
    service: S,
) -> (
    SendRequest<Bytes>,
    Client,
    mpsc::Sender<Change>,
    JoinHandle<Result<(), Error>>,
)
where
    S: Fn(Request<Body>) -> F + Send + Unpin + 'static,
    F: Future<Output = Response<Answer>> + Send + 'static,
{
    let (near, far) = duplex(64 * 1024);
    let service = move |request| -> Handler { Box::pin(service(request)) };
    let mut connection = Connection::new(far, ReadPause::default(), &SETTINGS, service);
    let (change, mut changes) = mpsc::channel(1);
    let server = tokio::spawn(async move {
        loop {
            let change = tokio::select! {
                ended = &mut connection => return ended,
                Some(change) = changes.recv() => change,
            };
            match change {
                Change::Reset => {
                    connection.reset_bodies(|body: &mut Answer| body.size_hint().exact().is_none());
                }
                Change::ShutDown => connection.shut_down(),
            }
        }
    });
    let (requests, client) = client::handshake(near).await.expect("a connection");
    (requests, client, change, server)
}

/// A client of a connection with this service.
async fn serve<S, F>(service: S) -> SendRequest<Bytes>
where
    S: Fn(Request<Body>) -> F + Send + Unpin + 'static,
    F: Future<Output = Response<Answer>> + Send + 'static,
{
    let (requests, client, stop, _) = connect(service).await;
    tokio::spawn(async move {
        let _stop = stop;
        client.await
    });
    requests
}

fn get() -> Request<()> {
    request(Method::GET)
}

fn request(method: Method) -> Request<()> {
    let request = Request::builder().method(method);
    let request = request.uri("https://door.example/").body(());
    request.expect("a request")
}

async fn within<F: Future>(future: F) -> F::Output {
    let limited = timeout(Duration::from_secs(20), future).await;
    limited.expect("it is done in time")
}

/// The statuses of all responses, interim ones too, and the last one.
async fn statuses(mut response: ResponseFuture) -> (Vec<u16>, Response<RecvStream>) {
    let mut statuses = Vec::new();
    let last = within(poll_fn(|cx| {
        while let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
            statuses.push(interim.expect("a response").status().as_u16());
        }
        Pin::new(&mut response).poll(cx)
    }));
    let last = last.await.expect("a response");
    statuses.push(last.status().as_u16());
    (statuses, last)
}

async fn read(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut read = Vec::new();
    while let Some(piece) = within(body.data()).await {
        let piece = piece?;
        let _ = body.flow_control().release_capacity(piece.len());
        read.extend_from_slice(&piece);
    }
    Ok(read)
}

#[tokio::test]
async fn interim_responses_come_before_the_final_one_and_none_after_it() {
    let mut client = serve(|request| async move {
        let interim = request.body().interim().clone();
        interim.send(StatusCode::EARLY_HINTS, HeaderMap::new());
        tokio::task::yield_now().await;
        interim.send(StatusCode::PROCESSING, HeaderMap::new());
        let body = StreamBody::new(futures_util::stream::once(async move {
            interim.send(StatusCode::EARLY_HINTS, HeaderMap::new());
            Ok(Frame::data(Bytes::from_static(b"ok")))
        }));
        Response::new(body.boxed_unsync())
    })
    .await;
    for _ in 0..2 {
        let (response, _) = client.send_request(get(), true).expect("a stream");
        let (statuses, last) = statuses(response).await;
        assert_eq!(statuses, [103, 102, 200]);
        assert_eq!(read(last.into_body()).await.expect("a body"), b"ok");
    }
}

#[tokio::test]
async fn a_client_that_waits_for_a_100_gets_it_once_its_body_is_wanted() {
    let mut client = serve(|request| async move {
        let is_refused = request.uri().path() == "/refused";
        if is_refused {
            return nothing();
        }
        let body = request.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes(), "body");
        nothing()
    })
    .await;
    let mut expecting = request(Method::POST);
    let value = "100-Continue".parse().expect("a value");
    expecting.headers_mut().insert(EXPECT, value);
    let (mut response, mut body) = client
        .send_request(expecting.clone(), false)
        .expect("a stream");
    let interim = within(poll_fn(|cx| response.poll_informational(cx))).await;
    let interim = interim.expect("an interim response").expect("a response");
    assert_eq!(interim.status(), 100);
    let sent = body.send_data(Bytes::from_static(b"body"), true);
    sent.expect("a piece");
    assert_eq!(statuses(response).await.0, [200]);

    *expecting.uri_mut() = "https://door.example/refused".parse().expect("a URL");
    let (response, _body) = client
        .send_request(expecting.clone(), false)
        .expect("a stream");
    assert_eq!(statuses(response).await.0, [200], "nothing reads the body");

    *expecting.uri_mut() = get().uri().clone();
    let (response, mut body) = client.send_request(expecting, false).expect("a stream");
    let sent = body.send_data(Bytes::from_static(b"body"), true);
    sent.expect("a piece");
    let (statuses, _) = statuses(response).await;
    assert!(
        matches!(statuses[..], [200] | [100, 200]),
        "it waits for nothing: {statuses:?}"
    );
}

#[tokio::test]
async fn a_response_has_its_length_and_no_fields_of_a_connection() {
    let mut client = serve(|_| async {
        let mut response = full("four");
        for name in &["connection", "keep-alive", "te", "upgrade", "x-kept"] {
            let value = "x-kept".parse().expect("a value");
            response.headers_mut().insert(*name, value);
        }
        response
    })
    .await;
    let (response, _) = client.send_request(get(), true).expect("a stream");
    let (_, response) = statuses(response).await;
    assert_eq!(response.headers().len(), 2, "{:?}", response.headers());
    assert!(!response.headers().contains_key(UPGRADE));
    let length = response.headers().get(CONTENT_LENGTH);
    assert_eq!(length.expect("a length"), "4");
    assert_eq!(read(response.into_body()).await.expect("a body"), b"four");
}

#[tokio::test]
async fn an_accepted_connect_is_a_stream_of_bytes_until_both_sides_have_ended() {
    let (sender, mut upgrades) = mpsc::channel(1);
    let mut client = serve(move |mut request| {
        let upgrades = sender.clone();
        async move {
            let upgrade = request.body_mut().take_upgrade().expect("an upgrade");
            let _ = upgrades.send(upgrade).await;
            nothing()
        }
    })
    .await;
    let (response, mut sender) = client
        .send_request(request(Method::CONNECT), false)
        .expect("a stream");
    let (_, response) = statuses(response).await;
    let upgrade: Upgrade = within(upgrades.recv()).await.expect("an upgrade");
    let mut stream = within(upgrade.stream()).await.expect("a stream");
    // More than the window, both ways.
    let size = 300 * 1024;
    let echo = tokio::spawn(async move {
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.expect("all of it");
        stream.write_all(&received).await.expect("room for it");
        received.len()
    });
    let mut left = Bytes::from(vec![7; size]);
    while !left.is_empty() {
        sender.reserve_capacity(left.len());
        let room = within(poll_fn(|cx| sender.poll_capacity(cx))).await;
        let room = room.expect("an open stream").expect("a window");
        let piece = left.split_to(room.min(left.len()));
        sender.send_data(piece, left.is_empty()).expect("a piece");
    }
    let echoed = read(response.into_body()).await.expect("an orderly end");
    assert_eq!((echoed.len(), echo.await.expect("an echo")), (size, size));
}

#[tokio::test]
async fn a_connect_that_is_refused_or_has_a_length_is_no_upgrade_and_others_go_on() {
    let mut client = serve(|mut request| async move {
        let upgrade = request.body_mut().take_upgrade();
        let mut response = full("no");
        *response.status_mut() = StatusCode::NOT_FOUND;
        if let Some(upgrade) = upgrade {
            tokio::spawn(async move { assert!(upgrade.stream().await.is_none()) });
        }
        response
    })
    .await;
    let connect = request(Method::CONNECT);
    let (response, _sender) = client
        .send_request(connect.clone(), false)
        .expect("a stream");
    let (statuses, response) = statuses(response).await;
    assert_eq!(statuses, [404]);
    assert_eq!(read(response.into_body()).await.expect("a body"), b"no");

    let mut with_length = connect;
    with_length.headers_mut().insert(CONTENT_LENGTH, 4.into());
    let (response, _sender) = client.send_request(with_length, false).expect("a stream");
    let error = within(response).await.expect_err("a reset");
    assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
    let (response, _) = client.send_request(get(), true).expect("a stream");
    assert_eq!(within(response).await.expect("a response").status(), 404);
}

//! Memory of the real binary under HTTP/2 bytes that nobody reads, because the app does not answer.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::ext::Protocol;
use http::{Method, Request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpSocket;

use crate::harness::{connector, send_all, within};
use crate::support::Door;

const MIB: usize = 1024 * 1024;
/// Connections of one address, and streams of each.
const CONNECTIONS: usize = 10;
const STREAMS: usize = 12;

/// An app that never says who a visitor is, and takes every upload.
fn app() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || serve(&stream));
        }
    });
    address
}

fn serve(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let (mut length, mut line) = (0, String::new());
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let asks = line.contains(" /who");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        if asks {
            // Until the door gives up.
            let _ = reader.read_line(&mut line);
            return None;
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).ok()?;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).ok()?;
    }
}

async fn connect(door: &Door, from: &str) -> SendRequest<Bytes> {
    let trusted = CertificateDer::from_pem_file(door.file("ca.pem")).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let address = format!("127.0.0.1:{}", door.port).parse().unwrap();
    let socket = socket.connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector(&trusted, "h2").connect(name, socket).await;
    let opened = h2::client::handshake(stream.unwrap()).await;
    let (requests, connection) = opened.unwrap();
    tokio::spawn(connection);
    requests
}

/// Opens WebSockets of a console, about which the app is asked, and sends to each as much as the door takes.
async fn flood(door: &Door, sent: &Arc<AtomicUsize>) {
    let mut requests = connect(door, "127.0.0.1").await;
    while !requests.is_extended_connect_protocol_enabled() {
        requests = requests.ready().await.unwrap();
        tokio::task::yield_now().await;
    }
    for number in 0..STREAMS {
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri("https://localhost/websockify?token=vm")
            .header("sec-websocket-version", "13")
            .header("cookie", format!("sid={number}"))
            .extension(Protocol::from_static("websocket"))
            .body(())
            .unwrap();
        requests = requests.ready().await.unwrap();
        let (answer, mut stream) = requests.send_request(request, false).unwrap();
        let (requests, sent) = (requests.clone(), Arc::clone(sent));
        tokio::spawn(async move {
            for _ in 0..64 {
                if !send_all(&mut stream, Bytes::from_static(&[7; 16 * 1024])).await {
                    break;
                }
                sent.fetch_add(16 * 1024, Ordering::Relaxed);
            }
            let _ = answer.await;
            drop((stream, requests));
        });
    }
}

/// Uploads so much from this address; the status.
async fn upload(door: &Door, from: &str, length: usize) -> u16 {
    let requests = connect(door, from).await.ready().await;
    let request = Request::put("https://localhost/upload")
        .header("content-length", length)
        .body(())
        .unwrap();
    let (answer, mut stream) = requests.unwrap().send_request(request, false).unwrap();
    assert!(send_all(&mut stream, vec![7; length].into()).await);
    let _ = stream.send_data(Bytes::new(), true);
    answer.await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_of_http2_counts_as_request_memory_and_others_upload_meanwhile() {
    let app = app();
    let door = Door::open(&format!(
        "[[app]]\nurl = 'http://{app}'\n[session]\npath = '/who'\ncookies = ['sid']\ntimeout = '1h'\n\
         [[bridge.target]]\ntoken = 'vm'\naddress = '127.0.0.1:1'\n[limits]\nrequest-memory = '4MiB'\n",
    ));
    assert_eq!(upload(&door, "127.0.0.1", 8 * MIB).await, 200);
    let before = door.peak_memory();
    let sent = Arc::new(AtomicUsize::new(0));
    for _ in 0..CONNECTIONS {
        within("the connection to open", flood(&door, &sent)).await;
    }
    // Until no more is taken for a while.
    let (mut last, mut same) = (0, 0);
    while same < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let now = sent.load(Ordering::Relaxed);
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    let grown = door.peak_memory().saturating_sub(before) / 1024;
    // 110 MiB, where the windows were the only limit.
    assert!(grown < 40, "{grown} MiB for {} MiB", last / MIB);
    let uploaded = upload(&door, "127.0.0.2", 8 * MIB);
    assert_eq!(within("an upload of another address", uploaded).await, 200);
    let uploaded = upload(&door, "127.0.0.1", MIB);
    assert_eq!(within("an upload of the same address", uploaded).await, 200);
}

//! The client behind a proxy: as `X-Forwarded-For` or `Forwarded` say, or the PROXY protocol; and whom nobody
//! believes.

use crate::harness::{Backend, Door, Wire, bind, within};
use std::net::SocketAddr;
use tokio::net::{TcpSocket, TcpStream};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A door with one plain listener.
struct Porch {
    app: Backend,
    address: SocketAddr,
}

impl Porch {
    async fn open(listener: &str, settings: &str) -> Self {
        let app = Backend::tcp().await;
        let server = bind(&format!(
            "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n{listener}\n{}{settings}\n",
            app.app()
        ));
        let address = server.local_addrs()[0];
        tokio::spawn(server.run(std::future::pending()));
        Self { app, address }
    }

    async fn connect(&self) -> Wire {
        Wire::new(TcpStream::connect(self.address).await.unwrap())
    }

    async fn connect_from(&self, address: &str) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .bind(format!("{address}:0").parse().unwrap())
            .unwrap();
        Wire::new(socket.connect(self.address).await.unwrap())
    }

    /// The app's headers about the client: address and scheme.
    async fn told(&self, mut client: Wire, before: &[u8], lines: &str) -> [String; 2] {
        client.send(before).await;
        client
            .send(format!(
                "GET / HTTP/1.1\r\nHost: door.example\r\n{lines}\r\n"
            ))
            .await;
        let mut worker = self.app.accept().await;
        let head = worker.head().await;
        worker
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.answer().await.status, 200);
        assert_eq!(head.all("forwarded"), Vec::<&str>::new());
        assert_eq!(head.one("x-forwarded-for"), head.one("x-real-ip"));
        ["x-forwarded-for", "x-forwarded-proto"].map(|name| head.one(name).unwrap().to_owned())
    }
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client_and_nobody_else_does() {
    let porch = Porch::open("trusted-proxies = ['127.0.0.1', '10.0.0.0/8']", "").await;
    let lines = "X-Forwarded-For: 203.0.113.9, 192.0.2.7, 10.1.2.3\r\nX-Forwarded-Proto: https\r\n\
                 Forwarded: for=203.0.113.8\r\n";
    let told = porch.told(porch.connect().await, b"", lines).await;
    assert_eq!(told, ["192.0.2.7", "https"]);
    let told = porch
        .told(porch.connect_from("127.0.0.2").await, b"", lines)
        .await;
    assert_eq!(told, ["127.0.0.2", "http"]);
    let told = porch.told(porch.connect().await, b"", "").await;
    assert_eq!(told, ["127.0.0.1", "http"]);
}

#[tokio::test]
async fn forwarded_is_read_where_the_proxy_sets_that() {
    let listener = "trusted-proxies = ['127.0.0.1']\nforwarded-header = 'forwarded'";
    let porch = Porch::open(listener, "").await;
    let lines = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\n\
                 Forwarded: for=203.0.113.8, for=\"[2001:db8::7]:4711\";proto=https\r\n";
    let told = porch.told(porch.connect().await, b"", lines).await;
    assert_eq!(told, ["2001:db8::7", "https"]);
}

#[tokio::test]
async fn limits_are_those_of_the_client_and_not_of_its_proxy() {
    let porch = Porch::open(
        "trusted-proxies = ['127.0.0.1']",
        "[limits]\nrequest-rate = 1\nconnections-per-address = 1",
    )
    .await;
    let app = porch.app;
    tokio::spawn(async move {
        loop {
            let mut worker = app.accept().await;
            tokio::spawn(async move {
                while worker.input.has(1).await {
                    worker.head().await;
                    worker.send(OK).await;
                }
            });
        }
    });
    let connect = || async { Wire::new(TcpStream::connect(porch.address).await.unwrap()) };
    let (mut first, mut second) = (connect().await, connect().await);
    let ask = |client: u8| {
        format!("GET / HTTP/1.1\r\nHost: door.example\r\nX-Forwarded-For: 192.0.2.{client}\r\n\r\n")
    };
    let mut statuses = Vec::new();
    for _ in 0..15 {
        statuses.push(first.ask(&ask(1)).await.status);
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(second.ask(&ask(2)).await.status, 200);
}

fn version_2(command: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, 0x11]);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client_in_both_versions() {
    let listener = "trusted-proxies = ['127.0.0.1']\nproxy-protocol = true";
    let porch = Porch::open(listener, "").await;
    let addresses = [192, 0, 2, 8, 198, 51, 100, 1, 0x30, 0x39, 1, 0xbb];
    // With a remark behind the addresses, which is passed over.
    let with_remark = [&addresses[..], &[0x04, 0, 2, 0, 0]].concat();
    for (header, expected) in [
        (
            b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n".to_vec(),
            "192.0.2.7",
        ),
        (
            b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n".to_vec(),
            "2001:db8::7",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (version_2(1, &addresses), "192.0.2.8"),
        (version_2(1, &with_remark), "192.0.2.8"),
        (version_2(0, &[]), "127.0.0.1"),
    ] {
        // Claims of the client itself count for nothing; only the proxy's own word would.
        let lines = if expected == "127.0.0.1" {
            ""
        } else {
            "X-Forwarded-For: 203.0.113.9\r\n"
        };
        let told = porch.told(porch.connect().await, &header, lines).await;
        assert_eq!(told, [expected, "http"], "{header:?}");
    }
}

#[tokio::test]
async fn a_connection_without_its_proxy_header_is_closed_without_a_word() {
    let listener = "trusted-proxies = ['127.0.0.1']\nproxy-protocol = true";
    let porch = Porch::open(listener, "[limits]\nhandshake = '300ms'").await;
    let request = "GET / HTTP/1.1\r\nHost: door.example\r\n\r\n";
    for begin in [
        request.as_bytes().to_vec(),
        b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443".to_vec(),
        [&b"PROXY TCP4 "[..], &[b'1'; 200]].concat(),
        version_2(1, &[0; 4097]),
        version_2(1, &[0; 3]),
        b"PRO".to_vec(),
        Vec::new(),
    ] {
        let mut client = porch.connect().await;
        let _ = client.output.try_send(&begin).await;
        assert_eq!(client.rest().await, b"", "{begin:?}");
    }
    // Nobody else may connect, header or not.
    let mut client = porch.connect_from("127.0.0.2").await;
    let _ = client
        .output
        .try_send(format!("PROXY UNKNOWN\r\n{request}").as_bytes())
        .await;
    assert_eq!(client.rest().await, b"");
    porch.app.has_nobody().await;
}

#[tokio::test]
async fn a_proxy_header_is_not_looked_for_where_none_is_expected() {
    let porch = Porch::open("trusted-proxies = ['127.0.0.1']", "").await;
    let mut client = porch.connect().await;
    client
        .send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\nHost: door.example\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 400);
    porch.app.has_nobody().await;
}

#[tokio::test]
async fn connections_are_counted_by_the_client_the_proxy_names() {
    let listener = "trusted-proxies = ['127.0.0.1']\nproxy-protocol = true";
    let porch = Porch::open(listener, "[limits]\nconnections-per-address = 1").await;
    let knock = |client: u8| {
        let header = format!("PROXY TCP4 192.0.2.{client} 198.51.100.1 4711 443\r\n");
        format!("{header}OPTIONS * HTTP/1.1\r\nHost: door.example\r\n\r\n")
    };
    let mut first = porch.connect().await;
    assert_eq!(first.ask(&knock(1)).await.status, 204);
    let mut again = porch.connect().await;
    let _ = again.output.try_send(knock(1).as_bytes()).await;
    assert_eq!(within("the end", again.rest()).await, b"");
    assert_eq!(porch.connect().await.ask(&knock(2)).await.status, 204);
}

#[tokio::test]
async fn of_a_connection_whose_proxy_names_no_address_nothing_is_believed() {
    let listener = "trusted-proxies = ['127.0.0.1']\nproxy-protocol = true";
    let porch = Porch::open(listener, "").await;
    let mut unspecified = version_2(1, &[]);
    unspecified[13] = 0;
    let mut unix = version_2(1, &[0; 216]);
    unix[13] = 0x31;
    let lines = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 203.0.113.9 198.51.100.1 1 2\r\n".to_vec(),
        version_2(0, &[]),
        version_2(0, &[192, 0, 2, 8, 198, 51, 100, 1, 0x30, 0x39, 1, 0xbb]),
        unspecified,
        unix,
    ] {
        let told = porch.told(porch.connect().await, &header, lines).await;
        assert_eq!(told, ["127.0.0.1", "http"], "{header:?}");
    }
}

#[tokio::test]
async fn a_page_behind_a_proxy_that_says_wss_opens_its_websocket() {
    let porch = Porch::open("trusted-proxies = ['127.0.0.1']", "").await;
    let mut client = porch.connect().await;
    let lines = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: wss\r\nOrigin: https://door.example\r\n";
    client.send(Door::handshake("/ws", lines)).await;
    let mut worker = porch.app.accept().await;
    assert_eq!(worker.head().await.one("x-forwarded-proto"), Some("https"));
    worker
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .await;
    assert_eq!(client.head().await.status(), 101);
}

#[tokio::test]
async fn scheme_and_address_are_those_of_one_element() {
    let listener = "trusted-proxies = ['127.0.0.1']\nforwarded-header = 'forwarded'";
    let porch = Porch::open(listener, "").await;
    for line in [
        "Forwarded: for=203.0.113.7;proto=https, for=127.0.0.1;proto=http\r\n",
        "Forwarded: by=\"a,b\";for=\"203.0.113.7\";proto=\"https\"\r\n",
        "Forwarded: for=203.0.113.7;proto=https\r\nForwarded: for=127.0.0.1;proto=http\r\n",
    ] {
        let told = porch.told(porch.connect().await, b"", line).await;
        assert_eq!(told, ["203.0.113.7", "https"], "{line}");
    }
}

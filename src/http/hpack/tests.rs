#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::http::h2_flood::Frames;

fn octets(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Number of pseudo-headers in a block that arrives in pieces.
fn pseudo(names: &mut FieldNames, block: &[u8], step: usize) -> usize {
    for piece in block.to_vec().chunks_mut(step) {
        names.take(piece).unwrap();
    }
    names.end().unwrap()
}

#[test]
fn the_examples_of_the_rfc_leave_the_table_as_it_says() {
    // RFC 7541 Appendices C.3 to C.6: blocks, their pseudo-headers, and the size of the table behind each.
    let requests = [
        ("828684410f7777772e6578616d706c652e636f6d", 4, 57),
        ("828684be58086e6f2d6361636865", 4, 110),
        (
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
            4,
            164,
        ),
    ];
    let coded_requests = [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", 4, 57),
        ("828684be5886a8eb10649cbf", 4, 110),
        ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", 4, 164),
    ];
    let responses = [
        (
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54\
             6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            1,
            222,
        ),
        ("4803333037c1c0bf", 1, 222),
        (
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f\
             3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076\
             657273696f6e3d31",
            1,
            215,
        ),
    ];
    let coded_responses = [
        (
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f\
             0b97c8e9ae82ae43d3",
            1,
            222,
        ),
        ("4883640effc1c0bf", 1, 222),
        (
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335df\
             dfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
            1,
            215,
        ),
    ];
    for (blocks, limit) in [
        (requests, 4096),
        (coded_requests, 4096),
        (responses, 256),
        (coded_responses, 256),
    ] {
        for step in 1..=blocks[0].0.len() {
            let mut names = FieldNames::new();
            names.table.resize(limit).unwrap();
            for (block, fields, size) in blocks {
                assert_eq!(pseudo(&mut names, &octets(block), step), fields, "{block}");
                assert_eq!(names.table.size, size, "{block}");
            }
        }
    }
}

#[test]
fn a_smaller_table_forgets_its_oldest_entries_and_a_larger_one_than_ours_is_not_followed() {
    let mut names = FieldNames::new();
    // `:authority: a` and `x: b`, both indexed; then the table has room for one of them.
    assert_eq!(
        pseudo(&mut names, &octets("41016140017801623f03"), 1),
        1,
        "34 octets"
    );
    assert_eq!(pseudo(&mut names, &[0xbe], 1), 0);
    assert_eq!(names.take(&mut [0xbf]), Err(Lost));
    let mut names = FieldNames::new();
    assert_eq!(names.take(&mut octets("3fe21f")), Err(Lost), "4097");
    let mut names = FieldNames::new();
    assert_eq!(names.take(&mut octets("3fe11f")), Ok(0), "4096");
}

#[test]
fn a_fragment_of_a_path_becomes_one_that_is_refused_however_it_is_written() {
    for (block, changed) in [
        // `:path: /#` with its name from the static table and with its own, as they are and coded.
        ("04022f23", "04022f3e"),
        ("44022f23", "44022f3e"),
        ("00053a70617468022f23", "00053a70617468022f3e"),
        ("0084b958d33f022f23", "0084b958d33f022f3e"),
        ("048363febf", "048363feff"),
        ("4084b958d33f84607ff43f", "4084b958d33f84607ff63f"),
        // Another field and a method may have one.
        ("0005636f6f6b79022f23", "0005636f6f6b79022f23"),
        ("0005636f6f6b798363febf", "0005636f6f6b798363febf"),
        ("02024123", "02024123"),
    ] {
        let (before, after) = (octets(block), octets(changed));
        for step in 1..=before.len() {
            let mut seen = before.clone();
            let mut names = FieldNames::new();
            for piece in seen.chunks_mut(step) {
                let _ = names.take(piece);
            }
            assert_eq!(seen, after, "{block} by {step}");
        }
    }
}

#[test]
fn what_is_broken_is_lost_and_nothing_panics() {
    for block in ["80", "ff80808080", "c0"] {
        assert_eq!(
            FieldNames::new().take(&mut octets(block)),
            Err(Lost),
            "{block}"
        );
    }
    let mut names = FieldNames::new();
    names.take(&mut octets("0005")).unwrap();
    assert_eq!(names.end(), Err(Lost));
    let mut random = Random(7);
    for _ in 0..20_000 {
        let mut block: Vec<u8> = (0..random.below(40)).map(|_| random.byte()).collect();
        let mut frames = Frames::new();
        let mut stream = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let flags = random.byte();
        let length = u8::try_from(block.len()).unwrap();
        stream.extend([0, 0, length, 1, flags, 0, 0, 0, 1]);
        stream.extend(&block);
        let _ = frames.check(&mut stream);
        let _ = frames.check(&mut block);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    /// Random header lines, many of which repeat.
    fn lines(&mut self) -> HeaderMap {
        let mut lines = HeaderMap::new();
        for _ in 0..self.below(12) {
            let name = match self.below(3) {
                0 => "user-agent".to_owned(),
                1 => format!("x-{}", self.below(40)),
                _ => "n".repeat(1 + self.below(300)),
            };
            let limit = if self.below(20) == 0 { 5000 } else { 60 };
            let mut value = Vec::new();
            for _ in 0..self.below(limit) {
                value.push([b'a', b'Z', b'0', b'~', b'\\', 0xc3, 0xff, b'<'][self.below(8)]);
            }
            lines.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(&value).unwrap(),
            );
        }
        lines
    }
}

/// All bytes that an h2 client sends for these requests, each with trailers.
async fn sent(requests: Vec<(Request<()>, HeaderMap)>) -> Vec<u8> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (inner, server) = tokio::io::duplex(64 * 1024);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let copy = Arc::clone(&sent);
    let (mut from_client, mut to_client) = tokio::io::split(far);
    let (mut from_server, mut to_server) = tokio::io::split(inner);
    tokio::spawn(async move {
        let mut piece = vec![0; 4096];
        while let Ok(read @ 1..) = from_client.read(&mut piece).await {
            copy.lock().unwrap().extend(&piece[..read]);
            to_server.write_all(&piece[..read]).await.unwrap();
        }
    });
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    tokio::spawn(async move {
        let mut builder = h2::server::Builder::new();
        builder.max_header_list_size(1024 * 1024);
        let mut server = builder.handshake::<_, Bytes>(server).await.unwrap();
        while let Some(Ok((_request, mut respond))) = server.accept().await {
            respond.send_response(Response::new(()), true).unwrap();
        }
    });
    let (mut client, connection) = h2::client::handshake(near).await.unwrap();
    tokio::spawn(connection);
    for (request, trailers) in requests {
        client = client.ready().await.unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_trailers(trailers).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    }
    let sent = sent.lock().unwrap();
    sent.clone()
}

#[tokio::test]
async fn the_fields_of_h2_are_counted_through_its_table_and_no_trailers_of_it_are_refused() {
    for seed in 1..=12 {
        let mut random = Random(seed);
        let requests = (0..60).map(|_| {
            let method = ["GET", "PATCH", "PUT", "REPORT"][random.below(4)];
            let path = format!(
                "https://host{}.example/{}",
                random.below(9),
                random.below(9)
            );
            let mut request = Request::builder()
                .method(method)
                .uri(path)
                .body(())
                .unwrap();
            *request.headers_mut() = random.lines();
            (request, random.lines())
        });
        let mut stream = sent(requests.collect()).await;
        let mut frames = Frames::new();
        let mut rest = &mut stream[..];
        while !rest.is_empty() {
            let (piece, more) = rest.split_at_mut((1 + random.below(3000)).min(rest.len()));
            assert_eq!(frames.check(piece), Ok(()), "seed {seed}");
            rest = more;
        }
        let blocks = counts(&stream);
        assert!(blocks.len() >= 119, "{}", blocks.len());
        for (number, pseudo) in blocks.into_iter().enumerate() {
            let truth = if number % 2 == 0 { 4 } else { 0 };
            assert_eq!(pseudo, truth, "block {number}, seed {seed}");
        }
    }
}

/// Number of pseudo-headers in each block. The client uses no padding and no priority.
fn counts(stream: &[u8]) -> Vec<usize> {
    let mut names = FieldNames::new();
    let mut counts = Vec::new();
    let mut rest = &stream[24..];
    while let [_, middle, low, kind, flags, _, _, _, _, payload @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*middle, *low])).min(payload.len());
        let (payload, more) = payload.split_at(length);
        if matches!(kind, 1 | 9) {
            names.take(&mut payload.to_vec()).unwrap();
            if flags & 4 != 0 {
                counts.push(names.end().unwrap());
            }
        }
        rest = more;
    }
    counts
}

//! Metrics and health.

use super::Fixture;
use crate::harness::{Backend, Door, binary};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn requests_are_counted_by_app_and_class_and_timed() {
    let app = Backend::tcp().await;
    let fixture = Fixture::open(&app.app()).await;
    let mut client = fixture.door.plain().await;
    client.send(Door::get("/a", "")).await;
    let mut behind = app.accept().await;
    behind.head().await;
    behind.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
    client.send(Door::get("/b", "")).await;
    behind.head().await;
    behind
        .send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 404);
    for (series, value) in [
        (
            "noren_http_requests_total{handler=\"app\",app=\"app\",code=\"2xx\"}",
            "1",
        ),
        (
            "noren_http_requests_total{handler=\"app\",app=\"app\",code=\"4xx\"}",
            "1",
        ),
        (
            "noren_http_request_duration_seconds_count{app=\"app\"}",
            "2",
        ),
        ("noren_app_queue_wait_seconds_count{app=\"app\"}", "2"),
        ("noren_app_response_seconds_count{app=\"app\"}", "2"),
        ("noren_app_workers_busy{app=\"app\"}", "0"),
        ("noren_connections", "1"),
        ("noren_spool_disk_bytes", "0"),
        ("noren_spool_memory_bytes", "0"),
        ("noren_spool_requests_total", "0"),
        ("noren_spool_answers_total", "0"),
    ] {
        fixture.series(series, value).await;
    }
}

#[tokio::test]
async fn what_noren_refuses_is_counted_by_status_and_no_path_becomes_a_series() {
    let fixture = Fixture::open("[[channel]]\nname = 'wok'\n").await;
    let mut client = fixture.door.tls().await;
    for path in ["/one", "/two", "/three"] {
        assert_eq!(client.ask(&Door::get(path, "")).await.status, 404);
    }
    fixture
        .series("noren_http_refusals_total{status=\"404\"}", "3")
        .await;
    let none = "noren_http_requests_total{handler=\"none\",app=\"\",code=\"4xx\"}";
    fixture.series(none, "3").await;
    fixture.series("noren_tls_handshakes_total", "1").await;
    let text = fixture.get("/metrics").await;
    assert!(!text.text().contains("three"), "{}", text.text());
}

#[tokio::test]
async fn a_tunnel_is_counted_while_it_is_open_with_the_bytes_that_pass() {
    let console = Backend::tcp().await;
    let fixture = Fixture::open(&console.target("c")).await;
    let mut client = fixture.door.websocket("/websockify?token=c").await;
    let mut target = console.accept().await;
    client.send(binary(b"keys")).await;
    assert_eq!(target.take(4).await, b"keys");
    target.send("pixels").await;
    assert_eq!(client.frame().await.payload, b"pixels");
    fixture.series("noren_tunnels{kind=\"console\"}", "1").await;
    let bytes = |direction| {
        format!("noren_tunnel_bytes_total{{kind=\"console\",direction=\"{direction}\"}}")
    };
    fixture.series(&bytes("up"), "4").await;
    fixture.series(&bytes("down"), "6").await;
    drop(target);
    fixture.series("noren_tunnels{kind=\"console\"}", "0").await;
    fixture
        .series("noren_tunnel_duration_seconds_count{kind=\"console\"}", "1")
        .await;
}

#[tokio::test]
async fn messages_and_deliveries_are_counted_by_the_name_or_pattern_of_the_configuration() {
    let fixture = Fixture::open("[[channel]]\nname = 'job.*'\n").await;
    let mut client = fixture.door.websocket("/events/job.1,job.2").await;
    client.frame().await;
    for channel in ["job.1", "job.2"] {
        let publish = format!(
            "POST /publish/{channel} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx"
        );
        assert_eq!(fixture.ask(&publish).await.status, 202);
        client.frame().await;
    }
    for (series, value) in [
        ("noren_channel_messages_total{channel=\"job.*\"}", "2"),
        ("noren_channel_deliveries_total{channel=\"job.*\"}", "2"),
        (
            "noren_channel_delivery_seconds_count{channel=\"job.*\"}",
            "2",
        ),
        ("noren_channel_subscriptions{channel=\"job.*\"}", "2"),
        ("noren_channel_subscribers", "1"),
    ] {
        fixture.series(series, value).await;
    }
    let text = fixture.get("/metrics").await;
    assert!(!text.text().contains("job.1"), "{}", text.text());
}

#[tokio::test]
async fn sources_and_certificates_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("in");
    let source = format!(
        "[[channel]]\nname = 'wok'\n[[channel.source]]\nsource = 'listen'\naddress = 'unix:{}'\n",
        socket.display()
    );
    let fixture = Fixture::open(&source).await;
    let labels = format!(
        "{{channel=\"wok\",kind=\"listen\",address=\"unix:{}\"}}",
        socket.display()
    );
    fixture
        .series(&format!("noren_source_up{labels}"), "1")
        .await;
    let text = fixture.get("/metrics").await;
    let line = text
        .text()
        .lines()
        .find(|line| line.starts_with("noren_tls_certificate_expiry_timestamp_seconds{file=\""))
        .unwrap();
    let ends: u64 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
    assert!(ends > 1_700_000_000, "{line}");
    let status = super::object(&fixture.get("/status").await);
    assert_eq!(status["sources"][0]["kind"], "listen");
    assert_eq!(status["sources"][0]["channel"], "wok");
}

#[tokio::test]
async fn the_address_has_metrics_and_health_and_nothing_else() {
    let fixture = Fixture::open("[[channel]]\nname = 'wok'\n").await;
    let metrics = fixture.watch("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert_eq!(
        metrics.head.one("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert_eq!(fixture.watch("/healthz").await.status, 200);
    assert_eq!(fixture.watch("/readyz").await.text(), "ok\n");
    for closed in ["/status", "/events/wok", "/publish/wok", "/"] {
        let answer = fixture.watch(closed).await;
        assert_eq!(answer.status, 404, "{closed}");
        assert!(answer.text().contains("admin socket"), "{}", answer.text());
    }
}

#[tokio::test]
async fn readiness_names_the_app_that_cannot_be_reached() {
    let app = Backend::tcp().await;
    let fixture = Fixture::open(&app.app()).await;
    assert_eq!(fixture.watch("/readyz").await.status, 200);
    drop(app);
    // The first request that fails tells more than the last that went well.
    let mut client = fixture.door.plain().await;
    assert_eq!(client.ask(&Door::get("/", "")).await.status, 503);
    let answer = fixture.watch("/readyz").await;
    assert_eq!(answer.status, 503);
    assert!(
        answer
            .text()
            .starts_with("app app cannot be reached at 127.0.0.1:"),
        "{}",
        answer.text()
    );
    assert_eq!(fixture.watch("/healthz").await.status, 200);
    fixture
        .series(
            "noren_app_failures_total{app=\"app\",reason=\"connect\"}",
            "1",
        )
        .await;
}

#[tokio::test]
async fn what_waits_for_slow_clients_is_shown_and_gone_afterwards() {
    let app = Backend::tcp().await;
    let fixture = Fixture::open(&format!("{}[limits]\nrequest-buffer = '4KiB'\n", app.app())).await;
    let mut client = fixture.door.plain().await;
    client
        .send("PUT / HTTP/1.1\r\nHost: door.example\r\nContent-Length: 100001\r\n\r\n")
        .await;
    client.send(vec![b'x'; 65_536]).await;
    fixture.series("noren_spool_requests_total", "1").await;
    fixture.series("noren_spool_disk_bytes", "65536").await;
    client.send(vec![b'x'; 100_001 - 65_536]).await;
    let mut behind = app.accept().await;
    behind.head().await;
    behind.take(100_001).await;
    behind.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
    fixture.series("noren_spool_disk_bytes", "0").await;
}

#[tokio::test]
async fn the_figures_of_the_spool_go_on_when_a_reload_takes_the_last_app_away() {
    let app = Backend::tcp().await;
    let fixture = Fixture::open(&format!("{}[limits]\nrequest-buffer = '4KiB'\n", app.app())).await;
    let mut client = fixture.door.plain().await;
    client
        .send("PUT / HTTP/1.1\r\nHost: door.example\r\nContent-Length: 100001\r\n\r\n")
        .await;
    client.send(vec![b'x'; 65_536]).await;
    fixture.series("noren_spool_disk_bytes", "65536").await;
    let socket = fixture.socket.display();
    let base = &fixture.door.base;
    let without = format!(
        "{base}[admin]\nsocket = '{socket}'\naddress = '127.0.0.1:0'\n[[channel]]\nname = 'news'\n"
    );
    let config = noren::Config::parse(&without, "test").unwrap();
    fixture.door.handle.reload(config).unwrap();
    client.send(vec![b'x'; 100_001 - 65_536]).await;
    let mut behind = app.accept().await;
    behind.head().await;
    behind.take(100_001).await;
    behind.send(OK).await;
    assert_eq!(client.answer().await.status, 200);
    fixture.series("noren_spool_disk_bytes", "0").await;
}

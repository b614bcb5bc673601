//! Prometheus itself reads the metrics.

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use crate::support::{Door, path, run, scratch, until};

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address in the line `admin socket open address=127.0.0.1:9100`.
fn admin_address(log: &str) -> Option<String> {
    let line = log
        .lines()
        .find(|line| line.contains("admin socket open") && line.contains("address=127."))?;
    let (_, rest) = line.split_once("address=")?;
    Some(rest.split_ascii_whitespace().next()?.to_owned())
}

#[test]
fn prometheus_takes_all_of_it_and_can_be_asked_for_it() {
    let directory = scratch();
    let door = Door::open("[[channel]]\nname = \"wok\"\n[admin]\naddress = \"127.0.0.1:0\"\n");
    let metrics = until("the address to be told", || admin_address(&door.log()));
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = free.local_addr().expect("its address").to_string();
    drop(free);
    let settings = path(&directory, "prometheus.yml");
    let text = format!(
        "scrape_configs:\n- job_name: noren\n  scrape_interval: 1s\n  static_configs:\n  - targets: ['{metrics}']\n"
    );
    fs::write(&settings, text).expect("the settings written");
    let server = Command::new("prometheus")
        .arg(format!("--config.file={settings}"))
        .arg(format!("--storage.tsdb.path={}", path(&directory, "data")))
        .arg(format!("--web.listen-address={own}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus; tests/run installs what the tests need");
    let _server = Server(server);
    let ask = |query: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--get", "--data-urlencode"]);
        curl.arg(format!("query={query}"))
            .arg(format!("http://{own}/api/v1/query"));
        run(&mut curl).stdout
    };
    until("prometheus to have read the metrics", || {
        ask("up{job=\"noren\"}").contains(",\"1\"]").then_some(())
    });
    for query in [
        "noren_build_info",
        "noren_channel_subscriptions{channel=\"wok\"}",
        "noren_tls_handshake_duration_seconds_bucket{le=\"+Inf\"}",
        "process_resident_memory_bytes > 1e6",
    ] {
        let answer = ask(query);
        assert!(answer.contains("\"value\":["), "{query}: {answer}");
    }
}

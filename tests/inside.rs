//! Tests of the status of a running server: metrics, health, open connections.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test that cannot go on should fail where it stands, and its tasks end with its runtime"
)]

mod grafana;
mod metrics;
mod names;
mod open;

use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixStream};

use crate::harness::{Answer, Door, Wire, until};

/// A door that can be looked into.
struct Fixture {
    door: Door,
    socket: PathBuf,
    _directory: TempDir,
}

impl Fixture {
    async fn open(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let admin = format!(
            "[admin]\nsocket = '{}'\naddress = '127.0.0.1:0'\n",
            socket.display()
        );
        Self {
            door: Door::open(&format!("{settings}{admin}")).await,
            socket,
            _directory: directory,
        }
    }

    /// A connection to the admin socket.
    async fn socket(&self) -> Wire {
        Wire::new(UnixStream::connect(&self.socket).await.unwrap())
    }

    async fn ask(&self, request: &str) -> Answer {
        self.socket().await.ask(request).await
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask(&get(target)).await
    }

    /// The same from the address.
    async fn watch(&self, target: &str) -> Answer {
        let address = self.door.admin.unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        Wire::new(stream).ask(&get(target)).await
    }

    /// The value of a series, once it is this.
    async fn series(&self, series: &str, value: &str) {
        until(&format!("{series} to be {value}"), || async {
            let answer = self.get("/metrics").await;
            let line = format!("\n{series} {value}\n");
            answer.text().contains(&line).then_some(())
        })
        .await;
    }
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn object(answer: &Answer) -> Value {
    serde_json::from_str(answer.text()).unwrap_or_else(|_| panic!("{}", answer.text()))
}

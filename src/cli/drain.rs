//! `noren drain`: takes one address of an app out of use in the running Noren, or puts it back into use, and waits
//! until no request is in progress there.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use form_urlencoded::byte_serialize;
use http::Method;
use noren::config::parse_duration;
use noren::status::Status;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::cli::admin::{AdminAddress, request};
use crate::cli::{Failure, current_runtime, output, print};

/// Time between two checks of an address.
const PAUSE: Duration = Duration::from_millis(250);

/// The arguments of `noren drain`.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The name of the app
    app: String,
    /// One of its addresses, as `noren status` shows it or as the configuration has it
    address: String,
    /// Send requests there again
    #[arg(long, conflicts_with = "wait")]
    undo: bool,
    /// Wait until no request and no WebSocket is in progress there, at most this long [default: 5m]
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_duration,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5m"
    )]
    wait: Option<Duration>,
    #[command(flatten)]
    admin: AdminAddress,
}

/// Requests and WebSockets in progress at an address.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Load {
    requests: usize,
    websockets: usize,
}

impl Drain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let undo = if self.undo { "&undo=" } else { "" };
        let (app, address) = (encoded(&self.app), encoded(&self.address));
        let target = format!("/drain/{app}?address={address}{undo}");
        let socket = self.admin.socket()?;
        let runtime = current_runtime()?;
        let answer = runtime.block_on(request(&socket, Method::POST, &target))?;
        let answer: Value = serde_json::from_slice(&answer).context("the answer of Noren")?;
        let done = answer.get("done").and_then(Value::as_str);
        print(&format!("{}\n", done.unwrap_or("done")))?;
        if let Some(limit) = self.wait {
            // As the status shows it.
            let address = answer.get("address").and_then(Value::as_str);
            let address = address.unwrap_or(&self.address);
            runtime.block_on(wait(&socket, &self.app, address, limit))?;
            print("nothing is in progress there any more\n")?;
        }
        Ok(())
    }
}

/// Waits until no request and no WebSocket is in progress at an address.
async fn wait(socket: &Path, app: &str, address: &str, limit: Duration) -> anyhow::Result<()> {
    let end = Instant::now() + limit;
    let (mut process, mut seen) = (None, None);
    loop {
        let status = request(socket, Method::GET, "/status?rows=0").await?;
        let status: Status = serde_json::from_slice(&status).context("the answer of Noren")?;
        // The load of the process before is not known to the next one.
        if *process.get_or_insert(status.process) != status.process {
            return Err(anyhow!(
                "another process of Noren serves now, and what the one before has in progress at {address} is not \
                 known; the address stays drained after an upgrade, and a restart has put it back"
            ));
        }
        let Some(load) = load(&status, app, address) else {
            return Err(anyhow!(
                "the app {app} has no drained address {address} any more: a reload has changed its addresses, or \
                 somebody has put it back"
            ));
        };
        if load.is_none() {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(anyhow!(
                "{} still in progress at {address} after {limit:?}; it stays drained, and gets no further requests \
                 (--undo puts it back)",
                load.shown()
            ));
        }
        if seen.replace(load) != Some(load) {
            output::note(&format!("{} in progress at {address}", load.shown()));
        }
        sleep(PAUSE.min(end.saturating_duration_since(Instant::now()))).await;
    }
}

/// The load of a drained address in a status.
fn load(status: &Status, app: &str, address: &str) -> Option<Load> {
    let app = status.apps.iter().find(|one| one.name == app)?;
    let mut addresses = app.addresses.iter();
    let found = addresses.find(|one| one.address == address && one.drained)?;
    Some(Load {
        requests: found.busy,
        websockets: found.tunnels,
    })
}

impl Load {
    fn is_none(self) -> bool {
        self.requests == 0 && self.websockets == 0
    }

    fn shown(self) -> String {
        let number = |count: usize, name: &str| {
            let plural = if count == 1 { "" } else { "s" };
            format!("{count} {name}{plural}")
        };
        format!(
            "{} and {}",
            number(self.requests, "request"),
            number(self.websockets, "WebSocket")
        )
    }
}

//! `noren demo`: runs the server with a demonstration app, a console and notifications in one process.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use http::Method;
use noren::config::ListenAddress;
use noren::{Config, Server, SetupError, telemetry};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::cli::admin::request;
use crate::cli::serve::{log_end, runtime};
use crate::cli::{Failure, print};
use crate::demo::{self, Services};
use crate::signals::Signals;

/// Ports that are tried in turn if none is given.
const PORTS: std::ops::RangeInclusive<u16> = 8001..=8009;

/// Time limit for the first lines of the log, so that the address to open is printed after them.
const FIRST_LINES: Duration = Duration::from_secs(2);

/// The arguments of `noren demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Address to listen on: `host:port`, or a port alone [default: 8001, or the next one that is free]
    #[arg(long, value_name = "ADDR", value_parser = ListenAddress::parse)]
    listen: Option<ListenAddress>,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), Failure> {
        let services = Services::start().context("start the demo app")?;
        let config = |address: &str| {
            Config::parse(&services.config(address), "demo").map_err(Failure::configuration)
        };
        let first = config("[::]:0")?;
        telemetry::install(&first.log);
        let admin = services.admin();
        let listen = self.listen.map(|address| address.to_string());
        let ended = runtime(first.server.threads)?.block_on(async {
            let server = match listen {
                Some(address) => open(config(&address)?).map_err(|error| {
                    Failure::Other(anyhow!("{error}; another port is taken with --listen PORT"))
                })?,
                None => open_next(config)?,
            };
            serve(server, &admin).await
        });
        services.stop();
        ended
    }
}

fn open(config: Config) -> Result<Server, SetupError> {
    Server::bind(config)
}

/// Binds the server to the first free port.
fn open_next(config: impl Fn(&str) -> Result<Config, Failure>) -> Result<Server, Failure> {
    let mut refused = None;
    for port in PORTS {
        match open(config(&format!("[::]:{port}"))?) {
            Ok(server) => return Ok(server),
            Err(SetupError::Listen(error)) => refused = Some(error),
            Err(error) => return Err(Failure::Other(error.into())),
        }
    }
    let reason = refused.map_or_else(String::new, |error| error.to_string());
    Err(Failure::Other(anyhow!(
        "{reason}; name a port with --listen PORT, or an address with --listen 127.0.0.1:PORT"
    )))
}

async fn serve(server: Server, admin: &Path) -> Result<(), Failure> {
    let mut signals = Signals::install().context("install the signal handlers")?;
    let banner = server.local_addrs().first().copied();
    let banner = banner.map(|address| demo::banner(address, admin, &program()));
    let stop = async {
        wait_until_ready(admin).await;
        if let Some(banner) = banner {
            // Nobody may be reading, and that changes nothing.
            let _ = print(&banner);
        }
        signals.stop().await;
    };
    log_end(server.run(stop).await);
    Ok(())
}

/// Waits until the admin socket responds and the source of the demo is connected, because the log has reported both by
/// then. On a slow machine a line of the log may still follow the address.
async fn wait_until_ready(admin: &Path) {
    let connected = async {
        while !is_connected(admin).await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(FIRST_LINES, connected).await;
}

/// True once the status shows a connection of the source.
async fn is_connected(admin: &Path) -> bool {
    let Ok(status) = request(admin, Method::GET, "/status?rows=1").await else {
        return false;
    };
    let status: Value = serde_json::from_slice(&status).unwrap_or_default();
    let connections = status.pointer("/sources/0/connections");
    connections
        .and_then(Value::as_u64)
        .is_some_and(|count| count > 0)
}

/// The command that runs this program from the current directory.
fn program() -> PathBuf {
    let program = env::current_exe().unwrap_or_else(|_| "noren".into());
    let here = env::current_dir().unwrap_or_default();
    program
        .strip_prefix(here)
        .map_or_else(|_| program.clone(), Path::to_path_buf)
}

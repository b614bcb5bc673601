//! `noren status`: shows the state of the running Noren, once or live.

mod cells;
mod table;
mod watch;

pub(in crate::cli) use table::consoles;

use clap::Args;
use http::Method;

use crate::cli::admin::{AdminAddress, request};
use crate::cli::output::print_json;
use crate::cli::{Failure, current_runtime, print};

/// The arguments of `noren status`.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print it as one JSON object
    #[arg(long, conflicts_with = "watch")]
    json: bool,
    /// Show it live, redrawn each second; q or Ctrl-C ends it
    #[arg(long)]
    watch: bool,
    /// Show at most this many tunnels and this many subscriptions
    #[arg(long, value_name = "N", default_value_t = 200)]
    rows: usize,
    #[command(flatten)]
    admin: AdminAddress,
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let socket = self.admin.socket()?;
        let target = format!("/status?rows={}", self.rows);
        if self.watch {
            return Ok(watch::watch(&socket, &target)?);
        }
        let answer = current_runtime()?.block_on(request(&socket, Method::GET, &target))?;
        if self.json {
            print_json(&String::from_utf8_lossy(&answer))?;
            return Ok(());
        }
        let lines = table::lines(&answer)?;
        Ok(print(&(lines.join("\n") + "\n"))?)
    }
}

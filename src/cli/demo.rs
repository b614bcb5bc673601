//! `noren demo`: the door and everything behind it in one process.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use noren::{Config, telemetry};

use crate::cli::serve::{bind, runtime, told};
use crate::cli::{Failure, print};
use crate::demo::{self, Backstage};
use crate::signals::Signals;

/// The arguments of `noren demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "[::]:8001")]
    listen: String,
}

impl Demo {
    pub(super) fn run(self) -> Result<(), Failure> {
        let backstage = Backstage::start().context("start the demo app")?;
        let config = Config::parse(&backstage.config(&self.listen), "demo")
            .map_err(Failure::configuration)?;
        telemetry::install(&config.log);
        let admin = backstage.admin();
        let ended = runtime(config.server.threads)?.block_on(serve(config, &admin));
        backstage.stop();
        ended
    }
}

async fn serve(config: Config, admin: &Path) -> Result<(), Failure> {
    let server = bind(config, None)?;
    let mut signals = Signals::install().context("install the signal handlers")?;
    if let Some(address) = server.local_addrs().first() {
        print(&demo::banner(*address, admin, &program()))?;
    }
    let drained = server.run(async { signals.stop().await }).await;
    told(drained);
    Ok(())
}

/// This program, as somebody in this directory would call it.
fn program() -> PathBuf {
    let program = env::current_exe().unwrap_or_else(|_| "noren".into());
    let here = env::current_dir().unwrap_or_default();
    program
        .strip_prefix(here)
        .map_or_else(|_| program.clone(), Path::to_path_buf)
}

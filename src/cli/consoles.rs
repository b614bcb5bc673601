//! `noren consoles`: lists the shared consoles of the running Noren with the holder of each keyboard, and hands a
//! keyboard over.

use anyhow::Context as _;
use clap::Args;
use http::Method;
use serde_json::Value;

use crate::cli::admin::{AdminAddress, request};
use crate::cli::status::consoles;
use crate::cli::{Failure, current_runtime, print};

/// The arguments of `noren consoles`.
#[derive(Debug, Args)]
pub(super) struct Consoles {
    /// Hand the keyboard over to this tunnel, as `noren status` names it
    #[arg(long, value_name = "ID", value_parser = id)]
    keyboard: Option<String>,
    #[command(flatten)]
    admin: AdminAddress,
}

impl Consoles {
    pub(super) fn run(self) -> Result<(), Failure> {
        let socket = self.admin.socket()?;
        let runtime = current_runtime()?;
        if let Some(id) = self.keyboard {
            let target = format!("/keyboard/{id}");
            let answer = runtime.block_on(request(&socket, Method::POST, &target))?;
            let answer: Value = serde_json::from_slice(&answer).context("the answer of Noren")?;
            let done = answer.get("done").and_then(Value::as_str);
            return Ok(print(&format!("{}\n", done.unwrap_or("done")))?);
        }
        let answer = runtime.block_on(request(&socket, Method::GET, "/status?rows=100000"))?;
        let lines = consoles(&answer)?;
        if lines.is_empty() {
            return Ok(print("no shared console is open\n")?);
        }
        Ok(print(&format!("{}\n", lines.join("\n")))?)
    }
}

fn id(text: &str) -> Result<String, String> {
    match text.strip_prefix('t').map(str::parse::<u64>) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("write t and the number of a tunnel; `noren consoles` shows them".to_owned()),
    }
}

//! `noren drain`: takes one address of an app out of use in the running Noren, or puts it back.

use anyhow::Context as _;
use clap::Args;
use form_urlencoded::byte_serialize;
use http::Method;
use serde_json::Value;

use crate::cli::admin::{Place, ask};
use crate::cli::{Failure, current_runtime, print};

/// The arguments of `noren drain`.
#[derive(Debug, Args)]
pub(super) struct Drain {
    /// The name of the app
    app: String,
    /// One of its addresses, as `noren status` shows it or as the configuration has it
    address: String,
    /// Let it get requests again
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    place: Place,
}

impl Drain {
    pub(super) fn run(self) -> Result<(), Failure> {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let undo = if self.undo { "&undo=" } else { "" };
        let (app, address) = (encoded(&self.app), encoded(&self.address));
        let target = format!("/drain/{app}?address={address}{undo}");
        let socket = self.place.socket()?;
        let asked = ask(&socket, Method::POST, &target);
        let answer = current_runtime()?.block_on(asked)?;
        let answer: Value = serde_json::from_slice(&answer).context("the answer of Noren")?;
        let done = answer.get("done").and_then(Value::as_str);
        Ok(print(&format!("{}\n", done.unwrap_or("done")))?)
    }
}

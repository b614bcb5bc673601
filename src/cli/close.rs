//! `noren close`: closes tunnels, subscribers and sessions in the running Noren.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;
use form_urlencoded::byte_serialize;
use http::Method;
use serde_json::Value;

use crate::cli::admin::{AdminAddress, request};
use crate::cli::{Failure, current_runtime, print};

/// The arguments of `noren close`.
#[derive(Debug, Args)]
pub(super) struct Close {
    /// Things to close, as `noren status` names them: `t12` is a tunnel, `c3` a shared console, `s7` a subscriber, `v3`
    /// all of a session
    #[arg(required_unless_present = "user", value_parser = id)]
    ids: Vec<String>,
    /// Everything that is open for this user, by the name from the app
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    #[command(flatten)]
    admin: AdminAddress,
}

impl Close {
    pub(super) fn run(self) -> Result<(), Failure> {
        let user = self.user.as_ref().map(|name| {
            let name: String = byte_serialize(name.as_bytes()).collect();
            format!("user={name}")
        });
        let socket = self.admin.socket()?;
        let runtime = current_runtime()?;
        let mut text = String::new();
        for what in self.ids.into_iter().chain(user) {
            let target = format!("/close/{what}");
            let asked = request(&socket, Method::POST, &target);
            let answer: Value =
                serde_json::from_slice(&runtime.block_on(asked)?).context("the answer of Noren")?;
            let closed = answer.get("closed").and_then(Value::as_array);
            for one in closed.into_iter().flatten().filter_map(Value::as_str) {
                let _ = writeln!(text, "closed {one}");
            }
        }
        if text.is_empty() {
            text.push_str("nothing was open\n");
        }
        Ok(print(&text)?)
    }
}

fn id(text: &str) -> Result<String, String> {
    let number = text.strip_prefix(['t', 'c', 's', 'v']);
    match number.map(str::parse::<u64>) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("write t and a number for a tunnel, c for a shared console, s for a subscriber, v for a session; \
                  `noren status` shows them".to_owned()),
    }
}

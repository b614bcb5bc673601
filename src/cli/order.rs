//! `noren reload` and `noren upgrade`: commands for the Noren that runs on this machine, and their outcome.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_LENGTH, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;

use crate::cli::admin::{AdminAddress, connect, run_with};
use crate::cli::{Failure, current_runtime, print};

/// Size limit of an outcome; a configuration can have many faults.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// The arguments of `noren reload` and `noren upgrade`.
#[derive(Debug, Args)]
pub(super) struct Order {
    #[command(flatten)]
    admin: AdminAddress,
}

impl Order {
    pub(super) fn reload(self) -> Result<(), Failure> {
        self.give("/reload", Failure::Configuration)
    }

    pub(super) fn upgrade(self) -> Result<(), Failure> {
        self.give("/upgrade", Failure::Other)
    }

    fn give(self, path: &str, refused: fn(anyhow::Error) -> Failure) -> Result<(), Failure> {
        let socket = self.admin.socket()?;
        let request = Request::post(path)
            .header(HOST, "localhost")
            .header(CONTENT_LENGTH, 0)
            .body(Empty::<Bytes>::new())
            .context("make the request")?;
        let (status, text) = current_runtime()?.block_on(async {
            let stream = connect(&socket).await?;
            let (mut sender, connection) = http1::handshake(stream).await?;
            run_with(connection, async {
                let answer = sender.send_request(request).await?;
                let status = answer.status();
                let text = Limited::new(answer.into_body(), LONGEST_ANSWER)
                    .collect()
                    .await
                    .map_err(|error| anyhow!("the answer broke off: {error}"))?;
                anyhow::Ok((status, text.to_bytes()))
            })
            .await
        })?;
        let text = String::from_utf8_lossy(&text);
        match status {
            StatusCode::OK => print(&text).map_err(Failure::Other),
            StatusCode::CONFLICT => Err(refused(anyhow!("{}", text.trim_end()))),
            status => Err(Failure::Other(anyhow!(
                "{} ({})",
                text.trim_end(),
                status.as_u16()
            ))),
        }
    }
}

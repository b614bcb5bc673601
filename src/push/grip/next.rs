//! Requests of a held connection to its app: for the next link, for the end, and the first request once more.
//! Independent of the way to the app.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::response::Parts;
use tokio::time::sleep;

use super::instruct::{Hold, Instruct, is_instruction};

/// Number of attempts to fetch a next link, and the pause before the second.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// A follow-up request of a held connection to its app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FollowUp {
    /// The purpose.
    pub kind: FollowUpKind,
    /// Names and last ids of the channels, for `Grip-Last`.
    pub last: Vec<(String, String)>,
}

/// The purposes of a request of a held connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FollowUpKind {
    /// GET the continuation of a stream at this address.
    Next(String),
    /// POST to this address that the client has left.
    Gone(String),
    /// The client's own request once more.
    Again,
}

/// The response to a request of a held connection: complete, or the reason why there is none.
pub(super) type ResponseFuture =
    Pin<Box<dyn Future<Output = Result<(Parts, Bytes), String>> + Send>>;

/// Sends a request of a held connection.
pub(crate) type AppSender = Arc<dyn Fn(FollowUp) -> ResponseFuture + Send + Sync>;

/// Fetches the continuation of a stream, in several tries.
///
/// # Errors
/// The reason why the stream has to end.
pub(super) async fn fetch(
    sender: AppSender,
    uri: String,
    last: Vec<(String, String)>,
) -> Result<Instruct, String> {
    let mut wait = FIRST_WAIT;
    let mut tries = 0;
    loop {
        tries += 1;
        let follow_up = FollowUp {
            kind: FollowUpKind::Next(uri.clone()),
            last: last.clone(),
        };
        let reason = match sender(follow_up).await {
            Ok((parts, body)) if parts.status.is_success() => return read(&parts, body),
            // The app does not want to continue it.
            Ok((parts, _)) if !parts.status.is_server_error() => {
                return Err(format!(
                    "the app answers the next link with {}",
                    parts.status
                ));
            }
            Ok((parts, _)) => format!("the app answers the next link with {}", parts.status),
            Err(reason) => reason,
        };
        if tries == TRIES {
            return Err(reason);
        }
        sleep(wait + wait.mul_f64(random())).await;
        wait *= 2;
    }
}

fn read(parts: &Parts, body: Bytes) -> Result<Instruct, String> {
    if !is_instruction(&parts.headers) {
        let mut parts = parts.clone();
        parts.headers.clear();
        return Instruct::read(&parts, body).map_err(|fault| fault.to_string());
    }
    let instruct = Instruct::read(parts, body).map_err(|fault| fault.to_string())?;
    if instruct.hold == Some(Hold::Response) {
        return Err("Grip-Hold: a next link cannot hold a response".to_owned());
    }
    Ok(instruct)
}

/// A random number between 0 and 1, to spread clients.
pub(super) fn random() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let [low, high, ..] = RandomState::new().hash_one(0_u8).to_le_bytes();
    f64::from(u16::from_le_bytes([low, high])) / f64::from(u16::MAX)
}

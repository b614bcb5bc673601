//! Finds and connects to the admin socket of the Noren that runs on this machine, and explains failures.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use clap::Args;
use http::header::HOST;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use noren::config::Listener;
use tokio::net::UnixStream;

use crate::cli::{Failure, file_or_default, load_or_advise};

/// Size limit of a response: a status with all its rows.
const LONGEST_ANSWER: usize = 64 * 1024 * 1024;
/// Time limit of a response.
const RESPONSE_LIMIT: Duration = Duration::from_secs(10);

/// Arguments that locate the admin socket.
#[derive(Debug, Args)]
pub(super) struct AdminAddress {
    /// The configuration of the running Noren, which names its admin socket [default: /etc/noren/noren.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The admin socket; no configuration file is read then
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
}

impl AdminAddress {
    /// Returns the socket named by the arguments, or by the configuration.
    pub(super) fn socket(self) -> Result<PathBuf, Failure> {
        if let Some(socket) = self.socket {
            return Ok(socket);
        }
        let file = file_or_default(self.config);
        let remedy =
            "name the admin socket with --socket PATH, or the configuration with --config FILE";
        let config = load_or_advise(&file, remedy)?;
        config.admin.socket.clone().ok_or_else(|| {
            let example = example_url(&config.listeners, &config.hub.path);
            Failure::Configuration(anyhow!(
                "{}: no admin socket is configured; write\n\n  [admin]\n  socket = \"/run/noren/admin.sock\"\n\n\
                 and restart Noren (to subscribe, a URL such as {example} does too)",
                file.display()
            ))
        })
    }
}

fn example_url(listeners: &[Listener], path: &str) -> String {
    let port = listeners
        .iter()
        .find_map(|listener| {
            listener
                .address
                .to_string()
                .rsplit_once(':')?
                .1
                .parse()
                .ok()
        })
        .unwrap_or(8001_u16);
    format!("https://localhost:{port}{path}/CHANNEL")
}

/// Connects to the admin socket; the error contains the remedy.
pub(super) async fn connect(path: &Path) -> anyhow::Result<TokioIo<UnixStream>> {
    match UnixStream::connect(path).await {
        Ok(stream) => Ok(TokioIo::new(stream)),
        Err(error) => Err(anyhow!(
            "connect to {}: {}",
            path.display(),
            explain(&error, path)
        )),
    }
}

fn explain(error: &io::Error, path: &Path) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "there is no such socket. Is Noren running, and is this the `socket` of its [admin]?"
                .to_owned()
        }
        io::ErrorKind::ConnectionRefused => "nobody listens there. Is Noren running?".to_owned(),
        io::ErrorKind::PermissionDenied => denied(path),
        _ => error.to_string(),
    }
}

/// Explains a permission error: the users that may open the socket, as far as its mode shows.
fn denied(path: &Path) -> String {
    let Ok(found) = fs::metadata(path) else {
        return "permission denied; you may not enter its directory".to_owned();
    };
    let mode = found.permissions().mode() & 0o777;
    let group = group_name(
        &fs::read_to_string("/etc/group").unwrap_or_default(),
        found.gid(),
    );
    if mode & 0o020 == 0 {
        return format!("permission denied; its mode is {mode:04o}, so only its owner may use it");
    }
    if found.gid() == 0 {
        return format!("permission denied; it is for root (mode {mode:04o}): use sudo");
    }
    format!(
        "permission denied; it is for the group {group} (mode {mode:04o}). \
         Join it with `sudo usermod -aG {group} $USER` and log in again"
    )
}

/// The name of a group in the text of group(5), or its number.
fn group_name(groups: &str, id: u32) -> String {
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then_some(name)
    });
    name.map_or_else(|| id.to_string(), str::to_owned)
}

/// Sends one request to the admin socket, and returns the body of the response. A response with an error status becomes
/// an error with its text.
pub(super) async fn request(socket: &Path, method: Method, target: &str) -> anyhow::Result<Bytes> {
    let stream = connect(socket).await?;
    let (mut sender, connection) = http1::handshake(stream).await?;
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, "noren")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST_ANSWER);
        let body = body
            .collect()
            .await
            .map_err(|error| anyhow!("{error}"))?
            .to_bytes();
        if status.is_success() {
            return Ok(body);
        }
        Err(anyhow!("{}", String::from_utf8_lossy(&body).trim_end()))
    };
    let answered = tokio::time::timeout(RESPONSE_LIMIT, run_with(connection, exchange)).await;
    answered.map_err(|_| anyhow!("{}: no answer within {RESPONSE_LIMIT:?}", socket.display()))?
}

/// Runs `talk` while the connection is driven beside it. Data that was received before the connection ends can still be
/// read.
pub(super) async fn run_with<T>(
    connection: impl Future<Output = hyper::Result<()>>,
    talk: impl Future<Output = T>,
) -> T {
    let mut talk = std::pin::pin!(talk);
    tokio::select! {
        biased;
        done = &mut talk => return done,
        // If it failed, `talk` fails too, and says more.
        _ = connection => {}
    }
    talk.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_let_in_is_told_which_group_is() {
        let groups = "root:x:0:\nnoren:x:990:ann\n\nbroken";
        assert_eq!(group_name(groups, 990), "noren");
        assert_eq!(group_name(groups, 7), "7");
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("admin.sock");
        assert!(explain(&error, &path).contains("directory"));
        fs::write(&path, "").expect("a file in its place");
        let mode = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our own file");
            explain(&error, &path)
        };
        let own_group = fs::metadata(&path).expect("our own file").gid();
        let advice = if own_group == 0 {
            "use sudo"
        } else {
            "usermod -aG "
        };
        assert!(mode(0o660).contains(advice), "{}", mode(0o660));
        assert!(mode(0o600).contains("only its owner"), "{}", mode(0o600));
    }
}

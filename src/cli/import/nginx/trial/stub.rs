//! Stubs that replace apps: each sends back the head of the request that it received, and its own number.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::TrialDirectory;

/// The first words of a body.
pub(super) const MARK: &str = "noren-import-stub ";
/// Size limit of a head; both servers have accepted it by then.
const LARGEST: usize = 256 * 1024;

/// Serves all stubs, until the result is dropped.
pub(super) fn serve(trial: &TrialDirectory) -> Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    let mut numbers: Vec<usize> = trial.apps.values().copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    for number in numbers {
        let path: PathBuf = trial.path(&format!("app-{number}"));
        let listener =
            UnixListener::bind(&path).with_context(|| format!("listen on {}", path.display()))?;
        tasks.spawn(async move {
            let mut answers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                // Those that have ended are not kept.
                while answers.try_join_next().is_some() {}
                answers.spawn(answer(stream, number));
            }
        });
    }
    Ok(tasks)
}

/// Responds on a connection. The client notices if the connection breaks.
async fn answer(mut stream: UnixStream, number: usize) {
    let mut head = Vec::new();
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(read) if read > 0 && head.len() < LARGEST => {}
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head);
    let body = format!("{MARK}{number}\n{head}");
    let is_head = head.starts_with("HEAD ");
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        body.len(),
        if is_head { "" } else { &body }
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

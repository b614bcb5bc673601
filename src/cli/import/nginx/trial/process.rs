//! A child process that ends with the comparison.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Time limit for a process to start listening, or to end by itself.
const LONGEST: Duration = Duration::from_secs(15);
/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// A process; it is killed when this is dropped.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts a command, with its output in a file, and waits until it listens on all these sockets.
    #[expect(
        clippy::disallowed_methods,
        reason = "no runtime has anything to do meanwhile"
    )]
    pub(super) fn start(command: &mut Command, log: &Path, sockets: &[PathBuf]) -> Result<Self> {
        let mut running = Self::begin(command, log)?;
        let end = Instant::now() + LONGEST;
        while !sockets.iter().all(|socket| socket.exists()) {
            if let Some(status) = running.0.try_wait()? {
                bail!("it ended ({status}): {}", log_text(log));
            }
            if Instant::now() > end {
                bail!("it does not listen after {LONGEST:?}: {}", log_text(log));
            }
            sleep(PAUSE);
        }
        Ok(running)
    }

    /// Runs a command to its end; its words, and whether it was well.
    #[expect(
        clippy::disallowed_methods,
        reason = "no runtime has anything to do meanwhile"
    )]
    pub(super) fn run(command: &mut Command, log: &Path) -> Result<(bool, String)> {
        let mut running = Self::begin(command, log)?;
        let end = Instant::now() + LONGEST;
        loop {
            if let Some(status) = running.0.try_wait()? {
                return Ok((status.success(), log_text(log)));
            }
            if Instant::now() > end {
                bail!("it has not ended after {LONGEST:?}");
            }
            sleep(PAUSE);
        }
    }

    fn begin(command: &mut Command, log: &Path) -> Result<Self> {
        let output = fs::File::create(log).with_context(|| format!("write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self(child))
    }
}

fn log_text(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

//! `noren replay`: plays the output of a console as it was recorded, to a viewer or to the terminal, or exports it in
//! the format of another player, or as a video.

use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use noren::config::Endpoint;
use noren::recording::{Asciicast, Kind, NotText, Reader};
use noren::text::escape;
use noren::video::Video;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{Instant, sleep_until, timeout};

use crate::cli::output::note;
use crate::cli::{Failure, current_runtime, video};

/// Time that a viewer has to disconnect after the last picture.
const FAREWELL: Duration = Duration::from_secs(5);

/// The arguments of `noren replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The recording
    file: PathBuf,
    /// Address for the viewer: a loopback address or `unix:/path`
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5999", value_parser = near)]
    #[arg(conflicts_with = "terminal")]
    listen: Endpoint,
    /// Write the output of a serial console to standard output instead
    #[arg(long)]
    terminal: bool,
    /// Write a serial console to standard output as asciicast v2, which `asciinema play` shows
    #[arg(long, conflicts_with_all = ["terminal", "listen", "speed", "once"])]
    asciicast: bool,
    /// Write a graphical console into this new file as a video (.mp4, .mkv or .webm), which `ffmpeg` encodes
    #[arg(long, value_name = "FILE", value_parser = video::file)]
    #[arg(conflicts_with_all = ["terminal", "listen", "once", "asciicast"])]
    video: Option<PathBuf>,
    /// Columns of the terminal in an asciicast; a recording does not know them
    #[arg(long, value_name = "N", default_value_t = 80, requires = "asciicast")]
    columns: u16,
    /// Its rows
    #[arg(long, value_name = "N", default_value_t = 24, requires = "asciicast")]
    rows: u16,
    /// Write what was typed into an asciicast as well, passwords included
    #[arg(long, requires = "asciicast")]
    input: bool,
    /// Play this many times as fast
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Shorten longer pauses to this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = speed)]
    max_pause: Option<f64>,
    /// End after the first viewer, instead of waiting for another
    #[arg(long)]
    once: bool,
}

/// Accepts only local addresses: a recording may contain secrets, so it is not offered to the network.
fn near(text: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::parse(text)?;
    let is_near = match &endpoint {
        Endpoint::Tcp { host, .. } => {
            host == "localhost"
                || host
                    .parse()
                    .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        Endpoint::Unix(_) => true,
    };
    if is_near {
        Ok(endpoint)
    } else {
        Err(
            "a recording is only played on this machine; write 127.0.0.1:PORT or unix:/path"
                .to_owned(),
        )
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "this is no number".to_owned())?;
    if (0.001..=1_000_000.0).contains(&number) {
        Ok(number)
    } else {
        Err("write a number from 0.001 to 1000000".to_owned())
    }
}

fn open(path: &Path) -> anyhow::Result<Reader<BufReader<File>>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("open {shown}"))?;
    Reader::open(BufReader::new(file)).with_context(|| format!("read {shown}"))
}

impl Replay {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.asciicast {
            return Ok(self.write_asciicast()?);
        }
        if let Some(into) = &self.video {
            let settings = Video {
                speed: self.speed,
                max_pause: self.max_pause,
            };
            let file = self.file.clone();
            let runtime = current_runtime()?;
            let encoded = runtime.block_on(video::encode(settings, move || open(&file), into));
            // After an interruption a thread may still draw; it ends with the process.
            runtime.shutdown_background();
            return Ok(encoded?);
        }
        // Before anything listens, so that a wrong file is told at once.
        self.print_head(&self.open()?);
        let runtime = current_runtime()?;
        let played = runtime.block_on(async {
            if self.terminal {
                self.play(&mut Terminal).await
            } else {
                self.serve().await
            }
        });
        played.map_err(Failure::Other)
    }

    fn open(&self) -> anyhow::Result<Reader<BufReader<File>>> {
        open(&self.file)
    }

    fn write_asciicast(&self) -> anyhow::Result<()> {
        let settings = Asciicast {
            columns: self.columns,
            rows: self.rows,
            input: self.input,
            max_pause: self.max_pause,
        };
        let mut out = BufWriter::new(std::io::stdout().lock());
        match settings.write(self.open()?, &mut out) {
            // Nobody reads any more (`| head`), which is no error.
            Err(NotText::Write(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error @ NotText::Graphical) => Err(anyhow!(error).context(format!(
                "{} cannot be written as an asciicast; play it to a VNC viewer, without --asciicast, or write --video \
                 FILE.mp4",
                self.file.display()
            ))),
            written => written.with_context(|| format!("write {}", self.file.display())),
        }
    }

    /// Prints a description of the recording to a terminal.
    fn print_head(&self, reader: &Reader<BufReader<File>>) {
        let header = reader.header();
        let console = header.console.as_deref().unwrap_or(&header.target);
        let user = header.user.as_deref().unwrap_or("somebody");
        let peer = &header.peer;
        note(&escape::line(&format!(
            "{console}, as {user} at {peer} saw it"
        )));
        if !self.terminal {
            note(&format!("a viewer can connect to {}", self.listen));
        }
    }

    async fn serve(&self) -> anyhow::Result<()> {
        match &self.listen {
            Endpoint::Tcp { host, port } => {
                let listener = TcpListener::bind((host.as_str(), *port)).await;
                let listener = listener.with_context(|| format!("listen on {}", self.listen))?;
                loop {
                    let (viewer, _) = listener.accept().await?;
                    viewer.set_nodelay(true)?;
                    self.show(viewer).await?;
                    if self.once {
                        return Ok(());
                    }
                }
            }
            Endpoint::Unix(path) => {
                // A socket that nobody listens on was left by one that was killed.
                if connect_refused(path) {
                    std::fs::remove_file(path)?;
                }
                let listener = UnixListener::bind(path);
                let listener = listener.with_context(|| format!("listen on {}", self.listen))?;
                let ended = loop {
                    let (viewer, _) = listener.accept().await?;
                    let shown = self.show(viewer).await;
                    if self.once || shown.is_err() {
                        break shown;
                    }
                };
                // It was made here a moment ago; if somebody else has removed it, that is as well.
                let _ = std::fs::remove_file(path);
                ended
            }
        }
    }

    /// Plays the target's side for one viewer, and discards the viewer's input.
    async fn show(&self, viewer: impl AsyncRead + AsyncWrite) -> anyhow::Result<()> {
        let (mut says, hears) = tokio::io::split(viewer);
        let mut viewer = Viewer(hears);
        let mut unread = vec![0; 16 * 1024];
        let listening = async { while matches!(says.read(&mut unread).await, Ok(1..)) {} };
        tokio::select! {
            played = self.play(&mut viewer) => played?,
            () = listening => return Ok(()),
        }
        // Its last picture stays until it leaves, or for a moment.
        let _ = viewer.0.shutdown().await;
        let mut unread = vec![0; 16 * 1024];
        let leaving = async { while matches!(says.read(&mut unread).await, Ok(1..)) {} };
        let _ = timeout(FAREWELL, leaving).await;
        Ok(())
    }

    async fn play(&self, to: &mut impl Screen) -> anyhow::Result<()> {
        let mut reader = self.open()?;
        let mut due = Instant::now();
        let mut before = None;
        let path = self.file.display().to_string();
        while let Some(record) = reader.read().with_context(|| format!("read {path}"))? {
            match record.kind {
                Kind::Output => {}
                Kind::Gap => {
                    let lost: [u8; 8] = record.data.try_into().map_err(|_| anyhow!("a bad gap"))?;
                    to.gap(u64::from_be_bytes(lost))?;
                    continue;
                }
                Kind::Input | Kind::End => continue,
            }
            // The first word of the console comes at once, however long it took.
            let pause = record.at.saturating_sub(before.unwrap_or(record.at));
            before = Some(record.at);
            let pause = pause.as_secs_f64() / self.speed;
            due += Duration::from_secs_f64(pause.min(self.max_pause.unwrap_or(f64::MAX)));
            sleep_until(due).await;
            if !to.show(&record.data).await? {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn connect_refused(path: &Path) -> bool {
    let connected = std::os::unix::net::UnixStream::connect(path);
    connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The output of a recording.
trait Screen {
    /// Shows the output of the console; false if the reader has gone.
    async fn show(&mut self, bytes: &[u8]) -> anyhow::Result<bool>;

    /// Reports that bytes are missing at this point.
    fn gap(&mut self, bytes: u64) -> anyhow::Result<()>;
}

struct Viewer<W>(W);

impl<W: AsyncWrite + Unpin> Screen for Viewer<W> {
    async fn show(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        let shown = self.0.write_all(bytes).await;
        Ok(shown.is_ok() && self.0.flush().await.is_ok())
    }

    /// Fails, because a viewer cannot decode the rest without the missing bytes.
    fn gap(&mut self, bytes: u64) -> anyhow::Result<()> {
        bail!("{bytes} bytes are missing from here on, and without them a viewer cannot go on")
    }
}

struct Terminal;

impl Screen for Terminal {
    async fn show(&mut self, bytes: &[u8]) -> anyhow::Result<bool> {
        let mut out = std::io::stdout().lock();
        Ok(out.write_all(bytes).and_then(|()| out.flush()).is_ok())
    }

    fn gap(&mut self, bytes: u64) -> anyhow::Result<()> {
        let text = format!("\r\n[{bytes} bytes are missing here]\r\n");
        Ok(std::io::stdout().write_all(text.as_bytes())?)
    }
}

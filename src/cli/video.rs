//! `noren replay --video`: the frames of a recorded console, which the program `ffmpeg` encodes.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use noren::recording::Reader;
use noren::video::{Video, VideoError};
use tempfile::TempPath;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::cli::output::note;
use crate::signals::Signals;

const PROGRAM: &str = "ffmpeg";
/// The formats in which a frame may last as long as it likes: the extension of the file, and the name of the format at
/// the encoder, which cannot tell it from the name of an unfinished file.
const FORMATS: [(&str, &str); 3] = [("mp4", "mp4"), ("mkv", "matroska"), ("webm", "webm")];
/// Interval of checking if the encoder has ended.
const POLL: Duration = Duration::from_millis(20);

/// Colours as players expect them of a video of any size, sparse frames in the order in which they are shown, and of
/// what is said only what is wrong.
const ARGUMENTS: &str = "-loglevel error -nostdin -f matroska -i pipe:0 -vf scale=out_color_matrix=bt709:out_range=tv \
     -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709 -fps_mode vfr -bf 0 -y";

/// The running encoder, which is killed when it is dropped.
struct Encoder(Child);

/// Parses the name of a file, whose extension is its format.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if format(&path).is_some() {
        Ok(path)
    } else {
        Err("write a name that ends with .mp4, .mkv or .webm".to_owned())
    }
}

/// The encoder's name for the format of a file.
fn format(path: &Path) -> Option<&'static str> {
    let extension = path.extension()?.to_str()?;
    let mut formats = FORMATS.iter();
    formats.find_map(|(known, format)| (*known == extension).then_some(*format))
}

/// Writes the video of the recording that `open` opens. Until it is complete, its file has `.part` behind its name; it
/// is removed after an error or an interruption.
pub(super) async fn encode(
    settings: Video,
    open: impl Fn() -> anyhow::Result<Reader<BufReader<File>>> + Clone + Send + 'static,
    path: &Path,
) -> anyhow::Result<()> {
    let mut signals = Signals::install().context("install the signal handlers")?;
    open()?;
    let shown = path.display();
    let partial = partial(path)?;
    let mut encoder = Encoder::start(path, &partial)?;
    let work = async {
        let again = open.clone();
        // What has no picture is told while the encoder still waits, and before it complains that it got nothing.
        let size = spawn_blocking(move || anyhow::Ok(settings.measure(again()?)?)).await;
        let size = size.context("measure the frames")??;
        let frames = encoder.input()?;
        let written = spawn_blocking(move || anyhow::Ok(settings.write(open()?, size, frames)));
        let written = written.await.context("draw the frames")??;
        anyhow::Ok((written, encoder.end().await?))
    };
    let (written, status) = tokio::select! {
        done = work => done?,
        () = signals.stop() => bail!("interrupted; there is no video"),
    };
    if matches!(written, Err(VideoError::Write(_))) || !status.success() {
        bail!("{PROGRAM} could not encode the video ({status}); it says why above");
    }
    let written = written?;
    let renamed = partial.persist_noclobber(path);
    let renamed = renamed.map_err(|error| error.error);
    renamed.with_context(|| format!("create {shown}"))?;
    let seconds = written.duration.as_secs_f64();
    note(&format!("{shown}: {seconds:.2} s"));
    match written.cut {
        None => Ok(()),
        Some(reason) => Err(anyhow!("the video ends before the recording: {reason}")),
    }
}

/// Creates the unfinished file, as secret as the recording is; and no other file is written over.
fn partial(path: &Path) -> anyhow::Result<TempPath> {
    let shown = path.display();
    // The file itself is made under this name at the end, and fails then if another one was made in the meantime.
    if path.symlink_metadata().is_ok() {
        bail!("create {shown}: File exists");
    }
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    let created = tempfile::Builder::new()
        .prefix(path.file_name().unwrap_or_default())
        .rand_bytes(0)
        .suffix(".part")
        .tempfile_in(directory);
    let created = created.with_context(|| format!("create {shown}.part"))?;
    Ok(created.into_temp_path())
}

impl Encoder {
    /// Starts the encoder for the video at `path`, which it writes to `partial`.
    fn start(path: &Path, partial: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(PROGRAM);
        command.args(ARGUMENTS.split_whitespace());
        let format = format(path).context("a format of videos")?;
        if format == "mp4" {
            // Players in web pages begin before they have the whole file.
            command.args(["-movflags", "+faststart"]);
        }
        // A name that begins with a hyphen or has a colon is a file as well.
        let mut name = std::ffi::OsString::from("file:");
        name.push(partial);
        let child = command
            .args(["-f", format])
            .arg(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        match child {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(anyhow!(
                "{PROGRAM} encodes the video, and is not installed; install the package {PROGRAM}"
            )),
            child => Ok(Self(child.with_context(|| format!("start {PROGRAM}"))?)),
        }
    }

    /// Takes the pipe for the frames.
    fn input(&mut self) -> anyhow::Result<ChildStdin> {
        self.0.stdin.take().context("a pipe to the encoder")
    }

    /// Waits until the encoder has ended.
    async fn end(&mut self) -> std::io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            sleep(POLL).await;
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Without effect after its end. If it fails, the error that is reported is the earlier one.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

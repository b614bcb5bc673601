//! `noren replay --video`: the frames of a recorded console, which the program `ffmpeg` encodes.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{BufReader, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use noren::recording::Reader;
use noren::video::{Video, VideoError};

use crate::cli::output::note;

const PROGRAM: &str = "ffmpeg";
/// The formats in which a frame may last as long as it likes.
const FORMATS: [&str; 3] = ["mp4", "mkv", "webm"];

/// Colours as players expect them of a video of any size, sparse frames in the order in which they are shown, and of
/// what is said only what is wrong.
const ARGUMENTS: &str = "-loglevel error -nostdin -f matroska -i pipe:0 -vf scale=out_color_matrix=bt709:out_range=tv \
     -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709 -fps_mode vfr -bf 0 -y";

/// The file of a video, which is not left behind half done.
struct Unfinished<'a> {
    path: &'a Path,
    is_done: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            // If it cannot be removed, the error that is reported is the earlier one.
            let _ = remove_file(self.path);
        }
    }
}

/// Parses the name of a file, whose extension is its format.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let extension = path.extension().and_then(|extension| extension.to_str());
    if extension.is_some_and(|extension| FORMATS.contains(&extension)) {
        Ok(path)
    } else {
        Err("write a name that ends with .mp4, .mkv or .webm".to_owned())
    }
}

/// Writes the video of the recording that `open` opens.
pub(super) fn encode(
    settings: Video,
    open: impl Fn() -> anyhow::Result<Reader<BufReader<File>>>,
    path: &Path,
) -> anyhow::Result<()> {
    open()?;
    let shown = path.display();
    // As secret as the recording is; and no other file is written over.
    let mut created = OpenOptions::new();
    let created = created.write(true).create_new(true).mode(0o600).open(path);
    created.with_context(|| format!("create {shown}"))?;
    let mut video = Unfinished {
        path,
        is_done: false,
    };
    let mut encoder = start(path)?;
    let frames = encoder.stdin.take().context("a pipe to the encoder")?;
    // What has no picture is told before the encoder complains that it got nothing.
    let size = open().and_then(|reader| Ok(settings.measure(reader)?));
    let size = match size {
        Ok(size) => size,
        Err(error) => {
            encoder.kill()?;
            encoder.wait()?;
            return Err(error);
        }
    };
    let written = settings.write(open()?, size, frames);
    let status = encoder.wait()?;
    if matches!(written, Err(VideoError::Write(_))) || !status.success() {
        bail!("{PROGRAM} could not encode the video ({status}); it says why above");
    }
    let written = written?;
    video.is_done = true;
    let seconds = written.duration.as_secs_f64();
    note(&format!("{shown}: {seconds:.2} s"));
    match written.cut {
        None => Ok(()),
        Some(reason) => Err(anyhow!("the video ends before the recording: {reason}")),
    }
}

fn start(path: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new(PROGRAM);
    command.args(ARGUMENTS.split_whitespace());
    if path.extension().is_some_and(|extension| extension == "mp4") {
        // Players in web pages begin before they have the whole file.
        command.args(["-movflags", "+faststart"]);
    }
    // A name that begins with a hyphen or has a colon is a file as well.
    let mut name = std::ffi::OsString::from("file:");
    name.push(path);
    let child = command
        .arg(name)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    match child {
        Err(error) if error.kind() == ErrorKind::NotFound => Err(anyhow!(
            "{PROGRAM} encodes the video, and is not installed; install the package {PROGRAM}"
        )),
        child => child.with_context(|| format!("start {PROGRAM}")),
    }
}

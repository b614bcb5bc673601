//! Tests of the messages in a channel when programs write to its sources, over real sockets.

mod messages;
mod reloads;
mod sockets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use std::io::{Read, Write};

use super::*;
use crate::config::ChannelName;
use crate::hub::{From, Next, Subscription};

/// A hub with sources in a directory of its own.
struct Fixture {
    hub: Hub,
    sources: Sources,
    shutdown: Shutdown,
    listener: Subscription,
    directory: tempfile::TempDir,
}

fn config(directory: &Path, text: &str) -> Config {
    let text = text.replace("DIR", &directory.display().to_string());
    Config::parse(&text, "noren.toml").expect("a configuration")
}

fn name(text: &str) -> ChannelName {
    ChannelName::parse(text).expect("a name")
}

impl Fixture {
    /// Subscribes to the channels `a` and, if it exists, `b`.
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = config(directory.path(), text);
        let hub = Hub::new(&config, None).expect("a hub");
        let shutdown = Shutdown::new();
        let sources = Sources::start(&hub, &config, &shutdown).expect("started");
        let mut names = vec![name("a")];
        names.extend(hub.rules(&name("b")).map(|_| name("b")));
        let listener = hub.subscribe(&names, From::Now, None).expect("subscribed");
        Self {
            hub,
            sources,
            shutdown,
            listener,
            directory,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    fn reload(&self, text: &str) -> Result<(), SourceError> {
        let config = config(self.directory.path(), text);
        let sources = self.sources.plan(&config)?;
        self.hub.commit(self.hub.plan(&config).expect("a plan"));
        self.sources.commit(sources);
        Ok(())
    }

    fn status(&self) -> SourceStatus {
        self.sources.status().first().expect("a source").clone()
    }

    /// Returns the next messages; panics at a gap.
    async fn next(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            let next = std::future::poll_fn(|cx| self.listener.poll_next(cx));
            let next = tokio::time::timeout(Duration::from_secs(20), next).await;
            match next {
                Ok(Next::Message(message)) => texts.push(told(&message.draft)),
                other => panic!("{other:?} after {texts:?}"),
            }
        }
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(more) = self.listener.poll_next(&mut cx) {
            panic!("{more:?} after {texts:?}");
        }
        texts
    }

    async fn status_when(&self, fits: impl Fn(&SourceStatus) -> bool) -> SourceStatus {
        eventually(|| fits(&self.status())).await;
        self.status()
    }
}

fn told(draft: &crate::hub::Draft) -> String {
    let label = |label: &Option<Box<str>>| {
        let label = label.as_ref();
        label.map(|label| format!("{label}=")).unwrap_or_default()
    };
    let data = String::from_utf8_lossy(draft.data.as_bytes());
    format!("{}{}{data}", label(&draft.event), label(&draft.key))
}

async fn eventually(is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not happen");
}

/// Writes text as an app or a program does.
fn write(path: &Path, text: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path).expect("connected");
    stream.write_all(text.as_bytes()).expect("written");
    stream
}

/// Accepts the next connection to an app.
async fn accepted(app: &UnixListener) -> UnixStream {
    let app = app.try_clone().expect("cloned");
    let accepting = tokio::task::spawn_blocking(move || app.accept());
    accepting.await.expect("joined").expect("accepted").0
}

fn uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").expect("ourselves").uid()
}

const WOK: &str = "[[channel]]\nname = 'a'\n[[channel.source]]\nsource = 'wok'\naddress = \
                   'unix:DIR/s'\n[hub]\nmessage-size = '1KiB'\n";

/// The configuration of a channel `a` with a `listen` source, with more keys.
fn listening(more: &str) -> String {
    format!(
        "[hub]\nmessage-size = '1KiB'\n[[channel]]\nname = 'a'\n[[channel.source]]\nsource = \
         'listen'\naddress = 'unix:DIR/s'\n{more}\n"
    )
}

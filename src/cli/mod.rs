//! The command line: arguments, exit codes, and the function of each command.

mod admin;
mod check;
mod close;
mod consoles;
mod demo;
mod drain;
mod explain;
mod generate;
mod import;
mod order;
mod output;
mod publish;
mod recordings;
mod replay;
mod serve;
mod status;
mod subscribe;
mod token;
mod upgrade;
mod video;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use noren::{Config, ConfigError};

/// One program in front of a blocking web app: TLS reverse proxy, bridge to consoles, notification hub.
#[derive(Debug, Parser)]
#[command(
    name = "noren",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    #[command(after_help = "With flags alone, no file is needed:\n  \
        noren serve --app http://127.0.0.1:8010 --tokens /var/lib/wok/ws-tokens\n  \
        noren serve --target 127.0.0.1:5900 --files /usr/share/novnc")]
    Serve(serve::Serve),
    /// Start a demonstration in one process: the server, a blocking app, a console, live notifications.
    Demo(demo::Demo),
    /// Check a configuration file, and the files that it names; exit status 78 and the exact place if it is wrong.
    Check(check::Check),
    /// Reload the configuration of the running Noren, and print the reason if it is refused.
    #[command(
        after_help = "Exit status: 0 the configuration is in force, 78 it is invalid and the old one stays, 1 Noren\n\
        could not be reached. SIGHUP does the same, without a result."
    )]
    Reload(order::Order),
    /// Replace the running process by a new one, for example of a newer version; no client is refused.
    #[command(
        after_help = "The new process takes over the listening sockets and the messages of channels. The old one\n\
        keeps its open consoles until they end, at most for server.handover. SIGUSR2 does the same."
    )]
    Upgrade(order::Order),
    /// Publish a message on a channel of the running Noren, or one for each line of standard input.
    #[command(after_help = "Examples:\n  \
        noren publish wok \"backup done\"\n  \
        noren publish job.17 --json '{\"percent\": 40}' --key job.17\n  \
        tail -f /var/log/app.log | noren publish logs\n\n\
        It uses the admin socket ([admin] socket in the configuration); whoever may write to that socket\n\
        may publish. Exit status: 0 published, 1 not, 78 no usable configuration.")]
    Publish(publish::Publish),
    /// Print the messages of a channel as they arrive; reconnects after a loss, and reports missed messages.
    #[command(after_help = "Examples:\n  \
        noren subscribe https://example.org:8001/events/wok\n  \
        noren subscribe --insecure --from earliest https://localhost:8001/events/wok,jobs\n  \
        noren subscribe wok jobs --json | jq .data\n\n\
        A URL can be that of any Noren. A CHANNEL is one of the Noren on this machine, by its admin\n\
        socket. Messages go to standard output, the state of the connection to standard error. Ctrl-C ends.")]
    Subscribe(subscribe::Subscribe),
    /// Show the state of the running Noren: connections, apps, tunnels, subscribers, channels, sources.
    #[command(after_help = "Examples:\n  \
        noren status\n  \
        noren status --watch            live; q ends it\n  \
        noren status --json | jq .tunnels\n\n\
        It uses the admin socket ([admin] socket in the configuration).")]
    Status(status::Status),
    /// Close tunnels and subscribers of the running Noren.
    #[command(after_help = "Examples:\n  \
        noren close t12                 the tunnel t12 of `noren status`\n  \
        noren close c3                  the shared console c3, for all its viewers\n  \
        noren close s7 s9               two subscribers\n  \
        noren close --user ann          everything that is open for ann\n\n\
        Browsers get the close code 4403, \"closed by an administrator\". A closed page may reconnect; the\n\
        app decides whether it may open something again.")]
    Close(close::Close),
    /// Show the shared consoles of the running Noren, and hand a keyboard over.
    #[command(after_help = "Examples:\n  \
        noren consoles\n  \
        noren consoles --keyboard t12   the viewer of t12 gets the keyboard\n  \
        noren close c3                  closes the shared console c3 for all its viewers")]
    Consoles(consoles::Consoles),
    /// Take one address of an app out of use ([[app]] urls), or put it back.
    #[command(after_help = "Examples:\n  \
        noren drain web 127.0.0.1:8011          it gets no further requests\n  \
        noren drain web unix:/run/web.sock\n  \
        noren drain web 127.0.0.1:8011 --wait && systemctl restart web@8011\n  \
        noren drain web 127.0.0.1:8011 --undo\n\n\
        Requests in progress and open WebSockets are left to end; `noren status` shows how many there are,\n\
        and --wait waits for them. A drain holds over reloads and upgrades, until --undo or a restart.\n\
        Exit status: 0 done, and with --wait nothing is in progress there; 1 not.")]
    Drain(drain::Drain),
    /// Play a recorded console ([bridge.recording]) to a VNC viewer or in the terminal, or export it for asciinema or
    /// as a video.
    #[command(after_help = "Examples:\n  \
        noren replay 1764111600123-vm1.noren & vncviewer 127.0.0.1::5999\n  \
        noren replay --terminal --speed 4 --max-pause 1 1764111600123-vm1-console.noren\n  \
        noren replay --asciicast 1764111600123-vm1-console.noren > vm1.cast && asciinema play vm1.cast\n  \
        noren replay --video vm1.mp4 --max-pause 2 1764111600123-vm1.noren\n\n\
        It sends what the console sent, whatever the viewer requests, so the viewer must use the pixel format\n\
        of the recorded one. Only programs on this machine can connect.\n\
        A video needs the program ffmpeg (5.1 or newer).")]
    Replay(replay::Replay),
    /// List recorded consoles ([bridge.recording]), and verify that they are unchanged.
    #[command(after_help = "Examples:\n  \
        noren recordings list\n  \
        noren recordings verify --digest 9f86d0… 1764111600123-vm1.noren\n\n\
        Each record has a digest of everything before it. The audit has the last one, as `digest` in the line\n\
        \"recorded\". Without --digest, a file that was written anew as a whole cannot be detected.\n\
        Exit status: 0 everything is unchanged, 1 something is not.")]
    Recordings(recordings::Recordings),
    /// Print the token and the URL of a console, or a signed link that expires, or a token for channels.
    #[command(after_help = "Examples:\n  \
        noren token vm1\n  \
        noren token --sign --expires 5m --single-use --address 192.0.2.7 vm1\n\n\
        The key is in a file that [bridge.signed] or [hub.tokens] in the configuration names, and never on the\n\
        command line. Exit status: 0 done, 78 no usable configuration or key.")]
    Token(token::Token),
    /// Print the noren.toml that is equivalent to a file of nginx, a nova.conf, or a websockify command line.
    Import(import::Import),
    /// Write man pages or shell completions, for packagers.
    Generate(generate::Generate),
}

/// Default path of the configuration.
const DEFAULT_FILE: &str = "/etc/noren/noren.toml";

/// Reason why the program ends with an error.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration, or a file that it names, is wrong.
    Configuration(anyhow::Error),
    /// Any other failure.
    Other(anyhow::Error),
}

impl Failure {
    /// The configuration is wrong.
    fn configuration(error: impl Into<anyhow::Error>) -> Self {
        Self::Configuration(error.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Configuration(error) | Self::Other(error)) = self;
        f.write_str(&with_causes(error))
    }
}

/// An error with its causes, except those whose text it already contains.
pub(crate) fn with_causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut text, cause| {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            let between = if text.is_empty() { "" } else { ": " };
            text.push_str(between);
            text.push_str(&cause);
        }
        text
    })
}

/// Runs the command that the arguments ask for.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
        Command::Check(check) => check.run(),
        Command::Reload(order) => order.reload(),
        Command::Upgrade(order) => order.upgrade(),
        Command::Publish(publish) => publish.run(),
        Command::Subscribe(subscribe) => subscribe.run(),
        Command::Status(status) => status.run(),
        Command::Close(close) => close.run(),
        Command::Consoles(consoles) => consoles.run(),
        Command::Drain(drain) => drain.run(),
        Command::Replay(replay) => replay.run(),
        Command::Recordings(recordings) => recordings.run(),
        Command::Token(token) => token.run(),
        Command::Import(import) => import.run(),
        Command::Generate(generate) => generate.run().map_err(Failure::Other),
    }
}

/// Prints the reason of a failure.
pub(crate) fn report_error(failure: &Failure) {
    output::note(&failure.to_string());
}

/// Writes lines to standard output.
fn print(text: &str) -> anyhow::Result<()> {
    output::print(text).map(drop)
}

/// Creates a runtime for a command that performs one task.
fn current_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context;
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("start the runtime")
}

/// Loads a configuration. The error about an unreadable file ends with the remedy.
fn load_or_advise(file: &Path, remedy: &str) -> Result<Config, Failure> {
    Config::load(file).map_err(|error| match error {
        ConfigError::Unreadable { .. } => {
            Failure::Configuration(anyhow::anyhow!("{error}; {remedy}"))
        }
        ConfigError::Invalid { .. } => Failure::configuration(error),
    })
}

/// The configuration file named on the command line, or the default one.
fn file_or_default(file: Option<PathBuf>) -> PathBuf {
    file.unwrap_or_else(|| PathBuf::from(DEFAULT_FILE))
}

//! The commands of the demo's console.

use std::io;
use std::time::{Duration, Instant};

use super::super::app::WORKERS;
use super::super::calendar::Moment;
use super::super::state::AppState;
use super::terminal::Terminal;

const HELP: &str = "  ring          push a notification to every page that listens\r
  watch         a line a second until you press a key\r
  uptime        how long, how busy\r
  who           who is logged in, and at which console\r
  date          the time, UTC\r
  say TEXT      let the cat say it\r
  curtain       what a noren is\r
  clear, exit   as ever; Ctrl-C, Ctrl-D, Ctrl-L and Ctrl-U work too\r
";

const CURTAIN: &str = "\x1b[33m  ===================================\x1b[0m\r
\x1b[34m   █████  █████  █████  █████  █████\x1b[0m\r
\x1b[34m   █\x1b[0m N \x1b[34m█  █\x1b[0m O \x1b[34m█  █\x1b[0m R \x1b[34m█  \
█\x1b[0m E \x1b[34m█  █\x1b[0m N \x1b[34m█\x1b[0m\r
\x1b[34m   █████  █████  █████  █████  █████\x1b[0m\r
\x1b[34m   █████  █████  █████  █████  █████\x1b[0m\r
  The curtain in the doorway of a place\r
  that cooks in a wok: we are open.\r
";

/// The next step after a command.
pub(super) enum Next {
    Prompt,
    Leave,
}

pub(super) fn run(state: &AppState, terminal: &mut Terminal<'_>, line: &str) -> io::Result<Next> {
    let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    match command {
        "" => {}
        "help" | "?" => terminal.write(HELP)?,
        "date" => terminal.write(&format!("{}\r\n", Moment::now().http()))?,
        "uptime" => terminal.write(&format!(
            "up {}, {}\r\n",
            duration(state.uptime()),
            load(state)
        ))?,
        "who" => terminal.write(&who(state))?,
        "ring" => {
            state.push.notify("POST:/demo/bell");
            terminal.write(&format!("Ding. {} heard it.\r\n", state.push.audience()))?;
        }
        "watch" => watch(state, terminal)?,
        "say" | "cowsay" | "echo" => terminal.write(&say(rest.trim()))?,
        "curtain" | "noren" => terminal.write(CURTAIN)?,
        "clear" => terminal.write("\x1b[H\x1b[2J")?,
        "exit" | "quit" | "logout" => {
            terminal.write("Come again.\r\n")?;
            return Ok(Next::Leave);
        }
        unknown => terminal.write(&format!(
            "{}: not on the menu, try help\r\n",
            printable(unknown)
        ))?,
    }
    Ok(Next::Prompt)
}

/// Prints a line each second until a key is pressed, even if all workers of the app are busy.
fn watch(state: &AppState, terminal: &mut Terminal<'_>) -> io::Result<()> {
    terminal.write("Press any key to stop.\r\n")?;
    let mut next = Instant::now();
    loop {
        terminal.write(&format!("{}  {}\r\n", Moment::now().clock(), load(state)))?;
        // By the clock and not by a pause, so that the lines do not drift.
        next += Duration::from_secs(1);
        if terminal.byte(next)?.is_some() {
            return Ok(());
        }
    }
}

fn load(state: &AppState) -> String {
    let (busy, sent, heard) = (state.busy.now(), state.push.sent(), state.push.audience());
    format!("{busy} of {WORKERS} workers busy, {sent} notifications sent, {heard} listening")
}

fn who(state: &AppState) -> String {
    let visitors = state.sessions.visitors();
    let visitors = visitors
        .iter()
        .map(|visitor| (visitor.name.as_str(), visitor.since));
    let consoles = state
        .consoles()
        .into_iter()
        .map(|since| ("(console)", since));
    let line = |(name, since)| format!("{name:12} since {}\r\n", Moment::of(since).clock());
    visitors
        .chain(consoles)
        .map(line)
        .collect::<Vec<_>>()
        .concat()
}

fn say(text: &str) -> String {
    let text = printable(if text.is_empty() {
        "irasshaimase!"
    } else {
        text
    });
    let bar = "-".repeat(text.chars().count() + 2);
    format!(
        " .{bar}.\r\n ( {text} )\r\n '{bar}'\r\n     \\\r\n      \\   /\\_/\\  _\r\n\x20        \
         ( o.o )//\r\n          > ^ <\r\n"
    )
}

/// Formats a duration as `1:02:03`.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    format!(
        "{}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Removes control characters, so that a user name or a line cannot control a terminal.
fn printable(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .collect()
}

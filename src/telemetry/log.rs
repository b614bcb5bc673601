//! Where log lines go, and in what form.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{Level, Log, LogFormat};

/// Sends the log to standard error, for journald or a terminal, in the form the configuration asks for.
/// `NOREN_LOG` overrides the level, in the syntax of tracing's `EnvFilter` (`debug`, `noren::bridge=trace`).
/// Only the first call in a process has an effect.
pub fn install(log: &Log) {
    let level = match log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // The libraries speak of their insides; only their warnings are of use to an operator. What lapin has to
    // say of a broker, the source says itself, once.
    let directives =
        std::env::var("NOREN_LOG").unwrap_or_else(|_| format!("warn,lapin=off,noren={level}"));
    let filter = EnvFilter::new(directives);
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            // journald adds the time itself, and shows colours as rubbish.
            lines.without_time().with_ansi(false).boxed()
        }
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
}

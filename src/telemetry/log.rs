//! Where log lines go, and in what form.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing::Metadata;
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{Audit, Level, Log, LogFormat};
use crate::telemetry::audit;

/// The level of the one log of this process, which a reload may change.
static LEVEL: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// Sends the log to standard error, for journald or a terminal, in the form the configuration asks for.
/// `NOREN_LOG` overrides the level, in the syntax of tracing's `EnvFilter` (`debug`, `noren::bridge=trace`).
/// Audit lines are there whatever the level; they may go to standard output instead, one JSON object each, so that a
/// unit file or a pipe can lead them elsewhere. Only the first call in a process has an effect.
pub fn install(log: &Log) {
    let (level, handle) = reload::Layer::new(filter(log.level));
    let apart = log.audit == Audit::Stdout;
    let is_audit = |metadata: &Metadata<'_>| metadata.target() == audit::TARGET;
    let filter = level.and(filter_fn(move |metadata| !(apart && is_audit(metadata))));
    let audit = fmt::layer().with_writer(io::stdout).with_target(false);
    let audit = audit.json().flatten_event(true);
    let audit = apart.then(|| audit.with_filter(filter_fn(is_audit)));
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            // journald adds the time itself, and shows colours as rubbish.
            lines.without_time().with_ansi(false).boxed()
        }
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
    };
    let installed = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(audit)
        .try_init();
    if installed.is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// Logs at another level from now on. Without effect where [`install`] had none.
pub fn set_level(level: Level) {
    if let Some(handle) = LEVEL.get() {
        // It fails only when the log is gone, and then there is nobody to tell.
        let _ = handle.reload(filter(level));
    }
}

fn filter(level: Level) -> EnvFilter {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // The libraries speak of their insides; only their warnings are of use to an operator. What lapin has to
    // say of a broker, the source says itself, once.
    let directives = std::env::var("NOREN_LOG")
        .unwrap_or_else(|_| format!("warn,lapin=off,noren={level},{}=info", audit::TARGET));
    EnvFilter::new(directives)
}

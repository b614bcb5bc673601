//! Log setup: destination, format and level.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{Audit, Level, Log, LogFormat};
use crate::telemetry::audit;
use crate::telemetry::escaped::{Escaped, JsonWriter, TextFields};

/// Handle for changing the log level at a reload, and whether the audit has a destination of its own, which a
/// reload does not change.
static LEVEL: OnceLock<(Handle<EnvFilter, Registry>, bool)> = OnceLock::new();

/// Sends the log to standard error, for journald or a terminal, in the form the configuration asks for.
/// `NOREN_LOG` overrides the level, in the syntax of tracing's `EnvFilter` (`debug`, `noren::bridge=trace`).
/// Audit lines are there whatever the level; they may go to standard output instead, one JSON object each, so that a
/// unit file or a pipe can lead them elsewhere. Only the first call in a process has an effect.
pub fn install(log: &Log) {
    let (subscriber, handle) = subscriber(log);
    if subscriber.try_init().is_ok() {
        let _ = LEVEL.set((handle, log.audit == Audit::Stdout));
    }
}

/// Builds the list of layers, each with a filter of its own: one without, even a disabled one, would make every
/// library's spans be created.
fn subscriber(
    log: &Log,
) -> (
    impl SubscriberInitExt + Send + Sync,
    Handle<EnvFilter, Registry>,
) {
    let apart = log.audit == Audit::Stdout;
    let (level, handle) = reload::Layer::new(filter(log.level, apart));
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .fmt_fields(TextFields);
    let lines = match log.format {
        LogFormat::Json => {
            let lines = lines.with_writer(|| JsonWriter(io::stderr()));
            lines.json().flatten_event(true).boxed()
        }
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            // journald adds the time itself, and shows colours as rubbish.
            lines.without_time().with_ansi(false).boxed()
        }
        LogFormat::Text | LogFormat::Journald => {
            lines.with_ansi(io::stderr().is_terminal()).boxed()
        }
    };
    // Without a journal, the lines say as much.
    let lines = match log.format {
        LogFormat::Journald => journal().map_or(lines, |journal| Escaped(journal).boxed()),
        LogFormat::Text | LogFormat::Json => lines,
    };
    let mut layers = vec![lines.with_filter(level).boxed()];
    if apart {
        let audit = fmt::layer()
            .with_writer(|| JsonWriter(io::stdout()))
            .with_target(false);
        let only = Targets::new().with_target(audit::TARGET, LevelFilter::INFO);
        layers.push(audit.json().flatten_event(true).with_filter(only).boxed());
    }
    (tracing_subscriber::registry().with(layers), handle)
}

/// The journal of systemd, if this machine has one. Fields are named `NOREN_` and their name in capitals, so that
/// none is taken for one of the journal's own.
fn journal() -> Option<tracing_journald::Layer> {
    let journal = tracing_journald::layer().ok()?;
    let named = journal.with_syslog_identifier("noren".to_owned());
    Some(named.with_field_prefix(Some("NOREN".to_owned())))
}

/// Changes the log level. No effect if [`install`] had none.
pub fn set_level(level: Level) {
    if let Some((handle, apart)) = LEVEL.get() {
        // It fails only if the log is closed, and then nothing can be reported.
        let _ = handle.reload(filter(level, *apart));
    }
}

/// The filter of the log; it includes the audit unless that is written `apart`.
fn filter(level: Level, apart: bool) -> EnvFilter {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // The libraries speak of their insides; only their warnings are of use to an operator. What lapin has to
    // say of a broker, the source says itself, once.
    let said = std::env::var("NOREN_LOG")
        .unwrap_or_else(|_| format!("warn,lapin=off,noren={level},{}=info", audit::TARGET));
    if apart {
        EnvFilter::new(format!("{said},{}=off", audit::TARGET))
    } else {
        EnvFilter::new(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_not_even_made() {
        for audit in [Audit::Log, Audit::Stdout] {
            let log = Log {
                audit,
                ..Log::default()
            };
            let (subscriber, _handle) = subscriber(&log);
            let _guard = subscriber.set_default();
            // As h2 makes several for each request.
            let span = tracing::trace_span!(target: "h2::proto", "poll");
            assert!(span.is_disabled(), "{audit:?}");
            assert!(!tracing::enabled!(target: "noren::server", tracing::Level::DEBUG));
            assert!(tracing::enabled!(target: "noren::server", tracing::Level::INFO));
            assert!(tracing::enabled!(target: audit::TARGET, tracing::Level::INFO));
        }
    }
}

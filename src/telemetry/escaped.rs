//! Escapes field values in log events: the last step before an event becomes a line, applied to every line, so
//! that text of others cannot forge one.

use std::fmt::{self, Write as _};
use std::io;

use tracing::field::{Field, FieldSet, Value, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::text::escape::{self, LineWriter};

/// Formats fields for text lines, with the terminal's colours if there is one and without any from the values.
#[derive(Debug)]
pub(super) struct TextFields;

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = TextVisitor {
            writer,
            has_fields: false,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct TextVisitor<'w> {
    writer: Writer<'w>,
    has_fields: bool,
    result: fmt::Result,
}

impl TextVisitor<'_> {
    fn write(&mut self, name: &str, value: &dyn fmt::Debug) -> fmt::Result {
        let writer = &mut self.writer;
        if std::mem::replace(&mut self.has_fields, true) {
            writer.write_char(' ')?;
        }
        if name != "message" {
            let name = name.strip_prefix("r#").unwrap_or(name);
            if writer.has_ansi_escapes() {
                write!(writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
            } else {
                write!(writer, "{name}=")?;
            }
        }
        write!(LineWriter(writer), "{value:?}")
    }
}

impl Visit for TextVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // These say of a line of the `log` library where it is from, as the metadata do.
        if self.result.is_ok() && !field.name().starts_with("log.") {
            self.result = self.write(field.name(), value);
        }
    }
}

/// Writes lines of JSON with escaped values, unchanged in meaning.
#[derive(Debug)]
pub(super) struct JsonWriter<W>(pub(super) W);

impl<W: io::Write> io::Write for JsonWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        let line = String::from_utf8_lossy(line);
        self.0.write_all(escape::json(&line).as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A layer that cannot escape by itself, such as the journal's: it receives events and spans with escaped fields.
#[derive(Debug)]
pub(super) struct Escaped<L>(pub(super) L);

impl<S, L> Layer<S> for Escaped<L>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    L: Layer<S>,
{
    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let fields = span.metadata().fields();
        let texts = Texts::of(fields, |visitor| span.record(visitor));
        let values = texts.values();
        let values = fields.value_set_all(&values);
        let span = Attributes::new(span.metadata(), &values);
        self.0.on_new_span(&span, id, context);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(metadata) = context.metadata(id) else {
            return;
        };
        let texts = Texts::of(metadata.fields(), |visitor| record.record(visitor));
        let values = texts.values();
        let values = metadata.fields().value_set_all(&values);
        self.0.on_record(id, &Record::new(&values), context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let fields = event.metadata().fields();
        let texts = Texts::of(fields, |visitor| event.record(visitor));
        let values = texts.values();
        let values = fields.value_set_all(&values);
        self.0
            .on_event(&Event::new(event.metadata(), &values), context);
    }
}

/// Field values as text, by index of the field.
struct Texts(Vec<Option<String>>);

impl Texts {
    fn of(fields: &FieldSet, record: impl FnOnce(&mut dyn Visit)) -> Self {
        let mut texts = Self(vec![None; fields.len()]);
        record(&mut texts);
        texts
    }

    fn values(&self) -> Vec<Option<&dyn Value>> {
        let texts = self.0.iter().map(Option::as_ref);
        texts
            .map(|text| text.map(|text| text as &dyn Value))
            .collect()
    }
}

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        if let Some(text) = self.0.get_mut(field.index()) {
            *text = Some(escape::line(value).into_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::{info, info_span};
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::registry;

    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;x\u{7}\u{9b}2J\n\u{7f}\u{202e}\u{2028}\u{e0041}";

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic before").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Kept {
        fn text(&self) -> String {
            let bytes = self.0.lock().expect("no panic before").clone();
            String::from_utf8(bytes).expect("UTF-8")
        }
    }

    /// Logs foreign text in every place of an event.
    fn speak() {
        let span = info_span!("within", of = HOSTILE, by = %HOSTILE);
        let _within = span.enter();
        info!(plain = HOSTILE, shown = %HOSTILE, debug = ?HOSTILE, number = 7, "said {HOSTILE}");
    }

    #[test]
    fn no_field_of_a_line_of_text_commands_the_terminal() {
        for is_coloured in [false, true] {
            let kept = Kept::default();
            let writer = kept.clone();
            let layer = tracing_subscriber::fmt::layer()
                .with_writer(move || writer.clone())
                .with_ansi(is_coloured)
                .fmt_fields(TextFields);
            tracing::subscriber::with_default(registry().with(layer), speak);
            let text = kept.text();
            let line = text.strip_suffix('\n').expect("a line");
            let mut bare = line.to_owned();
            for colour in 0..40 {
                bare = bare.replace(&format!("\x1b[{colour}m"), "");
            }
            assert_eq!(bare != line, is_coloured, "{line:?}");
            assert!(!bare.contains(escape::is_active), "{bare:?}");
            for part in [
                r"said a\u{1b}]0;x\u{7}\u{9b}2J\n\u{7f}\u{202e}",
                "shown=a",
                "number=7",
            ] {
                assert!(bare.contains(part), "{part} in {bare:?}");
            }
        }
    }

    #[test]
    fn a_line_of_json_has_the_same_values_without_a_control_in_it() {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || JsonWriter(writer.clone()))
            .json()
            .flatten_event(true);
        tracing::subscriber::with_default(registry().with(layer), speak);
        let text = kept.text();
        let line = text.strip_suffix('\n').expect("a line");
        assert!(!line.contains(escape::is_active), "{line:?}");
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(value.get("plain"), Some(&HOSTILE.into()));
        assert_eq!(
            value.get("message"),
            Some(&format!("said {HOSTILE}").into())
        );
    }

    /// A layer like that of the journal, which takes fields as they are.
    struct Raw(Arc<Mutex<Vec<(&'static str, String)>>>);

    struct RawVisitor<'r>(&'r Raw);

    impl Visit for RawVisitor<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            self.record_str(field, &format!("{value:?}"));
        }

        fn record_str(&mut self, field: &Field, value: &str) {
            let mut seen = self.0.0.lock().expect("no panic before");
            seen.push((field.name(), value.to_owned()));
        }
    }

    impl<S: Subscriber> Layer<S> for Raw {
        fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
            span.record(&mut RawVisitor(self));
        }

        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            event.record(&mut RawVisitor(self));
        }
    }

    #[test]
    fn a_layer_that_takes_fields_as_they_are_gets_them_escaped() {
        let seen = Arc::default();
        let layer = Escaped(Raw(Arc::clone(&seen)));
        tracing::subscriber::with_default(registry().with(layer), speak);
        let seen = seen.lock().expect("no panic before");
        let names: Vec<_> = seen.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["of", "by", "message", "plain", "shown", "debug", "number"]
        );
        for (name, value) in &*seen {
            assert!(!value.contains(escape::is_active), "{name}: {value:?}");
        }
        assert!(seen.contains(&("number", "7".to_owned())));
    }
}

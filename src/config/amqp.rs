//! `source = "amqp"`: messages of a RabbitMQ exchange, and what each becomes in which channel. Connects to nothing.

use std::time::Duration;

use super::broker::Broker;
use super::mapping::Mapping;
use super::reader::Table;
use super::size::{GIB, KIB};
use super::template::Template;
use super::value;

/// The format of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmqpFormat {
    /// A JSON value. The default.
    Json,
    /// Text, or any bytes.
    Text,
    /// A notification of an `OpenStack` service, as `oslo.messaging` writes it.
    Oslo,
    /// A notification of the Nasqueron Notifications Center.
    Nasqueron,
}

impl AmqpFormat {
    const NAMES: [(&'static str, Self); 4] = [
        ("json", Self::Json),
        ("text", Self::Text),
        ("oslo", Self::Oslo),
        ("nasqueron", Self::Nasqueron),
    ];

    /// Names that templates may use beside JSON pointers.
    fn places(self) -> &'static [&'static str] {
        match self {
            Self::Oslo => &[AmqpSource::TENANT, AmqpSource::ROUTING_KEY],
            Self::Json | Self::Text | Self::Nasqueron => &[AmqpSource::ROUTING_KEY],
        }
    }
}

/// One `[[channel.source]]` with `source = "amqp"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AmqpSource {
    /// `url`, `credentials`, `ca` and `heartbeat`.
    pub broker: Broker,
    /// `exchange`: it must be there; until it is, Noren waits.
    pub exchange: String,
    /// `bindings`: routing keys, in which `*` is a word and `#` any number of them. Default `#`.
    pub bindings: Vec<String>,
    /// `queue`: the name of a queue that outlives the connection. Default none: a queue that is deleted with the
    /// connection.
    pub queue: Option<String>,
    /// `queue-length`: messages the broker keeps in it; the oldest give way. Default 100,000.
    pub queue_length: u32,
    /// `queue-size`: bytes it keeps. Default 64 MiB.
    pub queue_size: u64,
    /// `queue-expires`: the time after which an unread named queue is deleted. Default 1 d.
    pub queue_expires: Duration,
    /// `prefetch`: messages on their way to us that are not acknowledged, 1 to 10,000. Default 256.
    pub prefetch: u16,
    /// `format`: the format of a message. Default `json`.
    pub format: AmqpFormat,
    /// `raw-content`: keeps the `rawContent` of Nasqueron's messages. Default no.
    pub raw_content: bool,
    /// `channel`, `event` (for `oslo` by default its `event_type`), `key` and `data`.
    pub mapping: Mapping,
}

impl AmqpSource {
    /// The place of the project a notification is about.
    pub const TENANT: &'static str = "tenant";
    /// The place of a message's routing key.
    pub const ROUTING_KEY: &'static str = "routing-key";

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let broker = Broker::read(table);
        let exchange = table.required("exchange", r#""nova""#, short);
        let format = table.text("format", AmqpFormat::Json, |text| {
            value::choice(text, &AmqpFormat::NAMES)
        });
        let event = match format {
            AmqpFormat::Oslo => vec![Template::pointer("/event_type")],
            AmqpFormat::Json | AmqpFormat::Text | AmqpFormat::Nasqueron => Vec::new(),
        };
        let mapping = Mapping::read(table, format.places(), event);
        let source = Self {
            bindings: table.list("bindings", vec!["#".to_owned()], short),
            queue: table.text("queue", None, |text| queue_name(text).map(Some)),
            queue_length: table.number("queue-length", 100_000, 1..=100_000_000),
            queue_size: table.buffer("queue-size", 64 << 20, KIB..=64 * GIB) as u64,
            queue_expires: table.time_limit("queue-expires", Duration::from_secs(86_400)),
            prefetch: table.number("prefetch", 256, 1..=10_000),
            raw_content: table.flag("raw-content", false),
            broker: broker?,
            exchange: exchange?,
            format,
            mapping,
        };
        if table.is_sound() {
            source.compare(table);
        }
        Some(source)
    }

    /// Checks the keys against each other.
    fn compare(&self, table: &Table<'_>) {
        if self.bindings.is_empty() {
            table.problem("bindings", r##"is empty; write ["#"] for every message"##);
        }
        if self.raw_content && self.format != AmqpFormat::Nasqueron {
            table.problem("raw-content", r#"is for format = "nasqueron"; remove it"#);
        }
        if self.queue.is_none() && table.has("queue-expires") {
            table.problem(
                "queue-expires",
                r#"is for a queue with a name; write queue = "noren", or remove it"#,
            );
        }
        if self.queue_expires > LONGEST_EXPIRY {
            table.problem(
                "queue-expires",
                r#"is more than the broker takes; write at most "49d""#,
            );
        }
        if self.format == AmqpFormat::Text {
            self.mapping.refuse_pointers(table);
        }
    }
}

/// `x-expires` has 32 bits of milliseconds.
const LONGEST_EXPIRY: Duration = Duration::from_millis(u32::MAX as u64);

/// Names and routing keys have one byte for their length (AMQP 0-9-1, section 4.2.5.3).
fn short(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 255 || text.contains(char::is_control) {
        return Err(format!("{text:?} is not a name; write 1 to 255 characters"));
    }
    Ok(text.to_owned())
}

fn queue_name(text: &str) -> Result<String, String> {
    if text.starts_with("amq.") {
        return Err(format!(
            r#"{text:?} is a name only the broker may give; write for example "noren""#
        ));
    }
    short(text)
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    fn said_of(channel: &str, rest: &str) -> String {
        let text = format!(
            "[[channel]]\nname = \"{channel}\"\n[[channel.source]]\nsource = \"amqp\"\n\
             url = \"amqp://rabbit\"\nexchange = \"nova\"\n{rest}"
        );
        Config::parse(&text, "noren.toml").map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn what_cannot_work_is_told_at_the_start() {
        for (channel, rest, reason) in [
            ("nova.*", "", "the source must say which"),
            (
                "nova.*",
                "format = \"oslo\"\nchannel = \"nova.{user}\"",
                "no place",
            ),
            ("nova.*", "channel = \"nova.{tenant}\"", "no place"),
            ("nova.*", "channel = \"glance.{/id}\"", "is never within"),
            ("nova.*", "channel = \"nova.{/id}.x\"", "is never within"),
            ("nova", "channel = \"no va\"", "is never within"),
            (
                "nova.*",
                "channel = [\"nova.{/id}\", \"cloud\"]",
                "channel = \"cloud\" is never within",
            ),
            ("nova", "key = []", "is empty"),
            ("nova", "key = [\"{/id}\", 5]", "key[1]"),
            ("nova", "key = 5", "expected a string"),
            (
                "nova",
                "format = \"text\"\nkey = \"{/id}\"",
                "points into JSON",
            ),
            ("nova", "raw-content = true", "nasqueron"),
            ("nova", "bindings = []", "is empty"),
            ("nova", "queue-expires = \"1h\"", "with a name"),
            ("nova", "queue = \"amq.x\"", "only the broker"),
            ("nova", "ca = \"/x\"", "amqps"),
        ] {
            let said = said_of(channel, rest);
            assert!(said.contains(reason), "{rest}: {said}");
        }
    }

    #[test]
    fn what_can_work_is_taken() {
        for (channel, rest) in [
            ("nova", ""),
            ("nova", "channel = \"{/a}\""),
            ("nova.*", "format = \"oslo\"\nchannel = \"nova.{tenant}\""),
            ("*.*", "channel = \"{/a}-x.{routing-key}\""),
            (
                "nova.*",
                "channel = [\"nova.{/id}\", \"nova.cloud\"]\nkey = [\"{/a}\", \"{/b}\"]",
            ),
            (
                "nova",
                "queue = \"noren\"\nqueue-expires = \"1h\"\ndata = \"{/payload}\"",
            ),
        ] {
            assert_eq!(said_of(channel, rest), "", "{rest}");
        }
    }
}

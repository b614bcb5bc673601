//! A record of the cluster stream, and its encoding as AMQP headers and body. Does not use a connection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};

use crate::config::ChannelName;
use crate::hub::{Data, Draft, Epoch, Kind, PublisherId, Unique};

/// The content of a stream record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A message of a channel.
    Message {
        channel: ChannelName,
        draft: Draft,
        /// Publish time, in Unix milliseconds.
        time: u64,
    },
    /// A greeting: a node has connected, and proposes this epoch if the stream has none yet.
    Hello { proposed: Epoch },
    /// A note from one node to all others, of a named kind.
    Note { kind: Box<str>, data: Bytes },
}

/// One record of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Name of the run (process start) of the node that wrote it.
    pub(super) node: Box<str>,
    /// Sequence number among the records of this run, for deduplication of re-sent records; 0 if it has none.
    pub(super) number: u64,
    /// The epoch of the stream, if the node already knew it.
    pub(super) epoch: Option<Epoch>,
    pub(super) content: Content,
}

/// Version of the header layout. A node skips records of any other version.
const VERSION: i64 = 1;

impl Record {
    /// Encodes the record as headers and a body.
    pub(super) fn encode(&self) -> (BasicProperties, Bytes) {
        let mut headers = FieldTable::default();
        let mut put = |name: &str, value: AMQPValue| {
            headers.insert(name.into(), value);
        };
        put("noren", AMQPValue::LongLongInt(VERSION));
        put("node", text(&self.node));
        put("number", number(self.number));
        if let Some(epoch) = &self.epoch {
            put("epoch", text(&epoch.to_string()));
        }
        let body = match &self.content {
            Content::Message {
                channel,
                draft,
                time,
            } => {
                put("said", text("message"));
                put("channel", text(channel.as_str()));
                put("time", number(*time));
                put(
                    "kind",
                    text(match draft.data.kind() {
                        Kind::Text => "text",
                        Kind::Json => "json",
                        Kind::Bytes => "bytes",
                    }),
                );
                for (name, label) in [("event", &draft.event), ("key", &draft.key)] {
                    if let Some(label) = label {
                        put(name, text(label));
                    }
                }
                if let Some(id) = &draft.id {
                    let name = name_of(id.unique());
                    put(name, text(&STANDARD.encode(id.digest())));
                }
                draft.data.as_bytes().clone()
            }
            Content::Hello { proposed } => {
                put("said", text("hello"));
                put("proposed", text(&proposed.to_string()));
                Bytes::new()
            }
            Content::Note { kind, data } => {
                put("said", text("note"));
                put("kind", text(kind));
                data.clone()
            }
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_headers(headers);
        (properties, body)
    }

    /// Decodes a delivery into its stream offset and its record; the record is `None` if this version does not
    /// understand it.
    pub(super) fn decode(delivery: &Delivery) -> Option<(u64, Option<Self>)> {
        let headers = Headers(delivery.properties.headers().as_ref()?);
        let offset = headers.number("x-stream-offset")?;
        Some((offset, headers.record(&delivery.data)))
    }
}

/// Name of the header with the publisher's id of a message.
fn name_of(unique: Unique) -> &'static str {
    match unique {
        Unique::Always => "id",
        Unique::Minute => "grip-id",
        Unique::Never => "source-id",
    }
}

/// The AMQP headers of a record.
struct Headers<'a>(&'a FieldTable);

impl Headers<'_> {
    fn record(&self, body: &[u8]) -> Option<Record> {
        if self.number("noren") != u64::try_from(VERSION).ok() {
            return None;
        }
        let bytes = Bytes::copy_from_slice(body);
        let content = match self.text("said")? {
            "message" => Content::Message {
                channel: ChannelName::parse(self.text("channel")?).ok()?,
                draft: Draft {
                    event: self.text("event").map(Into::into),
                    key: self.text("key").map(Into::into),
                    id: self.id(),
                    data: Data::stored(self.kind()?, bytes)?,
                },
                time: self.number("time")?,
            },
            "hello" => Content::Hello {
                proposed: Epoch::parse(self.text("proposed")?)?,
            },
            "note" => Content::Note {
                kind: self.text("kind")?.into(),
                data: bytes,
            },
            _ => return None,
        };
        Some(Record {
            node: self.text("node")?.into(),
            number: self.number("number")?,
            epoch: self.text("epoch").and_then(Epoch::parse),
            content,
        })
    }

    /// The id that the publisher gave the message.
    fn id(&self) -> Option<PublisherId> {
        let read = |unique: Unique| {
            let digest = STANDARD.decode(self.text(name_of(unique))?).ok()?;
            Some(PublisherId::stored(digest.try_into().ok()?, unique))
        };
        [Unique::Always, Unique::Minute, Unique::Never]
            .into_iter()
            .find_map(read)
    }

    fn kind(&self) -> Option<Kind> {
        match self.text("kind")? {
            "text" => Some(Kind::Text),
            "json" => Some(Kind::Json),
            "bytes" => Some(Kind::Bytes),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.0.inner().get(name)? {
            AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
            AMQPValue::ShortString(text) => Some(text.as_str()),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        match self.0.inner().get(name)? {
            AMQPValue::LongLongInt(number) => u64::try_from(*number).ok(),
            AMQPValue::LongInt(number) => u64::try_from(*number).ok(),
            AMQPValue::LongUInt(number) => Some(u64::from(*number)),
            _ => None,
        }
    }
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn number(number: u64) -> AMQPValue {
    AMQPValue::LongLongInt(i64::try_from(number).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(record: &Record) -> Record {
        let (properties, body) = record.encode();
        let mut headers = properties.headers().clone().unwrap_or_default();
        headers.insert("x-stream-offset".into(), number(7));
        let mut delivery = Delivery::mock(1, "".into(), "noren".into(), false, body.into());
        delivery.properties = properties.with_headers(headers);
        let (offset, record) = Record::decode(&delivery).expect("an offset");
        assert_eq!(offset, 7);
        record.expect("a record")
    }

    #[test]
    fn a_record_is_read_as_it_is_written() {
        let draft = Draft {
            event: Some("e".into()),
            key: None,
            id: Some(PublisherId::of_source("s", "i", false)),
            data: Data::bytes(&b"\xff\0"[..]),
        };
        let all = [
            Content::Message {
                channel: ChannelName::parse("a.b").expect("a name"),
                draft,
                time: 1_700_000_000_000,
            },
            Content::Hello {
                proposed: Epoch::new(),
            },
            Content::Note {
                kind: "presence".into(),
                data: Bytes::from_static(b"{}"),
            },
        ];
        for (number, content) in (0..).zip(all) {
            let record = Record {
                node: "n".into(),
                number,
                epoch: (number > 0).then(Epoch::new),
                content,
            };
            assert_eq!(again(&record), record);
        }
    }
}

//! Parses a broker message in the format of its source, and applies the source's templates to make a channel name
//! and a draft. Does not use a connection. No error text quotes from a message.

use lapin::message::Delivery;
use lapin::types::AMQPValue;
use serde_json::Value;

use super::inflate::inflate;
use super::oslo::Notification;
use crate::config::{AmqpFormat, AmqpSource, ChannelName, Part, Template, Templates};
use crate::hub::{Data, Draft};

/// Size limit of a body, before and after decompression. `hub.message-size` does not apply here, because templates
/// may publish only a small part of a large body.
pub(super) const LARGEST_BODY: usize = 16 << 20;

/// Reasons why a message is not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("its body is compressed, and {0}")]
    Compressed(&'static str),
    #[error("its body is larger than {LARGEST_BODY} bytes")]
    TooLarge,
    #[error("its body is not JSON")]
    NotJson,
    #[error("it is not a notification of oslo.messaging")]
    NotOslo,
    #[error("it is not a notification of Nasqueron: an object with service and project")]
    NotNasqueron,
    #[error("it has no {0}, which a template needs")]
    Missing(String),
    #[error("what it has at {0} is no text, number or truth value")]
    NotText(String),
    #[error(
        "what it has at {0} is not one word of letters, digits, - and _, as in the name of a channel"
    )]
    NotAWord(String),
    #[error("its channel would be outside of the one its source is under")]
    Outside,
}

/// A parsed message.
#[derive(Debug)]
pub(super) struct Content {
    body: Data,
    tree: Value,
    tenant: Option<String>,
    routing_key: String,
    /// Unique id of the message, if it has one.
    pub(super) id: Option<String>,
    /// True if its publisher may send it twice, with the same id.
    pub(super) may_repeat: bool,
}

impl Content {
    pub(super) fn read(source: &AmqpSource, delivery: &Delivery) -> Result<Self, Unfit> {
        if delivery.data.len() > LARGEST_BODY {
            return Err(Unfit::TooLarge);
        }
        let body = inflate(compression(delivery), &delivery.data)?;
        let own_id = delivery.properties.message_id().as_ref();
        let mut content = Self {
            body: Data::text(""),
            tree: Value::Null,
            tenant: None,
            routing_key: delivery.routing_key.to_string(),
            id: own_id.map(ToString::to_string),
            may_repeat: false,
        };
        match source.format {
            AmqpFormat::Text => content.body = Data::text_or_bytes(body.into_owned().into()),
            AmqpFormat::Json => {
                let text = std::str::from_utf8(&body).map_err(|_| Unfit::NotJson)?;
                content.body = Data::json(text).map_err(|_| Unfit::NotJson)?;
                content.tree = serde_json::from_str(text).map_err(|_| Unfit::NotJson)?;
            }
            AmqpFormat::Oslo => {
                let notification = Notification::parse(&body)?;
                content.tree = notification.message;
                content.tenant = notification.tenant;
                content.id = notification.id.or(content.id);
                content.may_repeat = true;
                content.body = json(&content.tree);
            }
            AmqpFormat::Nasqueron => {
                content.tree = nasqueron(&body, source.raw_content)?;
                content.body = json(&content.tree);
            }
        }
        Ok(content)
    }

    /// Applies the channel templates: the first that can be filled gives the name; each placeholder must give at
    /// most one word. A value that is present but not such a word is refused, and no later template is tried.
    pub(super) fn channel(&self, templates: &Templates) -> Result<ChannelName, Unfit> {
        first(templates, |template| self.channel_of(template))
    }

    fn channel_of(&self, template: &Template) -> Result<ChannelName, Unfit> {
        let mut name = String::new();
        for part in template.parts() {
            let text = self.text_at(part)?;
            let is_word = |text: &str| {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                !text.is_empty() && text.bytes().all(fits)
            };
            match part {
                Part::Text(_) => {}
                Part::Pointer(_) | Part::Name(_) if is_word(&text) => {}
                Part::Pointer(place) => return Err(Unfit::NotAWord(place.clone())),
                Part::Name(place) => return Err(Unfit::NotAWord((*place).to_owned())),
            }
            name.push_str(&text);
        }
        ChannelName::parse(&name).map_err(|_| Unfit::Outside)
    }

    /// Applies the data, event and key templates. A message without the values for its event or its key is published
    /// without them.
    pub(super) fn draft(&self, source: &AmqpSource) -> Result<Draft, Unfit> {
        let label = |templates: &Templates| {
            let mut texts = templates.iter().filter_map(|one| self.text(one).ok());
            texts.find(|text| !text.is_empty()).map(Into::into)
        };
        Ok(Draft {
            event: label(&source.event),
            key: label(&source.key),
            id: None,
            data: if source.data.is_empty() {
                self.body.clone()
            } else {
                first(&source.data, |template| self.data(template))?
            },
        })
    }

    fn text(&self, template: &Template) -> Result<String, Unfit> {
        let parts = template.parts().iter();
        parts.map(|part| self.text_at(part)).collect()
    }

    /// Applies a data template: a single pointer gives the JSON value it points to, any other template gives text.
    fn data(&self, template: &Template) -> Result<Data, Unfit> {
        let [Part::Pointer(pointer)] = template.parts() else {
            return self.text(template).map(Data::text);
        };
        Ok(match self.at(pointer)? {
            Value::String(text) => Data::text(text.clone()),
            value => json(value),
        })
    }

    fn at(&self, pointer: &str) -> Result<&Value, Unfit> {
        let found = self.tree.pointer(pointer);
        found.ok_or_else(|| Unfit::Missing(pointer.to_owned()))
    }

    fn text_at(&self, part: &Part) -> Result<String, Unfit> {
        match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Name(AmqpSource::TENANT) => {
                let missing = || Unfit::Missing("project (tenant)".to_owned());
                self.tenant.clone().ok_or_else(missing)
            }
            // The configuration knows no third name.
            Part::Name(_) => Ok(self.routing_key.clone()),
            Part::Pointer(pointer) => match self.at(pointer)? {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                Value::Bool(flag) => Ok(flag.to_string()),
                Value::Null => Err(Unfit::Missing(pointer.clone())),
                Value::Array(_) | Value::Object(_) => Err(Unfit::NotText(pointer.clone())),
            },
        }
    }
}

/// Returns the result of the first template whose values are all present, or the first error.
fn first<T>(
    templates: &Templates,
    fill: impl Fn(&Template) -> Result<T, Unfit>,
) -> Result<T, Unfit> {
    let mut reason = None;
    for template in templates {
        match fill(template) {
            Err(missing @ Unfit::Missing(_)) => drop(reason.get_or_insert(missing)),
            other => return other,
        }
    }
    // Callers handle a key that the configuration does not have.
    Err(reason.unwrap_or(Unfit::Outside))
}

/// Encodes a parsed value as JSON data.
fn json(value: &Value) -> Data {
    // A parsed value can always be encoded; the empty text would be visible if not.
    Data::json(&value.to_string()).unwrap_or_else(|_| Data::text(""))
}

/// Parses a notification of Nasqueron. The complete original webhook (`rawContent`) is included only on request.
fn nasqueron(body: &[u8], raw_content: bool) -> Result<Value, Unfit> {
    let mut value: Value = serde_json::from_slice(body).map_err(|_| Unfit::NotJson)?;
    let object = value.as_object_mut().ok_or(Unfit::NotNasqueron)?;
    let has = |name: &str| object.get(name).is_some_and(Value::is_string);
    if !has("service") || !has("project") {
        return Err(Unfit::NotNasqueron);
    }
    if !raw_content {
        object.remove("rawContent");
    }
    Ok(value)
}

/// Compression method in kombu's header.
fn compression(delivery: &Delivery) -> Option<&str> {
    let headers = delivery.properties.headers().as_ref()?;
    match headers.inner().get("compression")? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

//! Parses a broker message in the format of its source. Does not use a connection.

use lapin::message::Delivery;
use lapin::types::AMQPValue;
use serde_json::Value;

use super::super::content::{Content, LARGEST_BODY, Unfit};
use super::inflate::inflate;
use super::oslo::Notification;
use crate::config::{AmqpFormat, AmqpSource};
use crate::hub::Data;

/// A parsed message with its properties at the broker.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) content: Content,
    /// Unique id of the message, if it has one.
    pub(super) id: Option<String>,
    /// True if its publisher may send it again with the same id.
    pub(super) may_repeat: bool,
}

impl Arrival {
    pub(super) fn read(source: &AmqpSource, delivery: &Delivery) -> Result<Self, Unfit> {
        if delivery.data.len() > LARGEST_BODY {
            return Err(Unfit::TooLarge);
        }
        let body = inflate(compression(delivery), &delivery.data)?;
        let own_id = delivery.properties.message_id().as_ref();
        let mut id = own_id.map(ToString::to_string);
        let mut may_repeat = false;
        let content = match source.format {
            AmqpFormat::Text => Content::plain(Data::text_or_bytes(body.into_owned().into())),
            AmqpFormat::Json => {
                Content::json(std::str::from_utf8(&body).map_err(|_| Unfit::NotJson)?)?
            }
            AmqpFormat::Oslo => {
                let notification = Notification::parse(&body)?;
                id = notification.id.or(id);
                may_repeat = true;
                Content::tree(notification.message).with(AmqpSource::TENANT, notification.tenant)
            }
            AmqpFormat::Nasqueron => Content::tree(nasqueron(&body, source.raw_content)?),
        };
        let key = delivery.routing_key.to_string();
        Ok(Self {
            content: content.with(AmqpSource::ROUTING_KEY, Some(key)),
            id,
            may_repeat,
        })
    }
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

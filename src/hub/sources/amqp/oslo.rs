//! Notifications of `OpenStack` services: parses both envelopes of `oslo.messaging`, and removes what must never
//! reach a page.
//!
//! Services put the context of a request beside the message, in `_context_*`: the roles of the user, and in older
//! releases a token that is still valid. All of it is removed, at any depth.

use serde_json::{Map, Value};

use super::content::Unfit;

/// Prefix of the names of all request context.
const CONTEXT: &str = "_context_";

/// A notification without its context.
#[derive(Debug)]
pub(super) struct Notification {
    pub(super) message: Value,
    /// Id of the project it concerns, if it names one.
    pub(super) tenant: Option<String>,
    /// Unique id of the notification, the same in every repetition.
    pub(super) id: Option<String>,
}

impl Notification {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Unfit> {
        let mut message: Value = serde_json::from_slice(body).map_err(|_| Unfit::NotJson)?;
        // Version 2 has the message as text in an envelope; in version 1 the message is all there is.
        if let Some(text) = message.get("oslo.message") {
            let text = text.as_str().ok_or(Unfit::NotOslo)?;
            message = serde_json::from_str(text).map_err(|_| Unfit::NotOslo)?;
        }
        let object = message.as_object().ok_or(Unfit::NotOslo)?;
        if !object.contains_key("event_type") {
            return Err(Unfit::NotOslo);
        }
        let tenant = tenant(object);
        let id = ["_unique_id", "message_id"];
        let id = id.iter().find_map(|name| object.get(*name)?.as_str());
        let id = id.map(str::to_owned);
        strip(&mut message);
        Ok(Self {
            message,
            tenant,
            id,
        })
    }
}

/// Finds the project: that of the requesting user, or else that of the payload.
fn tenant(message: &Map<String, Value>) -> Option<String> {
    let text = |value: Option<&Value>| {
        let text = value?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let payload = message.get("payload");
    let of_payload = |name: &str| text(payload?.get(name));
    let of_object = |name: &str| text(payload?.get("nova_object.data")?.get(name));
    text(message.get("_context_project_id"))
        .or_else(|| of_payload("tenant_id"))
        .or_else(|| of_payload("project_id"))
        .or_else(|| of_object("tenant_id"))
        .or_else(|| of_object("project_id"))
}

/// Removes all context, at every depth, also from text that is itself JSON. Such text is removed completely if it
/// cannot be parsed but mentions a context.
fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|name, _| !name.starts_with(CONTEXT) && name != "_unique_id");
            object.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::String(text) if text.contains(CONTEXT) => {
            *value = match serde_json::from_str::<Value>(text) {
                Ok(mut inner) => {
                    strip(&mut inner);
                    Value::String(inner.to_string())
                }
                Err(_) => Value::Null,
            };
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(message: &Value) -> Notification {
        Notification::parse(message.to_string().as_bytes()).expect("a notification")
    }

    #[test]
    fn both_envelopes_are_read() {
        let inner = json!({"event_type": "a.b", "payload": {"x": 1}, "_unique_id": "u"});
        let envelope = json!({"oslo.version": "2.0", "oslo.message": inner.to_string()});
        for message in [&inner, &envelope] {
            let read = parse(message);
            assert_eq!(
                read.message,
                json!({"event_type": "a.b", "payload": {"x": 1}})
            );
            assert_eq!(read.id.as_deref(), Some("u"));
        }
    }

    #[test]
    fn no_context_is_left_at_any_depth() {
        let secret = json!({"_context_auth_token": "secret", "keep": 1});
        let message = json!({
            "event_type": "a",
            "_context_auth_token": "secret",
            "payload": {
                "_context_roles": ["secret"],
                "list": [secret, [secret]],
                "text": secret.to_string(),
                "twice": json!({"inner": secret.to_string()}).to_string(),
                "repr": "{'_context_auth_token': 'secret'}",
                "_unique_id": "secret",
            },
        });
        let said = parse(&message).message.to_string();
        assert!(
            !said.contains("secret") && !said.contains(CONTEXT),
            "{said}"
        );
        assert_eq!(said.matches("keep").count(), 4, "{said}");
    }

    #[test]
    fn the_project_is_found_wherever_a_service_puts_it() {
        let of = |message: Value| parse(&message).tenant;
        let some = |text: &str| Some(text.to_owned());
        let all =
            json!({"event_type": "a", "_context_project_id": "c", "payload": {"tenant_id": "t"}});
        assert_eq!(of(all), some("c"));
        let none =
            json!({"event_type": "a", "_context_project_id": null, "payload": {"tenant_id": "t"}});
        assert_eq!(of(none), some("t"));
        assert_eq!(
            of(json!({"event_type": "a", "payload": {"project_id": "p"}})),
            some("p")
        );
        let versioned =
            json!({"event_type": "a", "payload": {"nova_object.data": {"tenant_id": "v"}}});
        assert_eq!(of(versioned), some("v"));
        assert_eq!(of(json!({"event_type": "a", "payload": "text"})), None);
    }

    #[test]
    fn what_is_no_notification_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"oslo.message": 5}"#,
            r#"{"oslo.message": "{"}"#,
            r#"{"oslo.message": "[]"}"#,
        ] {
            assert!(Notification::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}

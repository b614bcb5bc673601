//! Notifications of `OpenStack` services: parses both envelopes of `oslo.messaging`, and removes what must never
//! reach a page.
//!
//! A notification belongs to the project that owns the resource, wherever its service writes that: what an
//! administrator does to a server of a project concerns that project, and not the administrator's own. The project
//! of the request's context is used only where no owner is named.
//!
//! Services put the context of a request beside the message, in `_context_*`: the roles of the user, and in older
//! releases a token that is still valid. All of it is removed, at any depth.

use serde_json::{Map, Value};

use super::super::content::Unfit;

/// Prefix of the names of all request context.
const CONTEXT: &str = "_context_";

/// A notification without its context.
#[derive(Debug)]
pub(super) struct Notification {
    pub(super) message: Value,
    /// Id of the project that owns the resource, otherwise of the project of the request.
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
        let tenant = owner(object).or_else(|| requester(object));
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

/// Finds the owner of the resource, in each of the formats of the services.
fn owner(message: &Map<String, Value>) -> Option<String> {
    let payload = message.get("payload")?;
    let event = message.get("event_type").and_then(Value::as_str);
    own_project(payload)
        // Nova, and other services with versioned objects.
        .or_else(|| versioned(payload).and_then(project_of_object))
        // Nova's requests for a server, in the older format.
        .or_else(|| requested(payload))
        // Neutron: the resource is in a field with its own name.
        .or_else(|| resource(payload, event?))
        // Glance.
        .or_else(|| text(payload.get("owner")).or_else(|| text(payload.get("owner_id"))))
}

/// Finds the project of the request's context, by its names in the releases of oslo.context.
fn requester(message: &Map<String, Value>) -> Option<String> {
    let names = ["project_id", "tenant_id", "tenant"];
    let mut found = names.iter();
    found.find_map(|name| text(message.get(&format!("{CONTEXT}{name}"))))
}

/// Finds the project of a resource, by either of its names.
fn own_project(value: &Value) -> Option<String> {
    text(value.get("tenant_id")).or_else(|| text(value.get("project_id")))
}

/// Finds the fields of a versioned object: `nova_object.data`, or the same of another service.
fn versioned(value: &Value) -> Option<&Value> {
    let mut fields = value.as_object()?.iter();
    fields.find_map(|(name, fields)| name.ends_with("_object.data").then_some(fields))
}

/// Finds the project of a versioned object, or of the request for a server in it.
fn project_of_object(fields: &Value) -> Option<String> {
    own_project(fields)
        .or_else(|| own_project(versioned(fields.get("request_spec")?)?))
        // Ironic's nodes: their owner, otherwise the project that has them on loan.
        .or_else(|| word(fields.get("owner")).or_else(|| word(fields.get("lessee"))))
}

/// Finds the project of a request for a server, in its dictionary of properties.
fn requested(payload: &Value) -> Option<String> {
    let properties = "instance_properties";
    let of_request = || payload.get("request_spec")?.get(properties);
    own_project(payload.get(properties).or_else(of_request)?)
}

/// Finds the project of the resource that the event is named after: `network` for `network.create.end`,
/// `router_interface` for `router.interface.create`; for several (`networks`) only if all have the same project.
fn resource(payload: &Value, event: &str) -> Option<String> {
    let (first, rest) = event.split_once('.')?;
    let second = rest.split('.').next().unwrap_or_default();
    let find = |name: &str| payload.get(name).and_then(own_project);
    find(first)
        .or_else(|| find(&format!("{first}_{second}")))
        .or_else(|| {
            let all = payload.get(format!("{first}s"))?.as_array()?;
            let mut projects = all.iter().map(own_project);
            let project = projects.next()??;
            projects
                .all(|other| other.as_ref() == Some(&project))
                .then_some(project)
        })
}

/// Returns a string that is not empty.
fn text(value: Option<&Value>) -> Option<String> {
    let text = value?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Returns a string that can be an id. Ironic takes any text for an owner.
fn word(value: Option<&Value>) -> Option<String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text(value).filter(|text| text.bytes().all(fits))
}

/// Removes all context, at every depth, also from text that contains JSON. Text that mentions a context and cannot be
/// parsed is removed completely.
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
    fn the_project_is_the_owners_wherever_a_service_puts_it_and_then_that_of_who_asked() {
        // An administrator acts in each of these, on what belongs to "owner".
        for (event, payload) in [
            ("compute.instance.update", json!({"tenant_id": "owner"})),
            ("keypair.import.start", json!({"tenant_id": "owner"})),
            (
                "instance.update",
                json!({"nova_object.data": {"tenant_id": "owner"}}),
            ),
            (
                "volume.usage",
                json!({"nova_object.data": {"project_id": "owner"}}),
            ),
            (
                "compute_task.rebuild_server.error",
                json!({"nova_object.data": {"request_spec": {"nova_object.data": {"project_id": "owner"}}}}),
            ),
            (
                "compute_task.build_instances",
                json!({"request_spec": {}, "instance_properties": {"project_id": "owner"}}),
            ),
            (
                "scheduler.select_destinations.start",
                json!({"request_spec": {"instance_properties": {"project_id": "owner"}}}),
            ),
            (
                "baremetal.node.power_set.end",
                json!({"ironic_object.data": {"project_id": "owner"}}),
            ),
            (
                "baremetal.node.update.end",
                json!({"ironic_object.data": {"uuid": "n", "owner": "owner", "lessee": "who has it"}}),
            ),
            (
                "baremetal.node.update.end",
                json!({"ironic_object.data": {"uuid": "n", "owner": "Racks of Ann", "lessee": "owner"}}),
            ),
            ("snapshot.create.end", json!({"tenant_id": "owner"})),
            (
                "network.create.end",
                json!({"network": {"tenant_id": "owner", "project_id": "owner"}}),
            ),
            (
                "network.create.end",
                json!({"networks": [{"project_id": "owner"}, {"project_id": "owner"}]}),
            ),
            (
                "router.interface.create",
                json!({"router_interface": {"tenant_id": "owner"}}),
            ),
            (
                "image.update",
                json!({"id": "i", "owner": "owner", "properties": {"owner": "x"}}),
            ),
            (
                "image.send",
                json!({"owner_id": "owner", "receiver_tenant_id": "who asked"}),
            ),
        ] {
            let message = json!({"event_type": event, "_context_project_id": "who asked", "payload": payload});
            assert_eq!(
                parse(&message).tenant.as_deref(),
                Some("owner"),
                "{message}"
            );
        }
        for (event, payload) in [
            (
                "aggregate.create.end",
                json!({"nova_object.data": {"id": 1}}),
            ),
            (
                "flavor.update",
                json!({"nova_object.data": {"projects": ["other"]}}),
            ),
            ("port.delete.end", json!({"port_id": "p"})),
            (
                "network.create.end",
                json!({"networks": [{"project_id": "a"}, {"project_id": "b"}]}),
            ),
            ("image.upload", json!("the storage is full")),
            (
                "baremetal.node.update.end",
                json!({"ironic_object.data": {"uuid": "n", "owner": "Racks of Ann", "lessee": null}}),
            ),
            (
                "host.create.end",
                json!({"masakari_object.data": {"uuid": "h", "failover_segment": {"masakari_object.data": {}}}}),
            ),
            (
                "volume.create.end",
                json!({"tenant_id": "", "project_id": null}),
            ),
        ] {
            for name in ["project_id", "tenant_id", "tenant"] {
                let message = json!({"event_type": event, format!("_context_{name}"): "who asked", "payload": payload});
                assert_eq!(
                    parse(&message).tenant.as_deref(),
                    Some("who asked"),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn what_belongs_to_no_project_has_none() {
        // In Keystone's form the initiator is who has asked, and the project is the target.
        for message in [
            json!({"event_type": "identity.project.created", "payload": {"resource_info": "p"}}),
            json!({
                "event_type": "identity.project.updated",
                "payload": {"initiator": {"project_id": "a"}, "target": {"id": "p"}, "resource_info": "p"},
            }),
            json!({"event_type": "metrics.update", "_context_project_id": null, "payload": {"nova_object.data": {}}}),
            json!({"event_type": "a", "payload": "text"}),
            json!({"event_type": "a"}),
        ] {
            assert_eq!(parse(&message).tenant, None, "{message}");
        }
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

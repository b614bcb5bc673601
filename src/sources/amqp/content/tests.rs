//! Tests of templates applied to messages, without a broker.

use super::*;
use crate::config::{ChannelPattern, Config, Source};
use crate::hub::Draft;

fn source(rest: &str) -> AmqpSource {
    let text = format!(
        "[[channel]]\nname = \"*.*\"\n[[channel.source]]\nsource = \"amqp\"\n\
         url = \"amqp://rabbit\"\nexchange = \"e\"\n{rest}"
    );
    let config = Config::parse(&text, "test").expect("a configuration");
    let source = config.channels.first().and_then(|one| one.sources.first());
    match source {
        Some(Source::Amqp(source)) => (**source).clone(),
        other => panic!("{other:?}"),
    }
}

fn read(source: &AmqpSource, body: &str) -> Result<(String, Draft), Unfit> {
    let delivery = Delivery::mock(1, "e".into(), "a.b".into(), false, body.into());
    let home = ChannelPattern::parse("*.*").expect("a pattern");
    let arrival = Arrival::read(source, &delivery)?;
    let (channel, draft) = arrival.content.fill(&home, &source.mapping)?;
    Ok((channel.to_string(), draft))
}

fn text(draft: &Draft) -> &str {
    draft.data.as_text().unwrap_or_default()
}

#[test]
fn templates_say_where_a_message_goes_and_what_is_published() {
    let source = source(
        "channel = \"job.{/n}\"\nevent = \"{/state}\"\nkey = \"{/n}-{routing-key}\"\ndata = \"{/rest}\"\n",
    );
    let body = r#"{"n": 17, "state": "done", "rest": {"b": 1, "a": [2]}}"#;
    let (channel, draft) = read(&source, body).expect("it fits");
    assert_eq!(channel, "job.17");
    assert_eq!(draft.event.as_deref(), Some("done"));
    assert_eq!(draft.key.as_deref(), Some("17-a.b"));
    assert_eq!(text(&draft), r#"{"a":[2],"b":1}"#);
}

#[test]
fn without_a_template_the_whole_message_is_published_as_it_is() {
    let (_, draft) =
        read(&source("channel = \"a.{/b}\""), r#"{"b": 1, "a": 2.50}"#).expect("it fits");
    assert_eq!(text(&draft), r#"{"b": 1, "a": 2.50}"#);
}

#[test]
fn a_message_cannot_choose_a_channel_beyond_its_word() {
    let source = source("channel = \"nova.{/t}\"");
    for value in [r#""a.b""#, r#""""#, r#""*""#, r#""é""#, r#""a b""#] {
        let refused = read(&source, &format!(r#"{{"t": {value}}}"#));
        assert!(matches!(refused, Err(Unfit::NotAWord(_))), "{value}");
    }
    for body in [r#"{"t": null}"#, "{}", "[]"] {
        assert!(
            matches!(read(&source, body), Err(Unfit::Missing(_))),
            "{body}"
        );
    }
    assert!(matches!(
        read(&source, r#"{"t": []}"#),
        Err(Unfit::NotText(_))
    ));
    assert!(matches!(read(&source, "{"), Err(Unfit::NotJson)));
}

#[test]
fn the_first_template_that_a_message_can_fill_counts() {
    let source = source(
        "channel = [\"nova.{/t}\", \"nova.{/u}\", \"nova.cloud\"]\nkey = [\"{/id}\", \"{/a}-{/b}\"]\n\
         event = [\"{/e}\"]\ndata = [\"{/d}\", \"{/e}\", \"nothing\"]\n",
    );
    for (body, channel, key, data) in [
        (
            r#"{"t": 1, "u": 2, "id": 3, "a": 4, "b": 5, "d": 6}"#,
            "nova.1",
            Some("3"),
            "6",
        ),
        (
            r#"{"u": 2, "a": 4, "b": 5, "e": "x"}"#,
            "nova.2",
            Some("4-5"),
            "x",
        ),
        (
            r#"{"t": null, "a": 4, "id": null}"#,
            "nova.cloud",
            None,
            "nothing",
        ),
        (
            r#"{"id": {"x": 1}, "a": "", "b": ""}"#,
            "nova.cloud",
            Some("-"),
            "nothing",
        ),
        (r#"{"id": ""}"#, "nova.cloud", None, "nothing"),
        ("[]", "nova.cloud", None, "nothing"),
    ] {
        let (found, draft) = read(&source, body).expect(body);
        assert_eq!(found, channel, "{body}");
        assert_eq!(draft.key.as_deref(), key, "{body}");
        assert_eq!(text(&draft), data, "{body}");
    }
    // A value that is not a word does not choose another channel.
    let refused = read(&source, r#"{"t": "a.b"}"#);
    assert!(matches!(refused, Err(Unfit::NotAWord(_))));
}

#[test]
fn without_what_its_key_or_its_event_needs_a_message_is_still_published() {
    let source = source("channel = \"a.b\"\nkey = \"{/id}\"\nevent = \"{/kind}\"\ndata = \"{/d}\"");
    let (_, draft) = read(&source, r#"{"id": [], "d": 1}"#).expect("it fits");
    assert_eq!((draft.event, draft.key), (None, None));
    assert!(matches!(
        read(&source, r#"{"id": 1}"#),
        Err(Unfit::Missing(_))
    ));
}

#[test]
fn a_notification_goes_to_its_project_without_its_context() {
    let source =
        source("format = \"oslo\"\nchannel = \"nova.{tenant}\"\nkey = \"{/payload/instance_id}\"");
    let body = serde_json::json!({
        "oslo.version": "2.0",
        "oslo.message": serde_json::json!({
            "event_type": "compute.instance.update",
            "_context_project_id": "0f1e",
            "_context_auth_token": "secret",
            "payload": {"instance_id": "i"},
        }).to_string(),
    });
    let (channel, draft) = read(&source, &body.to_string()).expect("it fits");
    assert_eq!(channel, "nova.0f1e");
    assert_eq!(draft.event.as_deref(), Some("compute.instance.update"));
    assert_eq!(draft.key.as_deref(), Some("i"));
    assert!(!text(&draft).contains("secret"));
}

#[test]
fn what_a_nasqueron_notification_was_made_of_is_kept_only_if_asked_for() {
    let body = concat!(
        r#"{"service":"Jenkins","project":"Nasqueron","group":"ci","rawContent":{"a":1},"#,
        r#""type":"x","text":null,"link":"http:\/\/a\/"}"#
    );
    let (_, draft) =
        read(&source("format = \"nasqueron\"\nchannel = \"a.b\""), body).expect("it fits");
    assert!(!text(&draft).contains("rawContent"));
    assert!(
        text(&draft).contains(r#""link":"http://a/""#),
        "{}",
        text(&draft)
    );
    let asked = source("format = \"nasqueron\"\nraw-content = true\nchannel = \"a.b\"");
    let (_, draft) = read(&asked, body).expect("it fits");
    assert!(text(&draft).contains(r#""rawContent":{"a":1}"#));
    assert!(matches!(read(&asked, "{}"), Err(Unfit::NotNasqueron)));
}

/// The channel and key that `config/horizon.toml` gives a notification on this exchange.
fn shipped(exchange: &str, body: &Value) -> Result<(String, Option<String>), Unfit> {
    let text = include_str!("../../../../config/horizon.toml");
    let config = Config::parse(text, "horizon.toml").expect("a configuration");
    let found = config.channels.iter().find_map(|channel| {
        let Some(Source::Amqp(source)) = channel.sources.first() else {
            return None;
        };
        (source.exchange == exchange).then(|| (channel.name.clone(), (**source).clone()))
    });
    let (home, source) = found.expect("a source of this exchange");
    let delivery = Delivery::mock(
        1,
        exchange.into(),
        "notifications.info".into(),
        false,
        body.to_string().into(),
    );
    let arrival = Arrival::read(&source, &delivery)?;
    let (channel, draft) = arrival.content.fill(&home, &source.mapping)?;
    let event = body.get("event_type").and_then(Value::as_str);
    assert_eq!(draft.event.as_deref(), event, "each has its name");
    Ok((channel.to_string(), draft.key.map(String::from)))
}

#[test]
fn the_shipped_dashboard_takes_what_every_service_says_in_both_of_novas_forms() {
    use serde_json::json;

    let versioned = |data| {
        json!({
            "nova_object.namespace": "nova",
            "nova_object.name": "Payload",
            "nova_object.data": data,
        })
    };
    let request = versioned(json!({"project_id": "p", "instance_uuid": "i"}));
    for (exchange, event, payload, channel, key) in [
        // Nova, unversioned.
        (
            "nova",
            "compute.instance.update",
            json!({"tenant_id": "p", "instance_id": "i"}),
            "nova.p",
            Some("i"),
        ),
        (
            "nova",
            "compute.instance.exists",
            json!({"tenant_id": "p", "instance_id": "i"}),
            "nova.p",
            Some("i"),
        ),
        (
            "nova",
            "keypair.import.start",
            json!({"tenant_id": "p", "user_id": "u", "key_name": "k"}),
            "nova.p",
            None,
        ),
        (
            "nova",
            "servergroup.create",
            json!({"name": "g", "policies": ["affinity"], "server_group_id": "g"}),
            "nova.admin",
            None,
        ),
        (
            "nova",
            "aggregate.addhost.end",
            json!({"aggregate_id": 1, "host": "h"}),
            "nova.admin",
            None,
        ),
        (
            "nova",
            "scheduler.select_destinations.start",
            json!({"request_spec": {"instance_properties": {"project_id": "p"}}}),
            "nova.p",
            None,
        ),
        (
            "nova",
            "compute_task.build_instances",
            json!({"instance_id": null, "instance_properties": {"project_id": "p"}}),
            "nova.p",
            None,
        ),
        (
            "nova",
            "volume.usage",
            json!({"tenant_id": "p", "instance_id": "i", "volume_id": "v"}),
            "nova.p",
            Some("i"),
        ),
        // Nova, versioned.
        (
            "nova",
            "instance.update",
            versioned(json!({"tenant_id": "p", "uuid": "i"})),
            "nova.p",
            Some("i"),
        ),
        (
            "nova",
            "server_group.create",
            versioned(json!({"project_id": "p", "uuid": "g"})),
            "nova.p",
            Some("g"),
        ),
        (
            "nova",
            "keypair.create.end",
            versioned(json!({"user_id": "u", "name": "k"})),
            "nova.admin",
            None,
        ),
        (
            "nova",
            "flavor.update",
            versioned(json!({"flavorid": "f", "projects": ["p"]})),
            "nova.admin",
            None,
        ),
        (
            "nova",
            "aggregate.create.end",
            versioned(json!({"id": 1, "uuid": "a"})),
            "nova.admin",
            Some("a"),
        ),
        (
            "nova",
            "service.update",
            versioned(json!({"binary": "nova-compute", "uuid": "s"})),
            "nova.admin",
            Some("s"),
        ),
        (
            "nova",
            "compute_task.migrate_server.error",
            versioned(json!({"instance_uuid": "i", "request_spec": request})),
            "nova.p",
            Some("i"),
        ),
        (
            "nova",
            "scheduler.select_destinations.end",
            request.clone(),
            "nova.p",
            Some("i"),
        ),
        (
            "nova",
            "volume.usage",
            versioned(json!({"project_id": "p", "instance_uuid": "i"})),
            "nova.p",
            Some("i"),
        ),
        // Neutron.
        (
            "neutron",
            "network.create.end",
            json!({"network": {"id": "n", "project_id": "p"}}),
            "neutron.p",
            Some("n"),
        ),
        (
            "neutron",
            "network.create.end",
            json!({"networks": [{"id": "n", "tenant_id": "p"}]}),
            "neutron.p",
            None,
        ),
        (
            "neutron",
            "port.update.end",
            json!({"port": {"id": "o", "network_id": "n", "tenant_id": "p"}}),
            "neutron.p",
            Some("o"),
        ),
        (
            "neutron",
            "port.delete.end",
            json!({"port_id": "o"}),
            "neutron.admin",
            Some("o"),
        ),
        (
            "neutron",
            "router.interface.create",
            json!({"router_interface": {"id": "r", "tenant_id": "p"}}),
            "neutron.p",
            Some("r"),
        ),
        (
            "neutron",
            "floatingip.update.end",
            json!({"floatingip": {"id": "f", "tenant_id": "p"}}),
            "neutron.p",
            Some("f"),
        ),
        (
            "neutron",
            "security_group_rule.create.end",
            json!({"security_group_rule": {"id": "s", "project_id": "p"}}),
            "neutron.p",
            None,
        ),
        // Cinder and Glance.
        (
            "openstack",
            "volume.create.end",
            json!({"tenant_id": "p", "volume_id": "v", "snapshot_id": ""}),
            "openstack.p",
            Some("v"),
        ),
        (
            "openstack",
            "snapshot.delete.end",
            json!({"tenant_id": "p", "volume_id": "v", "snapshot_id": "s"}),
            "openstack.p",
            Some("v"),
        ),
        (
            "openstack",
            "volume_type.create",
            json!({"volume_types": {"name": "fast"}}),
            "openstack.admin",
            None,
        ),
        (
            "openstack",
            "image.activate",
            json!({"id": "m", "owner": "p"}),
            "openstack.p",
            Some("m"),
        ),
        (
            "openstack",
            "image.send",
            json!({"image_id": "m", "owner_id": "p", "receiver_tenant_id": "q"}),
            "openstack.p",
            Some("m"),
        ),
        (
            "openstack",
            "image.upload",
            json!("Image storage media is full"),
            "openstack.admin",
            None,
        ),
        // Keystone, basic and CADF.
        (
            "keystone",
            "identity.project.created",
            json!({"resource_info": "p"}),
            "keystone.cloud",
            Some("p"),
        ),
        (
            "keystone",
            "identity.authenticate",
            json!({"initiator": {"id": "u", "project_id": "p"}, "target": {"id": "t"}}),
            "keystone.cloud",
            Some("t"),
        ),
        (
            "keystone",
            "identity.created.role_assignment",
            json!({"role": "r", "project": "p"}),
            "keystone.cloud",
            None,
        ),
    ] {
        let body = json!({"event_type": event, "_context_project_id": "admin", "payload": payload});
        let made = shipped(exchange, &body).expect(event);
        assert_eq!(made, (channel.to_owned(), key.map(str::to_owned)), "{body}");
    }
    // Nobody has asked for what a service tells by itself.
    for exchange in ["nova", "neutron", "openstack", "keystone"] {
        let body =
            json!({"event_type": "metrics.update", "_context_project_id": null, "payload": {}});
        let (channel, _) = shipped(exchange, &body).expect(exchange);
        assert_eq!(channel, format!("{exchange}.cloud"));
    }
}

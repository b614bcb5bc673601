//! Tests of a cloud's notifications, with the sources that `config/horizon.toml` is shipped with.

use serde_json::Value;

use super::Fixture;
use crate::support::{run, until};

/// The sources of the shipped configuration.
fn shipped() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/horizon.toml");
    let text = std::fs::read_to_string(path).expect("a shipped configuration");
    let begin = text.find("\n[[channel]]").expect("its sources");
    // Without the admin socket: the fixture has one of its own.
    let end = text.find("\n[admin]").expect("an admin socket");
    let tables = text.get(begin..end).expect("a text");
    tables.replace(
        "[[channel.source]]\nsource = \"amqp\"\nurl = \"amqp://localhost:5672/%2F\"",
        "SOURCE",
    )
}

impl Fixture {
    #[track_caller]
    fn sources(&self) -> Vec<Value> {
        let status = run(&mut self.command(&["status", "--json"])).well().stdout;
        let status: Value = serde_json::from_str(&status).expect("JSON");
        let sources = status.get("sources").and_then(Value::as_array);
        sources.expect("a list").clone()
    }

    /// A fixture with the shipped sources, whose exchanges are there and which hear them.
    #[track_caller]
    fn with_a_cloud() -> Self {
        let mut fixture = Self::open("", &shipped());
        until("each source to say what is missing", || {
            let is_told = |one: &Value| {
                let error = one.get("last_error").and_then(Value::as_str);
                error.is_some_and(|error| error.contains("no exchange"))
            };
            fixture.sources().iter().all(is_told).then_some(())
        });
        for exchange in ["nova", "neutron", "openstack", "keystone"] {
            fixture
                .publisher
                .ask(&format!("exchange {exchange} topic no"));
        }
        until("all sources", || {
            let all = fixture.sources();
            assert_eq!(all.len(), 4);
            let up = |one: &Value| one.get("since").is_some_and(Value::is_number);
            all.iter().all(up).then_some(())
        });
        fixture
    }

    /// Fails unless every message has been taken, and no source shows an error.
    #[track_caller]
    fn refused_nothing(&self) {
        for source in self.sources() {
            let shown = (source.get("refused"), source.get("last_error"));
            assert_eq!(shown, (Some(&0.into()), Some(&Value::Null)), "{source}");
        }
        let log = self.log();
        assert!(
            !log.contains("a source's message or connection was refused"),
            "{log}"
        );
    }
}

#[test]
fn each_project_hears_of_what_it_owns_whoever_has_asked_and_nothing_is_refused() {
    let mut fixture = Fixture::with_a_cloud();
    for (exchange, event, payload) in [
        (
            "nova",
            "compute.instance.power_off.end",
            r#"{"tenant_id": "owner", "instance_id": "i"}"#,
        ),
        (
            "nova",
            "keypair.import.end",
            r#"{"key_name": "k", "user_id": "u"}"#,
        ),
        (
            "neutron",
            "network.create.end",
            r#"{"network": {"id": "n", "project_id": "owner"}}"#,
        ),
        (
            "neutron",
            "router.interface.create",
            r#"{"router_interface": {"id": "r", "project_id": "owner", "network_id": "n", "subnet_ids": ["s"]}}"#,
        ),
        // Before an update, and of tags, Neutron does not say whose it is.
        (
            "neutron",
            "network.update.start",
            r#"{"network": {"name": "renamed"}, "id": "n"}"#,
        ),
        (
            "neutron",
            "tag.create.end",
            r#"{"obj_resource": "networks", "obj_resource_id": "n", "tags": ["blue"]}"#,
        ),
        (
            "openstack",
            "volume.attach.end",
            r#"{"tenant_id": "owner", "volume_id": "v"}"#,
        ),
        (
            "openstack",
            "image.update",
            r#"{"id": "m", "owner": "owner"}"#,
        ),
        (
            "keystone",
            "identity.project.deleted",
            r#"{"resource_info": "p"}"#,
        ),
    ] {
        fixture.publisher.ask(&format!(
            r#"notify {exchange} {event} {{"project": "admin", "payload": {payload}}}"#
        ));
    }
    let versioned = |event: &str, data: &str| {
        format!(
            "send nova versioned_notifications.info {{\"event_type\": \"{event}\", \"_context_project_id\": \
             null, \"payload\": {{\"nova_object.data\": {data}}}}}"
        )
    };
    fixture.publisher.ask(&versioned(
        "instance.pause.end",
        r#"{"tenant_id": "owner", "uuid": "j"}"#,
    ));
    fixture.publisher.ask(&versioned(
        "metrics.update",
        r#"{"host": "compute1", "metrics": []}"#,
    ));
    for (channel, expected) in [
        (
            "nova.owner",
            &[
                ("compute.instance.power_off.end", Some("i")),
                ("instance.pause.end", Some("j")),
            ][..],
        ),
        ("nova.admin", &[("keypair.import.end", None)]),
        ("nova.cloud", &[("metrics.update", None)]),
        (
            "neutron.owner",
            &[
                ("network.create.end", Some("n")),
                ("router.interface.create", Some("r")),
            ],
        ),
        (
            "neutron.admin",
            &[
                ("network.update.start", Some("n")),
                ("tag.create.end", Some("n")),
            ],
        ),
        (
            "openstack.owner",
            &[
                ("volume.attach.end", Some("v")),
                ("image.update", Some("m")),
            ],
        ),
        ("keystone.cloud", &[("identity.project.deleted", Some("p"))]),
    ] {
        let messages = fixture.first(channel, expected.len());
        let found: Vec<_> = messages
            .iter()
            .map(|one| {
                (
                    one["event"].as_str().unwrap_or_default(),
                    one["key"].as_str(),
                )
            })
            .collect();
        assert_eq!(found, expected, "{channel}");
    }
    fixture.refused_nothing();
}

#[test]
fn every_sample_that_nova_publishes_of_its_notifications_is_taken() {
    let mut fixture = Fixture::with_a_cloud();
    let samples = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/.cache/openstack/notification_samples"
    );
    let count = fixture.publisher.count(&format!("samples nova {samples}"));
    assert!(count >= 140, "{count} in {samples}; tests/run openstack");
    until("all of them", || {
        let all = fixture.sources();
        let taken = all
            .iter()
            .filter_map(|one| one.get("messages").and_then(Value::as_u64));
        (taken.sum::<u64>() == count as u64).then_some(())
    });
    fixture.refused_nothing();
    // The project of all samples, and what is of none.
    let owned = fixture.first("nova.6f70656e737461636b20342065766572", 1);
    let event = |messages: &[Value]| messages[0]["event"].as_str().map(str::to_owned);
    assert!(
        event(&owned).is_some_and(|event| event.starts_with("instance.")),
        "{owned:?}"
    );
    let general = fixture.first("nova.cloud", 1);
    assert!(
        event(&general).is_some_and(|event| event.starts_with("aggregate.")),
        "{general:?}"
    );
}

/// Notifications of other services, short, in the shape that each documents: event, payload, channel and key.
const OTHERS: &[(&str, &str, &str, &str)] = &[
    (
        "orchestration.stack.create.end",
        r#"{"tenant_id": "owner", "stack_identity": "arn:openstack:heat::owner:stacks/web/1", "stack_name": "web",
            "state": "CREATE_COMPLETE", "state_reason": "Stack CREATE completed"}"#,
        "owner",
        "arn:openstack:heat::owner:stacks/web/1",
    ),
    (
        "share.create.end",
        r#"{"share_id": "sh", "project_id": "owner", "user_id": "u", "share_group_id": "", "size": 1,
            "status": "available"}"#,
        "owner",
        "sh",
    ),
    (
        "octavia.loadbalancer.create.end",
        r#"{"id": "lb", "project_id": "owner", "name": "web", "vip_address": "192.0.2.7", "listeners": []}"#,
        "owner",
        "lb",
    ),
    (
        "dns.zone.create",
        r#"{"id": "z", "tenant_id": "owner", "name": "example.org.", "status": "PENDING", "serial": 1}"#,
        "owner",
        "z",
    ),
    (
        "dns.recordset.create",
        r#"{"id": "r", "zone_id": "z", "tenant_id": "owner", "name": "www.example.org.", "type": "A"}"#,
        "owner",
        "r",
    ),
    (
        "dns.recordset.create",
        r#"{"tenant_id": "owner", "zone_id": "z2", "zone_name": "example.org.", "recordset_name": "www"}"#,
        "owner",
        "z2",
    ),
    (
        "baremetal.node.power_set.end",
        r#"{"ironic_object.namespace": "ironic", "ironic_object.name": "NodeSetPowerStatePayload",
            "ironic_object.version": "1.9", "ironic_object.data": {"uuid": "n", "owner": "owner", "lessee": null,
            "power_state": "power off", "to_power": "power on"}}"#,
        "owner",
        "n",
    ),
    (
        "baremetal.port.create.end",
        r#"{"ironic_object.name": "PortCRUDPayload", "ironic_object.data": {"uuid": "p", "node_uuid": "n",
            "address": "02:00:00:00:00:01"}}"#,
        "admin",
        "p",
    ),
    (
        "segment.create.end",
        r#"{"masakari_object.name": "SegmentApiPayload", "masakari_object.data": {"uuid": "sg", "id": 1, "name": "rack",
            "recovery_method": "auto", "service_type": "compute", "fault": null}}"#,
        "admin",
        "sg",
    ),
    (
        "notification.process.end",
        r#"{"masakari_object.name": "NotificationApiPayload", "masakari_object.data": {"notification_uuid": "no",
            "source_host_uuid": "h", "type": "VM", "status": "finished", "fault": null}}"#,
        "admin",
        "no",
    ),
    (
        "magnum.cluster.create",
        r#"{"typeURI": "http://schemas.dmtf.org/cloud/audit/1.0/event", "outcome": "success", "action": "create",
            "initiator": {"id": "u", "project_id": "p"}, "target": {"id": "c", "typeURI": "service/magnum/cluster"}}"#,
        "admin",
        "c",
    ),
];

#[test]
fn what_other_services_publish_is_taken_with_its_project_and_its_key() {
    let mut fixture = Fixture::with_a_cloud();
    for (event, payload, ..) in OTHERS {
        let payload: Value = serde_json::from_str(payload).expect("JSON");
        fixture.publisher.ask(&format!(
            r#"notify openstack {event} {{"project": "admin", "payload": {payload}}}"#
        ));
    }
    for project in ["owner", "admin"] {
        let expected = OTHERS.iter().filter(|(_, _, of, _)| *of == project);
        let expected: Vec<_> = expected
            .map(|(event, _, _, key)| (*event, Some(*key)))
            .collect();
        let messages = fixture.first(&format!("openstack.{project}"), expected.len());
        let found: Vec<_> = messages
            .iter()
            .map(|one| (one["event"].as_str().expect("a name"), one["key"].as_str()))
            .collect();
        assert_eq!(found, expected, "{project}");
    }
    fixture.refused_nothing();
}

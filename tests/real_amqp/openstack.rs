//! Tests of a cloud's notifications, with the sources that `config/horizon.toml` is shipped with.

use super::House;
use crate::support::{run, until};

/// The sources of the shipped configuration.
fn shipped() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/horizon.toml");
    let text = std::fs::read_to_string(path).expect("a shipped configuration");
    let begin = text.find("# What Nova tells").expect("its sources");
    // Without the admin socket: the house has one of its own.
    let end = text.find("\n[admin]").expect("an admin socket");
    let tables = text.get(begin..end).expect("a text");
    tables.replace(
        "[[channel.source]]\nsource = \"amqp\"\nurl = \"amqp://localhost:5672/%2F\"",
        "SOURCE",
    )
}

#[test]
fn each_project_hears_of_what_it_owns_whoever_has_asked_and_nothing_is_refused() {
    let mut house = House::open("", &shipped());
    let sources = |house: &House| -> Vec<serde_json::Value> {
        let status = run(&mut house.command(&["status", "--json"])).well().stdout;
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["sources"].as_array().expect("a list").clone()
    };
    until("each source to say what is missing", || {
        let is_told = |one: &serde_json::Value| {
            let error = one["last_error"].as_str();
            error.is_some_and(|error| error.contains("no exchange"))
        };
        sources(&house).iter().all(is_told).then_some(())
    });
    for exchange in ["nova", "neutron", "openstack", "keystone"] {
        house
            .publisher
            .ask(&format!("exchange {exchange} topic no"));
    }
    until("all sources", || {
        let all = sources(&house);
        assert_eq!(all.len(), 4);
        let up = |one: &serde_json::Value| one["since"].is_number();
        all.iter().all(up).then_some(())
    });
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
        house.publisher.ask(&format!(
            r#"notify {exchange} {event} {{"project": "admin", "payload": {payload}}}"#
        ));
    }
    let versioned = |event: &str, data: &str| {
        format!(
            "send nova versioned_notifications.info {{\"event_type\": \"{event}\", \"_context_project_id\": \
             null, \"payload\": {{\"nova_object.data\": {data}}}}}"
        )
    };
    house.publisher.ask(&versioned(
        "instance.pause.end",
        r#"{"tenant_id": "owner", "uuid": "j"}"#,
    ));
    house.publisher.ask(&versioned(
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
        ("neutron.owner", &[("network.create.end", Some("n"))]),
        (
            "openstack.owner",
            &[
                ("volume.attach.end", Some("v")),
                ("image.update", Some("m")),
            ],
        ),
        ("keystone.cloud", &[("identity.project.deleted", Some("p"))]),
    ] {
        let messages = house.first(channel, expected.len());
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
    for source in sources(&house) {
        assert_eq!(
            (&source["refused"], &source["last_error"]),
            (&0.into(), &serde_json::Value::Null),
            "{source}"
        );
    }
    let log = house.log();
    assert!(
        !log.contains("a source's message or connection was refused"),
        "{log}"
    );
}

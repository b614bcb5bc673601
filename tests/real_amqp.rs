//! The `amqp` source with a real RabbitMQ, and with the library that OpenStack's services notify with.

mod encrypted;
mod openstack;
mod outages;
mod repairs;
mod upgrades;

use std::ops::{Deref, DerefMut};

use crate::support::{Peer, Rabbit, SourceDoor, alone};

/// A broker, something that publishes into it, and a door with an admin socket.
struct Fixture {
    rabbit: Rabbit,
    publisher: Peer,
    source: SourceDoor,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Fixture {
    /// `SOURCE` in the tables is the beginning of a source's table: its kind, and the broker.
    #[track_caller]
    fn open(exchange: &str, tables: &str) -> Self {
        let turn = alone();
        let rabbit = Rabbit::start();
        let mut publisher = Peer::start_in_venv("rabbit.py", &[&rabbit.port.to_string()]);
        if !exchange.is_empty() {
            publisher.ask(&format!("exchange {exchange}"));
        }
        let source = format!(
            "[[channel.source]]\nsource = \"amqp\"\nurl = \"{}\"",
            rabbit.url()
        );
        Self {
            rabbit,
            publisher,
            source: SourceDoor::open(source, tables),
            _alone: turn,
        }
    }
}

impl Deref for Fixture {
    type Target = SourceDoor;

    fn deref(&self) -> &SourceDoor {
        &self.source
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut SourceDoor {
        &mut self.source
    }
}

/// A channel that keeps all a test sends through the exchange `e`.
const KEPT: &str = "[[channel]]\nname = \"a\"\n[channel.history]\nmessages = 100000\nsize = \"64MiB\"\n\
    SOURCE\nexchange = \"e\"\nqueue = \"noren-a\"\nprefetch = 10\nchannel = \"a\"\n";

/// The same, kept on disk.
fn kept_on_disk() -> String {
    format!(
        "[hub]\nstore = \"STORE\"\n{}",
        KEPT.replace("size = \"64MiB\"\n", "size = \"64MiB\"\nstore = \"disk\"\n")
    )
}

const NOVA: &str = "[[channel]]\nname = \"nova.*\"\nSOURCE\nexchange = \"nova\"\n\
    bindings = [\"notifications.#\"]\nformat = \"oslo\"\nchannel = \"nova.{tenant}\"\n\
    key = \"{/payload/instance_id}\"\n";

#[test]
fn what_oslo_messaging_publishes_reaches_the_channel_of_its_project_without_its_context() {
    let mut fixture = Fixture::open("nova topic no", NOVA);
    fixture.connected();
    for (project, instance) in [("0f1e", "i-1"), ("aaaa", "i-2")] {
        fixture.publisher.ask(&format!(
            "notify nova compute.instance.update {{\"project\": \"{project}\", \"payload\": \
             {{\"instance_id\": \"{instance}\", \"display_name\": \"web é\", \
             \"_context_auth_token\": \"secret-token\"}}}}"
        ));
    }
    for (project, instance) in [("0f1e", "i-1"), ("aaaa", "i-2")] {
        let messages = fixture.first(&format!("nova.{project}"), 1);
        let message = messages.first().expect("a message");
        assert_eq!(message["event"], "compute.instance.update");
        assert_eq!(message["key"], instance);
        assert_eq!(message["data"]["payload"]["instance_id"], instance);
        assert_eq!(message["data"]["payload"]["display_name"], "web é");
        assert_eq!(message["data"]["priority"], "INFO");
        let text = message.to_string();
        assert!(
            !text.contains("_context_") && !text.contains("secret"),
            "{text}"
        );
    }
    assert!(!fixture.log().contains("secret"));
}

#[test]
fn a_notification_that_is_sent_twice_is_published_once_and_one_that_does_not_fit_is_refused() {
    let mut fixture = Fixture::open("nova topic no", NOVA);
    fixture.connected();
    let notification = r#"{"event_type": "a", "_unique_id": "ID", "payload": {"instance_id": "i", "tenant_id": "t"}}"#;
    for id in ["one", "two"] {
        let body = notification.replace("ID", id);
        fixture
            .publisher
            .ask(&format!("twice nova notifications.info {body}"));
    }
    fixture.publisher.ask(concat!(
        r#"send nova notifications.info {"event_type": "a", "#,
        r#""payload": {"instance_id": "i", "secret": "word"}}"#
    ));
    fixture.until_logged("it has no tenant");
    let last = notification
        .replace("ID", "three")
        .replace("\"a\"", "\"last\"");
    fixture
        .publisher
        .ask(&format!("send nova notifications.info {last}"));
    let messages = fixture.first("nova.t", 3);
    let events: Vec<_> = messages.iter().map(|one| one["event"].clone()).collect();
    assert_eq!(events, ["a", "a", "last"]);
    assert!(!fixture.log().contains("word"));
}

#[test]
fn a_nasqueron_notification_arrives_in_its_exact_form_without_what_it_was_made_of() {
    let mut fixture = Fixture::open(
        "notifications topic yes",
        "[[channel]]\nname = \"news\"\nSOURCE\nexchange = \"notifications\"\nformat = \"nasqueron\"\n",
    );
    fixture.connected();
    fixture.publisher.ask(concat!(
        r#"send notifications nasqueron.ci.jenkins.completed.success {"service":"Jenkins","#,
        r#""project":"Nasqueron","group":"ci","rawContent":{"name":"asgard","#,
        r#""build":{"number":18,"phase":"COMPLETED","status":"SUCCESS"}},"#,
        r#""type":"completed.success","text":"Jenkins job asgard has been completed: success","#,
        r#""link":"http:\/\/localhost:8080\/job\/asgard\/18\/"}"#
    ));
    let messages = fixture.first("news", 1);
    assert_eq!(
        messages.first().expect("a message")["data"],
        serde_json::json!({
            "service": "Jenkins",
            "project": "Nasqueron",
            "group": "ci",
            "type": "completed.success",
            "text": "Jenkins job asgard has been completed: success",
            "link": "http://localhost:8080/job/asgard/18/",
        })
    );
}

//! Tests of templates applied to messages, without a broker.

use super::*;
use crate::config::{Config, Source};

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
    let content = Content::read(source, &delivery)?;
    let channel = content.channel(source.channel.as_ref().expect("a template"))?;
    Ok((channel.to_string(), content.draft(source)?))
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

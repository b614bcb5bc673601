//! The form that publishes an update. Does not check permissions, and does not know the hub.

use aws_lc_rs::rand;

use crate::config::MercureVersion;

use super::characters::{are_visible, pairs};
use super::rules::Rules;
use super::update::Update;

/// Cursor for all updates, which must not be the id of an update.
pub(super) const EARLIEST: &str = "earliest";
/// Type of the hub's own events (1.0).
pub(super) const OWN_EVENT: &str = "mercure";

/// An update that a publisher has sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    /// The update.
    pub update: Update,
    /// True if its id is the publisher's own.
    pub own_id: bool,
}

/// Reasons why a form is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormFault {
    /// The request is malformed.
    #[error("{0}")]
    Malformed(&'static str),
    /// A topic is reserved for the hub.
    #[error("a topic is below the hub's own path, where only the hub itself publishes")]
    Reserved,
    /// The request has more fields, or longer ones, than permitted.
    #[error("{0}")]
    TooLarge(&'static str),
}

impl Publication {
    /// Reads a form.
    ///
    /// # Errors
    /// The first [`FormFault`].
    pub(crate) fn read(
        form: &[u8],
        version: MercureVersion,
        rules: &Rules,
    ) -> Result<Self, FormFault> {
        let pairs = pairs(form).ok_or(FormFault::Malformed("the form is not UTF-8"))?;
        let mut topics = Vec::new();
        let [mut data, mut id, mut event, mut retry] = [const { None::<String> }; 4];
        let mut private = false;
        for (name, value) in pairs {
            let field = match name.as_str() {
                "topic" => {
                    topics.push(value);
                    continue;
                }
                "private" => {
                    private = true;
                    continue;
                }
                "data" => &mut data,
                "id" => &mut id,
                "type" => &mut event,
                "retry" => &mut retry,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        check_topics(&topics, version, rules)?;
        let id = id.filter(|id| !id.is_empty());
        check_id(id.as_deref(), rules)?;
        let event = event.filter(|event| !event.is_empty());
        check_event(event.as_deref(), rules)?;
        let own_id = id.is_some();
        let update = Update {
            topics,
            private,
            id: id.unwrap_or_else(fresh_id),
            event,
            retry: parse_retry(retry.as_deref())?,
            data: data.unwrap_or_default(),
        };
        Ok(Self { update, own_id })
    }
}

fn check_topics(
    topics: &[String],
    version: MercureVersion,
    rules: &Rules,
) -> Result<(), FormFault> {
    if topics.is_empty() {
        return Err(FormFault::Malformed("the field topic is missing"));
    }
    if topics.len() > rules.settings.topics {
        let reason = "there are too many topics (mercure.topics)";
        // Version 0.x counts them as malformed.
        return Err(match version {
            MercureVersion::Draft => FormFault::Malformed(reason),
            MercureVersion::One => FormFault::TooLarge(reason),
        });
    }
    for topic in topics {
        if topic.len() > rules.settings.topic_length {
            return Err(FormFault::TooLarge(
                "a topic is too long (mercure.topic-length)",
            ));
        }
        if !are_visible(topic) {
            return Err(FormFault::Malformed(
                "a topic has control or invisible characters",
            ));
        }
        // Version 0.x looks for the path anywhere in a topic.
        let is_named = version == MercureVersion::Draft && topic.contains(&rules.settings.path);
        // Both versions have the same updates, and patterns of 1.0 match what a topic leads to.
        let leads_there = rules.speaks(MercureVersion::One) && rules.is_reserved(topic);
        if is_named || leads_there {
            return Err(match version {
                MercureVersion::Draft => FormFault::Reserved,
                MercureVersion::One => FormFault::Malformed("a topic is below the hub's own path"),
            });
        }
        if version == MercureVersion::One && topic == "*" {
            return Err(FormFault::Malformed("no topic is *, which stands for all"));
        }
    }
    Ok(())
}

fn check_id(id: Option<&str>, rules: &Rules) -> Result<(), FormFault> {
    let Some(id) = id else {
        return Ok(());
    };
    if id.len() > rules.settings.topic_length {
        return Err(FormFault::TooLarge(
            "the id is too long (mercure.topic-length)",
        ));
    }
    if id.starts_with('#') || id == EARLIEST || !are_visible(id) {
        return Err(FormFault::Malformed(
            "an id neither begins with # nor is `earliest`, and has no control or invisible characters",
        ));
    }
    Ok(())
}

fn check_event(event: Option<&str>, rules: &Rules) -> Result<(), FormFault> {
    if event.is_some_and(|event| !are_visible(event)) {
        let reason = "a type has no control or invisible characters";
        return Err(FormFault::Malformed(reason));
    }
    if rules.speaks(MercureVersion::One) && event == Some(OWN_EVENT) {
        let reason = "the type `mercure` is that of the hub's own updates";
        return Err(FormFault::Malformed(reason));
    }
    Ok(())
}

fn parse_retry(retry: Option<&str>) -> Result<Option<u64>, FormFault> {
    let fault = FormFault::Malformed("retry is a number of milliseconds");
    match retry {
        None | Some("") => Ok(None),
        Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().map(Some).map_err(|_| fault)
        }
        Some(_) => Err(fault),
    }
}

/// A random id, which reveals nothing about other updates (RFC 9562, version 4).
#[must_use]
pub(super) fn fresh_id() -> String {
    let mut bytes = [0; 16];
    // The generator of the library is seeded by the system, and fails only where there is none.
    let _ = rand::fill(&mut bytes);
    let mut number = u128::from_be_bytes(bytes);
    number = (number & !(0xf << 76)) | (4 << 76);
    number = (number & !(0b11 << 62)) | (0b10 << 62);
    let text = format!("{number:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mercure;
    use MercureVersion::{Draft, One};

    fn read(form: &str, version: MercureVersion) -> Result<Publication, FormFault> {
        let settings = Mercure {
            topics: 3,
            ..Mercure::default()
        };
        let rules = Rules::new(settings).expect("rules");
        Publication::read(form.as_bytes(), version, &rules)
    }

    #[test]
    fn all_fields_of_a_form_are_read() {
        let form = "topic=a&topic=b&data=x%0Ay&private&id=1&type=t&retry=5&unknown=z";
        let publication = read(form, One).expect("a form");
        assert!(publication.own_id);
        let expected = Update {
            topics: vec!["a".to_owned(), "b".to_owned()],
            private: true,
            id: "1".to_owned(),
            event: Some("t".to_owned()),
            retry: Some(5),
            data: "x\ny".to_owned(),
        };
        assert_eq!(publication.update, expected);
        let least = read("topic=a&private=0", Draft).expect("a form");
        assert!(!least.own_id && least.update.private && least.update.data.is_empty());
        assert!(
            least.update.id.starts_with("urn:uuid:"),
            "{}",
            least.update.id
        );
    }

    #[test]
    fn what_is_malformed_reserved_or_too_large_is_told_apart() {
        let malformed = |form: &str, version| {
            let fault = read(form, version).expect_err(form);
            assert!(matches!(fault, FormFault::Malformed(_)), "{form}: {fault}");
        };
        for form in [
            "",
            "data=x",
            "topic=%ff",
            "topic=a%0Ab",
            "topic=a%E2%80%8B",
            "topic=a&retry=x",
            "topic=a&retry=-1",
            "topic=a&retry=99999999999999999999",
            "topic=a&id=%23x",
            "topic=a&id=a%0Ab",
            "topic=a&id=a%00",
            "topic=a&id=earliest",
            "topic=a&type=a%0D",
            "topic=a&type=mercure",
        ] {
            malformed(form, Draft);
            malformed(form, One);
        }
        for form in ["topic=*", "topic=/.well-known/%6Dercure/x"] {
            malformed(form, One);
        }
        assert!(read("topic=*", Draft).is_ok());
        for form in [
            "topic=/.well-known/mercure/x",
            "topic=x/.well-known/mercurey",
            "topic=a&topic=https://a/.well-known/%6Dercure",
        ] {
            assert_eq!(read(form, Draft), Err(FormFault::Reserved), "{form}");
        }
        let many = "topic=a&topic=b&topic=c&topic=d";
        malformed(many, Draft);
        assert!(matches!(read(many, One), Err(FormFault::TooLarge(_))));
        let long = format!("topic={}", "x".repeat(4097));
        assert!(matches!(read(&long, One), Err(FormFault::TooLarge(_))));
    }

    #[test]
    fn an_id_made_here_is_a_random_uuid() {
        let (one, other) = (fresh_id(), fresh_id());
        assert_ne!(one, other);
        assert_eq!((one.len(), one.get(23..24)), (45, Some("4")), "{one}");
        let variant = one.get(28..29).expect("a digit");
        assert!("89ab".contains(variant), "{one}");
    }
}

//! Filters of GRIP: skip a message for some subscribers, or insert values of the subscriber into it. Independent of the
//! delivery.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

/// A filter of a subscription or of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// Skips the sender of the message.
    SkipSelf,
    /// Skips the users that the message names.
    SkipUsers,
    /// Passes only on connections that have another channel too.
    RequireSub,
    /// `%I` in the content is the position of the connection.
    BuildId,
    /// `%(name)s` in the content is a value of the connection.
    VarSubst,
}

/// The names of all filters, as `Grip-Feature` lists them.
pub(super) const NAMES: [(&str, Filter); 5] = [
    ("skip-self", Filter::SkipSelf),
    ("skip-users", Filter::SkipUsers),
    ("require-sub", Filter::RequireSub),
    ("build-id", Filter::BuildId),
    ("var-subst", Filter::VarSubst),
];

/// The properties of a connection that filters use.
#[derive(Clone, Copy)]
pub(super) struct Subscriber<'a> {
    /// The connection's values (`Grip-Set-Meta`).
    pub(super) meta: &'a BTreeMap<String, String>,
    /// Last id of a channel, empty if it has none; `None` for a channel that the connection does not have.
    pub(super) channels: &'a dyn Fn(&str) -> Option<&'a str>,
}

impl Filter {
    /// Reads a name. An unknown filter is an error: leaving one out could show a message to somebody it is not for.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let mut known = NAMES.iter();
        known
            .find(|(known, _)| *known == name)
            .map(|(_, filter)| *filter)
            .ok_or_else(|| format!("the filter {name:?} is not known here"))
    }

    /// Reads a list of names.
    pub(super) fn parse_all(names: &[String]) -> Result<Vec<Self>, String> {
        names.iter().map(|name| Self::parse(name)).collect()
    }

    /// True if it changes contents; others decide about a whole message.
    pub(super) fn is_of_content(self) -> bool {
        matches!(self, Self::BuildId | Self::VarSubst)
    }

    /// True if a message with this meta is for this subscriber.
    pub(super) fn passes(
        self,
        item: &BTreeMap<String, String>,
        subscriber: Subscriber<'_>,
    ) -> bool {
        let user = subscriber.meta.get("user");
        match self {
            Self::SkipSelf => user.is_none() || item.get("sender") != user,
            Self::SkipUsers => {
                let skipped = item.get("skip_users").map_or("", String::as_str);
                user.is_none_or(|user| skipped.split(',').all(|one| one.trim() != user))
            }
            Self::RequireSub => {
                let wanted = item.get("require_sub");
                wanted.is_none_or(|name| (subscriber.channels)(name).is_some())
            }
            Self::BuildId | Self::VarSubst => true,
        }
    }

    /// The content for this subscriber; an error with the reason if it cannot be made.
    pub(super) fn apply(
        self,
        content: &Bytes,
        subscriber: Subscriber<'_>,
    ) -> Result<Bytes, String> {
        match self {
            Self::BuildId => {
                let id = build_id(subscriber)?;
                substitute(content, |sign, _| (sign == b'I').then(|| id.clone()))
            }
            Self::VarSubst => substitute(content, |_, name| {
                Some(subscriber.meta.get(name?).cloned().unwrap_or_default())
            }),
            Self::SkipSelf | Self::SkipUsers | Self::RequireSub => Ok(content.clone()),
        }
    }
}

/// The position of a connection in the form that the app has chosen (`id_format`).
fn build_id(subscriber: Subscriber<'_>) -> Result<String, String> {
    let format = subscriber.meta.get("id_format");
    let format = format.ok_or("the filter build-id needs the meta id_format")?;
    let id = substitute(&Bytes::from(format.clone()), |_, channel| {
        let last = (subscriber.channels)(channel?)?;
        Some(last.to_owned())
    })?;
    let id = String::from_utf8_lossy(&id).into_owned();
    if subscriber.meta.get("id_encoding").map(String::as_str) != Some("hex") {
        return Ok(id);
    }
    Ok(id.bytes().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// Replaces `%x` and `%(name)s` by the value of that name; `%%` is a percent sign.
fn substitute(
    content: &Bytes,
    value: impl Fn(u8, Option<&str>) -> Option<String>,
) -> Result<Bytes, String> {
    if !content.contains(&b'%') {
        return Ok(content.clone());
    }
    let mut made = BytesMut::with_capacity(content.len() + 32);
    let mut rest: &[u8] = content;
    while let Some(place) = rest.iter().position(|byte| *byte == b'%') {
        let (before, found) = rest.split_at(place);
        made.extend_from_slice(before);
        let (length, text) = match found.get(1) {
            Some(b'%') => (2, Some("%".to_owned())),
            Some(b'(') => {
                let end = found.windows(2).position(|pair| pair == b")s");
                let end = end.ok_or("the content has %( without )s")?;
                let name = std::str::from_utf8(found.get(2..end).unwrap_or_default());
                (end + 2, name.ok().and_then(|name| value(b's', Some(name))))
            }
            Some(sign) => (2, value(*sign, None)),
            None => (1, None),
        };
        let text =
            text.ok_or("the content has a % that stands for nothing; write %% for the sign")?;
        made.extend_from_slice(text.as_bytes());
        rest = found.get(length..).unwrap_or_default();
    }
    made.extend_from_slice(rest);
    Ok(made.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_message_is_left_out_for_whom_it_is_not() {
        let own = meta(&[("user", "ann")]);
        let subscriber = Subscriber {
            meta: &own,
            channels: &|name| (name == "room").then_some(""),
        };
        for (filter, item, passes) in [
            (Filter::SkipSelf, ("sender", "ann"), false),
            (Filter::SkipSelf, ("sender", "bob"), true),
            (Filter::SkipUsers, ("skip_users", "bob,ann"), false),
            (Filter::SkipUsers, ("skip_users", "bob,anna"), true),
            (Filter::RequireSub, ("require_sub", "room"), true),
            (Filter::RequireSub, ("require_sub", "hall"), false),
            (Filter::RequireSub, ("other", "hall"), true),
        ] {
            assert_eq!(
                filter.passes(&meta(&[item]), subscriber),
                passes,
                "{filter:?} {item:?}"
            );
        }
        assert!(Filter::parse("skip-user").is_err());
    }

    #[test]
    fn an_id_is_built_of_the_last_ids_of_all_channels() {
        let own = meta(&[
            ("id_format", "a%%b:%(events-a)s,c:%(events-c)s"),
            ("x", "1"),
        ]);
        let subscriber = Subscriber {
            meta: &own,
            channels: &|name| match name {
                "events-a" => Some("12"),
                "events-c" => Some(""),
                _ => None,
            },
        };
        let apply = |filter: Filter, text: &'static str| {
            filter.apply(&Bytes::from_static(text.as_bytes()), subscriber)
        };
        let made = apply(Filter::BuildId, "id: %I\ndata: 100%%\n\n").expect("a content");
        assert_eq!(made, "id: a%b:12,c:\ndata: 100%\n\n");
        let made = apply(Filter::VarSubst, "%(x)s%(y)s%%").expect("a content");
        assert_eq!(made, "1%");
        for text in ["%", "%J", "%(x", "%()s"] {
            assert!(apply(Filter::BuildId, text).is_err(), "{text}");
        }
    }
}

//! A text with places that a message fills: `nova.{tenant}`, `{/payload/instance_id}`. Knows no message.
//!
//! A place is a JSON pointer (RFC 6901), or a name that the source's format gives a meaning.

use std::fmt;

/// A text with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// Templates of which the first that a message can fill counts. An empty list is a key that the file does not have.
pub type Templates = Vec<Template>;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Literal text.
    Text(String),
    /// The value at this JSON pointer of the message.
    Pointer(String),
    /// The value that the format calls by this name.
    Name(&'static str),
}

impl Template {
    /// Reads a template; `names` are those of the format. The error text says what is wrong.
    pub(super) fn parse(text: &str, names: &[&'static str]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((place, behind)) = after.split_once('}') else {
                return Err(format!("{text:?} has a {{ without its }}; close it"));
            };
            push_text(&mut parts, text, before)?;
            parts.push(parse_reference(place, names)?);
            rest = behind;
        }
        push_text(&mut parts, text, rest)?;
        if parts.is_empty() {
            return Err("is empty; write a text, such as \"{/event_type}\"".to_owned());
        }
        Ok(Self(parts))
    }

    /// A template that is one pointer.
    pub(super) fn pointer(pointer: &str) -> Self {
        Self(vec![Part::Pointer(pointer.to_owned())])
    }

    /// A template that is one name of the format.
    pub(super) fn name(name: &'static str) -> Self {
        Self(vec![Part::Name(name)])
    }

    /// The pieces, in their order. There is one at least.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Fills all places with the same value.
    pub(super) fn filled_with(&self, text: &str) -> String {
        let filled = self.0.iter().map(|part| match part {
            Part::Text(own) => own.as_str(),
            Part::Pointer(_) | Part::Name(_) => text,
        });
        filled.collect()
    }

    pub(super) fn has_pointers(&self) -> bool {
        let mut parts = self.0.iter();
        parts.any(|part| matches!(part, Part::Pointer(_)))
    }
}

/// Writes the template as it was written in the file.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Pointer(place) => write!(f, "{{{place}}}"),
            Part::Name(place) => write!(f, "{{{place}}}"),
        })
    }
}

fn push_text(parts: &mut Vec<Part>, whole: &str, text: &str) -> Result<(), String> {
    if text.contains('}') {
        return Err(format!("{whole:?} has a }} without its {{; open it"));
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
    Ok(())
}

fn parse_reference(reference: &str, names: &[&'static str]) -> Result<Part, String> {
    if let Some(name) = names.iter().find(|name| **name == reference) {
        return Ok(Part::Name(name));
    }
    let mut tildes = reference.split('~').skip(1);
    if !reference.starts_with('/') || !tildes.all(|rest| rest.starts_with(['0', '1'])) {
        let known: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
        return Err(format!(
            "\"{{{reference}}}\" is no place in a message of this format; write a JSON pointer such as \
             \"{{/payload/id}}\", or {}",
            known.join(" or ")
        ));
    }
    Ok(Part::Pointer(reference.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_read_as_it_is_written() {
        for text in ["nova.{tenant}", "{/a/b~1c}", "a{/x}b{tenant}", "plain"] {
            let template = Template::parse(text, &["tenant"]).expect(text);
            assert_eq!(template.to_string(), text);
        }
    }

    #[test]
    fn a_template_that_cannot_be_filled_is_refused() {
        for (text, reason) in [
            ("", "is empty"),
            ("a{b", "without its }"),
            ("a}b", "without its {"),
            ("{}", "no place"),
            ("{user}", "or {tenant}"),
            ("{a/b}", "no place"),
            ("{/a~2}", "no place"),
        ] {
            let said = Template::parse(text, &["tenant"]).expect_err(text);
            assert!(said.contains(reason), "{text}: {said}");
        }
    }
}

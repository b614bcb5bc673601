//! A message of a source, and the source's templates, which give the name of a channel and a draft. Must not know
//! connections. No error text quotes from a message.

use serde_json::Value;

use crate::config::{ChannelName, ChannelPattern, Mapping, Part, Template, Templates};
use crate::hub::{Data, Draft};

/// Size limit of a body, before and after decompression. `hub.message-size` does not apply here, because templates
/// may publish only a small part of a large body.
pub(super) const LARGEST_BODY: usize = 16 << 20;

/// Reasons why a message is not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("its body is compressed, and {0}")]
    Compressed(&'static str),
    #[error("its body is larger than {LARGEST_BODY} bytes")]
    TooLarge,
    #[error("its body is not JSON")]
    NotJson,
    #[error("it is not a notification of oslo.messaging")]
    NotOslo,
    #[error("it is not a notification of Nasqueron: an object with service and project")]
    NotNasqueron,
    #[error("it has no {0}, which a template needs")]
    Missing(String),
    #[error("what it has at {0} is no text, number or truth value")]
    NotText(String),
    #[error(
        "what it has at {0} is not one word of letters, digits, - and _, as in the name of a channel"
    )]
    NotAWord(String),
    #[error("its channel would be outside of the one its source is under")]
    Outside,
}

/// A parsed message.
#[derive(Debug)]
pub(super) struct Content {
    body: Data,
    tree: Value,
    places: Vec<(&'static str, Option<String>)>,
}

impl Content {
    /// A JSON value, published as it is written.
    pub(super) fn json(text: &str) -> Result<Self, Unfit> {
        Ok(Self {
            body: Data::json(text).map_err(|_| Unfit::NotJson)?,
            tree: serde_json::from_str(text).map_err(|_| Unfit::NotJson)?,
            places: Vec::new(),
        })
    }

    /// A JSON value that was changed.
    pub(super) fn tree(tree: Value) -> Self {
        Self {
            body: Data::value(&tree),
            tree,
            places: Vec::new(),
        }
    }

    /// Text or bytes, which JSON pointers do not apply to.
    pub(super) fn plain(body: Data) -> Self {
        Self {
            body,
            tree: Value::Null,
            places: Vec::new(),
        }
    }

    /// Adds a value for a name of the format.
    pub(super) fn with(mut self, name: &'static str, value: Option<String>) -> Self {
        self.places.push((name, value));
        self
    }

    /// Applies all templates of a source under this channel.
    pub(super) fn fill(
        &self,
        home: &ChannelPattern,
        mapping: &Mapping,
    ) -> Result<(ChannelName, Draft), Unfit> {
        let channel = if mapping.channel.is_empty() {
            home.name().ok_or(Unfit::Outside)?
        } else {
            self.channel(&mapping.channel)?
        };
        if !home.fits(&channel) {
            return Err(Unfit::Outside);
        }
        Ok((channel, self.draft(mapping)?))
    }

    /// Returns the text of the first template whose values are all present and whose result is not empty.
    pub(super) fn label(&self, templates: &Templates) -> Option<String> {
        let mut texts = templates.iter().filter_map(|one| self.text(one).ok());
        texts.find(|text| !text.is_empty())
    }

    /// Applies the channel templates: the first that can be filled gives the name; each placeholder must give at
    /// most one word. A value that is present but not such a word is refused, and no later template is tried.
    fn channel(&self, templates: &Templates) -> Result<ChannelName, Unfit> {
        first(templates, |template| self.channel_of(template))
    }

    fn channel_of(&self, template: &Template) -> Result<ChannelName, Unfit> {
        let mut name = String::new();
        for part in template.parts() {
            let text = self.text_at(part)?;
            let is_word = |text: &str| {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                !text.is_empty() && text.bytes().all(fits)
            };
            match part {
                Part::Text(_) => {}
                Part::Pointer(_) | Part::Name(_) if is_word(&text) => {}
                Part::Pointer(place) => return Err(Unfit::NotAWord(place.clone())),
                Part::Name(place) => return Err(Unfit::NotAWord((*place).to_owned())),
            }
            name.push_str(&text);
        }
        ChannelName::parse(&name).map_err(|_| Unfit::Outside)
    }

    /// Applies the data, event and key templates. A message without the values for its event or its key is published
    /// without them.
    fn draft(&self, mapping: &Mapping) -> Result<Draft, Unfit> {
        Ok(Draft {
            event: self.label(&mapping.event).map(Into::into),
            key: self.label(&mapping.key).map(Into::into),
            id: None,
            data: if mapping.data.is_empty() {
                self.body.clone()
            } else {
                first(&mapping.data, |template| self.data(template))?
            },
        })
    }

    /// The text or number at a JSON pointer.
    pub(super) fn text_of(&self, pointer: &str) -> Option<String> {
        match self.tree.pointer(pointer)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn text(&self, template: &Template) -> Result<String, Unfit> {
        let parts = template.parts().iter();
        parts.map(|part| self.text_at(part)).collect()
    }

    /// Applies a data template: a single pointer gives the JSON value it points to, any other template gives text.
    fn data(&self, template: &Template) -> Result<Data, Unfit> {
        let [Part::Pointer(pointer)] = template.parts() else {
            return self.text(template).map(Data::text);
        };
        Ok(match self.at(pointer)? {
            Value::String(text) => Data::text(text.clone()),
            value => Data::value(value),
        })
    }

    fn at(&self, pointer: &str) -> Result<&Value, Unfit> {
        let found = self.tree.pointer(pointer);
        found.ok_or_else(|| Unfit::Missing(pointer.to_owned()))
    }

    fn text_at(&self, part: &Part) -> Result<String, Unfit> {
        match part {
            Part::Text(text) => Ok(text.clone()),
            Part::Name(name) => {
                let place = self.places.iter().find(|(own, _)| own == name);
                let value = place.and_then(|(_, value)| value.clone());
                value.ok_or_else(|| Unfit::Missing((*name).to_owned()))
            }
            Part::Pointer(pointer) => match self.at(pointer)? {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                Value::Bool(flag) => Ok(flag.to_string()),
                Value::Null => Err(Unfit::Missing(pointer.clone())),
                Value::Array(_) | Value::Object(_) => Err(Unfit::NotText(pointer.clone())),
            },
        }
    }
}

/// Returns the result of the first template whose values are all present, or the first error.
fn first<T>(
    templates: &Templates,
    fill: impl Fn(&Template) -> Result<T, Unfit>,
) -> Result<T, Unfit> {
    let mut reason = None;
    for template in templates {
        match fill(template) {
            Err(missing @ Unfit::Missing(_)) => drop(reason.get_or_insert(missing)),
            other => return other,
        }
    }
    // Callers handle a key that the configuration does not have.
    Err(reason.unwrap_or(Unfit::Outside))
}

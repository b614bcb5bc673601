//! `[headers]`: the headers of every response, and those of the responses that are the door's own.

use http::header::{STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};

use super::header_fields::Side;
use super::header_rules::HeaderRules;
use super::reader::Table;

/// `[headers]`: rules for every response. Each key with the name of a header is its default value; an empty string
/// leaves that header out.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityHeaders {
    /// `strict-transport-security` (RFC 6797). Default `max-age=31536000`, one year.
    pub strict_transport_security: String,
    /// `x-frame-options` (RFC 7034). Default `DENY`.
    pub x_frame_options: String,
    /// `x-content-type-options`. Default `nosniff`.
    pub x_content_type_options: String,
    /// `remove`, `set`, `add` and `default`: rules for every response. Default none.
    pub rules: HeaderRules,
    /// `[headers.own]`: rules for responses that no app and no `[[files]]` answers for: pages, channels, consoles,
    /// errors before a route. Default none.
    pub own: HeaderRules,
}

impl Default for SecurityHeaders {
    fn default() -> Self {
        Self {
            strict_transport_security: "max-age=31536000".to_owned(),
            x_frame_options: "DENY".to_owned(),
            x_content_type_options: "nosniff".to_owned(),
            rules: HeaderRules::default(),
            own: HeaderRules::default(),
        }
    }
}

impl SecurityHeaders {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            strict_transport_security: table.text(
                "strict-transport-security",
                default.strict_transport_security,
                header_value,
            ),
            x_frame_options: table.text("x-frame-options", default.x_frame_options, header_value),
            x_content_type_options: table.text(
                "x-content-type-options",
                default.x_content_type_options,
                header_value,
            ),
            rules: HeaderRules::read(table, Side::Response),
            own: HeaderRules::read_table(table, "own", Side::Response),
        }
    }

    /// All rules for every response. The keys of single headers give way to the others.
    #[must_use]
    pub fn general(&self) -> HeaderRules {
        let keys = [
            (STRICT_TRANSPORT_SECURITY, &self.strict_transport_security),
            (X_FRAME_OPTIONS, &self.x_frame_options),
            (X_CONTENT_TYPE_OPTIONS, &self.x_content_type_options),
        ];
        let fields = keys.into_iter();
        let keys = HeaderRules {
            default: fields
                .filter_map(|(name, value)| HeaderRules::defaulting(name, value))
                .collect(),
            ..HeaderRules::default()
        };
        self.rules.combined_with(&keys)
    }
}

/// Visible ASCII with single spaces inside, or nothing. RFC 9110 allows more, but no value of these
/// headers needs it, and a line break here would let the file write a second header.
pub(super) fn header_value(text: &str) -> Result<String, String> {
    let visible = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if visible && text.trim() == text {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} cannot stand in a header; write visible ASCII without spaces around it, or \"\" to \
             leave the header out"
        ))
    }
}

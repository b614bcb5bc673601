//! `[headers]`: response headers added to every answer the app did not set them on. Knows only
//! which bytes a header value may hold (RFC 9110, section 5.5), not what the headers mean.

use super::reader::Table;

/// `[headers]`: each is the value of the header of its name; an empty string leaves that header
/// out.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityHeaders {
    /// `strict-transport-security` (RFC 6797). Default `max-age=31536000`, one year.
    pub strict_transport_security: String,
    /// `x-frame-options` (RFC 7034). Default `DENY`.
    pub x_frame_options: String,
    /// `x-content-type-options`. Default `nosniff`.
    pub x_content_type_options: String,
}

impl Default for SecurityHeaders {
    fn default() -> Self {
        Self {
            strict_transport_security: "max-age=31536000".to_owned(),
            x_frame_options: "DENY".to_owned(),
            x_content_type_options: "nosniff".to_owned(),
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
        }
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
            "{text:?} cannot stand in a header; write visible ASCII without spaces around it, or \"\" to leave the header out"
        ))
    }
}

//! Files that an app names instead of sending them: `X-Accel-Redirect: PATH/x` or `X-Sendfile: DIRECTORY/x`.
//!
//! The worker is free as soon as it has responded. The app decides who may have the file, and with which headers; the
//! configuration decides which directories the app may name.

use std::path::{Component, Path};

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    LAST_MODIFIED, TRANSFER_ENCODING,
};
use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::config;
use crate::files::{Directory, Named};
use crate::http::{Body, PathFault, Refusal, RequestPath};
use crate::text::percent::encoded_byte;

const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");
const X_SENDFILE: HeaderName = HeaderName::from_static("x-sendfile");

/// The directories of one app.
#[derive(Debug)]
pub(super) struct Offloads(Vec<(config::Offload, Directory)>);

/// Properties of a request that are needed when its response arrives.
pub(super) struct OffloadRequest {
    method: Method,
    headers: HeaderMap,
}

impl Offloads {
    pub(super) fn new(app: &config::App) -> Self {
        let offloads = app.offload.iter();
        Self(
            offloads
                .map(|offload| (offload.clone(), Directory::offloaded(offload)))
                .collect(),
        )
    }

    /// Stores the properties of a request; `None` if the app has no such directory.
    pub(super) fn remember<B>(&self, request: &Request<B>) -> Option<OffloadRequest> {
        if self.0.is_empty() {
            return None;
        }
        Some(OffloadRequest {
            // The app has handled the request and named a file.
            method: match *request.method() {
                Method::HEAD => Method::HEAD,
                _ => Method::GET,
            },
            headers: request.headers().clone(),
        })
    }

    /// Returns the response to send: the app's own, or the file it names.
    ///
    /// # Errors
    /// 404 if the file does not exist, 502 if it is in no directory that the app may name.
    pub(super) async fn resolve(
        &self,
        asked: OffloadRequest,
        mut answer: Response<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let headers = answer.headers_mut();
        let redirect = headers.remove(X_ACCEL_REDIRECT);
        let sendfile = headers.remove(X_SENDFILE);
        if !answer.status().is_success() {
            return Ok(answer);
        }
        let found = if let Some(value) = &redirect {
            self.by_path(value.as_bytes())?
        } else if let Some(value) = &sendfile {
            self.by_file(value.as_bytes())
        } else {
            return Ok(answer);
        };
        let Some((directory, path)) = found else {
            return Err(Refusal::new(
                StatusCode::BAD_GATEWAY,
                "the application named a file that it may not send",
            )
            .because(&"the file is below no [[app.offload]] of the app"));
        };
        let (head, _) = answer.into_parts();
        let file = Named {
            path: &path,
            query: None,
        };
        let file = directory.serve(&asked.method, file, &asked.headers).await?;
        Ok(joined(head.headers, file))
    }

    /// The directory, and the path in it; `None` if the app may not name it. A path with `..` leads to no file.
    fn by_path(&self, value: &[u8]) -> Result<Option<(&Directory, String)>, Refusal> {
        let Some(text) = std::str::from_utf8(value).ok() else {
            return Ok(None);
        };
        let text = text.split('?').next().unwrap_or_default();
        let path = match RequestPath::parse(&quoted(text)) {
            Ok(path) if path.check_slashes().is_ok() => path,
            Err(PathFault::Relative) => return Ok(None),
            Ok(_) | Err(_) => return Err(Refusal::not_found("there is no such file")),
        };
        let path = path.with_parameters();
        let found = self.0.iter().find(|(at, _)| at.path.matches(path));
        Ok(found.map(|(_, directory)| (directory, path.to_owned())))
    }

    fn by_file(&self, value: &[u8]) -> Option<(&Directory, String)> {
        let file = Path::new(std::str::from_utf8(value).ok()?);
        // Such a name would be inside by its letters, and outside by its meaning.
        if file
            .components()
            .any(|part| matches!(part, Component::ParentDir))
        {
            return None;
        }
        self.0.iter().find_map(|(at, directory)| {
            let rest = file.strip_prefix(&at.directory).ok()?;
            let prefix = at.path.decoded().trim_end_matches('/');
            let path = format!("{prefix}/{}", rest.to_str()?);
            Some((directory, path))
        })
    }
}

/// The file's response with the headers of the app, except those that describe the bytes.
fn joined(mut headers: HeaderMap, file: Response<Body>) -> Response<Body> {
    let (mut head, body) = file.into_parts();
    for name in [
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
        CONTENT_RANGE,
        CONTENT_ENCODING,
        ACCEPT_RANGES,
        ETAG,
        LAST_MODIFIED,
    ] {
        headers.remove(&name);
    }
    if headers.contains_key(CONTENT_TYPE) {
        head.headers.remove(CONTENT_TYPE);
    }
    headers.extend(head.headers);
    head.headers = headers;
    Response::from_parts(head, body)
}

/// Percent-encodes a path that the app may have encoded in part: valid escapes stay, and bytes that no URL can contain
/// are encoded. A percent sign without two digits behind it is literal.
fn quoted(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut text = String::with_capacity(path.len());
    for (at, byte) in bytes.iter().enumerate() {
        let digits = bytes.get(at + 1..at + 3);
        let is_quoted =
            *byte == b'%' && digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        if is_quoted || byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(encoded_byte(*byte));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offloads() -> Offloads {
        let app = config::App {
            offload: vec![config::Offload {
                path: config::PathPrefix::parse("/protected").expect("a prefix"),
                directory: "/srv/files".into(),
            }],
            ..config::App::default()
        };
        Offloads::new(&app)
    }

    #[test]
    fn only_what_is_below_a_directory_by_its_letters_is_looked_for() {
        let offloads = offloads();
        for (value, path) in [
            ("/protected/a%20b?x=1", Some("/protected/a b")),
            ("/protected/a b", Some("/protected/a b")),
            ("//prot%65cted//a;b", Some("/protected/a;b")),
            ("/protected/%2e%2e/a", None),
            ("/protected/a%2Fb", None),
            ("/protected", Some("/protected")),
            (
                "/protected/bill of fare.txt",
                Some("/protected/bill of fare.txt"),
            ),
            ("/protected/100%", Some("/protected/100%")),
            ("/protected/a#b\u{e9}", Some("/protected/a#b\u{e9}")),
            ("/protectedx/a", None),
            ("/srv/files/a", None),
            ("protected/a", None),
        ] {
            let found = offloads.by_path(value.as_bytes()).ok().flatten();
            let found = found.map(|(_, path)| path);
            assert_eq!(found.as_deref(), path, "{value}");
        }
        for (value, path) in [
            ("/srv/files/a b/\u{e9}", Some("/protected/a b/\u{e9}")),
            ("/srv/files/../secret", None),
            ("/srv/filesx/a", None),
            ("files/a", None),
            ("/protected/a", None),
        ] {
            let found = offloads.by_file(value.as_bytes()).map(|(_, path)| path);
            assert_eq!(found.as_deref(), path, "{value}");
        }
    }
}

//! Web pages that show open and recorded consoles, with noVNC and xterm.js.
//!
//! The pages are part of the program. noVNC (MPL-2.0) and xterm.js (MIT) are not: they are served from the directories
//! in the configuration, or from those of the package. Does not check permissions.

use std::path::Path;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, Method, Response};
use serde_json::{Value, json};

use crate::config::{Consoles, PathPrefix};
use crate::files::{Directory, Named};
use crate::http::{Body, Refusal, full};

/// Content security policy. A VNC server's picture is a `data:` address, and a WebSocket of the same host is `'self'`.
/// Nothing is loaded from elsewhere, and pages have no inline script or style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src \
                      'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// A file of the pages: name, type, content.
type File = (&'static str, &'static str, &'static str);

/// Files that all pages have in common.
const COMMON: [File; 2] = [
    ("style.css", STYLE, include_str!("page/style.css")),
    ("screens.js", SCRIPT, include_str!("page/screens.js")),
];

/// The pages of open consoles.
const CONSOLES: [File; 4] = [
    ("", HTML, include_str!("page/list.html")),
    ("list.js", SCRIPT, include_str!("page/list.js")),
    ("view", HTML, include_str!("page/view.html")),
    ("view.js", SCRIPT, include_str!("page/view.js")),
];

/// The pages of recordings.
const RECORDINGS: [File; 6] = [
    ("", HTML, include_str!("page/recordings.html")),
    ("recordings.js", SCRIPT, include_str!("page/recordings.js")),
    ("play", HTML, include_str!("page/play.html")),
    ("play.js", SCRIPT, include_str!("page/play.js")),
    ("recording.js", SCRIPT, include_str!("page/recording.js")),
    ("times.js", SCRIPT, include_str!("page/times.js")),
];

/// The subject of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Open consoles.
    Consoles,
    /// Recorded consoles.
    Recordings,
}

/// The pages at one path.
#[derive(Debug)]
pub(crate) struct Viewers {
    subject: Subject,
    novnc: Option<Directory>,
    xterm: Option<Directory>,
}

impl Viewers {
    /// Creates the pages of a subject at a path, which ends without a slash.
    #[must_use]
    pub(crate) fn new(subject: Subject, settings: &Consoles, path: &str) -> Self {
        let library = |name: &str, directory: Option<_>| {
            let prefix = PathPrefix::parse(&format!("{path}/{name}")).ok()?;
            Some(Directory::library(prefix, directory?))
        };
        Self {
            subject,
            novnc: library("novnc", settings.novnc()),
            xterm: library("xterm", settings.xterm()),
        }
    }

    /// Serves a file of the pages or of a library. `name` is the path below the pages, `path` is the whole path.
    ///
    /// # Errors
    /// 404 if there is none of this name, and 405.
    pub(crate) async fn serve(
        &self,
        method: &Method,
        name: &str,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Refusal> {
        let own: &[File] = match self.subject {
            Subject::Consoles => &CONSOLES,
            Subject::Recordings => &RECORDINGS,
        };
        if let Some(file) = own.iter().chain(&COMMON).find(|(known, ..)| *known == name) {
            return Ok(page(file));
        }
        let library = match name.split_once('/') {
            Some(("novnc", rest)) if is_of_novnc(rest) => self.novnc.as_ref(),
            Some(("xterm", rest)) if is_of_xterm(rest) => self.xterm.as_ref(),
            _ => return Err(missing()),
        };
        let library = library.ok_or_else(missing)?;
        let file = Named { path, query: None };
        library.serve(method, file, headers).await
    }

    /// The available libraries, for the pages, which show the missing ones.
    #[must_use]
    pub(crate) fn libraries(&self) -> Value {
        json!({ "novnc": self.novnc.is_some(), "xterm": self.xterm.is_some() })
    }
}

/// Messages about missing libraries, with the remedy.
#[must_use]
pub(crate) fn lacking(settings: &Consoles) -> Vec<String> {
    let lacks = |directory: Option<&Path>, file: &str| {
        directory.is_none_or(|directory| !directory.join(file).is_file())
    };
    let mut found = Vec::new();
    if lacks(settings.novnc().as_deref(), "core/rfb.js") {
        found.push(
            "graphical consoles cannot be shown, because there is no noVNC; install the package novnc, or name a \
             directory with core/rfb.js as bridge.consoles.novnc"
                .to_owned(),
        );
    }
    if lacks(settings.xterm().as_deref(), "xterm/lib/xterm.mjs") {
        found.push(
            "serial consoles cannot be shown, because there is no xterm.js; name a directory of npm's @xterm, with \
             xterm/lib/xterm.mjs, as bridge.consoles.xterm, or give --viewers"
                .to_owned(),
        );
    }
    found
}

/// True for a module or a licence of noVNC; its own pages are not served.
fn is_of_novnc(rest: &str) -> bool {
    rest.starts_with("core/")
        || rest.starts_with("vendor/")
        || matches!(rest, "LICENSE.txt" | "AUTHORS")
}

/// True for a module, a style or a licence of xterm.js.
fn is_of_xterm(rest: &str) -> bool {
    let kinds = ["xterm/lib/", "xterm/css/", "addon-fit/lib/"];
    kinds.iter().any(|kind| rest.starts_with(kind))
        || matches!(rest, "xterm/LICENSE" | "addon-fit/LICENSE")
}

fn page(&(_, kind, content): &File) -> Response<Body> {
    let mut response = Response::new(full(content));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn missing() -> Refusal {
    Refusal::not_found("there is no such file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_modules_styles_and_licences_of_the_libraries_are_served() {
        for rest in [
            "core/rfb.js",
            "vendor/pako/lib/zlib/inflate.js",
            "LICENSE.txt",
        ] {
            assert!(is_of_novnc(rest), "{rest}");
        }
        for rest in [
            "vnc.html",
            "utils/novnc_proxy",
            "app/ui.js",
            "package.json",
            "",
        ] {
            assert!(!is_of_novnc(rest), "{rest}");
        }
        for rest in [
            "xterm/lib/xterm.mjs",
            "xterm/css/xterm.css",
            "addon-fit/lib/addon-fit.mjs",
        ] {
            assert!(is_of_xterm(rest), "{rest}");
        }
        for rest in [
            "xterm/src/x.ts",
            "addon-fit/package.json",
            "other/lib/x.mjs",
        ] {
            assert!(!is_of_xterm(rest), "{rest}");
        }
    }

    #[test]
    fn no_page_has_a_script_or_a_style_in_it_or_takes_one_from_elsewhere() {
        let pages = CONSOLES
            .iter()
            .chain(&RECORDINGS)
            .filter(|(_, kind, _)| *kind == HTML);
        let mut seen = 0;
        for (name, _, content) in pages {
            seen += 1;
            for line in content.lines() {
                let has_source = line.contains(" src=\"");
                assert!(!line.contains("<script") || has_source, "{name}: {line}");
                for inline in [
                    "<style", "style=\"", "onclick", "onload", "http://", "https://", "//cdn",
                ] {
                    assert!(!line.contains(inline), "{name}: {line}");
                }
            }
        }
        assert_eq!(seen, 4);
    }
}

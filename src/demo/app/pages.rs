//! The files of the demo's pages, part of the binary.

use super::response::Response;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The page for logged-in users. It is not an asset: without a login it is a redirect.
pub(super) fn index() -> Response {
    page(HTML, include_str!("../page/index.html"))
}

/// A file that needs no login.
pub(super) fn asset(path: &str) -> Option<Response> {
    Some(match path {
        "/login.html" => page(HTML, include_str!("../page/login.html")),
        "/style.css" => page(CSS, include_str!("../page/style.css")),
        "/app.js" => page(SCRIPT, include_str!("../page/app.js")),
        "/feed.js" => page(SCRIPT, include_str!("../page/feed.js")),
        "/guests.js" => page(SCRIPT, include_str!("../page/guests.js")),
        "/kitchen.js" => page(SCRIPT, include_str!("../page/kitchen.js")),
        "/live.js" => page(SCRIPT, include_str!("../page/live.js")),
        "/room.js" => page(SCRIPT, include_str!("../page/room.js")),
        "/login.js" => page(SCRIPT, include_str!("../page/login.js")),
        "/terminal.js" => page(SCRIPT, include_str!("../page/terminal.js")),
        "/icon.svg" => page("image/svg+xml", include_str!("../page/icon.svg")),
        _ => return None,
    })
}

fn page(content_type: &'static str, text: &'static str) -> Response {
    // The next build of the binary may bring other files under the same names.
    Response::new(200, content_type, text).with("Cache-Control", "no-cache")
}

//! Commands for shared consoles: closing one, and handing over its keyboard. Does not know their viewers.

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;
use tracing::info;

use crate::admin::View;
use crate::admin::responses::{not_allowed, object, refused};
use crate::http::{Body, Refusal, refuse};

/// Closes the shared console with this number for all its viewers.
pub(super) fn close_console(view: &View, number: u64) -> Option<String> {
    let target = view.consoles.close(number)?;
    info!(
        console = number,
        target, "an administrator closes a shared console"
    );
    Some(format!("c{number} to {target}"))
}

/// Hands the keyboard of a shared console over to the viewer of a tunnel, `t7`.
pub(super) fn keyboard(
    view: &View,
    query: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    if request.method() != Method::POST {
        return refused(request, not_allowed("POST"), &view.shutdown);
    }
    refuse(request.into_body(), &view.shutdown);
    let number = query
        .strip_prefix('t')
        .and_then(|number| number.parse().ok());
    let number: u64 = number.ok_or_else(|| {
        let reason =
            "say who is to type: t7, a tunnel to a shared console; the numbers are in /status";
        Refusal::new(StatusCode::BAD_REQUEST, reason)
    })?;
    match view.consoles.hand_over(number) {
        Some(true) => {
            info!(
                tunnel = number,
                "an administrator hands the keyboard of a shared console over"
            );
            let done = format!("t{number} types now");
            Ok(object(StatusCode::OK, &json!({ "done": done })))
        }
        Some(false) => Err(Refusal::new(
            StatusCode::CONFLICT,
            format!(
                "t{number} may only view, or its console has no keyboard to hand over (typing = \"all\" or \"none\")"
            ),
        )),
        None => Err(Refusal::not_found(format!(
            "t{number} is not a tunnel to a shared console"
        ))),
    }
}

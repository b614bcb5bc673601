//! Addresses of the apps: their part of the status and of the metrics, and the command that drains one.

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::admin::View;
use crate::admin::responses::{not_allowed, object, refused};
use crate::http::{Body, Refusal, parameter, refuse};
use crate::telemetry::{AddressLabel, AddressState, Addresses};
use crate::upstream::AddressStatus;

/// Sets the metrics of one address.
pub(super) fn observe(metrics: &Addresses, app: &str, status: &AddressStatus) {
    let label = AddressLabel {
        app: app.to_owned(),
        address: status.url.to_string(),
    };
    let state = AddressState {
        is_open: status.is_open,
        is_drained: status.is_drained,
        busy: status.busy,
        tunnels: status.tunnels,
        failures: status.failures,
    };
    metrics.set(&label, state);
}

/// Drains an address of an app, or ends the drain; returns the address and a message.
fn drain_address(
    view: &View,
    app: &str,
    address: &str,
    drains: bool,
) -> Result<(String, String), Refusal> {
    let apps = view.apps.now();
    let Some(found) = apps.iter().find(|one| one.settings().name == app) else {
        let known: Vec<&str> = apps
            .iter()
            .map(|one| one.settings().name.as_str())
            .collect();
        let known = if known.is_empty() {
            "the configuration has no [[app]]".to_owned()
        } else {
            format!("there is {}", known.join(", "))
        };
        return Err(Refusal::not_found(format!(
            "there is no app {app}; {known}"
        )));
    };
    let drained = found.drain(address, drains);
    drained.map_err(|error| Refusal::new(StatusCode::CONFLICT, error.to_string()))
}

/// Responds to `POST /drain/APP?address=ADDRESS`; with `&undo` it ends the drain.
pub(super) fn drain(
    view: &View,
    app: &str,
    request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    if request.method() != Method::POST {
        return refused(request, not_allowed("POST"), &view.shutdown);
    }
    let (parts, body) = request.into_parts();
    refuse(body, &view.shutdown);
    let query = parts.uri.query();
    let address = parameter(query, "address")?;
    let address =
        address.ok_or_else(|| Refusal::bad_request("name the address: ?address=ADDRESS"))?;
    let drains = parameter(query, "undo")?.is_none();
    let (address, done) = drain_address(view, app, &address, drains)?;
    let done = json!({ "address": address, "done": done });
    Ok(object(StatusCode::OK, &done))
}

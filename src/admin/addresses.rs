//! Addresses of the apps: their part of the status and of the metrics, and the command that drains one.

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::admin::View;
use crate::admin::responses::{not_allowed, object, refused};
use crate::http::{Body, Refusal, parameter, refuse};
use crate::telemetry::{AddressLabel, AddressState, Addresses};
use crate::upstream::{AddressStatus, DrainError};

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

/// The refusal of an order, with the status that tells a mistake from a conflict.
fn order_refusal(error: &DrainError) -> Refusal {
    let status = match error {
        DrainError::NoApp { .. } => StatusCode::NOT_FOUND,
        DrainError::Moving => StatusCode::SERVICE_UNAVAILABLE,
        DrainError::Unknown { .. } | DrainError::Last { .. } => StatusCode::CONFLICT,
    };
    Refusal::new(status, error.to_string())
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
    let (address, done) = view
        .apps
        .order(app, &address, drains)
        .map_err(|error| order_refusal(&error))?;
    let done = json!({ "address": address, "done": done });
    Ok(object(StatusCode::OK, &done))
}

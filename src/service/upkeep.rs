//! Upkeep of a service between requests: closes idle connections, queries the app again about open sessions, deletes
//! old recordings, and calls the presence hooks of apps. Must not know requests.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt;
use tracing::warn;

use crate::bridge::Recorder;
use crate::cluster::Cluster;
use crate::config::HeaderRules;
use crate::http::apply_to_request;
use crate::hub::{Hook, Hub};
use crate::push::SockJs;
use crate::service::app_requests::{AppRequests, collect};
use crate::service::page_message::{CHANNEL, set_own};
use crate::service::session_auth::SessionAuth;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;
use crate::upstream::{Payload, Requester};

/// The parts of a service that need upkeep about once a second.
#[derive(Debug)]
pub(super) struct Upkeep {
    apps: Arc<AppRequests>,
    sessions: SessionAuth,
    hub: Hub,
    cluster: Option<Cluster>,
    sockjs: SockJs,
    recorder: Option<Recorder>,
    shutdown: Shutdown,
}

impl Upkeep {
    pub(super) fn new(shared: &SharedParts, sockjs: SockJs, recorder: Option<Recorder>) -> Self {
        Self {
            apps: Arc::clone(&shared.apps),
            sessions: shared.sessions.clone(),
            hub: shared.hub.clone(),
            cluster: shared.cluster.clone(),
            sockjs,
            recorder,
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Closes connections to the apps that have been idle for too long.
    pub(super) fn close_idle(&self) {
        for app in self.apps.all() {
            app.close_idle();
        }
        if let Some(sessions) = self.sessions.sessions() {
            sessions.close_idle();
        }
    }

    /// Deletes recordings that are too old.
    pub(super) fn look_after_recordings(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.look_after(&self.shutdown);
        }
    }

    /// Repeats due session queries for open connections.
    pub(super) async fn repeat_queries(&self) {
        if let Some(sessions) = self.sessions.sessions() {
            sessions.repeat_queries(&self.shutdown).await;
        }
    }

    /// Runs the hub's housekeeping, and exchanges presence and ended sessions with the other nodes.
    pub(super) fn look_after_channels(&self) {
        self.look_after_hub();
        self.sockjs.look_after();
        let Some(cluster) = &self.cluster else { return };
        cluster.report_presence(&self.hub);
        for session in cluster.take_ended() {
            if let Some(sessions) = self.sessions.sessions() {
                sessions.end_reported(&session);
            }
        }
    }

    /// Runs the hub's housekeeping, and calls the presence hooks of apps.
    fn look_after_hub(&self) {
        for hook in self.hub.do_housekeeping() {
            let Ok(upstream) = self.apps.named(hook.app.as_deref()) else {
                continue;
            };
            let upstream = Arc::clone(upstream);
            self.shutdown.spawn(async move {
                let path = hook.path.clone();
                let rules = &upstream.settings().request_headers;
                match upstream
                    .send(hook_request(&hook, rules), Requester::unknown(None))
                    .await
                {
                    Ok(response) => {
                        let status = response.status();
                        if !status.is_success() {
                            let status = status.as_u16();
                            warn!(path, status, "the app rejected a presence hook");
                        }
                        // Read to its end, or the connection could not be used again.
                        let _ = collect(response.into_body().boxed_unsync()).await;
                    }
                    Err(error) => warn!(path, %error, "a presence hook of the app failed"),
                }
            });
        }
    }
}

/// The request that reports presence to an app.
fn hook_request(hook: &Hook, rules: &HeaderRules) -> Request<Payload> {
    let body = serde_json::json!({
        "channel": hook.channel.as_str(),
        "count": hook.presence.count,
        "names": hook.presence.names,
    })
    .to_string();
    let length = body.len();
    let mut request = Request::new(Payload::Whole(body.into()));
    *request.method_mut() = Method::POST;
    if let Ok(uri) = hook.path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    apply_to_request(rules, headers);
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    // This header shows the app that the request does not come from a visitor.
    set_own(headers, CHANNEL, hook.channel.as_str());
    request
}

//! Sends requests of visitors to the apps, with the context that all of them share. Does not know why a request is
//! sent.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt;

use crate::http::{Body, BodyLimits, BoxError, Context, Head, Refusal, Scheme};
use crate::proxy::Forward;
use crate::service::session_auth::SessionAuth;
use crate::shutdown::Shutdown;
use crate::upstream::{Requester, Upstream};

/// Size limit of an app's response that Noren itself reads and does not pass on to a client.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// The apps, in the order of the configuration, and the context for requests to them.
pub(super) struct AppRequests {
    apps: Vec<Arc<Upstream>>,
    body: BodyLimits,
    /// True if the app has recently confirmed the visitor with these headers.
    is_known: Box<dyn Fn(&HeaderMap) -> bool + Send + Sync>,
    tasks: Shutdown,
}

impl AppRequests {
    pub(super) fn new(
        apps: Vec<Arc<Upstream>>,
        body: BodyLimits,
        sessions: SessionAuth,
        tasks: Shutdown,
    ) -> Self {
        Self {
            apps,
            body,
            is_known: Box::new(move |headers| sessions.is_known_visitor(headers)),
            tasks,
        }
    }

    /// All apps.
    pub(super) fn all(&self) -> &[Arc<Upstream>] {
        &self.apps
    }

    /// The app of this index.
    pub(super) fn get(&self, index: usize) -> Option<&Arc<Upstream>> {
        self.apps.get(index)
    }

    /// The app of this name, or the first one.
    pub(super) fn named(&self, name: Option<&str>) -> Result<&Arc<Upstream>, Refusal> {
        let found = match name {
            None => self.apps.first(),
            Some(name) => self.apps.iter().find(|app| app.settings().name == name),
        };
        found.ok_or_else(|| Refusal::not_found("no app is configured for this"))
    }

    /// Index of the app of this name, or of the first one; beyond all of them if there is none.
    pub(super) fn position(&self, name: Option<&str>) -> usize {
        let found = name.map_or(Some(0), |name| {
            let mut apps = self.apps.iter();
            apps.position(|app| app.settings().name == name)
        });
        found.unwrap_or(usize::MAX)
    }

    /// The context for forwarding a request of a visitor to an app.
    pub(super) fn forward<'a>(
        &'a self,
        upstream: &'a Arc<Upstream>,
        head: &'a Head,
        context: &'a Context,
    ) -> Forward<'a> {
        Forward {
            upstream,
            body: self.body,
            context,
            head,
            requester: Requester {
                address: context.peer.counted_as(),
                is_https: context.scheme == Scheme::Https,
                is_known: &*self.is_known,
                times: None,
            },
            tasks: &self.tasks,
            removed: None,
        }
    }
}

impl fmt::Debug for AppRequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppRequests")
            .field("apps", &self.apps)
            .finish_non_exhaustive()
    }
}

/// Collects the body of an app's response.
pub(super) async fn collect(mut body: Body) -> Result<Bytes, BoxError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > LARGEST_ANSWER {
            return Err(format!("it is larger than {LARGEST_ANSWER} bytes").into());
        }
    }
    Ok(bytes.freeze())
}

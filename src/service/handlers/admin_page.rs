//! The admin page as a step of a request: checks that the visitor is an administrator. Independent of the content of
//! the page.

use std::sync::Arc;

use http::header::LOCATION;
use http::{HeaderValue, Method, Response, StatusCode};

use crate::admin::{Page, RecordingPages};
use crate::bridge::Recorder;
use crate::config::Config;
use crate::http::{Body, Form, Refusal, refuse};
use crate::service::exchange::Exchange;
use crate::service::session_auth::SessionAuth;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;

/// Path of the recordings, below that of the page.
const RECORDINGS: &str = "recordings";

/// Handles requests for the admin page.
#[derive(Debug)]
pub(in crate::service) struct AdminPage {
    page: Option<Arc<Page>>,
    /// The recordings, if they are shown.
    recordings: Option<RecordingPages>,
    /// Names of the users who may see the page.
    admins: Vec<String>,
    sessions: SessionAuth,
    shutdown: Shutdown,
}

impl AdminPage {
    pub(super) fn new(
        config: &Config,
        shared: &SharedParts,
        page: Option<Arc<Page>>,
        recorder: Option<&Recorder>,
    ) -> Self {
        let recordings = RecordingPages::new(config, recorder, &shared.shutdown);
        Self {
            page,
            recordings,
            admins: config.admin.users.clone(),
            sessions: shared.sessions.clone(),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// The page, if there is one.
    pub(in crate::service) fn page(&self) -> Option<&Arc<Page>> {
        self.page.as_ref()
    }

    /// Responds to a request for the page. `at` is the length of the page's path with its final slash; the path of the
    /// request may lack that slash.
    pub(super) async fn handle(
        &self,
        at: usize,
        exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let (head, context) = (exchange.head, exchange.context);
        let rest = head.path.as_str().get(at..);
        let (parts, body) = exchange.request.into_parts();
        refuse(body, &self.shutdown);
        let Some(page) = &self.page else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        let visitor = self.sessions.visitor(&parts.headers, head, context).await?;
        let lease = visitor.watch();
        if !lease
            .user()
            .is_some_and(|user| self.admins.iter().any(|one| one == user))
        {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "this page is for administrators (admin.users in the configuration)",
            ));
        }
        let Some(rest) = rest else {
            return moved(head.path.as_str());
        };
        let Some(recordings) = &self.recordings else {
            return page.answer(rest, lease, false);
        };
        match rest.strip_prefix(RECORDINGS) {
            Some("") => moved(head.path.as_str()),
            Some(name) if name.starts_with('/') => {
                let name = name.trim_start_matches('/');
                if let Some(file) = recordings.file(name).await? {
                    exchange.audit.plays(lease.user(), &file.name);
                    return Ok(recordings.stream(file, exchange.audit.opened(), lease));
                }
                let path = head.path.as_str();
                recordings
                    .serve(&parts.method, name, path, &parts.headers)
                    .await
            }
            _ => page.answer(rest, lease, true),
        }
    }
}

/// Redirects to the same path with a final slash, which the page's relative links need.
pub(super) fn moved(path: &str) -> Result<Response<Body>, Refusal> {
    let location = HeaderValue::try_from(format!("{path}/"))
        .map_err(|_| Refusal::bad_request("this address cannot be written into a redirect"))?;
    let moved = Refusal::new(
        StatusCode::PERMANENT_REDIRECT,
        "the address of the page ends with a slash",
    );
    Ok(moved
        .with(LOCATION, location)
        .into_response(Form::Text, &Method::GET))
}

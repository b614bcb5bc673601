//! The pages of consoles (`[bridge.consoles]`) as a step of a request: their files, and the data about consoles that
//! they show. A visitor who passes the bridge's entrance sees the pages; the bridge decides about each console.

use http::{HeaderValue, Method, Response, StatusCode};
use serde_json::Value;

use crate::config::Config;
use crate::http::{Body, Refusal, full, refuse};
use crate::service::exchange::Exchange;
use crate::service::handlers::admin_page::moved;
use crate::service::handlers::console::Console;
use crate::service::shared_parts::SharedParts;
use crate::shutdown::Shutdown;
use crate::viewers::{Subject, Viewers};

/// Handles requests for the pages of consoles.
#[derive(Debug)]
pub(super) struct ConsolePages {
    viewers: Viewers,
    shutdown: Shutdown,
}

impl ConsolePages {
    pub(super) fn new(config: &Config, shared: &SharedParts) -> Self {
        let settings = &config.bridge.consoles;
        let path = settings.path.as_ref();
        let path = path.map_or("", |path| path.decoded().trim_end_matches('/'));
        Self {
            viewers: Viewers::new(Subject::Consoles, settings, path),
            shutdown: shared.shutdown.clone(),
        }
    }

    /// Responds to a request for a page. `at` is the length of the path of the pages with its final slash.
    pub(super) async fn handle(
        &self,
        console: &Console,
        at: usize,
        mut exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let path = exchange.head.path.as_str();
        if !matches!(*exchange.request.method(), Method::GET | Method::HEAD) {
            let refusal = Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "these pages accept GET only",
            );
            return Err(exchange.refuse(refusal.allow("GET, HEAD"), &self.shutdown));
        }
        let Some(name) = path.get(at..) else {
            refuse(exchange.request.into_body(), &self.shutdown);
            return moved(path);
        };
        let answered = match name {
            "list" => console.list(&mut exchange).await.map(Some),
            "about" => console.rights(&mut exchange).await.map(Some),
            _ => Ok(None),
        };
        let (parts, body) = exchange.request.into_parts();
        refuse(body, &self.shutdown);
        match answered? {
            Some(answer) => Ok(self.json(answer)),
            None => {
                self.viewers
                    .serve(&parts.method, name, path, &parts.headers)
                    .await
            }
        }
    }

    /// A JSON response, with the viewer libraries that are installed.
    fn json(&self, mut answer: Value) -> Response<Body> {
        if let Some(fields) = answer.as_object_mut() {
            fields.insert("libraries".to_owned(), self.viewers.libraries());
        }
        let mut response = Response::new(full(answer.to_string()));
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/json");
        headers.insert(http::header::CONTENT_TYPE, kind);
        let never = HeaderValue::from_static("no-store");
        headers.insert(http::header::CACHE_CONTROL, never);
        response
    }
}

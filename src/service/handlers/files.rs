//! Files of directories (`[[files]]`) as a step of a request. Independent of how a file is sent.

use http::Response;

use crate::config::Config;
use crate::files::{Directory, Named};
use crate::http::{Body, Refusal, refuse};
use crate::service::exchange::Exchange;
use crate::shutdown::Shutdown;

/// Handles requests for files.
#[derive(Debug)]
pub(super) struct Files {
    directories: Vec<Directory>,
    shutdown: Shutdown,
}

impl Files {
    pub(super) fn new(config: &Config, shutdown: Shutdown) -> Self {
        Self {
            directories: config.files.iter().map(Directory::new).collect(),
            shutdown,
        }
    }

    /// Responds with a file of the directory of this index.
    pub(super) async fn handle(
        &self,
        index: usize,
        exchange: Exchange<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let head = exchange.head;
        let (parts, body) = exchange.request.into_parts();
        // The body is of no use, but its sender still has to get the response.
        refuse(body, &self.shutdown);
        let Some(directory) = self.directories.get(index) else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        let file = Named {
            path: head.path.with_parameters(),
            query: parts.uri.query(),
        };
        directory.serve(&parts.method, file, &parts.headers).await
    }
}

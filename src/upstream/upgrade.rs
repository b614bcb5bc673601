//! Sends an upgrade request to the app, and hands the connection over if the app accepts. Must not know frames of a
//! WebSocket, or its client.

use std::sync::Arc;
use std::time::Instant;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::http::Deadline;
use crate::upstream::backend::Tunnel;
use crate::upstream::{Payload, Requester, Upstream, UpstreamError, broken};

impl Upstream {
    /// Sends an upgrade request on its own connection, which leaves HTTP if the app accepts. `tasks` runs the
    /// connection until then. The tunnel counts at the address until its guard is dropped.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub(crate) async fn upgrade(
        self: &Arc<Self>,
        request: Request<Payload>,
        requester: Requester<'_>,
    ) -> Result<(Response<Incoming>, Tunnel), UpstreamError> {
        let upgraded = self.send_upgrade(request, requester).await;
        self.count_failure(upgraded.as_ref().err());
        upgraded
    }

    async fn send_upgrade(
        self: &Arc<Self>,
        mut request: Request<Payload>,
        requester: Requester<'_>,
    ) -> Result<(Response<Incoming>, Tunnel), UpstreamError> {
        let visit = self.visit(&mut request, requester);
        // Taken for the handshake only: how many sockets the app can hold afterwards is its own affair.
        let mut permit = self
            .permit(requester, visit.affinity, request.headers())
            .await?;
        self.wait_until_healthy(&mut permit, visit.affinity).await?;
        let socket = self.connect(&mut permit, visit.affinity).await?;
        let (mut sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .title_case_headers(true)
            .handshake(TokioIo::new(socket))
            .await
            .map_err(broken)?;
        self.tasks.spawn(async move {
            // An error here appears in the exchange as well, where it is reported.
            let _ = connection.with_upgrades().await;
        });
        let backend = permit.backend();
        let started_at = Instant::now();
        let wait = (started_at, None, &mut Deadline::default());
        let watch = self.watch(backend, started_at);
        let sent = sender.send_request(request);
        let sent = self.wait_for_head(sent, wait, watch).await;
        let sent = sent.inspect_err(|error| backend.record_silence(error))?;
        let mut response = sent.map_err(|error| backend.record_broken(broken(error)))?;
        backend.record_response(Instant::now());
        self.set_cookie(&permit, visit, response.headers_mut());
        Ok((response, backend.tunnel()))
    }
}

//! The admin page as a step of a request: checks who may see it. Independent of its content.

use http::header::LOCATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::http::{Body, Context, Form, Head, Incoming, Refusal, refuse};
use crate::service::Service;

impl Service {
    /// Responds to a request for the admin page. `rest` is the part behind its path and a slash; `None` without
    /// the slash.
    pub(super) async fn page(
        &self,
        rest: Option<&str>,
        request: Request<Incoming>,
        head: &Head,
        context: &Context,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        refuse(body, &self.shutdown);
        let Some(page) = &self.admin_page else {
            return Err(Refusal::not_found("nothing is served at this address"));
        };
        if parts.method != Method::GET {
            return Err(
                Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this page takes GET only")
                    .allow("GET"),
            );
        }
        let lease = self.visitor(&parts.headers, head, context).await?.watch();
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
        page.answer(rest, lease)
    }
}

/// Redirects to the address with a final slash, which the page's relative files need.
fn moved(path: &str) -> Result<Response<Body>, Refusal> {
    let location = HeaderValue::try_from(format!("{path}/"))
        .map_err(|_| Refusal::bad_request("this address cannot be written into a redirect"))?;
    let moved = Refusal::new(
        StatusCode::PERMANENT_REDIRECT,
        "the page is one slash further",
    );
    Ok(moved
        .with(LOCATION, location)
        .into_response(Form::Text, &Method::GET))
}

//! Interprets the responses of Nova's API about a token or a server. Sends no requests.

use http::StatusCode;
use serde_json::Value;

use crate::config::{AnswerPlaces, NovaSource};
use crate::tokens::address::{SourceResponse, parse_response};
use crate::tokens::service_client::Reply;

/// The meaning of a response.
pub(super) enum Verdict<T> {
    /// It exists.
    Known(T),
    /// Nova says that it does not exist.
    Unknown,
    /// The login is not accepted any more.
    LoggedOut,
    /// Nova could not answer, for this reason.
    Failed(String),
}

/// The target of a token, and the id of its server.
pub(super) fn understand(
    reply: &Reply,
    settings: &NovaSource,
) -> Verdict<(SourceResponse, String)> {
    if reply.status != StatusCode::OK {
        return refusal(reply, settings);
    }
    let places = AnswerPlaces {
        host: "/console/host".to_owned(),
        port: "/console/port".to_owned(),
        path: Some("/console/internal_access_path".to_owned()),
        ..AnswerPlaces::default()
    };
    let server = serde_json::from_slice::<Value>(&reply.body).ok();
    let server = server.as_ref().and_then(|answer| {
        let id = answer.pointer("/console/instance_uuid")?.as_str()?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (!id.is_empty() && id.len() <= 64 && id.bytes().all(is_plain)).then(|| id.to_owned())
    });
    let answer = parse_response(&reply.body, &places);
    match (answer, server) {
        (Ok(answer), Some(server)) => Verdict::Known((answer, server)),
        (Ok(_), None) => Verdict::Failed(
            "its answer cannot be understood: it has no instance_uuid of a server".to_owned(),
        ),
        (Err(reason), _) => Verdict::Failed(format!("its answer cannot be understood: {reason}")),
    }
}

/// True if a server exists.
pub(super) fn understand_server(reply: &Reply, settings: &NovaSource) -> Verdict<()> {
    if reply.status == StatusCode::OK {
        Verdict::Known(())
    } else {
        refusal(reply, settings)
    }
}

fn refusal<T>(reply: &Reply, settings: &NovaSource) -> Verdict<T> {
    let login = &settings.login;
    let version = &settings.microversion;
    Verdict::Failed(match reply.status {
        StatusCode::UNAUTHORIZED => return Verdict::LoggedOut,
        StatusCode::NOT_FOUND if is_said_by_nova(reply) => return Verdict::Unknown,
        StatusCode::NOT_FOUND => {
            "there is nothing of Nova's (404); the URL should end with /v2.1 (endpoint)".to_owned()
        }
        StatusCode::FORBIDDEN => format!(
            "it does not let {login} read tokens of consoles (403): give it the role admin in its project, or \
             change the rule os_compute_api:os-console-auth-tokens of Nova's policy"
        ),
        StatusCode::NOT_ACCEPTABLE => {
            format!(
                "it does not have the microversion {version} (406); write an older one as microversion"
            )
        }
        StatusCode::BAD_REQUEST => format!(
            "it does not take the question (400): a project in its URL must be the one of {login}, and the \
             microversion {version} one that it has"
        ),
        StatusCode::SERVICE_UNAVAILABLE => {
            "it answered 503: it may not reach Keystone, which it asks about each login".to_owned()
        }
        status if status.is_redirection() => {
            format!("it answered {status}; write the URL that ends with /v2.1 as endpoint")
        }
        status => format!("it answered {status}"),
    })
}

/// True if a 404 comes from Nova itself, and not from a proxy that does not know the path. Only Nova's own response may
/// close consoles.
fn is_said_by_nova(reply: &Reply) -> bool {
    let body = serde_json::from_slice::<Value>(&reply.body);
    body.is_ok_and(|body| body.get("itemNotFound").is_some())
}

//! Routes of the app: a table of paths and one function for each.
//!
//! Modelled on Wok: a JSON login that sets a cookie, `/tasks` that responds 200 or 401 and so tells whether a
//! cookie is valid, redirects built from headers that only a proxy may set.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::super::json;
use super::super::sessions::Visitor;
use super::super::state::AppState;
use super::pages;
use super::request::Request;
use super::response::Response;

const PASSWORD: &str = "demo";
const MOST_NAME: usize = 40;
const MOST_SAID: usize = 300;
const COOKIE: &str = "demo";
const SLOW: Duration = Duration::from_secs(3);

struct Route {
    method: &'static str,
    path: &'static str,
    handler: Handler,
}

enum Handler {
    Open(fn(&Arc<AppState>, &Request) -> Response),
    /// A route for logged-in users; others get 401.
    LoggedIn(fn(&Arc<AppState>, &Request, &Visitor) -> Response),
}

const ROUTES: [Route; 11] = [
    Route {
        method: "GET",
        path: "/",
        handler: Handler::Open(front),
    },
    Route {
        method: "POST",
        path: "/login",
        handler: Handler::Open(login),
    },
    Route {
        method: "POST",
        path: "/logout",
        handler: Handler::Open(logout),
    },
    Route {
        method: "GET",
        path: "/logs",
        handler: Handler::LoggedIn(logs),
    },
    Route {
        method: "GET",
        path: "/tasks",
        handler: Handler::LoggedIn(tasks),
    },
    Route {
        method: "POST",
        path: "/jobs",
        handler: Handler::LoggedIn(order),
    },
    Route {
        method: "POST",
        path: "/jobs/fill",
        handler: Handler::LoggedIn(fill),
    },
    Route {
        method: "POST",
        path: "/chat",
        handler: Handler::LoggedIn(chat),
    },
    Route {
        method: "GET",
        path: "/slow",
        handler: Handler::LoggedIn(slow),
    },
    Route {
        method: "GET",
        path: "/headers",
        handler: Handler::LoggedIn(headers),
    },
    Route {
        method: "POST",
        path: "/upload",
        handler: Handler::LoggedIn(upload),
    },
];

/// True if the body of this request is only counted and not kept.
pub(super) fn counts_body(method: &str, path: &str) -> bool {
    method == "POST" && path == "/upload"
}

pub(super) fn answer(state: &Arc<AppState>, request: &Request) -> Response {
    let method = request.method.as_str();
    if let Some(asset) = pages::asset(&request.path) {
        return match method {
            "GET" | "HEAD" => asset,
            _ => wrong_method("GET, HEAD"),
        };
    }
    // HEAD is for pages alone: on a resource Wok answers 405, and so does this.
    let method = if method == "HEAD" && request.path == "/" {
        "GET"
    } else {
        method
    };
    let mut routes = ROUTES
        .iter()
        .filter(|route| route.path == request.path)
        .peekable();
    let Some(allowed) = routes.peek().map(|route| route.method) else {
        return missing(request);
    };
    match routes
        .find(|route| route.method == method)
        .map(|route| &route.handler)
    {
        Some(Handler::Open(answer)) => answer(state, request),
        Some(Handler::LoggedIn(answer)) => match visitor(state, request) {
            Some(visitor) => answer(state, request, &visitor),
            None => Response::error(401, "log in first: POST /login"),
        },
        None => wrong_method(allowed),
    }
}

fn wrong_method(allowed: &str) -> Response {
    Response::error(405, "this path takes another method").with("Allow", allowed)
}

fn missing(request: &Request) -> Response {
    if request.method == "GET" && accepts(request, "text/html") {
        let text = "<!doctype html><html lang=en><meta charset=utf-8><title>Not here</title><link rel=stylesheet \
                    href=/style.css><main class=lone><h1>Not here</h1><p><a href=/>To the demo</a>";
        return Response::new(404, "text/html; charset=utf-8", text);
    }
    Response::error(404, "there is nothing here")
}

/// The front page, or a redirect to the login.
fn front(state: &Arc<AppState>, request: &Request) -> Response {
    if visitor(state, request).is_some() {
        return pages::index();
    }
    if accepts(request, "application/json") {
        return Response::error(401, "log in first: POST /login");
    }
    let target = format!("{}/login.html", origin(request).unwrap_or_default());
    Response::new(303, "text/plain; charset=utf-8", "Log in first.\n")
        .with("Location", target)
        .with("Cache-Control", "no-store")
}

/// The public origin, as `CherryPy` derives it from the proxy's headers.
fn origin(request: &Request) -> Option<String> {
    let host = request
        .header("x-forwarded-host")
        .or_else(|| request.header("host"))?;
    let scheme = request
        .header("x-forwarded-proto")
        .filter(|scheme| *scheme == "https");
    Some(format!("{}://{host}", scheme.unwrap_or("http")))
}

fn login(state: &Arc<AppState>, request: &Request) -> Response {
    let Some(login) = Login::read(request) else {
        return Response::error(400, r#"send {"username": "...", "password": "..."}"#);
    };
    let name = login.name.trim();
    if name.is_empty() || name.chars().count() > MOST_NAME || name.contains(char::is_control) {
        return login.refused(400, "a user name is 1 to 40 characters");
    }
    // The password is in the banner and on the page: there is no secret to compare with care.
    if login.password != PASSWORD {
        state.record(name, "login refused", &address(request));
        return login.refused(401, "the password of the demo is: demo");
    }
    let cookie = match state.sessions.open(name) {
        Ok(cookie) => cookie,
        Err(error) => {
            tracing::error!(%error, "demo cannot make a cookie");
            return Response::error(500, "no cookie today");
        }
    };
    state.push.notify("POST:/demo/login");
    state.record(name, "logged in", &address(request));
    let answer = if login.is_form {
        Response::new(303, "text/plain; charset=utf-8", "You are logged in.\n")
            .with("Location", "/")
    } else {
        Response::json(200, format!(r#"{{"username":{}}}"#, json::quote(name)))
    };
    answer.with(
        "Set-Cookie",
        format!("{COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Lax"),
    )
}

/// The fields of a login: the JSON of a script, or the form of a page without one.
struct Login {
    name: String,
    password: String,
    is_form: bool,
}

impl Login {
    /// Reads a login; none if the body is neither an object nor a form with a user name.
    fn read(request: &Request) -> Option<Self> {
        let text = std::str::from_utf8(&request.body).ok()?;
        if let Some(mut object) = json::flat_object(text) {
            return Some(Self {
                name: object.remove("username").unwrap_or_default(),
                password: object.remove("password").unwrap_or_default(),
                is_form: false,
            });
        }
        let kind = request.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return None;
        }
        let mut login = Self {
            name: String::new(),
            password: String::new(),
            is_form: true,
        };
        for (field, value) in form_urlencoded::parse(text.as_bytes()) {
            match field.as_ref() {
                "username" => login.name = value.into_owned(),
                "password" => login.password = value.into_owned(),
                _ => {}
            }
        }
        Some(login)
    }

    /// The refusal, as JSON for a script and as a page for a form.
    fn refused(&self, status: u16, reason: &str) -> Response {
        if !self.is_form {
            return Response::error(status, reason);
        }
        // The reason is one of this file, and needs no escaping.
        let page = format!(
            "<!doctype html><html lang=en><meta charset=utf-8><meta name=color-scheme content=\"light dark\">\
             <title>Not logged in</title><link rel=stylesheet href=/style.css><main class=lone><h1>Not logged in</h1>\
             <p>{reason}<p><a href=/login.html>Try again</a>"
        );
        Response::new(status, "text/html; charset=utf-8", page)
    }
}

/// Logs out. Doing so twice is no error.
fn logout(state: &Arc<AppState>, request: &Request) -> Response {
    if let Some(visitor) = visitor(state, request) {
        cookies(request).for_each(|cookie| state.sessions.close(cookie));
        state.push.notify("POST:/demo/logout");
        state.record(&visitor.name, "logged out", &address(request));
    }
    let expired = format!("{COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax");
    let answer = if accepts(request, "text/html") {
        Response::new(303, "text/plain; charset=utf-8", "You are logged out.\n")
            .with("Location", "/login.html")
    } else {
        Response::json(200, "{}")
    };
    answer.with("Set-Cookie", expired)
}

fn logs(state: &Arc<AppState>, _: &Request, _: &Visitor) -> Response {
    Response::json(200, state.journal.json())
}

/// The running jobs. Noren also uses it as the session query.
fn tasks(state: &Arc<AppState>, _: &Request, visitor: &Visitor) -> Response {
    let (user, jobs) = (json::quote(&visitor.name), state.jobs.json());
    let answer = Response::json(200, format!(r#"{{"user":{user},{jobs}}}"#));
    // A header cannot hold every name; without it the door knows that somebody is there, and not who.
    if visitor.name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        answer.with("Remote-User", visitor.name.clone())
    } else {
        answer
    }
}

fn order(state: &Arc<AppState>, request: &Request, visitor: &Visitor) -> Response {
    let Some((id, place)) = state.jobs.order(&visitor.name) else {
        return Response::error(503, "the queue is full").with("Retry-After", "6");
    };
    state.record(
        &visitor.name,
        &format!("ordered job {id}"),
        &address(request),
    );
    Response::json(202, format!(r#"{{"id":{id},"place":{place}}}"#))
}

fn fill(state: &Arc<AppState>, request: &Request, visitor: &Visitor) -> Response {
    let ordered = state.jobs.fill();
    state.record(
        &visitor.name,
        &format!("filled the queue with {ordered}"),
        &address(request),
    );
    Response::json(202, format!(r#"{{"ordered":{ordered}}}"#))
}

/// Publishes a chat message. The app has no connection to the readers: Noren publishes this response.
fn chat(_: &Arc<AppState>, request: &Request, visitor: &Visitor) -> Response {
    // Only the door can say so, and only of somebody who may publish there.
    if request.header("noren-channel") != Some("chat") {
        return Response::error(403, "say it on the channel: POST /events/chat");
    }
    let text = std::str::from_utf8(&request.body).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MOST_SAID || text.contains(char::is_control) {
        return Response::error(400, "a line is 1 to 300 characters");
    }
    let (user, text) = (json::quote(&visitor.name), json::quote(text));
    Response::json(200, format!(r#"{{"user":{user},"text":{text}}}"#)).with("Noren-Publish", "chat")
}

/// Occupies the worker for three seconds, as a blocking app does when a service behind it is slow.
fn slow(state: &Arc<AppState>, _: &Request, _: &Visitor) -> Response {
    let counted = state.slow.enter();
    let tell = || {
        let held = state.slow.now();
        state.push.notify(&format!("TASK:/demo/slow/{held}"));
    };
    tell();
    state.threads.sleep(SLOW);
    drop(counted);
    tell();
    Response::json(200, format!(r#"{{"seconds":{}}}"#, SLOW.as_secs()))
}

/// The request as the app received it. The cookie is omitted, because a page's script may not read it.
fn headers(_: &Arc<AppState>, request: &Request, _: &Visitor) -> Response {
    let headers = request.headers.iter().map(|(name, value)| {
        let secret = matches!(name.as_str(), "cookie" | "authorization");
        let value = if secret { "(not shown)" } else { value };
        format!("[{},{}]", json::quote(name), json::quote(value))
    });
    let (line, headers) = (json::quote(&request.line), json::array(headers));
    Response::json(200, format!(r#"{{"request":{line},"headers":{headers}}}"#))
}

fn upload(state: &Arc<AppState>, request: &Request, visitor: &Visitor) -> Response {
    let size = request.body_size;
    state.record(
        &visitor.name,
        &format!("uploaded {size} bytes"),
        &address(request),
    );
    Response::json(200, format!(r#"{{"bytes":{size}}}"#))
}

/// Values of the session cookie in the one Cookie line that counts.
fn cookies(request: &Request) -> impl Iterator<Item = &str> {
    let pairs = request.header("cookie").unwrap_or_default().split(';');
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

fn visitor(state: &AppState, request: &Request) -> Option<Visitor> {
    cookies(request).find_map(|cookie| state.sessions.find(cookie))
}

fn accepts(request: &Request, kind: &str) -> bool {
    request
        .header("accept")
        .is_some_and(|accept| accept.contains(kind))
}

/// Address of the client as Noren reports it. Trustworthy because only Noren can reach this socket.
fn address(request: &Request) -> String {
    let last = request
        .header("x-forwarded-for")
        .and_then(|list| list.rsplit(',').next());
    let address = last.and_then(|text| text.trim().parse::<IpAddr>().ok());
    address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

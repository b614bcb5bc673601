//! Properties that must hold for every case of a file, whatever the server. Each property first makes sure that
//! the server does, when it is asked without Noren, what the property forbids.

mod opening;

use super::corpus::{Case, cases};
use super::exchange::{Reply, exchange};
use super::subject::{HOSTS, LOGINS, Subject};

/// More tries than the strict door lets through, and than its bucket gets back meanwhile.
const TRIES: usize = LOGINS + 5;

/// All that does not hold, one line each.
pub(super) async fn check(subject: &Subject) -> Vec<String> {
    let mut failures = Vec::new();
    headers(subject, &mut failures).await;
    targets(subject, &mut failures).await;
    if records(subject).await {
        // It has no pages.
        return failures;
    }
    paths(subject, &mut failures).await;
    logins(subject, &mut failures).await;
    credentials(subject, &mut failures).await;
    parameters(subject, &mut failures).await;
    opening::sessions(subject, &mut failures).await;
    opening::logouts(subject, &mut failures).await;
    failures
}

/// A line of the report.
fn failure(kind: &str, case: &Case, host: &str, reply: &Reply) -> String {
    format!(
        "{kind}: {} [{host}]: {:?} {}",
        case.name,
        reply.status,
        String::from_utf8_lossy(&reply.body)
    )
}

async fn direct(subject: &Subject, request: &str) -> Reply {
    exchange(subject.app, "127.0.0.1", request.as_bytes()).await
}

async fn records(subject: &Subject) -> bool {
    let reply = direct(subject, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n").await;
    reply.text("line").is_some()
}

async fn paths(subject: &Subject, failures: &mut Vec<String>) {
    let cases = cases("paths", 100);
    let mut bites = 0;
    for case in &cases {
        let words = [("host", HOSTS[0])];
        let alone = exchange(subject.app, "127.0.0.1", &case.bytes(&words)).await;
        bites += usize::from(alone.has("GUARDED"));
        for host in HOSTS {
            let words = [("host", host)];
            let mut replies = vec![subject.ask(case, &words).await];
            if host != HOSTS[2] {
                replies.extend(subject.ask_http2(case, &words).await);
            }
            for reply in replies.iter().filter(|reply| reply.has("GUARDED")) {
                failures.push(failure("paths", case, host, reply));
            }
        }
    }
    assert!(
        bites >= 5,
        "only {bites} cases reach the page of the server alone"
    );
}

/// True if the app has checked a password.
fn checks(reply: &Reply) -> bool {
    match reply.text("page") {
        Some("login") => true,
        Some("basic") => reply.text("user").is_some(),
        _ => false,
    }
}

async fn logins(subject: &Subject, failures: &mut Vec<String>) {
    let form = "POST /login HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    let basic = "GET /basic HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YTpi\r\n\r\n";
    for request in [form, basic] {
        assert!(checks(&direct(subject, request).await), "{request}");
    }
    for (at, case) in cases("logins", 35).iter().enumerate() {
        // An address of its own, so that the tries of one case are not those of another.
        let from = format!("127.1.{}.1", at + 1);
        let mut checked = Vec::new();
        for guess in 0..TRIES {
            let guess = format!("guess{guess}");
            let words = [("host", HOSTS[0]), ("guess", guess.as_str())];
            let reply = exchange(subject.strict.http, &from, &case.bytes(&words)).await;
            // An answer to HEAD says nothing of the page; its status does.
            let unseen = case.line.starts_with("HEAD") && reply.status == Some(401);
            if checks(&reply) || unseen {
                checked.push(reply);
            }
        }
        if checked.len() > LOGINS + 1 {
            let count = checked.len();
            let told = failure("logins", case, HOSTS[0], &checked[count - 1]);
            failures.push(format!("{told}: {count} of {TRIES} tries"));
        }
    }
}

async fn credentials(subject: &Subject, failures: &mut Vec<String>) {
    let mut let_in = 0;
    for case in cases("credentials", 15) {
        for reply in subject.ask_both(&case, &[]).await {
            let name = header(&reply, "X_REMOTE_USER");
            let guarded = reply.text("page") == Some("GUARDED");
            let_in += usize::from(guarded);
            // If the app reads another page than Noren, its name is still that of the password.
            let shown = case.shows("ann:right");
            let wrong = match name.as_deref() {
                Some(name) => name != "ann" || !shown,
                None => guarded,
            };
            let sees = name.is_some()
                && (reply.text("authorization").is_some() || reply.text("user").is_some());
            let wrong = wrong || sees;
            if wrong {
                failures.push(failure("credentials", &case, HOSTS[0], &reply));
            }
        }
    }
    assert!(let_in > 0, "the right password lets nobody in");
}

async fn parameters(subject: &Subject, failures: &mut Vec<String>) {
    let mut taken = 0;
    for case in cases("parameters", 15) {
        let visit = case.clone().with_field("Cookie: wok=good");
        for reply in subject.ask_both(&visit, &[]).await {
            if reply.text("page") != Some("receive") {
                continue;
            }
            // At the page itself nothing was named by the door, and nothing may look as if it was.
            let named = case.line.starts_with("POST /events/").then_some("lobby");
            let told = reply.text("told");
            taken += usize::from(told.is_some());
            let other = reply
                .text("channel")
                .is_some_and(|channel| named.is_some() && channel != "lobby");
            if told != named || other {
                failures.push(failure("parameters", &case, HOSTS[0], &reply));
            }
        }
    }
    assert!(taken > 0, "the app is told of no message at all");
}

/// The value of a header in any spelling that a gateway could fold into this name.
fn header(reply: &Reply, name: &str) -> Option<String> {
    let headers = reply.seen.get("headers")?.as_object()?;
    let found = headers.iter().find(|(found, _)| folded(found) == name);
    found.map(|(_, value)| value.as_str().unwrap_or_default().to_owned())
}

/// A header's name without the sign for letter case and the signs between letters.
fn folded(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    let name = name.strip_prefix("HTTP_").unwrap_or(&name);
    name.chars()
        .map(|sign| {
            if sign.is_ascii_alphanumeric() {
                sign
            } else {
                '_'
            }
        })
        .collect()
}

/// True if only a proxy may set this header.
fn is_reserved(name: &str) -> bool {
    const NAMES: [&str; 19] = [
        "FORWARDED",
        "X_REAL_IP",
        "X_CLIENT_IP",
        "X_CLUSTER_CLIENT_IP",
        "TRUE_CLIENT_IP",
        "PROXY",
        "X_ORIGINAL_URL",
        "X_REWRITE_URL",
        "X_SENDFILE_TYPE",
        "X_REMOTE_USER",
        "X_CLIENT_NAME",
        "FORWARDED_FOR",
        "X_ORIGINATING_IP",
        "CF_CONNECTING_IP",
        "FASTLY_CLIENT_IP",
        "CLUSTER_CLIENT_IP",
        "X_PROXYUSER_IP",
        "X_AZURE_CLIENTIP",
        "X_ENVOY_EXTERNAL_ADDRESS",
    ];
    NAMES.contains(&name)
        || ["X_FORWARDED_", "X_ACCEL_", "NOREN_"]
            .iter()
            .any(|begin| name.starts_with(begin))
}

async fn headers(subject: &Subject, failures: &mut Vec<String>) {
    for case in cases("headers", 40) {
        for reply in subject.ask_both(&case, &[]).await {
            let Some(seen) = reply
                .seen
                .get("headers")
                .and_then(|headers| headers.as_object())
            else {
                continue;
            };
            let lied = seen.iter().any(|(name, value)| {
                (is_reserved(&folded(name)) || name == "REMOTE_USER")
                    && value.as_str().is_some_and(|value| value.contains("evil"))
            });
            if lied {
                failures.push(failure("headers", &case, HOSTS[0], &reply));
            }
        }
    }
}

async fn targets(subject: &Subject, failures: &mut Vec<String>) {
    for case in cases("targets", 30) {
        let reply = subject.ask(&case, &[]).await;
        if reply.status.is_none() && !reply.body.is_empty() {
            failures.push(failure("targets", &case, HOSTS[0], &reply));
        }
        let path = reply.text("path").unwrap_or("/");
        let line = reply.text("line").unwrap_or("GET / HTTP/1.1");
        let parts: Vec<_> = line.split(' ').collect();
        let sound = matches!(parts[..], [_, target, "HTTP/1.1"] if target.starts_with('/') && !target.contains('#'));
        if !path.starts_with('/') || path.contains('#') || !sound {
            failures.push(failure("targets", &case, HOSTS[0], &reply));
        }
    }
}

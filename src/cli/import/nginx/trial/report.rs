//! Reports the differences between the responses of nginx and of Noren, the grave ones first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use super::super::syntax::Directive;
use super::client::{App, Reply};
use super::requests::{OTHER, Request};
use super::{Listener, Outcome, TrialDirectory};

/// Limit on the lines of each kind of difference.
const MOST: usize = 40;

/// Headers of requests that always differ: they contain the addresses of the comparison, or concern one connection.
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "forwarded",
    "keep-alive",
    "te",
    "traceparent",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-port",
    "x-real-ip",
    "x-real-port",
    "x-request-id",
];

/// The kinds of differences, in the order of the report.
const KINDS: [&str; 6] = [
    "an app is asked here, and nginx asks none",
    "another app is asked here, or with another request",
    "an app is asked by nginx, and here none",
    "both answer by themselves, with another status",
    "the app gets other headers",
    "clients get other headers",
];

/// The differences found so far.
pub(super) struct Report<'a> {
    trial: &'a TrialDirectory,
    /// Names of headers that the file sets, of requests and of responses.
    headers: [BTreeSet<String>; 2],
    asked: usize,
    addresses: BTreeSet<String>,
    /// Differences of each kind, each with the first request that shows it and the number of such requests.
    differences: [BTreeMap<String, (String, usize)>; 6],
    notes: Vec<String>,
}

impl<'a> Report<'a> {
    pub(super) fn new(directives: &[Directive], trial: &'a TrialDirectory) -> Self {
        let mut headers = [BTreeSet::new(), BTreeSet::new()];
        collect(directives, &mut headers);
        Self {
            trial,
            headers,
            asked: 0,
            addresses: BTreeSet::new(),
            differences: Default::default(),
            notes: vec![
                "limits, caches, logs, certificates, TLS to apps, consoles and channels are not compared".to_owned(),
            ],
        }
    }

    /// Adds notes on directives that the comparison leaves out.
    pub(super) fn notes(&mut self, notes: &BTreeSet<String>) {
        self.notes.extend(notes.iter().cloned());
    }

    pub(super) fn not_listening(&mut self, listener: &Listener) {
        self.notes.push(format!(
            "nothing listens here in the place of {}",
            listener.address
        ));
    }

    pub(super) fn ended(&mut self, limit: Duration) {
        self.notes.push(format!(
            "the rest was not asked: the comparison may take {limit:?}"
        ));
    }

    /// Compares the responses of nginx and of Noren to one request.
    pub(super) fn add(&mut self, listener: &Listener, request: &Request, answers: &[Reply; 2]) {
        self.asked += 1;
        self.addresses.insert(listener.address.clone());
        let scheme = if listener.is_tls { "https" } else { "http" };
        let asked = format!(
            "{} {scheme}://{}{}",
            request.method, request.host, request.path
        );
        let asked = if request.password {
            format!("{asked} with a password")
        } else {
            asked
        };
        let [theirs, ours] = answers;
        match (theirs, ours) {
            (Reply::App(theirs), Reply::App(ours)) => self.compare(&asked, theirs, ours),
            (_, Reply::App(_)) => self.differ(0, &asked, theirs, ours),
            // Without the header for it nginx hands the request on as an ordinary one.
            (Reply::App(theirs), _)
                if request.method == "WEBSOCKET" && !theirs.request.contains_key("upgrade") => {}
            (Reply::App(_), _) if request.host == OTHER => {
                let difference = format!(
                    "a name that no server has: nginx: its first server; Noren: {}",
                    self.display(ours)
                );
                self.note(2, difference, &asked);
            }
            (Reply::App(_), _) => self.differ(2, &asked, theirs, ours),
            _ if theirs == ours || lead_to_one_place(theirs, ours) => {}
            _ if request.host == OTHER => {
                let shown = |answer: &Reply| match answer {
                    Reply::Own { status, .. } => status.to_string(),
                    _ => self.display(answer),
                };
                let (theirs, ours) = (shown(theirs), shown(ours));
                let difference =
                    format!("a name that no server has: nginx: {theirs}; Noren: {ours}");
                self.note(3, difference, &asked);
            }
            _ => {
                let difference = format!(
                    "nginx: {}; Noren: {}",
                    self.display(theirs),
                    self.display(ours)
                );
                self.note(3, difference, &asked);
            }
        }
    }

    fn differ(&mut self, kind: usize, asked: &str, theirs: &Reply, ours: &Reply) {
        let difference = format!(
            "{asked}: nginx: {}; Noren: {}",
            self.display(theirs),
            self.display(ours)
        );
        self.note(kind, difference, asked);
    }

    fn compare(&mut self, asked: &str, theirs: &App, ours: &App) {
        if (theirs.number, &theirs.line) != (ours.number, &ours.line) {
            let [theirs, ours] = [theirs, ours].map(|app| Reply::App(app.clone()));
            return self.differ(1, asked, &theirs, &ours);
        }
        let [of_requests, of_responses] = self.headers.clone();
        let requests = of_requests.iter().map(String::as_str).chain([
            "host",
            "x-forwarded-proto",
            "x-forwarded-host",
        ]);
        for (kind, names, [theirs, ours]) in [
            (
                4,
                requests.collect::<BTreeSet<_>>(),
                [&theirs.request, &ours.request],
            ),
            (
                5,
                of_responses.iter().map(String::as_str).collect(),
                [&theirs.response, &ours.response],
            ),
        ] {
            for name in names
                .into_iter()
                .filter(|name| !OF_THE_CONNECTION.contains(name))
            {
                let [theirs, ours] = [theirs, ours].map(|headers| headers.get(name));
                if theirs != ours {
                    let display = |value: Option<&String>| {
                        value.map_or_else(|| "none".to_owned(), |value| format!("{value:?}"))
                    };
                    let difference = format!(
                        "{name}: nginx: {}; Noren: {}",
                        display(theirs),
                        display(ours)
                    );
                    self.note(kind, difference, asked);
                }
            }
        }
    }

    fn note(&mut self, kind: usize, difference: String, asked: &str) {
        if let Some(known) = self.differences.get_mut(kind) {
            known
                .entry(difference)
                .or_insert_with(|| (asked.to_owned(), 0))
                .1 += 1;
        }
    }

    fn display(&self, answer: &Reply) -> String {
        match answer {
            Reply::App(app) => format!("{} gets {}", self.trial.addresses(app.number), app.line),
            Reply::Own { status, location } if location.is_empty() => status.to_string(),
            Reply::Own { status, location } => format!("{status} to {location}"),
            Reply::Nothing => "no answer".to_owned(),
        }
    }

    /// Returns the lines of the report.
    pub(super) fn finish(self) -> Outcome {
        let mut text = String::new();
        let addresses: Vec<_> = self.addresses.iter().map(String::as_str).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} requests to nginx and to Noren, at {}",
            self.asked,
            addresses.join(", ")
        );
        for note in &self.notes {
            let _ = writeln!(text, "note: {note}");
        }
        let is_empty = self.differences.iter().all(BTreeMap::is_empty);
        if is_empty {
            text.push_str("no differences\n");
        }
        for (kind, found) in KINDS.iter().zip(&self.differences) {
            if found.is_empty() {
                continue;
            }
            let count: usize = found.values().map(|(_, count)| count).sum();
            let _ = writeln!(text, "\n{kind}: {count}");
            for (difference, (first, count)) in found.iter().take(MOST) {
                let _ = if difference.starts_with(first.as_str()) {
                    writeln!(text, "  {difference}")
                } else {
                    writeln!(text, "  {difference}; {count} times, first at {first}")
                };
            }
            if let Some(more) = found.len().checked_sub(MOST).filter(|more| *more > 0) {
                let _ = writeln!(text, "  and {more} more");
            }
        }
        let [open, ..] = &self.differences;
        Outcome {
            text,
            open: open.len(),
        }
    }
}

/// True for two redirects to the same address.
fn lead_to_one_place(theirs: &Reply, ours: &Reply) -> bool {
    let target = |answer: &Reply| match answer {
        Reply::Own {
            status: 301 | 302 | 307 | 308,
            location,
        } => Some(location.clone()),
        _ => None,
    };
    let theirs = target(theirs);
    theirs.is_some() && theirs == target(ours)
}

/// Collects the names of headers that a file sets.
fn collect(directives: &[Directive], headers: &mut [BTreeSet<String>; 2]) {
    let [requests, responses] = headers;
    for one in directives {
        match one.name() {
            "proxy_set_header" => requests.insert(one.argument(0).to_ascii_lowercase()),
            "add_header" => responses.insert(one.argument(0).to_ascii_lowercase()),
            _ => false,
        };
    }
    for one in directives {
        collect(&one.block, headers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_reaches_an_app_here_alone_comes_first_and_counts() {
        let mut trial = TrialDirectory::new().expect("a directory");
        let _ = trial.app("127.0.0.1:8000");
        let mut report = Report::new(&[], &trial);
        let listener = Listener {
            address: "0.0.0.0:80".to_owned(),
            is_tls: false,
            socket: trial.path("nginx-0"),
        };
        let request = Request {
            method: "GET",
            host: "a.example".to_owned(),
            path: "/admin".to_owned(),
            password: false,
        };
        let own = |status: u16, location: &str| Reply::Own {
            status,
            location: location.to_owned(),
        };
        let app = Reply::App(App {
            number: 0,
            line: "GET /admin".to_owned(),
            request: BTreeMap::new(),
            response: BTreeMap::new(),
        });
        report.add(&listener, &request, &[own(403, ""), app.clone()]);
        report.add(&listener, &request, &[app.clone(), own(404, "")]);
        report.add(&listener, &request, &[app.clone(), app]);
        let here = "https://a.example/admin";
        report.add(&listener, &request, &[own(301, here), own(308, here)]);
        let outcome = report.finish();
        assert_eq!(outcome.open, 1);
        let kinds: Vec<_> = outcome
            .text
            .lines()
            .filter(|line| line.starts_with("  "))
            .collect();
        assert_eq!(
            kinds,
            [
                "  GET http://a.example/admin: nginx: 403; Noren: 127.0.0.1:8000 gets GET /admin",
                "  GET http://a.example/admin: nginx: 127.0.0.1:8000 gets GET /admin; Noren: 404",
            ]
        );
    }
}

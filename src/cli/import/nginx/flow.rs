//! Evaluates `set`, `if`, `return` and `rewrite` for one kind of request, as nginx does before it checks access. If the
//! outcome depends on the request itself, the location is closed, unless Noren has a key for the condition. Does not
//! know how a route is written.

use super::directives::{Meaning, meaning};
use super::facts::{Condition, Facts, Truth};
use super::pattern::Globs;
use super::syntax::Directive;

/// The result of the statements of a block.
#[derive(Debug, Clone)]
pub(super) struct Flow<'a> {
    pub(super) facts: Facts,
    /// The outcome for all requests, if none continues behind these statements.
    pub(super) end: Option<End<'a>>,
    /// Paths that are refused.
    pub(super) refused: Vec<(Globs, &'a Directive)>,
    /// The only methods that are not refused.
    pub(super) methods: Option<Vec<String>>,
    /// True if clients without a certificate are refused.
    pub(super) certificate: bool,
    /// The address for requests that are not answered with a file.
    pub(super) pass: Option<&'a Directive>,
    /// The rewrite that strips the prefix of the location from the path for the app.
    pub(super) strips: Option<&'a Directive>,
    /// Directives that have no counterpart here and do not affect access.
    pub(super) notes: Vec<(&'a Directive, &'static str)>,
    /// Directives that are carried over.
    pub(super) carried: Vec<&'a Directive>,
}

/// The outcome of a request that does not continue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End<'a> {
    /// The request is redirected to https.
    Redirect {
        at: &'a Directive,
        port: String,
        /// True if the redirect keeps the name of the host.
        same_host: bool,
    },
    /// nginx responds itself, or the outcome depends on the request.
    Closed { at: &'a Directive },
}

impl PartialEq for Directive {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Directive {}

/// The methods that remain when others are refused.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Directives inside a condition that do not affect access.
const HARMLESS: &[&str] = &[
    "access_log",
    "add_header",
    "break",
    "charset",
    "default_type",
    "error_log",
    "error_page",
    "etag",
    "expires",
    "gzip",
    "limit_rate",
    "limit_rate_after",
    "log_not_found",
    "more_clear_headers",
    "more_set_headers",
    "proxy_cache_bypass",
    "proxy_no_cache",
    "set",
];

impl<'a> Flow<'a> {
    /// Evaluates a block. `path` is the path of its location, with which all paths for a rewrite begin.
    pub(super) fn of(block: &'a [Directive], path: &str, facts: &Facts) -> Self {
        let mut flow = Self {
            facts: facts.clone(),
            end: None,
            refused: Vec::new(),
            methods: None,
            certificate: false,
            pass: None,
            strips: None,
            notes: Vec::new(),
            carried: Vec::new(),
        };
        flow.statements(block, path);
        flow
    }

    fn statements(&mut self, block: &'a [Directive], path: &str) {
        for one in block {
            if self.end.is_some() {
                return;
            }
            match one.name() {
                "set" => {
                    self.facts.set(one, true);
                    self.carried.push(one);
                }
                "break" => return,
                "return" => self.end = Some(self.returned(one)),
                "rewrite" => self.rewrite(one, path),
                "if" => self.condition(one, path),
                _ => {}
            }
        }
    }

    fn returned(&self, at: &'a Directive) -> End<'a> {
        let is_status = at.argument(0).bytes().all(|byte| byte.is_ascii_digit());
        let target = at.argument(usize::from(is_status));
        self.to_https(at, target).unwrap_or(End::Closed { at })
    }

    fn to_https(&self, at: &'a Directive, target: &str) -> Option<End<'a>> {
        let rest = target
            .strip_prefix("https://")
            .filter(|_| !self.facts.tls)?;
        let mut authority = rest.split('/').next().unwrap_or_default();
        for path in ["$request_uri", "$uri", "$document_uri", "$is_args", "$1"] {
            authority = authority.split(path).next().unwrap_or_default();
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => {
                let digits = port.bytes().take_while(u8::is_ascii_digit).count();
                (host, port.get(..digits).unwrap_or_default())
            }
            None => (authority, ""),
        };
        let port = if port.is_empty() { "443" } else { port };
        let own = self.facts.host.as_deref();
        let same_host = matches!(host, "$host" | "${host}" | "$http_host")
            || own.is_some() && self.facts.expand(host).as_deref() == own;
        Some(End::Redirect {
            at,
            port: port.to_owned(),
            same_host,
        })
    }

    fn rewrite(&mut self, at: &'a Directive, path: &str) {
        let (pattern, target) = (at.argument(0), at.argument(1));
        let globs = Globs::read(pattern, false);
        if globs.below(path).is_empty() {
            self.notes.push((at, "it is about other paths"));
        } else if at.argument(2) == "break" && strips(pattern, target, path) {
            self.strips = Some(at);
        } else if globs.covers(path) {
            let end = self.to_https(at, target);
            self.end = Some(end.unwrap_or(End::Closed { at }));
        } else {
            self.refused.push((globs, at));
        }
    }

    fn condition(&mut self, at: &'a Directive, path: &str) {
        let condition = Condition::of(at);
        match self.facts.truth(&condition) {
            Truth::No => self.carried.push(at),
            Truth::Yes => {
                self.statements(&at.block, path);
                self.pass = at.all("proxy_pass").next().or(self.pass);
                let known = ["return", "rewrite", "proxy_pass", "set", "break"];
                let other = at.block.iter().find(|one| !known.contains(&one.name()));
                if other.is_some_and(|one| !is_harmless(one)) && self.end.is_none() {
                    self.end = Some(End::Closed { at });
                }
            }
            Truth::Unknown => self.uncertain_condition(at, &condition),
        }
    }

    /// Handles a condition that is true for some requests of this kind.
    fn uncertain_condition(&mut self, at: &'a Directive, condition: &Condition<'_>) {
        for set in at.all("set") {
            self.facts.set(set, false);
        }
        if at.block.iter().all(is_harmless) {
            return self.notes.push((at, "it depends on the request"));
        }
        let is_about_files = condition.operator.trim_start_matches('!').starts_with('-');
        if is_about_files
            && let Some(pass) = at.all("proxy_pass").next()
            && condition.operator.starts_with('!')
            && condition.left == "$request_filename"
        {
            self.pass = Some(pass);
            return;
        }
        let ends = |one: &Directive| one.name() == "return" || is_harmless(one);
        if !at.block.iter().all(ends) {
            self.end = Some(End::Closed { at });
            return;
        }
        if is_about_files && is_maintenance(at, condition) {
            let why = "there is no such switch here: stop the app, or its [[app]], for maintenance";
            return self.notes.push((at, why));
        }
        if let Some(left) = methods_left(condition) {
            let had = self.methods.take();
            let both = |name: &String| had.as_ref().is_none_or(|had| had.contains(name));
            self.methods = Some(left.into_iter().filter(both).collect());
            return self.carried.push(at);
        }
        let is_success = condition.right.trim_matches(['"', '\'']) == "SUCCESS";
        if condition.is_about(&["$ssl_client_verify"]) && condition.operator == "!=" && is_success {
            self.certificate = true;
            return self.carried.push(at);
        }
        if condition.is_about(&["$uri", "$document_uri"])
            && let any_case @ ("~" | "~*") = condition.operator
        {
            let globs = Globs::read(&condition.right, any_case == "~*");
            return self.refused.push((globs, at));
        }
        self.end = Some(End::Closed { at });
    }
}

fn is_harmless(one: &Directive) -> bool {
    HARMLESS.contains(&one.name()) || meaning(one.name()) == Meaning::Needless
}

/// True if a rewrite only removes the path of its location.
fn strips(pattern: &str, target: &str, path: &str) -> bool {
    let bare = path.trim_end_matches('/');
    let rest = pattern
        .strip_prefix('^')
        .and_then(|rest| rest.strip_prefix(bare));
    let Some(rest) = rest.map(|rest| rest.trim_end_matches('$')) else {
        return false;
    };
    match target {
        "/$1" => matches!(rest, "/(.*)" | "/?(.*)" | "(.*)" | "/(.+)"),
        "$1" => matches!(rest, "(/.*)" | "(.*)"),
        _ => false,
    }
}

/// True if the condition is a maintenance switch: while a file exists, every request gets 502 or 503.
fn is_maintenance(at: &Directive, condition: &Condition<'_>) -> bool {
    let path = condition.left.replace("$document_root", "");
    !condition.operator.starts_with('!')
        && !path.contains('$')
        && at
            .all("return")
            .all(|one| matches!(one.argument(0), "502" | "503"))
}

/// Returns the methods that are left by a condition that refuses others.
fn methods_left(condition: &Condition<'_>) -> Option<Vec<String>> {
    if !condition.is_about(&["$request_method"]) {
        return None;
    }
    let right = condition.right.trim_matches(['"', '\'']);
    let known = |left: &dyn Fn(&str) -> bool| {
        let names = METHODS.iter().filter(|name| left(name));
        Some(names.map(ToString::to_string).collect::<Vec<_>>())
    };
    let globs = Globs::read(right, condition.operator.ends_with('*'));
    let left = match condition.operator {
        "=" => known(&|name| name != right),
        "!=" => Some(vec![right.to_owned()]),
        "~" | "~*" => known(&|name| globs.fits(name) == Some(false)),
        "!~" | "!~*" if globs.exact => {
            let named = |text: &String| !text.contains('*');
            if globs.texts.iter().all(named) {
                Some(globs.texts.iter().map(|text| text.to_uppercase()).collect())
            } else {
                known(&|name| globs.fits(name) == Some(true))
            }
        }
        _ => None,
    };
    left.filter(|left| !left.is_empty())
}

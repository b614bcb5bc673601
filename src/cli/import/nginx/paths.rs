//! Turns the locations of a server into routes. A location of nginx matches every path that begins with its bytes, and
//! patterns are matched before most locations; a route of Noren matches whole segments, unless it ends in `*`.
//!
//! A path is refused if it has different outcomes and it is not known that they are equal. Does not know how a route is
//! written.

use std::collections::HashSet;

use super::location::{Closed, Locations, Outcome};
use super::pattern::{Globs, fixed};
use super::scope::Scope;
use super::syntax::Directive;
use noren::config::{PathPattern, PathPrefix};

/// A route of Noren, and its outcome.
#[derive(Debug, Clone)]
pub(super) struct Route<'a> {
    /// The path in the syntax of noren.toml.
    pub(super) path: String,
    pub(super) outcome: Outcome<'a>,
    /// Paths of the route that are refused.
    pub(super) refuse: Vec<String>,
}

/// A prefix of nginx at which another outcome begins.
#[derive(Debug, Clone)]
struct Cut<'a> {
    path: String,
    /// True for a single path, not a prefix.
    exact: bool,
    /// The blocks whose patterns are matched before this path, the nearest first.
    blocks: Vec<usize>,
    outcome: Outcome<'a>,
    refuse: Vec<String>,
    /// True if nginx redirects the path without its final slash to the one with the slash.
    adds_slash: bool,
}

/// A location for a pattern of paths.
#[derive(Debug)]
struct Pattern<'a> {
    block: usize,
    globs: Globs,
    outcome: Outcome<'a>,
    at: &'a Directive,
}

/// The routes, and remarks on paths that they leave out.
pub(super) struct Paths<'a> {
    pub(super) routes: Vec<Route<'a>>,
    /// Directives that the routes leave out, with the reason.
    pub(super) told: Vec<(&'a Directive, String)>,
    /// Patterns that do not change any route.
    pub(super) carried: Vec<&'a Directive>,
}

/// Determines the routes of a server from the scope of its block.
pub(super) fn routes<'a>(locations: &Locations<'a, '_>, scope: &Scope<'a>) -> Paths<'a> {
    let mut map = Map {
        locations,
        cuts: Vec::new(),
        patterns: Vec::new(),
        blocks: 0,
        told: Vec::new(),
        carried: Vec::new(),
    };
    map.collect(&locations.server.block, scope, &[]);
    if !map.cuts.iter().any(|cut| cut.path == "/" && !cut.exact) {
        map.cuts.push(Cut {
            path: "/".to_owned(),
            exact: false,
            blocks: vec![0],
            outcome: Outcome::Closed(Closed::nothing()),
            refuse: Vec::new(),
            adds_slash: false,
        });
    }
    map.cut_at_beginnings();
    map.apply_patterns();
    map.refuse_single_paths();
    let mut routes = Vec::new();
    for cut in &map.cuts {
        map.route(cut, &mut routes);
    }
    Paths {
        routes,
        told: map.told,
        carried: map.carried,
    }
}

struct Map<'a, 'b, 'c> {
    locations: &'c Locations<'a, 'b>,
    cuts: Vec<Cut<'a>>,
    patterns: Vec<Pattern<'a>>,
    blocks: usize,
    told: Vec<(&'a Directive, String)>,
    carried: Vec<&'a Directive>,
}

impl<'a> Map<'a, '_, '_> {
    /// Collects the locations of a block. `around` are the outer blocks, whose patterns are matched too.
    fn collect(&mut self, block: &'a [Directive], scope: &Scope<'a>, around: &[usize]) {
        let own = self.blocks;
        self.blocks += 1;
        for at in block.iter().filter(|one| one.name() == "location") {
            let inside = scope.inside(&at.block);
            let (sign, path) = parts(at);
            match sign {
                "@" => {}
                "~" | "~*" => {
                    let nests = at.all("location").next().is_some();
                    let outcome = if nests {
                        Outcome::closed(at, "there are locations in a pattern: it is closed here")
                    } else {
                        self.locations.outcome(at, &inside, "")
                    };
                    self.patterns.push(Pattern {
                        block: own,
                        globs: Globs::read(path, sign == "~*"),
                        outcome,
                        at,
                    });
                }
                // nginx merges slashes before it compares.
                _ if !path.starts_with('/') || path.contains("//") => {
                    let why = "no path begins so, and nginx never comes here";
                    self.told.push((at, why.to_owned()));
                }
                _ => {
                    let mut outside: Vec<usize> = Vec::new();
                    if sign != "^~" {
                        outside.push(own);
                    }
                    outside.extend(around);
                    let mut blocks = outside.clone();
                    if at.all("location").next().is_some() {
                        blocks.insert(0, self.blocks);
                        self.collect(&at.block, &inside, &outside);
                    }
                    self.cuts.push(Cut {
                        path: path.to_owned(),
                        exact: sign == "=",
                        blocks,
                        outcome: self.locations.outcome(at, &inside, path),
                        refuse: Vec::new(),
                        adds_slash: at.all("proxy_pass").next().is_some(),
                    });
                }
            }
        }
    }

    /// Returns the longest prefix that matches a path.
    fn longest(&self, path: &str) -> Option<usize> {
        let fits = |cut: &Cut<'_>| !cut.exact && path.starts_with(&cut.path);
        let cuts = self.cuts.iter().enumerate().filter(|(_, cut)| fits(cut));
        cuts.max_by_key(|(_, cut)| cut.path.len()).map(|(at, _)| at)
    }

    /// Turns patterns that only match the beginning of a path into prefixes of their own.
    fn cut_at_beginnings(&mut self) {
        let mut more: Vec<Cut<'a>> = Vec::new();
        for pattern in self.patterns.iter().filter(|one| one.outcome.is_open()) {
            for path in pattern.globs.beginnings() {
                let is_known = |cut: &Cut<'_>| !cut.exact && cut.path == path;
                if self.cuts.iter().chain(&more).any(is_known) {
                    continue;
                }
                let above = self.longest(path).and_then(|at| self.cuts.get(at));
                if let Some(above) = above.filter(|above| above.blocks.contains(&pattern.block)) {
                    more.push(Cut {
                        path: path.to_owned(),
                        adds_slash: false,
                        ..above.clone()
                    });
                }
            }
        }
        self.cuts.extend(more);
    }

    /// Applies the patterns, and the rules that refuse paths of the whole server.
    fn apply_patterns(&mut self) {
        let mut used = HashSet::new();
        for cut in &mut self.cuts {
            let mut before: Vec<(&Pattern<'a>, Vec<String>)> = Vec::new();
            let blocks = cut.blocks.iter().filter(|_| !cut.exact);
            let asked = blocks.flat_map(|block| {
                let patterns = self.patterns.iter();
                patterns.filter(move |pattern| pattern.block == *block)
            });
            for pattern in asked {
                if pattern.globs.covers(&cut.path) {
                    cut.outcome = pattern.outcome.clone();
                    break;
                }
                before.push((pattern, pattern.globs.below(&cut.path)));
            }
            let Some(access) = cut.outcome.access() else {
                continue;
            };
            let others = before.into_iter();
            let others = others.filter(|(one, _)| one.outcome.access().as_ref() != Some(&access));
            let others = others.map(|(pattern, meets)| (pattern.at, meets));
            let refused = self.locations.flow.refused.iter();
            let refused = refused.map(|(globs, at)| (*at, globs.below(&cut.path)));
            let all: Vec<_> = others
                .chain(refused)
                .filter(|(_, meets)| !meets.is_empty())
                .collect();
            for (at, meets) in all {
                used.insert(at.id);
                cut.refuse(at, meets);
            }
        }
        let is_lost = |pattern: &&Pattern<'_>| {
            let is_route = !pattern.globs.beginnings().is_empty();
            let access = pattern.outcome.access();
            let is_elsewhere = self.cuts.iter().any(|cut| cut.outcome.access() == access);
            access.is_some() && !is_route && !is_elsewhere
        };
        let told = self
            .patterns
            .iter()
            .filter(|pattern| used.contains(&pattern.at.id) || is_lost(pattern));
        self.told.extend(told.map(remark_on));
        for pattern in self
            .patterns
            .iter()
            .filter(|pattern| !used.contains(&pattern.at.id))
        {
            match &pattern.outcome {
                Outcome::Closed(Closed { told, .. }) => self.told.extend(told.clone()),
                _ => self.carried.push(pattern.at),
            }
        }
        for (globs, at) in self
            .locations
            .flow
            .refused
            .iter()
            .filter(|(_, at)| used.contains(&at.id))
        {
            let globs = globs.texts.join(" ");
            let why = format!(
                "paths are not rewritten, and this has no other place: {globs} is refused here"
            );
            self.told.push((at, why));
        }
    }

    /// Refuses, in the routes that would serve them, single paths that have no outcome and paths that noren.toml cannot
    /// express.
    fn refuse_single_paths(&mut self) {
        for cut in self.cuts.clone() {
            let is_writable = cut.is_writable();
            if !cut.exact && is_writable {
                continue;
            }
            let above = self.parent_prefix(&cut).cloned();
            let access = cut.outcome.access();
            if access.is_some() && above.as_ref().and_then(|above| above.outcome.access()) == access
            {
                continue;
            }
            let is_route = matches!(cut.outcome, Outcome::App(_)) && !cut.path.ends_with('/');
            if access.is_some() && is_route && is_writable {
                continue;
            }
            match &cut.outcome {
                Outcome::Closed(Closed { told, .. }) => self.told.extend(told.clone()),
                other => {
                    let why =
                        "no route of a noren.toml stands for this path alone: it is refused here";
                    self.told
                        .extend(directive_of(other).map(|at| (at, why.to_owned())));
                }
            }
            let star = if cut.exact { "" } else { "*" };
            let text = format!("{}{star}", cut.path);
            let above = above.map(|above| above.path);
            let cuts = self.cuts.iter_mut();
            for above in cuts.filter(|one| !one.exact && Some(&one.path) == above.as_ref()) {
                if let Some(at) =
                    directive_of(&cut.outcome).or_else(|| directive_of(&above.outcome))
                {
                    above.refuse(at, vec![text.clone()]);
                }
            }
        }
    }

    /// Returns the next shorter prefix that contains the paths of this one.
    fn parent_prefix(&self, cut: &Cut<'_>) -> Option<&Cut<'a>> {
        let is_above = |other: &&Cut<'_>| {
            let shorter = other.path.len() < cut.path.len() || cut.exact;
            !other.exact && shorter && cut.path.starts_with(&other.path)
        };
        let above = self.cuts.iter().filter(is_above);
        above.max_by_key(|other| other.path.len())
    }

    /// Adds the routes for a prefix.
    fn route(&self, cut: &Cut<'a>, routes: &mut Vec<Route<'a>>) {
        let above = self.parent_prefix(cut);
        let above_open = above.is_some_and(|above| above.outcome.is_open());
        let same = above.is_some_and(|above| {
            above.outcome.access() == cut.outcome.access() && above.refuse == cut.refuse
        });
        let nothing = Outcome::Closed(Closed::nothing());
        let mut add = |path: &str, outcome: &Outcome<'a>, refuse: &[String]| {
            routes.push(Route {
                path: path.to_owned(),
                outcome: outcome.clone(),
                refuse: refuse.to_vec(),
            });
        };
        if cut.path == "/" && !cut.exact {
            return add("/", &cut.outcome, &cut.refuse);
        }
        if !cut.is_writable() {
            return;
        }
        let is_app = matches!(cut.outcome, Outcome::App(_));
        if cut.exact {
            if is_app && !same && !cut.path.ends_with('/') {
                add(&cut.path, &cut.outcome, &cut.refuse);
                self.below(cut, above, routes);
            }
            return;
        }
        let bare = cut.path.trim_end_matches('/');
        let is_taken = self
            .cuts
            .iter()
            .any(|other| other.path == bare || other.exact && other.path == cut.path);
        let loose = format!("{}*", cut.path);
        let ends = cut.path.ends_with('/');
        match &cut.outcome {
            Outcome::Files(_) if ends && is_taken => add(&loose, &nothing, &[]),
            _ if ends => {
                // A location may stand in one of the same path, and the outer one decides.
                let mut alike = self.cuts.iter().filter(|other| other.path == cut.path);
                let is_own = is_app && !same && !alike.all(|other| other.adds_slash);
                let path = if is_taken || is_own { &loose } else { bare };
                add(path, &cut.outcome, &cut.refuse);
            }
            Outcome::Closed(_) | Outcome::Redirect(_) => {
                let path = if above_open { &loose } else { bare };
                add(path, &cut.outcome, &[]);
            }
            Outcome::App(_) => {
                let path = if above_open && !same { &loose } else { bare };
                add(path, &cut.outcome, &cut.refuse);
            }
            Outcome::Console(_) => add(bare, &cut.outcome, &cut.refuse),
            Outcome::Files(_) => {
                add(bare, &cut.outcome, &cut.refuse);
                if above_open {
                    add(&loose, &nothing, &[]);
                }
            }
        }
    }

    /// Adds a route for the paths below a single path, with the outcome that they would have without it.
    fn below(&self, cut: &Cut<'a>, above: Option<&Cut<'a>>, routes: &mut Vec<Route<'a>>) {
        let below = format!("{}/", cut.path);
        if self
            .cuts
            .iter()
            .any(|other| !other.exact && other.path == below)
        {
            return;
        }
        let rest = above.filter(|above| matches!(above.outcome, Outcome::App(_)));
        let nothing = Outcome::Closed(Closed::nothing());
        routes.push(Route {
            path: format!("{below}*"),
            outcome: rest.map_or(nothing, |above| above.outcome.clone()),
            refuse: rest.map_or_else(Vec::new, |above| above.refuse.clone()),
        });
    }
}

impl<'a> Cut<'a> {
    /// Refuses paths of a route; the whole route is closed if noren.toml cannot express them.
    fn refuse(&mut self, at: &'a Directive, texts: Vec<String>) {
        let is_whole = |text: &String| {
            let fixed = fixed(text);
            text.len() == fixed.len() + 1 && text.ends_with('*') && self.path.starts_with(fixed)
        };
        let is_unwritable = |text: &String| PathPattern::parse(text).is_err();
        let is_one = |text: &String| self.exact && *text == self.path;
        if texts
            .iter()
            .any(|text| is_whole(text) || is_unwritable(text) || is_one(text))
        {
            let why = "paths of another place would be answered by it here, and no `refuse` stands for them: it is \
                       closed here";
            let told = directive_of(&self.outcome).unwrap_or(at);
            self.outcome = Outcome::closed(told, format!("{why} (see line {})", at.line));
            return;
        }
        for text in texts {
            if !self.refuse.contains(&text) {
                self.refuse.push(text);
            }
        }
    }

    /// True if noren.toml can express this path.
    fn is_writable(&self) -> bool {
        self.path == "/" || PathPrefix::parse(self.path.trim_end_matches('/')).is_ok()
    }
}

/// Returns the remark on a pattern.
fn remark_on<'a>(pattern: &Pattern<'a>) -> (&'a Directive, String) {
    let globs = pattern.globs.texts.join(" ");
    let why = if pattern.outcome.is_open() {
        format!(
            "there are no patterns of paths here: {globs} is refused where another place would answer"
        )
    } else {
        format!(
            "this is closed in nginx for a pattern of paths: {globs} is refused here, in any letter case"
        )
    };
    (pattern.at, why)
}

/// Returns the directive of the location from which an outcome comes.
fn directive_of<'a>(outcome: &Outcome<'a>) -> Option<&'a Directive> {
    match outcome {
        Outcome::App(app) | Outcome::Console(app) => Some(app.at),
        Outcome::Files(files) => Some(files.at),
        Outcome::Redirect(redirect) => Some(redirect.at),
        Outcome::Closed(closed) => closed.told.as_ref().map(|(at, _)| *at),
    }
}

/// Returns the path of a location; `None` for a pattern and for a named location.
pub(super) fn written(location: &Directive) -> Option<&str> {
    let (sign, path) = parts(location);
    (!matches!(sign, "~" | "~*" | "@") && path.starts_with('/')).then_some(path)
}

/// Splits the operator and the path of a location, which may be written as one word.
fn parts(location: &Directive) -> (&str, &str) {
    match location.arguments() {
        [sign, path] => (sign, path),
        [word] => {
            let signs = ["^~", "~*", "~", "=", "@"];
            let mut signs = signs.iter();
            let sign = signs.find(|sign| word.starts_with(**sign));
            sign.map_or(("", word.as_str()), |sign| word.split_at(sign.len()))
        }
        _ => ("", ""),
    }
}

//! Converts patterns of nginx (PCRE) to globs with stars, which `refuse` supports. A glob may match more paths than the
//! pattern and never fewer, so that no closed path is opened. Must not know the outcome of a path.

/// A pattern as a list of globs, in which `*` matches any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Globs {
    pub(super) texts: Vec<String>,
    /// True if the globs match exactly the paths of the pattern, up to letter case.
    pub(super) exact: bool,
    /// True if letter case is ignored.
    pub(super) any_case: bool,
}

/// Limit on the number of globs for one pattern; a pattern that needs more becomes one star.
const MOST: usize = 64;

/// Marks for the beginning and the end of a path, within an unfinished glob.
const BEGIN: char = '\u{1}';
const END: char = '\u{2}';

impl Globs {
    /// Converts the pattern of a location, a condition or a rewrite.
    pub(super) fn read(pattern: &str, any_case: bool) -> Self {
        let mut reader = Reader {
            rest: pattern,
            exact: true,
        };
        let texts = reader.alternatives(0);
        let complete = reader.rest.is_empty();
        let Some(texts) = texts.filter(|_| complete) else {
            return Self::everything(any_case);
        };
        let mut exact = reader.exact;
        let mut finished: Vec<String> = Vec::new();
        for text in texts {
            let text = finish(&text, &mut exact);
            if !finished.contains(&text) {
                finished.push(text);
            }
        }
        // Everything else is part of it.
        if finished.iter().any(|text| text == "*") {
            finished = vec!["*".to_owned()];
        }
        Self {
            texts: finished,
            exact,
            any_case: any_case || pattern.starts_with("(?i)"),
        }
    }

    fn everything(any_case: bool) -> Self {
        Self {
            texts: vec!["*".to_owned()],
            exact: false,
            any_case,
        }
    }

    /// True if a text matches; `None` if that cannot be known.
    pub(super) fn fits(&self, text: &str) -> Option<bool> {
        let small = text.to_lowercase();
        let mut loose = self.texts.iter();
        if !loose.any(|glob| matches(&glob.to_lowercase(), &small)) {
            return Some(false);
        }
        let mut strict = self.texts.iter();
        let fits = self.any_case || strict.any(|glob| matches(glob, text));
        (self.exact && fits).then_some(true)
    }

    /// Returns the globs that can match a path with this beginning.
    pub(super) fn below(&self, beginning: &str) -> Vec<String> {
        let beginning = beginning.to_lowercase();
        let meets = |text: &&String| {
            let fixed = fixed(text).to_lowercase();
            // A text without a star is one path.
            if !text.contains('*') {
                return fixed.starts_with(&beginning);
            }
            fixed.starts_with(&beginning) || beginning.starts_with(&fixed)
        };
        self.texts.iter().filter(meets).cloned().collect()
    }

    /// True if every path with this beginning matches.
    pub(super) fn covers(&self, beginning: &str) -> bool {
        self.exact
            && self.texts.iter().any(|text| {
                text.strip_suffix('*')
                    .is_some_and(|fixed| !fixed.contains('*') && beginning.starts_with(fixed))
            })
    }

    /// Returns the beginnings of the matching paths, if only the beginning of a path matters.
    pub(super) fn beginnings(&self) -> Vec<&str> {
        let fixed = |text: &'_ String| text.len() > 1 && text.find('*') == Some(text.len() - 1);
        if !self.exact || !self.texts.iter().all(fixed) {
            return Vec::new();
        }
        let cut = self.texts.iter().filter_map(|text| text.strip_suffix('*'));
        cut.collect()
    }
}

/// Returns the text of a glob before its first star.
pub(super) fn fixed(text: &str) -> &str {
    text.split('*').next().unwrap_or_default()
}

/// True if a text matches a glob, byte for byte.
fn matches(glob: &str, text: &str) -> bool {
    let Some((first, rest)) = glob.split_once('*') else {
        return glob == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in between.split('*') {
        match left.split_once(part) {
            Some((_, behind)) => left = behind,
            None => return false,
        }
    }
    left.ends_with(last)
}

/// Adds stars at the ends at which the pattern is not anchored.
fn finish(text: &str, exact: &mut bool) -> String {
    let begins = text.starts_with(BEGIN);
    let ends = text.ends_with(END);
    let mut inner: String = text
        .trim_start_matches(BEGIN)
        .trim_end_matches(END)
        .to_owned();
    // No decoded path holds these, or `refuse` has no way to write them.
    let foreign = |sign: char| sign.is_control() || matches!(sign, '?' | '#' | '%' | '\\');
    if inner.contains(foreign) {
        *exact = false;
        inner = inner.replace(foreign, "*");
    }
    let mut whole = format!(
        "{}{inner}{}",
        if begins { "" } else { "*" },
        if ends { "" } else { "*" }
    );
    while whole.contains("**") {
        whole = whole.replace("**", "*");
    }
    whole
}

struct Reader<'a> {
    rest: &'a str,
    exact: bool,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let sign = self.rest.chars().next()?;
        self.rest = self.rest.get(sign.len_utf8()..).unwrap_or_default();
        Some(sign)
    }

    fn take(&mut self, text: &str) -> bool {
        let behind = self.rest.strip_prefix(text);
        self.rest = behind.unwrap_or(self.rest);
        behind.is_some()
    }

    /// Parses alternatives up to the end, or to the bracket that closes a group.
    fn alternatives(&mut self, depth: usize) -> Option<Vec<String>> {
        let mut all = Vec::new();
        loop {
            all.extend(self.sequence(depth)?);
            if all.len() > MOST {
                self.exact = false;
                all = vec!["*".to_owned()];
            }
            if !self.take("|") {
                return Some(all);
            }
        }
    }

    fn sequence(&mut self, depth: usize) -> Option<Vec<String>> {
        let mut texts = vec![String::new()];
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let parts = self.repeated(depth)?;
            let joined = texts
                .iter()
                .flat_map(|text| parts.iter().map(move |part| format!("{text}{part}")));
            texts = joined.collect();
            if texts.len() > MOST {
                self.exact = false;
                texts = vec!["*".to_owned()];
            }
        }
        Some(texts)
    }

    /// Parses an element with its quantifier.
    fn repeated(&mut self, depth: usize) -> Option<Vec<String>> {
        let is_any = self.rest.starts_with('.');
        let mut parts = self.atom(depth)?;
        let star = || vec!["*".to_owned()];
        match self.rest.chars().next() {
            Some('?') => {
                self.next();
                if is_any {
                    self.exact = false;
                    parts = star();
                } else {
                    parts.push(String::new());
                }
            }
            Some('*') => {
                self.next();
                self.exact &= is_any;
                parts = star();
            }
            Some('+') => {
                self.next();
                self.exact = false;
                parts = star();
            }
            Some('{') => {
                let (_, behind) = self.rest.split_once('}')?;
                self.rest = behind;
                self.exact = false;
                parts = star();
            }
            _ if is_any => {
                self.exact = false;
                parts = star();
            }
            _ => return Some(parts),
        }
        // Greedy or not, the same texts fit.
        let _ = self.take("?") || self.take("+");
        Some(parts)
    }

    fn atom(&mut self, depth: usize) -> Option<Vec<String>> {
        let one = |text: String| Some(vec![text]);
        match self.next()? {
            '^' => one(BEGIN.to_string()),
            '$' => one(END.to_string()),
            '.' => one("*".to_owned()),
            '[' => self.class(),
            '(' if depth < 16 => self.group(depth),
            '\\' => match self.next()? {
                'A' => one(BEGIN.to_string()),
                'z' | 'Z' => one(END.to_string()),
                'b' | 'B' => {
                    self.exact = false;
                    one(String::new())
                }
                sign if sign.is_ascii_alphanumeric() => {
                    self.exact = false;
                    one("*".to_owned())
                }
                sign => one(sign.to_string()),
            },
            '*' | '+' | '?' | '(' | ')' => None,
            sign => one(sign.to_string()),
        }
    }

    fn group(&mut self, depth: usize) -> Option<Vec<String>> {
        let mut looks_around = false;
        if self.take("?") {
            if self.take("i)") {
                return Some(vec![String::new()]);
            }
            looks_around = ["=", "!", "<=", "<!"].iter().any(|sign| self.take(sign));
            let is_named = !looks_around && (self.take("<") || self.take("P<"));
            if is_named {
                let (_, behind) = self.rest.split_once('>')?;
                self.rest = behind;
            } else if !looks_around && !self.take(":") {
                return None;
            }
        }
        let texts = self.alternatives(depth + 1)?;
        if !self.take(")") {
            return None;
        }
        if looks_around {
            self.exact = false;
            return Some(vec![String::new()]);
        }
        Some(texts)
    }

    /// Expands a small character class to its characters; a larger one becomes a star.
    fn class(&mut self) -> Option<Vec<String>> {
        let mut signs = Vec::new();
        let mut is_list = !self.take("^");
        loop {
            match self.next()? {
                ']' if !signs.is_empty() => break,
                '\\' => {
                    let sign = self.next()?;
                    is_list &= !sign.is_ascii_alphanumeric();
                    signs.push(sign);
                }
                '-' if !signs.is_empty() && !self.rest.starts_with(']') => {
                    is_list = false;
                }
                '[' => {
                    is_list = false;
                    signs.push('[');
                    if self.take(":") {
                        let (_, behind) = self.rest.split_once(":]")?;
                        self.rest = behind;
                    }
                }
                sign => signs.push(sign),
            }
        }
        if !is_list || signs.len() > 4 {
            self.exact = false;
            return Some(vec!["*".to_owned()]);
        }
        Some(signs.iter().map(char::to_string).collect())
    }
}

#[cfg(test)]
mod tests;

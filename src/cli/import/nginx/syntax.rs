//! Parser of nginx configuration files: directives that consist of words and end in a block or a semicolon, with
//! included files in place of their `include`.
//!
//! Must not know directives other than `include`.

use std::rc::Rc;

use anyhow::{Context, Result, bail};

/// A directive: `listen 443 ssl;` or `server { … }`.
#[derive(Debug)]
pub(super) struct Directive {
    /// Number of the directive, in the order of parsing.
    pub(super) id: usize,
    pub(super) file: Rc<str>,
    pub(super) line: usize,
    pub(super) words: Vec<String>,
    pub(super) block: Vec<Directive>,
    has_block: bool,
}

impl Directive {
    /// Wraps directives outside of any server in a server.
    pub(super) fn server(file: &str, block: Vec<Self>) -> Self {
        Self {
            id: 0,
            file: Rc::from(file),
            line: 1,
            words: vec!["server".to_owned()],
            block,
            has_block: true,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Returns the argument at this position, or an empty text.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments().get(index).map_or("", String::as_str)
    }

    pub(super) fn has(&self, word: &str) -> bool {
        self.arguments().iter().any(|argument| argument == word)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.block.iter().filter(move |inner| inner.name() == name)
    }

    /// True if the directive ends in a block.
    pub(super) fn has_block(&self) -> bool {
        self.has_block
    }

    /// Formats the directive with its file and line, on one line.
    pub(super) fn display(&self) -> String {
        let end = if self.has_block { " { … }" } else { ";" };
        let words = self.words.join(" ").replace(['\n', '\r'], " ");
        format!("{}:{}: {words}{end}", self.file, self.line)
    }
}

/// A file with its name and its text.
pub(super) type Source = (String, String);

/// Callback that returns the files for the argument of an `include`; `None` if they cannot be read.
pub(super) type Includes<'a> = &'a dyn Fn(&str) -> Option<Vec<Source>>;

/// Limit on nested blocks. nginx itself has five levels; each takes a part of the stack here.
const DEEPEST: usize = 64;

/// The most files that include each other, and the most files all together.
const DEEPEST_FILE: usize = 8;
const MOST_FILES: usize = 1000;

/// Parses a whole file, with included files in place of their `include`.
pub(super) fn read(text: &str, file: &str, includes: Includes<'_>) -> Result<Vec<Directive>> {
    let mut reader = Reader {
        includes,
        next: 0,
        files: 0,
    };
    reader.file(text, file, 0)
}

struct Reader<'a> {
    includes: Includes<'a>,
    next: usize,
    files: usize,
}

/// The file of a directive, and its depth in blocks and in included files.
#[derive(Clone, Copy)]
struct DirectiveContext<'a> {
    file: &'a Rc<str>,
    depth: usize,
    file_depth: usize,
}

impl Reader<'_> {
    fn file(&mut self, text: &str, file: &str, file_depth: usize) -> Result<Vec<Directive>> {
        self.files += 1;
        if file_depth > DEEPEST_FILE || self.files > MOST_FILES {
            bail!(
                "{file}: files include each other more than {DEEPEST_FILE} deep, or are over {MOST_FILES}"
            );
        }
        let signs = signs(text);
        let mut rest = signs.as_slice();
        let name = Rc::from(file);
        let context = DirectiveContext {
            file: &name,
            depth: 0,
            file_depth,
        };
        let read = self.block(&mut rest, context)?;
        if let Some((line, _)) = rest.first() {
            bail!("line {line}: there is a `}}` too many");
        }
        Ok(read)
    }

    fn block(
        &mut self,
        rest: &mut &[(usize, Sign)],
        context: DirectiveContext<'_>,
    ) -> Result<Vec<Directive>> {
        let mut directives = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut begin = 0;
        while let Some(((line, sign), behind)) = rest.split_first() {
            if *sign == Sign::Close {
                break;
            }
            *rest = behind;
            if words.is_empty() {
                begin = *line;
            }
            let mut block = Vec::new();
            match sign {
                Sign::Word(word) => {
                    words.push(word.clone());
                    continue;
                }
                Sign::End | Sign::Close => {}
                Sign::Open if context.depth == DEEPEST => {
                    bail!("line {line}: blocks are more than {DEEPEST} deep in each other");
                }
                Sign::Open => {
                    let nested = DirectiveContext {
                        depth: context.depth + 1,
                        ..context
                    };
                    block = self.block(rest, nested)?;
                    match rest.split_first() {
                        Some((_, behind)) => *rest = behind,
                        None => bail!("line {line}: the block that begins here has no end"),
                    }
                }
            }
            if words.is_empty() {
                continue;
            }
            self.next += 1;
            let directive = Directive {
                id: self.next,
                file: Rc::clone(context.file),
                line: begin,
                words: std::mem::take(&mut words),
                block,
                has_block: *sign == Sign::Open,
            };
            self.add(directive, context, &mut directives)?;
        }
        if !words.is_empty() {
            bail!("line {begin}: `{}` has no `;` at its end", words.join(" "));
        }
        Ok(directives)
    }

    /// Adds a directive, or the content of an included file.
    fn add(
        &mut self,
        directive: Directive,
        context: DirectiveContext<'_>,
        to: &mut Vec<Directive>,
    ) -> Result<()> {
        let included = match directive.name() {
            "include" => (self.includes)(directive.argument(0)),
            _ => None,
        };
        let Some(files) = included else {
            to.push(directive);
            return Ok(());
        };
        for (name, text) in files {
            let read = self
                .file(&text, &name, context.file_depth + 1)
                .with_context(|| format!("included in line {}: {name}", directive.line))?;
            to.extend(read);
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Sign {
    Word(String),
    Open,
    Close,
    End,
}

fn signs(text: &str) -> Vec<(usize, Sign)> {
    let mut signs = Vec::new();
    let mut line = 1;
    let mut rest = text.chars().peekable();
    while let Some(sign) = rest.next() {
        match sign {
            '\n' => line += 1,
            sign if sign.is_whitespace() => {}
            '#' => while rest.next_if(|sign| *sign != '\n').is_some() {},
            ';' => signs.push((line, Sign::End)),
            '{' => signs.push((line, Sign::Open)),
            '}' => signs.push((line, Sign::Close)),
            quote @ ('"' | '\'') => {
                let begin = line;
                let mut word = String::new();
                while let Some(sign) = rest.next() {
                    match sign {
                        '\\' => escaped(&mut word, rest.next()),
                        sign if sign == quote => break,
                        sign => word.push(sign),
                    }
                    line += usize::from(sign == '\n');
                }
                signs.push((begin, Sign::Word(word)));
            }
            first => {
                let mut word = String::new();
                let mut last = first;
                if first == '\\' {
                    escaped(&mut word, rest.next());
                } else {
                    word.push(first);
                }
                // Only a blank, `;` or `{` ends a word, and `${name}` is part of one.
                while let Some(sign) = rest.next_if(|sign| {
                    !sign.is_whitespace() && *sign != ';' && (*sign != '{' || last == '$')
                }) {
                    if sign == '\\' {
                        escaped(&mut word, rest.next());
                    } else {
                        word.push(sign);
                    }
                    last = sign;
                }
                signs.push((line, Sign::Word(word)));
            }
        }
    }
    signs
}

/// Adds the character behind a backslash. The backslash is removed before quotes and itself only, so that patterns
/// keep theirs.
fn escaped(word: &mut String, sign: Option<char>) {
    match sign {
        Some(sign @ ('"' | '\'' | '\\')) => word.push(sign),
        Some('t') => word.push('\t'),
        Some('r') => word.push('\r'),
        Some('n') => word.push('\n'),
        Some(sign) => word.extend(['\\', sign]),
        None => word.push('\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(text: &str) -> Result<Vec<Directive>> {
        read(text, "n", &|_| None)
    }

    #[test]
    fn words_blocks_comments_and_quotes_are_told_apart() {
        let text = "a 'b; c' \"d\\\"\" \"\\.php$\" \\.php$; # x {\nserver {\n  return 301 \
                    https://${host}:8001$uri;\n}\n";
        let read = alone(text).expect("a good file");
        let [first, server] = read.as_slice() else {
            panic!("{read:?}");
        };
        assert_eq!(first.words, ["a", "b; c", "d\"", r"\.php$", r"\.php$"]);
        assert_eq!((server.line, server.name()), (2, "server"));
        let inner = server.all("return").next().expect("the inner one");
        assert_eq!(inner.arguments(), ["301", "https://${host}:8001$uri"]);
        assert_eq!(inner.line, 3);
    }

    #[test]
    fn what_is_not_closed_is_named_by_its_line() {
        for (text, reason) in [
            ("a;\nserver {\n", "line 2: the block"),
            ("a;\n}\n", "line 2: there is a `}`"),
            ("a;\nb c\n", "line 2: `b c`"),
            (
                &"a {\n".repeat(100_000),
                "line 65: blocks are more than 64 deep",
            ),
        ] {
            let error = alone(text).expect_err(text).to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn an_included_file_stands_in_its_place_with_its_own_lines() {
        let includes = |path: &str| match path {
            "x" => Some(vec![("x".to_owned(), "\nb;".to_owned())]),
            "again" => Some(vec![("again".to_owned(), "include again;".to_owned())]),
            _ => None,
        };
        let found = read("a; include x; include y;", "n", &includes).expect("a good file");
        let shown: Vec<_> = found.iter().map(Directive::display).collect();
        assert_eq!(shown, ["n:1: a;", "x:2: b;", "n:1: include y;"]);
        assert!(read("include again;", "n", &includes).is_err());
    }
}

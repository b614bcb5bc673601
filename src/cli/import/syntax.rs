//! Parser of nginx configuration files: directives of words, with a block or a semicolon at the end.
//!
//! Independent of the individual directives.

use anyhow::{Result, bail};

/// A directive: `listen 443 ssl;` or `server { … }`.
#[derive(Debug)]
pub(super) struct Directive {
    pub(super) line: usize,
    pub(super) words: Vec<String>,
    pub(super) block: Vec<Directive>,
}

impl Directive {
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The argument at this place, or nothing.
    pub(super) fn argument(&self, index: usize) -> &str {
        self.arguments().get(index).map_or("", String::as_str)
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.block.iter().filter(move |inner| inner.name() == name)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Sign {
    Word(String),
    Open,
    Close,
    End,
}

/// Limit on nested blocks. nginx itself has five levels; each takes a part of the stack here.
const DEEPEST: usize = 64;

/// Reads a whole file.
pub(super) fn read(text: &str) -> Result<Vec<Directive>> {
    let signs = signs(text);
    let mut rest = signs.as_slice();
    let read = block(&mut rest, 0)?;
    if let Some((line, _)) = rest.first() {
        bail!("line {line}: there is a `}}` too many");
    }
    Ok(read)
}

fn block(rest: &mut &[(usize, Sign)], depth: usize) -> Result<Vec<Directive>> {
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
        match sign {
            Sign::Word(word) => words.push(word.clone()),
            Sign::End | Sign::Close => directives.push(Directive {
                line: begin,
                words: std::mem::take(&mut words),
                block: Vec::new(),
            }),
            Sign::Open => {
                if depth == DEEPEST {
                    bail!("line {line}: blocks are more than {DEEPEST} deep in each other");
                }
                let block = block(rest, depth + 1)?;
                match rest.split_first() {
                    Some((_, behind)) => *rest = behind,
                    None => bail!("line {line}: the block that begins here has no end"),
                }
                directives.push(Directive {
                    line: begin,
                    words: std::mem::take(&mut words),
                    block,
                });
            }
        }
    }
    if !words.is_empty() {
        bail!("line {begin}: `{}` has no `;` at its end", words.join(" "));
    }
    directives.retain(|directive| !directive.words.is_empty());
    Ok(directives)
}

fn signs(text: &str) -> Vec<(usize, Sign)> {
    let mut signs = Vec::new();
    let mut line = 1;
    let mut signs_of = text.chars().peekable();
    while let Some(sign) = signs_of.next() {
        match sign {
            '\n' => line += 1,
            sign if sign.is_whitespace() => {}
            '#' => while signs_of.next_if(|sign| *sign != '\n').is_some() {},
            ';' => signs.push((line, Sign::End)),
            '{' => signs.push((line, Sign::Open)),
            '}' => signs.push((line, Sign::Close)),
            quote @ ('"' | '\'') => {
                let begin = line;
                let mut word = String::new();
                while let Some(sign) = signs_of.next() {
                    match sign {
                        '\\' => word.extend(signs_of.next()),
                        sign if sign == quote => break,
                        sign => word.push(sign),
                    }
                    line += usize::from(sign == '\n');
                }
                signs.push((begin, Sign::Word(word)));
            }
            first => {
                let mut word = String::from(first);
                // `${name}` is one word.
                while let Some(sign) = signs_of.next_if(|sign| {
                    !sign.is_whitespace()
                        && (!matches!(sign, ';' | '{' | '}')
                            || word.contains("${") && *sign != ';'
                            || (*sign == '{' && word.ends_with('$')))
                }) {
                    word.push(sign);
                }
                signs.push((line, Sign::Word(word)));
            }
        }
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_blocks_comments_and_quotes_are_told_apart() {
        let text =
            "a 'b; c' \"d\\\"\"; # x {\nserver {\n  return 301 https://${host}:8001$uri;\n}\n";
        let read = read(text).expect("a good file");
        let [first, server] = read.as_slice() else {
            panic!("{read:?}");
        };
        assert_eq!(first.words, ["a", "b; c", "d\""]);
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
            let error = read(text).expect_err(text).to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }
}

//! Creates the man page noren.toml(5) from the reference configuration, whose comments are its text.
//!
//! Knows the layout of that file, but none of its keys: a ruled line begins a chapter, an empty line ends a block, and
//! within a block prose precedes the keys that it describes.

use std::fmt::Write as _;

/// The text of the reference configuration in the repository.
const REFERENCE: &str = include_str!("../../../config/noren.toml");

/// Returns the page, in the macros of man(7).
pub(super) fn manual_page() -> String {
    let mut page = String::from(concat!(
        ".TH NOREN.TOML 5 \"\" \"noren ",
        env!("CARGO_PKG_VERSION"),
        "\" \"Noren\"\n.SH NAME\nnoren.toml \\- the configuration of noren(1)\n.SH DESCRIPTION\n"
    ));
    for block in blocks(REFERENCE) {
        add(&mut page, &block);
    }
    page.push_str(
        ".SH FILES\n\\fI/etc/noren/noren.toml\\fR\n.SH \"SEE ALSO\"\n\\fBnoren\\fR(1), \\fBnoren\\-check\\fR(1)\n",
    );
    page
}

/// A line of the reference, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Chapter(&'a str),
    Prose(&'a str),
    /// A key or a table, without the comment sign.
    Code(&'a str),
    Empty,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Self {
        let Some(rest) = line.strip_prefix('#') else {
            return if line.is_empty() {
                Self::Empty
            } else {
                Self::Code(line)
            };
        };
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        if rest.starts_with("----") {
            return Self::Chapter(rest.trim_matches('-').trim());
        }
        match rest {
            "" => Self::Empty,
            code if code.starts_with('[') || is_key(code) => Self::Code(code),
            prose => Self::Prose(prose),
        }
    }
}

/// True if a comment is a key with its default; prose has blanks before its first `=`.
fn is_key(text: &str) -> bool {
    text.split_once(" = ").is_some_and(|(key, _)| {
        key.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

fn blocks(text: &str) -> Vec<Vec<Line<'_>>> {
    let lines: Vec<_> = text.lines().map(Line::of).collect();
    let blocks = lines.split(|line| *line == Line::Empty);
    let blocks = blocks.flat_map(|block| {
        // Prose behind a key is about the next one.
        block.chunk_by(|one, next| !(is_code(*one) && matches!(next, Line::Prose(_))))
    });
    blocks
        .filter(|block| !block.is_empty())
        .map(<[_]>::to_vec)
        .collect()
}

fn add(page: &mut String, block: &[Line<'_>]) {
    // Writing to a string cannot fail.
    let mut block = block;
    while let Some((Line::Chapter(title), rest)) = block.split_first() {
        let _ = writeln!(page, ".SH {}", escaped(&title.to_uppercase()));
        block = rest;
    }
    let prose = block
        .iter()
        .take_while(|line| matches!(line, Line::Prose(_)))
        .count();
    let (text, code) = block.split_at(prose);
    let keys_only = code
        .iter()
        .all(|line| matches!(line, Line::Code(code) if !code.starts_with('[')));
    if keys_only && !text.is_empty() && !code.is_empty() {
        // As manuals have it: what is explained first, then the explanation.
        add_terms(page, code);
        add_lines(page, text);
        return;
    }
    for run in block.chunk_by(|a, b| is_code(*a) == is_code(*b)) {
        if run.first().copied().is_some_and(is_code) {
            page.push_str(".PP\n.nf\n");
            add_lines(page, run);
            page.push_str(".fi\n");
        } else {
            page.push_str(".PP\n");
            add_lines(page, run);
        }
    }
}

fn is_code(line: Line<'_>) -> bool {
    matches!(line, Line::Code(_))
}

/// Adds the terms of an entry in a list of definitions.
fn add_terms(page: &mut String, code: &[Line<'_>]) {
    for (index, line) in code.iter().enumerate() {
        page.push_str(if index == 0 { ".TP\n" } else { ".TQ\n" });
        add_line(page, *line);
    }
}

fn add_lines(page: &mut String, lines: &[Line<'_>]) {
    for line in lines {
        add_line(page, *line);
    }
}

fn add_line(page: &mut String, line: Line<'_>) {
    let _ = match line {
        Line::Prose(text) => writeln!(page, "{}", escaped(text)),
        Line::Code(text) => writeln!(page, "\\fB{}\\fR", escaped(text)),
        Line::Chapter(_) | Line::Empty => Ok(()),
    };
}

/// Escapes text so that roff(7) shows it unchanged.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    if text.starts_with(['.', '\'']) {
        // At the beginning of a line these would be requests.
        out.push_str("\\&");
    }
    for sign in text.chars() {
        match sign {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            sign if sign.is_ascii() => out.push(sign),
            sign => {
                let _ = write!(out, "\\[u{:04X}]", u32::from(sign));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_explained_comes_first() {
        let mut page = String::new();
        for block in
            blocks("# ---- log --\n[log]\n\n# How much.\n# level = \"a\\\\b\"\n# more-1 = 2")
        {
            add(&mut page, &block);
        }
        assert_eq!(
            page,
            ".SH LOG\n.PP\n.nf\n\\fB[log]\\fR\n.fi\n\
             .TP\n\\fBlevel = \"a\\e\\eb\"\\fR\n.TQ\n\\fBmore\\-1 = 2\\fR\nHow much.\n"
        );
    }

    #[test]
    fn a_line_of_text_is_never_a_request() {
        assert_eq!(escaped(".so /etc/passwd"), "\\&.so /etc/passwd");
        assert_eq!(escaped("'a …"), "\\&'a \\[u2026]");
    }
}

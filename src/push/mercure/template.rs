//! Matches URI templates (RFC 6570) in reverse: decides whether a topic is an expansion of a template.
//!
//! All operators and modifiers are supported, so all four levels, with each variable as a text; with `*` also as a list
//! or an associative array. A variable may be undefined (§2.3), and then expands to nothing. A topic is compared in one
//! pass per part of the template, so the time is bounded by the product of both lengths, whatever they contain.

use std::fmt;

/// Limit on the characters that a prefix modifier can ask for (§2.4.1).
const LONGEST_PREFIX: u16 = 9999;

/// A template that has at least one expression.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Template(Box<[Part]>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Expression(Operator, Box<[Variable]>),
}

/// The operators of expressions, with the separators and character sets of RFC 6570, appendix A.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Simple,
    Reserved,
    Fragment,
    Label,
    Path,
    Parameters,
    Query,
    Continuation,
}

#[derive(Clone, PartialEq, Eq)]
struct Variable {
    name: Box<str>,
    modifier: Modifier,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Modifier {
    None,
    Prefix(u16),
    Explode,
}

impl Operator {
    fn parse(sign: Option<char>) -> Option<Self> {
        Some(match sign? {
            '+' => Self::Reserved,
            '#' => Self::Fragment,
            '.' => Self::Label,
            '/' => Self::Path,
            ';' => Self::Parameters,
            '?' => Self::Query,
            '&' => Self::Continuation,
            _ => return None,
        })
    }

    /// The text before the first defined variable.
    const fn first(self) -> &'static str {
        match self {
            Self::Simple | Self::Reserved => "",
            Self::Fragment => "#",
            Self::Label => ".",
            Self::Path => "/",
            Self::Parameters => ";",
            Self::Query => "?",
            Self::Continuation => "&",
        }
    }

    /// The text between two variables.
    const fn separator(self) -> &'static str {
        match self {
            Self::Simple | Self::Reserved | Self::Fragment => ",",
            Self::Label => ".",
            Self::Path => "/",
            Self::Parameters => ";",
            Self::Query | Self::Continuation => "&",
        }
    }

    /// True if each value has the name of its variable before it.
    const fn is_named(self) -> bool {
        matches!(self, Self::Parameters | Self::Query | Self::Continuation)
    }

    const fn takes_reserved(self) -> bool {
        matches!(self, Self::Reserved | Self::Fragment)
    }
}

impl Template {
    /// Parses a template. `None` if it is malformed or has no expression: then it is a plain text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('{') {
            let (expression, behind) = behind.split_once('}')?;
            push_literal(&mut parts, literal)?;
            parts.push(parse_expression(expression)?);
            rest = behind;
        }
        if parts.is_empty() {
            return None;
        }
        push_literal(&mut parts, rest)?;
        Some(Self(parts.into()))
    }

    /// True if the topic is an expansion of the template.
    pub(super) fn matches(&self, topic: &str) -> bool {
        // Most topics differ in the first literal, and most others in the last.
        if let Some(Part::Literal(literal)) = self.0.first()
            && !topic.starts_with(literal.as_ref())
        {
            return false;
        }
        if let Some(Part::Literal(literal)) = self.0.last()
            && !topic.ends_with(literal.as_ref())
        {
            return false;
        }
        let mut reached = Reached::at_start(topic);
        for part in &self.0 {
            reached = match part {
                Part::Literal(literal) => reached.behind(literal),
                Part::Expression(operator, variables) => reached.expanded(*operator, variables),
            };
            if reached.is_empty() {
                return false;
            }
        }
        reached.has_end()
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) -> Option<()> {
    if literal.contains('}') {
        return None;
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.into()));
    }
    Some(())
}

fn parse_expression(text: &str) -> Option<Part> {
    let mut signs = text.chars();
    let (operator, list) = match Operator::parse(signs.next()) {
        Some(operator) => (operator, signs.as_str()),
        None => (Operator::Simple, text),
    };
    let variables: Option<Box<[_]>> = list.split(',').map(parse_variable).collect();
    Some(Part::Expression(operator, variables?))
}

fn parse_variable(text: &str) -> Option<Variable> {
    let (name, modifier) = if let Some(name) = text.strip_suffix('*') {
        (name, Modifier::Explode)
    } else if let Some((name, length)) = text.split_once(':') {
        let is_number = !length.starts_with('0') && length.bytes().all(|one| one.is_ascii_digit());
        let length: u16 = length.parse().ok().filter(|_| is_number)?;
        if length > LONGEST_PREFIX {
            return None;
        }
        (name, Modifier::Prefix(length))
    } else {
        (text, Modifier::None)
    };
    is_name(name).then(|| Variable {
        name: name.into(),
        modifier,
    })
}

/// The name of a variable (§2.3).
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut after_dot = true;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'.' if !after_dot => after_dot = true,
            b'%' => {
                let digits = bytes.get(at + 1..at + 3);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return false;
                }
                at += 2;
                after_dot = false;
            }
            b'_' => after_dot = false,
            byte if byte.is_ascii_alphanumeric() => after_dot = false,
            _ => return false,
        }
        at += 1;
    }
    !after_dot
}

/// The positions in a topic up to which the template matches so far.
#[derive(Clone)]
struct Reached<'t> {
    topic: &'t [u8],
    /// One for each position, and one for the end.
    positions: Vec<bool>,
}

impl<'t> Reached<'t> {
    fn at_start(topic: &'t str) -> Self {
        let mut reached = Self::nowhere(topic.as_bytes());
        reached.set(0);
        reached
    }

    fn nowhere(topic: &'t [u8]) -> Self {
        Self {
            topic,
            positions: vec![false; topic.len() + 1],
        }
    }

    fn set(&mut self, position: usize) {
        if let Some(place) = self.positions.get_mut(position) {
            *place = true;
        }
    }

    fn has(&self, position: usize) -> bool {
        self.positions.get(position).copied().unwrap_or(false)
    }

    fn is_empty(&self) -> bool {
        !self.positions.contains(&true)
    }

    fn has_end(&self) -> bool {
        self.positions.last() == Some(&true)
    }

    fn add(&mut self, other: &Self) {
        for (own, other) in self.positions.iter_mut().zip(&other.positions) {
            *own |= other;
        }
    }

    /// The positions behind a text that begins at one of these.
    fn behind(&self, text: &str) -> Self {
        let mut behind = Self::nowhere(self.topic);
        for (position, _) in self.positions.iter().enumerate().filter(|(_, is)| **is) {
            let rest = self.topic.get(position..).unwrap_or_default();
            if rest.starts_with(text.as_bytes()) {
                behind.set(position + text.len());
            }
        }
        behind
    }

    /// The positions behind an expression: some of its variables are defined, in their order.
    fn expanded(&self, operator: Operator, variables: &[Variable]) -> Self {
        let first = self.behind(operator.first());
        let mut some = Self::nowhere(self.topic);
        for variable in variables {
            let mut begin = first.clone();
            begin.add(&some.behind(operator.separator()));
            some.add(&begin.value(operator, variable));
        }
        some.add(self);
        some
    }

    fn value(&self, operator: Operator, variable: &Variable) -> Self {
        let reserved = operator.takes_reserved();
        if variable.modifier == Modifier::Explode {
            // Values and pairs of any number, each of which may be empty (§3.2.1).
            let separator = operator.separator();
            return self.sweep(|rest| {
                character(rest, reserved).or_else(|| {
                    let is_between =
                        rest.starts_with(separator.as_bytes()) || rest.starts_with(b"=");
                    is_between.then_some(1)
                })
            });
        }
        if !operator.is_named() {
            return self.text(variable.modifier, reserved);
        }
        let named = self.behind(&variable.name);
        let mut behind = named.behind("=").text(variable.modifier, reserved);
        if operator == Operator::Parameters {
            behind.add(&named);
        }
        behind
    }

    fn text(&self, modifier: Modifier, reserved: bool) -> Self {
        match modifier {
            Modifier::Prefix(most) => self.prefix(most, reserved),
            Modifier::None | Modifier::Explode => self.sweep(|rest| character(rest, reserved)),
        }
    }

    /// The positions behind any number of characters; `character` gives the length of each.
    fn sweep(&self, character: impl Fn(&[u8]) -> Option<usize>) -> Self {
        let mut behind = self.clone();
        for position in 0..self.topic.len() {
            if behind.has(position)
                && let Some(length) = character(self.topic.get(position..).unwrap_or_default())
            {
                behind.set(position + length);
            }
        }
        behind
    }

    /// The positions behind at most this many characters.
    fn prefix(&self, most: u16, reserved: bool) -> Self {
        let mut left: Vec<Option<u16>> =
            self.positions.iter().map(|is| is.then_some(most)).collect();
        for position in 0..self.topic.len() {
            let rest = self.topic.get(position..).unwrap_or_default();
            let here = left.get(position).copied().flatten();
            if let (Some(here), Some(length)) = (here, character(rest, reserved))
                && here > 0
                && let Some(next) = left.get_mut(position + length)
            {
                *next = (*next).max(Some(here - 1));
            }
        }
        Self {
            topic: self.topic,
            positions: left.iter().map(Option::is_some).collect(),
        }
    }
}

/// Length of the character of a value at the beginning of a text: unreserved, percent-encoded or, for some operators,
/// reserved (RFC 3986 §2.2, §2.3). `None` if there is none.
fn character(rest: &[u8], reserved: bool) -> Option<usize> {
    match rest {
        [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => Some(3),
        [byte, ..] if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => Some(1),
        [byte, ..] if reserved && b":/?#[]@!$&'()*+,;=".contains(byte) => Some(1),
        _ => None,
    }
}

/// Omits the parts.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

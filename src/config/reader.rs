//! Walks the parsed TOML document key by key, and collects its problems.
//!
//! The `toml` crate parses the text and knows where each value stands; this reader knows what Noren
//! asks for. It goes on after a problem, so that an operator sees all of them at once, and it
//! remembers which keys were asked for, so that every other key in the file is reported together
//! with the nearest one that exists. A derived `Deserialize` does neither: it stops at the first
//! error and forgets the key's path.
//!
//! After a problem a key has its default, so that reading can go on; whoever owns the [`Problems`]
//! throws the result away when there are any. What a value means is not known here but in the file
//! of its table.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::nearest::nearest;
use super::problems::Problems;
use super::{mask, size, value};

/// One table of the document, while it is being read.
pub(super) struct Table<'a> {
    entries: &'a DeTable<'a>,
    /// `bridge` or `app.wok`; empty for the document itself.
    path: String,
    /// Position of the table, for errors about missing keys.
    offset: Option<usize>,
    /// The keys that were read so far, which are the known ones.
    known: Vec<&'a str>,
    problems: &'a Problems,
    problems_before: usize,
}

impl<'a> Table<'a> {
    /// The document itself.
    pub(super) fn root(entries: &'a DeTable<'a>, problems: &'a Problems) -> Self {
        Self::new(entries, String::new(), None, problems)
    }

    fn new(
        entries: &'a DeTable<'a>,
        path: String,
        offset: Option<usize>,
        problems: &'a Problems,
    ) -> Self {
        Self {
            entries,
            path,
            offset,
            known: Vec::new(),
            problems,
            problems_before: problems.count(),
        }
    }

    /// A string that `parse` understands.
    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.value(key, default, |found| value::parsed(found, parse))
    }

    /// Reads a string that must be there; `example` is the advice if it is missing.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.problem(key, format!("is missing; write {key} = {example}"));
            return None;
        }
        self.text(key, None, |text| parse(text).map(Some))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, default, value::flag)
    }

    /// A whole number in `range`.
    pub(super) fn number<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: Copy + Display + PartialOrd + TryFrom<i64>,
    {
        self.value(key, default, |found| {
            let number = value::whole_number(found, &default.to_string())?;
            let fitting = T::try_from(number)
                .ok()
                .filter(|number| range.contains(number));
            fitting.ok_or_else(|| {
                format!(
                    "{number} is out of range; write a number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
        })
    }

    /// A duration; `0s` is one.
    pub(super) fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        self.value(key, default, value::duration)
    }

    /// A duration that limits a wait. `0s` would end every wait before it began, so it is refused.
    pub(super) fn time_limit(&mut self, key: &'static str, default: Duration) -> Duration {
        self.value(key, default, value::time_limit)
    }

    /// Reads a time limit as [`Table::time_limit`] does, or `off`.
    pub(super) fn time_limit_or_off(
        &mut self,
        key: &'static str,
        default: Option<Duration>,
    ) -> Option<Duration> {
        self.value(key, default, value::time_limit_or_off)
    }

    /// A number of bytes.
    pub(super) fn size(&mut self, key: &'static str, default: u64) -> u64 {
        self.value(key, default, |found| value::size(found, default))
    }

    /// A number of bytes that are held in memory, in `range`.
    pub(super) fn buffer(
        &mut self,
        key: &'static str,
        default: usize,
        range: RangeInclusive<u64>,
    ) -> usize {
        self.value(key, default, |found| {
            let bytes = value::size(found, default as u64)?;
            let fitting = usize::try_from(bytes)
                .ok()
                .filter(|_| range.contains(&bytes));
            fitting.ok_or_else(|| {
                let [found, least, most] = [bytes, *range.start(), *range.end()].map(size::show);
                format!(r#""{found}" is out of range; write a size from "{least}" to "{most}""#)
            })
        })
    }

    /// A list of strings that `parse` understands.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(found) = self.take(key) else {
            return default;
        };
        let Some(items) = found.get_ref().as_array() else {
            self.report_at(found, key, value::not_a_list(found.get_ref()));
            return default;
        };
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match value::parsed(item.get_ref(), &parse) {
                Ok(value) => list.push(value),
                Err(text) => self.report_at(item, &format!("{key}[{index}]"), text),
            }
        }
        list
    }

    /// A string that `parse` understands, or a list of them of which the first that works counts. An empty list is a
    /// problem: it would never work.
    pub(super) fn alternatives<T>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let items = self
            .entries
            .get(key)
            .and_then(|found| found.get_ref().as_array());
        let Some(items) = items else {
            return self.text(key, default, |text| parse(text).map(|one| vec![one]));
        };
        if items.is_empty() {
            self.problem(key, "is empty; write a text, or remove it");
        }
        self.list(key, Vec::new(), parse)
    }

    /// A list of strings that `parse` understands, or the word `any`, which is none.
    pub(super) fn list_or_any<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let found = self.entries.get(key);
        if found.is_some_and(|found| found.get_ref().as_str() == Some("any")) {
            self.known.push(key);
            return None;
        }
        Some(self.list(key, Vec::new(), parse))
    }

    /// The whole table, when its keys are names that the operator chooses, with strings that
    /// `parse` understands.
    pub(super) fn map(
        &mut self,
        parse: impl Fn(&str) -> Result<String, String>,
    ) -> BTreeMap<String, String> {
        let mut map = BTreeMap::new();
        for (name, found) in self.entries {
            let name = name.get_ref().as_ref();
            self.known.push(name);
            match value::parsed(found.get_ref(), &parse) {
                Ok(text) => drop(map.insert(name.to_owned(), text)),
                Err(text) => self.report_at(found, name, text),
            }
        }
        map
    }

    /// Hands the keys of the whole table, which are names that the operator chooses, to `read`, each with its string or
    /// the strings of its list.
    pub(super) fn each_named(&mut self, mut read: impl FnMut(&str, &[&str]) -> Result<(), String>) {
        for (name, found) in self.entries {
            let name = name.get_ref().as_ref();
            self.known.push(name);
            let strings = value::string_or_strings(found.get_ref());
            if let Err(text) = strings.and_then(|strings| read(name, &strings)) {
                self.report_at(found, name, text);
            }
        }
    }

    /// A table with fixed keys; without it in the file, its default.
    pub(super) fn table<T: Default>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Table<'_>) -> T,
    ) -> T {
        let Some(found) = self.take(key) else {
            return T::default();
        };
        let path = self.path_of(key);
        let Some(entries) = found.get_ref().as_table() else {
            self.report_at(found, key, value::not_a_table(found.get_ref(), &path));
            return T::default();
        };
        let mut table = Table::new(entries, path, Some(found.span().start), self.problems);
        let value = read(&mut table);
        table.finish();
        value
    }

    /// The tables of a `[[list]]`, in their order.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&mut Table<'_>) -> T,
    ) -> Vec<T> {
        let mut list = Vec::new();
        self.each_table(key, |table| list.push(read(table)));
        list
    }

    /// Hands the tables of a `[[list]]` to `read`, in their order. A table with a `name` goes by it
    /// in messages, any other by its number, from 0.
    pub(super) fn each_table(&mut self, key: &'static str, mut read: impl FnMut(&mut Table<'_>)) {
        let Some(found) = self.take(key) else { return };
        let path = self.path_of(key);
        let Some(items) = found.get_ref().as_array() else {
            self.report_at(
                found,
                key,
                value::not_a_list_of_tables(found.get_ref(), &path),
            );
            return;
        };
        for (index, item) in items.iter().enumerate() {
            let Some(entries) = item.get_ref().as_table() else {
                let text = value::not_a_list_of_tables(item.get_ref(), &path);
                self.report_at(item, &format!("{key}[{index}]"), text);
                continue;
            };
            let path = match name_of(entries) {
                Some(name) => format!("{path}.{name}"),
                None => format!("{path}[{index}]"),
            };
            let mut table = Table::new(entries, path, Some(item.span().start), self.problems);
            read(&mut table);
            table.finish();
        }
    }

    /// True if the file has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// True if this table has no problem, once all of its keys were read: a default in the place of a wrong or
    /// misspelt key would mislead a comparison.
    pub(super) fn is_sound(&self) -> bool {
        self.problems.count() == self.problems_before && self.unknown_keys().next().is_none()
    }

    /// True if the part of this table that was read has no problem.
    pub(super) fn is_sound_so_far(&self) -> bool {
        self.problems.count() == self.problems_before
    }

    /// True if nothing was found wrong so far, in this table or another.
    pub(super) fn has_no_problem(&self) -> bool {
        self.problems.count() == 0
    }

    /// Reports that `key` is missing or that its value, alone or together with others, is wrong.
    pub(super) fn problem(&self, key: &str, text: impl Into<String>) {
        match self.entries.get(key) {
            Some(found) => self.report_at(found, key, text.into()),
            None => self
                .problems
                .report(self.offset, self.path_of(key), text.into()),
        }
    }

    /// Takes all other keys for known: what they mean cannot be said.
    pub(super) fn accept_other_keys(&mut self) {
        let keys = self.entries.keys();
        self.known.extend(keys.map(|key| key.get_ref().as_ref()));
    }

    /// Reports the keys that were not read, as unknown. To be called after all others were read.
    pub(super) fn finish(self) {
        for key in self.unknown_keys() {
            let name = key.get_ref().as_ref();
            let advice = nearest(name, self.known.iter().copied()).map_or_else(
                || format!("known here: {}", self.known.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            let text = format!("unknown key; {advice}");
            self.problems
                .report(Some(key.span().start), self.path_of(name), text);
        }
    }

    fn unknown_keys(&self) -> impl Iterator<Item = &'a Spanned<DeString<'a>>> {
        self.entries
            .keys()
            .filter(|key| !self.known.contains(&key.get_ref().as_ref()))
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        let Some(found) = self.take(key) else {
            return default;
        };
        read(found.get_ref()).unwrap_or_else(|text| {
            self.report_at(found, key, text);
            default
        })
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.entries.get(key)
    }

    fn report_at(&self, found: &Spanned<DeValue<'_>>, key: &str, text: String) {
        let text = mask::masked(key, found.get_ref(), text);
        self.problems
            .report(Some(found.span().start), self.path_of(key), text);
    }

    /// The dotted path of a key; one that is quoted in the file may hold anything, even a line
    /// break, which would tear the message apart.
    fn path_of(&self, key: &str) -> String {
        let key = key.escape_debug();
        if self.path.is_empty() {
            key.to_string()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// The name of a table in a list, if it has one that reads well in the path of a key.
fn name_of<'a>(entries: &'a DeTable<'_>) -> Option<&'a str> {
    let name = entries.get("name")?.get_ref().as_str()?;
    (!name.is_empty() && name.chars().all(|c| c.is_ascii_graphic())).then_some(name)
}

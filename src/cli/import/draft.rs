//! A draft of a noren.toml: tables with their keys, and remarks on settings that could not be carried over.

use std::fmt::Write as _;

use noren::text::escape;

/// The admin socket, in the runtime directory of the service.
const ADMIN_SOCKET: &str = "/run/noren/admin.sock";

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Tables that occur once, with their keys.
    single: Vec<(String, Vec<String>)>,
    /// Complete tables that may occur several times.
    many: Vec<String>,
    left: Vec<String>,
    notes: Vec<String>,
    /// Points of the checklist for a person.
    checklist: Vec<String>,
}

impl Draft {
    /// Sets a key of a table that occurs once; the first value stays.
    pub(super) fn set(&mut self, table: &str, key: &str, value: &str) {
        self.sets(table, key, value);
    }

    /// Like `set`; returns true if the key has this value afterwards.
    pub(super) fn sets(&mut self, table: &str, key: &str, value: &str) -> bool {
        let line = format!("{key} = {value}");
        let start = format!("{key} = ");
        let known = self.single.iter().position(|(name, _)| name == table);
        let index = known.unwrap_or_else(|| {
            self.single.push((table.to_owned(), Vec::new()));
            self.single.len() - 1
        });
        let Some((_, lines)) = self.single.get_mut(index) else {
            return false;
        };
        if let Some(known) = lines.iter().find(|known| known.starts_with(&start)) {
            return *known == line;
        }
        lines.push(line);
        true
    }

    /// Adds a complete table, unless the same one is there already.
    pub(super) fn add(&mut self, table: &str, keys: &[(&str, String)]) {
        let mut text = format!("[[{table}]]\n");
        for (key, value) in keys {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key} = {value}");
        }
        if !self.many.contains(&text) {
            self.many.push(text);
        }
    }

    /// Adds a remark on a setting that has no counterpart in noren.toml, with the reason.
    pub(super) fn leave_out(&mut self, what: &str, why: &str) {
        self.left
            .push(format!("# not carried over: {what}\n#   {why}\n"));
    }

    /// Adds a general remark.
    pub(super) fn note(&mut self, text: &str) {
        self.notes.push(format!("# {text}\n"));
    }

    /// Adds a step that a person has to take before the file is used.
    pub(super) fn add_step(&mut self, text: &str) {
        self.checklist.push(text.to_owned());
    }

    /// Returns the points of the checklist: those that follow from the draft, and then the added ones.
    fn checklist(&self) -> Vec<String> {
        let mut points = Vec::new();
        if !self.left.is_empty() {
            points.push(format!(
                "read what is not carried over: the comments at the top ({}) say why, and what replaces it",
                self.left.len()
            ));
        }
        let closed = self
            .many
            .iter()
            .filter(|table| table.contains("\nname = \"closed-"));
        let closed = closed.count();
        if closed > 0 {
            points.push(format!(
                "decide about the {closed} [[app]] called closed-…: each is closed until you write its url and its \
                 access rules"
            ));
        }
        points.extend(self.checklist.iter().cloned());
        points
    }

    /// Returns the text of the whole file.
    pub(super) fn finish(self, origin: &str) -> String {
        let points = self.checklist();
        let mut text =
            format!("# Made from {origin} by `noren import`. Read it, then: noren check FILE\n");
        if !self.left.is_empty() {
            text.push('\n');
            text.push_str(&self.left.concat());
        }
        if !self.notes.is_empty() {
            text.push('\n');
            text.push_str(&self.notes.concat());
        }
        for (name, lines) in self.single {
            let _ = write!(text, "\n[{name}]\n{}\n", lines.join("\n"));
        }
        for table in self.many {
            let _ = write!(text, "\n{table}");
        }
        // Without it `systemctl reload noren` fails.
        let _ = write!(
            text,
            "\n# For `noren status`, and for `systemctl reload noren`.\n[admin]\nsocket = {}\n",
            quoted(ADMIN_SOCKET)
        );
        text.push_str("\n# Before you use it:\n");
        for point in points {
            let _ = writeln!(text, "# [ ] {point}");
        }
        text
    }
}

/// Formats a string of TOML.
pub(super) fn quoted(text: &str) -> String {
    if text.contains(escape::is_active) {
        // A literal string could not be escaped on its way to the terminal. A string of JSON is a basic one of TOML.
        return serde_json::Value::from(text).to_string();
    }
    toml::Value::String(text.to_owned()).to_string()
}

/// Formats a list of strings of TOML.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = texts.into_iter().map(quoted).collect();
    format!("[{}]", quoted.join(", "))
}

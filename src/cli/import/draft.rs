//! A noren.toml that is being written: tables with their keys, and what could not be carried over.

use std::fmt::Write as _;

use noren::text::escape;

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Tables that are there once, with their keys.
    single: Vec<(String, Vec<String>)>,
    /// Whole tables that are there several times.
    many: Vec<String>,
    left: Vec<String>,
}

impl Draft {
    /// A key of a table that is there once; the first value stays.
    pub(super) fn set(&mut self, table: &str, key: &str, value: &str) {
        let line = format!("{key} = {value}");
        let start = format!("{key} = ");
        match self.single.iter_mut().find(|(name, _)| name == table) {
            Some((_, lines)) if lines.iter().any(|known| known.starts_with(&start)) => {}
            Some((_, lines)) => lines.push(line),
            None => self.single.push((table.to_owned(), vec![line])),
        }
    }

    /// A whole table, unless the same is there already.
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

    /// True if this address has a listener already, in this family or in the other: `[::]` accepts IPv4 too, and
    /// remains of the two.
    pub(super) fn has_listener(&mut self, address: &str) -> bool {
        let line = |host: &str, port: &str| format!("\naddress = \"{host}:{port}\"\n");
        let Some((host, port)) = address.rsplit_once(':') else {
            return false;
        };
        let both = line("[::]", port);
        match host {
            "0.0.0.0" => self.many.iter().any(|table| table.contains(&both)),
            "[::]" => {
                let four = line("0.0.0.0", port);
                let mut tables = self.many.iter_mut();
                let found = tables.find(|table| table.contains(&four));
                found.is_some_and(|table| {
                    *table = table.replace(&four, &both);
                    true
                })
            }
            _ => false,
        }
    }

    /// True if the listener of this port asks its clients for certificates.
    pub(super) fn listener_asks(&self, address: &str) -> bool {
        let port = address.rsplit(':').next().unwrap_or_default();
        let end = format!(":{port}\"\n");
        let mut tables = self.many.iter();
        tables.any(|table| table.contains(&end) && table.contains("\nclient-authority = "))
    }

    /// Something that has no place here, and why.
    pub(super) fn leave(&mut self, what: &str, why: &str) {
        self.left
            .push(format!("# not carried over: {what}\n#   {why}\n"));
    }

    /// The whole file.
    pub(super) fn finish(self, origin: &str) -> String {
        let mut text = format!(
            "# Made from {origin} by `noren import`. Read it through, then: noren check FILE\n"
        );
        if !self.left.is_empty() {
            text.push('\n');
            text.push_str(&self.left.concat());
        }
        for (name, lines) in self.single {
            let _ = write!(text, "\n[{name}]\n{}\n", lines.join("\n"));
        }
        for table in self.many {
            let _ = write!(text, "\n{table}");
        }
        text
    }
}

/// A string of TOML.
pub(super) fn quoted(text: &str) -> String {
    if text.contains(escape::is_active) {
        // A literal string could not be escaped on its way to the terminal. A string of JSON is a basic one of TOML.
        return serde_json::Value::from(text).to_string();
    }
    toml::Value::String(text.to_owned()).to_string()
}

/// A list of strings of TOML.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = texts.into_iter().map(quoted).collect();
    format!("[{}]", quoted.join(", "))
}

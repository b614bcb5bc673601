//! Parses files in the syntax of oslo.config: sections with keys, values that continue in the next line, and `$name`
//! within a value.

use std::collections::BTreeMap;

/// Limit on nested references in values, which a cycle would exceed.
const DEEPEST: usize = 10;

/// The keys of all sections. If a key occurs twice, the last one counts.
#[derive(Debug, Default)]
pub(super) struct Ini(BTreeMap<(String, String), String>);

impl Ini {
    /// Reads the lines of a file; its values replace those of earlier files.
    pub(super) fn read(&mut self, text: &str) {
        let mut section = "DEFAULT".to_owned();
        let mut last: Option<(String, String)> = None;
        for line in text.lines() {
            let is_continued = line.starts_with([' ', '\t']);
            let bare = line.trim();
            if bare.is_empty() {
                last = None;
            } else if bare.starts_with(['#', ';']) {
            } else if let (true, Some(place)) = (is_continued, &last) {
                let value = self.0.entry(place.clone()).or_default();
                value.push('\n');
                value.push_str(bare);
            } else if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.split_once(']'))
            {
                name.0.trim().clone_into(&mut section);
                last = None;
            } else if let Some(at) = bare.find(['=', ':']) {
                let (key, value) = bare.split_at(at);
                let value = value.get(1..).unwrap_or_default().trim();
                let place = (
                    section.clone(),
                    key.trim().to_ascii_lowercase().replace('-', "_"),
                );
                self.0.insert(place.clone(), unquoted(value).to_owned());
                last = Some(place);
            }
        }
    }

    /// Returns the value of a key, with its references expanded; `None` if it is empty.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<String> {
        self.resolved(section, key, DEEPEST)
            .filter(|value| !value.is_empty())
    }

    /// Returns the elements of a comma-separated list.
    pub(super) fn list(&self, section: &str, key: &str) -> Vec<String> {
        let value = self.get(section, key).unwrap_or_default();
        let parts = value
            .split([',', '\n'])
            .map(|part| unquoted(part.trim()).to_owned());
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// Parses a flag in the spelling of oslo.config.
    pub(super) fn flag(&self, section: &str, key: &str) -> Option<bool> {
        match self.get(section, key)?.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(true),
            "false" | "0" | "off" | "no" => Some(false),
            _ => None,
        }
    }

    /// True if any of the keys is set.
    pub(super) fn has_any(&self, section: &str, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.get(section, key).is_some())
    }

    fn resolved(&self, section: &str, key: &str, left: usize) -> Option<String> {
        let place = (section.to_owned(), key.to_owned());
        let value = self.0.get(&place)?;
        let mut parts = value.split('$');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let braced = part.strip_prefix('{').and_then(|part| part.split_once('}'));
            let (name, rest) = braced.unwrap_or_else(|| {
                let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let end = part.find(|letter| !is_name(letter));
                part.split_at(end.unwrap_or(part.len()))
            });
            let (of, name) = name.split_once('.').unwrap_or((section, name));
            let named = left.checked_sub(1).and_then(|left| {
                let own = self.resolved(of, name, left);
                own.or_else(|| self.resolved("DEFAULT", name, left))
            });
            text.push_str(&named.unwrap_or_default());
            text.push_str(rest);
        }
        Some(text)
    }
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        let inner = value
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_values_lists_and_names_are_read_as_oslo_does() {
        let mut ini = Ini::default();
        ini.read(
            "my_ip = 10.0.0.1\n# c\n[vnc]\n; c\nnovncproxy_host = $my_ip\nnovncproxy-port: 6090\n\
             novncproxy_base_url = 'http://${DEFAULT.my_ip}:$novncproxy_port/vnc_lite.html'\n\
             auth_schemes = vencrypt,\n  none\nempty =\n[console]\nallowed_origins = a.example, b.example\n\
             [spice]\nenabled = True\nloop = $loop\n",
        );
        ini.read("[vnc]\nnovncproxy_port = 6091\n");
        let get = |section, key| ini.get(section, key).unwrap_or_default();
        assert_eq!(get("vnc", "novncproxy_host"), "10.0.0.1");
        assert_eq!(
            get("vnc", "novncproxy_base_url"),
            "http://10.0.0.1:6091/vnc_lite.html"
        );
        assert_eq!(ini.list("vnc", "auth_schemes"), ["vencrypt", "none"]);
        assert_eq!(
            ini.list("console", "allowed_origins"),
            ["a.example", "b.example"]
        );
        assert_eq!(ini.get("vnc", "empty"), None);
        assert_eq!(ini.flag("spice", "enabled"), Some(true));
        assert_eq!(get("spice", "loop"), "");
        assert!(ini.has_any("vnc", &["x", "auth_schemes"]) && !ini.has_any("vnc", &["x"]));
    }
}

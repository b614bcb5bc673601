//! `[bridge.consoles]`: the pages on which a visitor finds consoles and opens them in the browser. Opens nothing.

use std::path::{Path, PathBuf};

use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::value;

/// Directories of noVNC that are looked for without `novnc`: that of the package, and Debian's.
const NOVNC: [&str; 2] = ["/usr/share/noren/viewers/novnc", "/usr/share/novnc"];
/// The directory of xterm.js that is looked for without `xterm`.
const XTERM: [&str; 1] = ["/usr/share/noren/viewers/xterm"];

/// The rule for the list of consoles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleList {
    /// `permitted`: those that the app permits this visitor; it is queried about each by its name
    /// (`session.token-path`); elsewhere a name may be the whole secret, and none is shown. The default.
    Permitted,
    /// `all`: all that this visitor may open, because names are no secrets here.
    All,
    /// `none`: consoles are opened by their token only.
    None,
}

impl ConsoleList {
    const NAMES: [(&'static str, Self); 3] = [
        ("permitted", Self::Permitted),
        ("all", Self::All),
        ("none", Self::None),
    ];
}

/// The `[bridge.consoles]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Consoles {
    /// `path`: the path of the pages. Default none: there are no pages.
    pub path: Option<PathPrefix>,
    /// `list`: the consoles that the first page names. Default `permitted`.
    pub list: ConsoleList,
    /// `novnc`: the directory of noVNC, with `core/rfb.js`. Default none: that of the package, else Debian's.
    pub novnc: Option<PathBuf>,
    /// `xterm`: the directory of xterm.js, with `xterm/lib/xterm.mjs` and `addon-fit/lib/addon-fit.mjs`. Default none:
    /// that of the package.
    pub xterm: Option<PathBuf>,
}

impl Default for Consoles {
    fn default() -> Self {
        Self {
            path: None,
            list: ConsoleList::Permitted,
            novnc: None,
            xterm: None,
        }
    }
}

impl Consoles {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        let directory = |text: &str| value::path(text).map(Some);
        let consoles = Self {
            path: table.text("path", default.path, |text| {
                PathPrefix::parse(text).map(Some)
            }),
            list: table.text("list", default.list, |text| {
                value::choice(text, &ConsoleList::NAMES)
            }),
            novnc: table.text("novnc", default.novnc, directory),
            xterm: table.text("xterm", default.xterm, directory),
        };
        if consoles
            .path
            .as_ref()
            .is_some_and(|path| path.as_str() == "/")
        {
            table.problem(
                "path",
                r#"is for the pages of consoles alone; write a path of their own, such as "/consoles""#,
            );
        }
        consoles
    }

    /// The directory of noVNC, or the first that there is.
    #[must_use]
    pub fn novnc(&self) -> Option<PathBuf> {
        found(self.novnc.as_deref(), &NOVNC)
    }

    /// The directory of xterm.js, or the first that there is.
    #[must_use]
    pub fn xterm(&self) -> Option<PathBuf> {
        found(self.xterm.as_deref(), &XTERM)
    }
}

fn found(named: Option<&Path>, usual: &[&str]) -> Option<PathBuf> {
    let there = || usual.iter().map(PathBuf::from).find(|path| path.is_dir());
    named.map(Path::to_owned).or_else(there)
}

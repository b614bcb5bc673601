//! `[[files]]` and `[[app.offload]]`: directories whose files are served without the app. Whether they exist is
//! found out when somebody asks.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::header_fields::Side;
use super::header_rules::HeaderRules;
use super::headers::header_value;
use super::host_pattern::HostPattern;
use super::path_pattern::PathPattern;
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::request_limits::{RequestLimits, RequestRate};
use super::value;

/// One `[[files]]`: a directory that is served as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// `path`: the paths that are served; what follows it is looked for below the directory. A file
    /// must say it.
    pub path: PathPrefix,
    /// `refuse`: paths among them that are answered with 403. Default none.
    pub refuse: Vec<PathPattern>,
    /// `hosts`: the public host names it is for. Empty, the default: any.
    pub hosts: Vec<HostPattern>,
    /// `directory`: the directory of the files. Required. Links that lead out of it are not followed, and names that
    /// begin with a dot are not served.
    pub directory: PathBuf,
    /// `cache-control`: the header for browsers. Default none: they ask if it has changed.
    pub cache_control: Option<String>,
    /// `precompressed`: sends `x.br`, `x.zst` or `x.gz` for `x` to clients that support it. Default no.
    pub precompressed: bool,
    /// `[files.response-headers]`: rules for the headers of every response at these paths. They come before those of
    /// `[headers]`, name by name. Default none.
    pub response_headers: HeaderRules,
    /// `request-rate` and its neighbours, as of an app. Default: no limit but those of `[limits]`.
    pub request_limits: RequestLimits,
}

/// One `[[app.offload]]`: files that an app has sent by a header of its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Offload {
    /// `path`: with `X-Accel-Redirect: PATH/x` the app names the file `x`. It is no path of visitors.
    pub path: PathPrefix,
    /// `directory`: the directory of the files; with `X-Sendfile: DIRECTORY/x` the app names the file `x`.
    pub directory: PathBuf,
}

impl Files {
    /// All `[[files]]` tables. `rates` are those of the zones so far.
    pub(super) fn read_all(
        root: &mut Table<'_>,
        rates: &mut HashMap<String, RequestRate>,
    ) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut served = HashSet::new();
        root.each_table("files", |table| {
            let files = Self {
                path: required_path(table),
                refuse: table.list("refuse", Vec::new(), PathPattern::parse),
                hosts: table.list("hosts", Vec::new(), HostPattern::parse),
                directory: required_directory(table),
                cache_control: table.text("cache-control", None, |text| {
                    header_value(text).map(|value| (!value.is_empty()).then_some(value))
                }),
                precompressed: table.flag("precompressed", false),
                response_headers: HeaderRules::read_table(
                    table,
                    "response-headers",
                    Side::Response,
                ),
                request_limits: RequestLimits::read(table),
            };
            if table.is_sound() {
                files.request_limits.check_zone(rates, table);
            }
            if !served.insert((files.path.clone(), files.hosts.clone())) {
                table.problem("path", "these paths of these hosts are served already");
            }
            all.push(files);
        });
        all
    }
}

impl Offload {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        Self {
            path: required_path(table),
            directory: required_directory(table),
        }
    }
}

fn required_path(table: &mut Table<'_>) -> PathPrefix {
    table
        .required("path", r#""/static""#, PathPrefix::parse)
        .unwrap_or_default()
}

fn required_directory(table: &mut Table<'_>) -> PathBuf {
    let absolute = |text: &str| {
        let path = value::path(text)?;
        if path.is_absolute() {
            Ok(path)
        } else {
            let below = text.trim_start_matches("./");
            let below = below.strip_prefix("srv/").unwrap_or(below);
            Err(format!(
                r#"{text:?} is a relative path; write a whole one, such as "/srv/{below}""#
            ))
        }
    };
    table
        .required("directory", r#""/srv/static""#, absolute)
        .unwrap_or_default()
}

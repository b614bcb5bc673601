//! Imports files of nginx: evaluates what nginx does with each kind of request, and writes it as routes that admit no
//! other request.
//!
//! `syntax` parses the file to a tree; `server` and `location` determine the outcome of requests at one address for one
//! name, with `flow` and `guard` for access; `paths` turns locations into routes; `addresses` chooses the addresses
//! that become listeners; `write`, `left_out` and `settings` write the result; `report` lists what is not carried over.

mod addresses;
mod compression;
mod directives;
mod facts;
mod flow;
mod guard;
mod headers;
mod left_out;
mod limits;
mod location;
mod needless;
mod paths;
mod pattern;
mod report;
mod scope;
mod server;
mod settings;
mod source;
mod syntax;
mod trial;
mod upstream;
mod values;
mod wok;
mod write;
mod writer;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::draft::Draft;
use scope::Scope;
use server::Server;
use syntax::{Directive, Includes};
use upstream::Upstream;

/// The remark about a file that contains locations only.
const PART: &str = "this is a part of a server, whose addresses, names, certificates and guards are in another \
                    file: import that\n#   one, which includes this one, or write [[listener]], `hosts` and who \
                    may come by hand";

/// The remark about differences that apply to every file.
const ALWAYS: &str = "what is different in any case: an app is asked once a request is complete; X-Forwarded-For, \
                      -Host, -Proto\n#   and X-Real-IP are set anew and never passed on; WebSockets of pages \
                      elsewhere are refused (origins); a path\n#   with a dot segment, or one that servers read \
                      in two ways, gets 400; names that no server has get 404;\n#   headers of \
                      add_header are on errors too. `noren check --explain FILE` shows the routes";

/// Converts a file to a noren.toml.
pub(super) fn import(path: &Path) -> Result<String> {
    let text = source::read(path).with_context(|| format!("read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let includes = |pattern: &str| source::included(pattern, path);
    import_text(&text, &name, &includes)
}

/// Compares nginx with the noren.toml made from its file.
pub(super) fn compare(path: &Path) -> Result<trial::Outcome> {
    let text = source::read(path).with_context(|| format!("read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let includes = |pattern: &str| source::included(pattern, path);
    let made = import_text(&text, &name, &includes)?;
    let (directives, _) = directives(&text, &name, &includes)?;
    trial::compare(&directives, &made)
}

/// Parses the directives of a file; the flag is true if the file is a part of a server.
fn directives(text: &str, file: &str, includes: Includes<'_>) -> Result<(Vec<Directive>, bool)> {
    if source::is_of_apache(text) {
        bail!(
            "{file} is a file of Apache, and only those of nginx are read here; for Wok write config/wok.toml, and \
             for another app an [[app]] with the url of its ProxyPass"
        );
    }
    let directives = syntax::read(text, file, includes)?;
    if directives.iter().any(|one| one.name() == "location") {
        return Ok((vec![Directive::server(file, directives)], true));
    }
    Ok((directives, false))
}

fn import_text(text: &str, file: &str, includes: Includes<'_>) -> Result<String> {
    let (directives, is_part) = directives(text, file, includes)?;
    let mut upstreams = HashMap::new();
    let mut servers = Vec::new();
    collect(&directives, &Scope::default(), &mut upstreams, &mut servers);
    let mut writer = write::write(&directives, &servers, &upstreams);
    let mut draft = std::mem::take(&mut writer.draft);
    std::mem::take(&mut writer.report).write(&mut draft);
    if is_part {
        draft.note(PART);
    }
    draft.note(ALWAYS);
    checklist(&mut draft, file);
    Ok(draft.finish(file))
}

/// Adds the points of the checklist that apply to every file.
fn checklist(draft: &mut Draft, file: &str) {
    draft.add_step(&format!(
        "compare with nginx, where it is installed: noren import nginx {file} --check"
    ));
    draft.add_step("noren check FILE finds what cannot work here, files that the user of Noren cannot read, too");
    draft.add_step(
        "noren check --explain FILE shows every route, who may pass and what limits hold",
    );
    draft.add_step("nginx leaves the addresses of each [[listener]]: take its file away, then systemctl restart nginx");
}

/// Collects the servers and upstreams of a block and its inner blocks.
fn collect<'a>(
    block: &'a [Directive],
    around: &Scope<'a>,
    upstreams: &mut HashMap<String, Upstream>,
    servers: &mut Vec<Server<'a>>,
) {
    let inside = around.inside(block);
    for one in block {
        match one.name() {
            "http" => collect(&one.block, &inside, upstreams, servers),
            "server" => servers.push(Server::of(one, &inside)),
            "upstream" => {
                if let Some(found) = Upstream::of(one) {
                    upstreams.insert(one.argument(0).to_owned(), found);
                }
            }
            _ => {}
        }
    }
}

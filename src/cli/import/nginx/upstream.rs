//! Converts an `upstream` of nginx: its servers become the addresses of one app, and its way of choosing between them
//! the affinity. Must not know the locations that lead to it.

use super::report::Report;
use super::syntax::Directive;

/// The addresses of an upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Upstream {
    /// The addresses in the syntax of nginx, without duplicates; at least one.
    pub(super) addresses: Vec<String>,
    /// The affinity of visitors, if nginx has one that Noren supports too.
    pub(super) affinity: Option<&'static str>,
}

impl Upstream {
    /// Reads the upstream of a block; `None` if it contains no server.
    pub(super) fn of(block: &Directive) -> Option<Self> {
        let mut addresses: Vec<String> = Vec::new();
        for server in used(block) {
            let address = server.argument(0).trim_end_matches(':').to_owned();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let affinity = block.block.iter().find_map(affinity);
        let affinity = affinity.filter(|_| addresses.len() > 1);
        (!addresses.is_empty()).then_some(Self {
            addresses,
            affinity,
        })
    }

    /// An upstream of a single address.
    pub(super) fn one(address: &str) -> Self {
        Self {
            addresses: vec![address.to_owned()],
            affinity: None,
        }
    }
}

/// Returns the servers that are used normally: those that are neither `down` nor `backup`, or otherwise the first.
fn used(block: &Directive) -> Vec<&Directive> {
    let is_used = |one: &&Directive| !one.has("down") && !one.has("backup");
    let found: Vec<_> = block.all("server").filter(is_used).collect();
    if found.is_empty() {
        block.all("server").take(1).collect()
    } else {
        found
    }
}

fn affinity(one: &Directive) -> Option<&'static str> {
    let first = one.argument(0);
    match one.name() {
        "ip_hash" => Some("address"),
        "hash" if matches!(first, "$remote_addr" | "$binary_remote_addr") => Some("address"),
        "sticky" if first == "cookie" || first.is_empty() => Some("cookie"),
        _ => None,
    }
}

/// Reports the servers of a block and the choice between them.
pub(super) fn report(report: &mut Report, block: &Directive) {
    let used: Vec<usize> = used(block).iter().map(|server| server.id).collect();
    for server in block.all("server") {
        if used.contains(&server.id) {
            report.carry(server);
            if server
                .arguments()
                .iter()
                .any(|word| word.starts_with("weight="))
            {
                let why = "each address has the same `workers`, and the one with the fewest busy is asked: a \
                           weight is not carried over";
                report.leave_out(server, why);
            }
        } else if server.has("backup") {
            let why = "an address that is asked only when the others fail is not carried over; write it into \
                       `urls` if it may be asked like them";
            report.leave_out(server, why);
        } else {
            let why = "it is out of use, and is not carried over; write it into `urls` when it is back, or take \
                       one out with `noren drain`";
            report.leave_out(server, why);
        }
    }
    for one in &block.block {
        match one.name() {
            // Which is what Noren does.
            "least_conn" => report.carry(one),
            _ if affinity(one).is_some() => report.carry(one),
            _ => {}
        }
    }
}

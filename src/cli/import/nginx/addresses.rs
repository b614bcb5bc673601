//! Chooses the nginx servers that are carried over. A noren.toml has one set of routes for all its listeners, while
//! nginx has one for each address: the address with the most servers is the base, and other addresses are kept if nginx
//! serves the same there. Does not write.

use std::collections::{HashMap, HashSet};

use super::server::{Listen, Server, View};
use super::upstream::Upstream;

/// An address with all its servers.
#[derive(Debug)]
pub(super) struct Address<'a> {
    /// Normal form of the address, which is the same for all its spellings.
    pub(super) name: String,
    pub(super) port: String,
    pub(super) tls: bool,
    /// The servers that listen at this address, by number, each with its `listen` directive.
    pub(super) listens: Vec<(usize, Listen<'a>)>,
    pub(super) sites: Vec<Site<'a>>,
    /// The responses for names that no server has.
    fallback: Option<View<'a>>,
    pub(super) role: Role,
}

/// A server with the names for which it gives the same responses.
#[derive(Debug, Clone)]
pub(super) struct Site<'a> {
    pub(super) server: usize,
    /// Host names of the site; empty for any name.
    pub(super) hosts: Vec<String>,
    pub(super) view: View<'a>,
}

/// The role of an address in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A listener with routes.
    Listener,
    /// A listener that redirects all requests to https.
    Redirect,
    /// An address that is left out.
    Unused,
}

/// The addresses of all servers in the order of the file, each with its role; and the index of the base.
pub(super) fn addresses<'a>(
    servers: &[Server<'a>],
    upstreams: &HashMap<String, Upstream>,
) -> (Vec<Address<'a>>, Option<usize>) {
    let mut addresses: Vec<Address<'a>> = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        for listen in &server.listens {
            let known = addresses
                .iter_mut()
                .find(|door| door.name == listen.address);
            let entry = (number, listen.clone());
            if let Some(door) = known {
                door.tls |= listen.tls;
                if door.listens.iter().all(|(other, _)| *other != number) {
                    door.listens.push(entry);
                }
            } else {
                addresses.push(Address {
                    name: listen.address.clone(),
                    port: listen.port.clone(),
                    tls: listen.tls,
                    listens: vec![entry],
                    sites: Vec::new(),
                    fallback: None,
                    role: Role::Unused,
                });
            }
        }
    }
    for door in &mut addresses {
        door.determine(servers, upstreams);
    }
    let base = base(&addresses);
    keep(&mut addresses, base);
    (addresses, base)
}

impl<'a> Address<'a> {
    /// Determines the responses to each name.
    fn determine(&mut self, servers: &[Server<'a>], upstreams: &HashMap<String, Upstream>) {
        let marked = self.listens.iter().find(|(_, listen)| listen.is_default);
        let default = marked.or(self.listens.first()).map(|(number, _)| *number);
        let at = (self.tls, self.port.as_str());
        let mut claimed = HashSet::new();
        let mut sites: Vec<Site<'a>> = Vec::new();
        for (number, _) in &self.listens {
            let Some(server) = servers.get(*number) else {
                continue;
            };
            // Names that are patterns of another kind are answered as all names are that no server has.
            if server.names.is_empty() && Some(*number) == default {
                sites.push(Site {
                    server: *number,
                    hosts: Vec::new(),
                    view: server.view(at, None, upstreams),
                });
            }
            for name in &server.names {
                if !claimed.insert(name.clone()) {
                    continue;
                }
                let host = Some(name.as_str()).filter(|name| !name.starts_with('*'));
                let view = server.view(at, host, upstreams);
                let print = view.fingerprint();
                let same = sites
                    .iter_mut()
                    .find(|site| site.server == *number && site.view.fingerprint() == print);
                match same {
                    Some(site) => site.hosts.push(name.clone()),
                    None => sites.push(Site {
                        server: *number,
                        hosts: vec![name.clone()],
                        view,
                    }),
                }
            }
        }
        self.fallback = default
            .and_then(|number| servers.get(number))
            .map(|server| server.view(at, None, upstreams));
        self.sites = sites;
    }

    fn is_local(&self) -> bool {
        self.listens.iter().all(|(_, listen)| listen.is_local())
    }

    /// Returns the numbers of the servers that serve anything at this address.
    fn open(&self) -> HashSet<usize> {
        let open = self.sites.iter().filter(|site| site.view.is_open());
        open.map(|site| site.server).collect()
    }

    fn redirects(&self) -> bool {
        let sites = self.sites.iter().map(|site| &site.view);
        let mut views = sites.chain(&self.fallback);
        !self.tls && views.any(|view| view.redirect().is_some())
    }

    /// Returns the view of the site for a name; the empty name stands for any other.
    fn named(&self, name: &str) -> Option<&View<'a>> {
        let exact = self
            .sites
            .iter()
            .find(|site| site.hosts.iter().any(|host| host == name));
        let wild = || {
            let sites = self.sites.iter().filter_map(|site| {
                let fits = |host: &&String| {
                    let suffix = host.strip_prefix('*');
                    suffix.is_some_and(|suffix| name.ends_with(suffix) && name.len() > suffix.len())
                };
                let longest = site.hosts.iter().filter(fits).map(String::len).max()?;
                Some((longest, site))
            });
            sites
                .max_by_key(|(length, _)| *length)
                .map(|(_, site)| site)
        };
        let any = || self.sites.iter().find(|site| site.hosts.is_empty());
        exact.or_else(wild).or_else(any).map(|site| &site.view)
    }

    /// True if this address gives the same responses as the base for every name that the base serves.
    fn agrees(&self, base: &Self) -> bool {
        let names = |door: &Self| -> Vec<String> {
            let hosts = door.sites.iter().flat_map(|site| site.hosts.clone());
            hosts.chain([String::new()]).collect()
        };
        names(base).iter().chain(&names(self)).all(|name| {
            let Some(expected) = base.named(name).filter(|view| view.is_open()) else {
                return true;
            };
            let found = self.named(name).or(self.fallback.as_ref());
            found.is_some_and(|view| view.fingerprint() == expected.fingerprint())
        })
    }
}

/// Chooses the base: the address that serves the most servers, and among equals one with TLS, and then one that is
/// reachable from other machines.
fn base(addresses: &[Address<'_>]) -> Option<usize> {
    let is_base = |door: &Address<'_>| !door.open().is_empty() || !door.redirects();
    let offers = addresses
        .iter()
        .enumerate()
        .filter(|(_, door)| is_base(door));
    let best = offers.max_by_key(|(number, door)| {
        let earlier = addresses.len() - number;
        (door.open().len(), door.tls, !door.is_local(), earlier)
    });
    let (number, door) = best?;
    // A listener at [::] takes IPv4 too, so that what nginx has there decides.
    let four = addresses.iter().position(|other| {
        door.name.starts_with("[::]:") && other.name == format!("0.0.0.0:{}", door.port)
    });
    let four = four.filter(|four| addresses.get(*four).is_some_and(|four| !four.agrees(door)));
    Some(four.unwrap_or(number))
}

fn keep(addresses: &mut [Address<'_>], base: Option<usize>) {
    let chosen = base.and_then(|base| addresses.get(base));
    let decided: Vec<_> = addresses
        .iter()
        .enumerate()
        .map(|(number, door)| {
            let covered = chosen.is_some_and(|base| door.open().is_subset(&base.open()));
            let is_base = Some(number) == base;
            let offers = !door.open().is_empty();
            let is_like = |chosen: &Address<'_>| {
                let both_closed = !offers && chosen.open().is_empty() && door.tls == chosen.tls;
                is_base || offers && door.agrees(chosen) || both_closed && !door.redirects()
            };
            match chosen {
                Some(chosen) if is_like(chosen) => Role::Listener,
                // Nothing is open in clear that nginx has behind TLS.
                Some(chosen) if !door.tls && chosen.tls && covered && offers => Role::Redirect,
                _ if door.redirects() => Role::Redirect,
                None if door.tls => Role::Listener,
                _ => Role::Unused,
            }
        })
        .collect();
    for (door, kept) in addresses.iter_mut().zip(decided) {
        door.role = kept;
    }
}

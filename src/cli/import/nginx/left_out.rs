//! Reports the servers that are not part of the base: those at other addresses, those that only redirect, and those
//! that no request reaches. Does not choose the base.

use super::addresses::{Address, Role, Site};
use super::location::{Closed, Outcome};
use super::server::Server;
use super::writer::{CLOSED, Writer};

impl<'a> Writer<'a> {
    /// Reports the servers that are not part of the base.
    pub(super) fn others(
        &mut self,
        addresses: &[Address<'a>],
        servers: &[Server<'a>],
        base: Option<usize>,
    ) {
        let base = base.and_then(|base| addresses.get(base));
        let kept = |number: usize| {
            let has = |door: &&Address<'_>| {
                door.role != Role::Unused && door.listens.iter().any(|(other, _)| *other == number)
            };
            addresses.iter().find(has)
        };
        for (number, server) in servers.iter().enumerate() {
            let is_site =
                base.is_some_and(|base| base.sites.iter().any(|site| site.server == number));
            if is_site {
                continue;
            }
            let sites = addresses.iter().flat_map(|door| &door.sites);
            let mut own = sites.filter(|site| site.server == number);
            if let Some(door) = kept(number) {
                self.beside(server, own.next(), door, base);
                continue;
            }
            let places: Vec<_> = server
                .listens
                .iter()
                .map(|listen| listen.address.as_str())
                .collect();
            let address = base.map_or("another address", |base| base.name.as_str());
            let why = format!(
                "every app is offered by every listener here, and nginx has this server at {} and not, as the \
                 others, at {address}: it is closed here; import it into a noren.toml of its own, or write its url \
                 in the place of {CLOSED}",
                places.join(" and ")
            );
            self.report.leave_out(server.at, &why);
            for site in own.filter(|site| !site.hosts.is_empty()) {
                for route in site
                    .view
                    .routes
                    .iter()
                    .filter(|route| route.outcome.is_open())
                {
                    self.close(&route.path, &site.hosts);
                }
            }
        }
    }

    /// Reports a server at a kept address that is no site of the base: it redirects all requests to https, or serves
    /// none.
    fn beside(
        &mut self,
        server: &Server<'a>,
        site: Option<&Site<'a>>,
        door: &Address<'a>,
        base: Option<&Address<'a>>,
    ) {
        let Some(site) = site else {
            let why = "another server answers all its names, or every name that no server has: nginx never comes here";
            return self.report.leave_out(server.at, why);
        };
        for at in &site.view.carried {
            self.report.carry(at);
        }
        for (at, why) in &site.view.told {
            self.report.leave_out(at, why);
        }
        for route in &site.view.routes {
            match &route.outcome {
                Outcome::Redirect(redirect) => {
                    self.report.carry(redirect.at);
                    if !redirect.same_host {
                        self.report.leave_out(
                            redirect.at,
                            "the listener sends everybody to https with the name that \
                                                        was asked for",
                        );
                    }
                }
                Outcome::Closed(Closed { told, .. }) => {
                    if let Some((at, why)) = told {
                        self.report.leave_out(at, why);
                    }
                }
                Outcome::App(_) | Outcome::Files(_) | Outcome::Console(_) => {
                    let why = format!(
                        "in clear, at {}, everybody is sent to https here",
                        door.name
                    );
                    self.report.leave_out(server.at, &why);
                    if base.is_some() && !site.hosts.is_empty() {
                        self.close(&route.path, &site.hosts);
                    }
                }
            }
        }
    }
}

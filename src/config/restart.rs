//! Settings that only a restart changes: a reload of a file in which one is different is refused. Does not apply a
//! setting.

use super::{Config, Log, Server};

impl Config {
    /// The settings that only a restart changes, as a file has them.
    pub const RESTART: [&'static str; 6] = [
        "[[listener]]",
        "server.threads",
        "log.format",
        "log.audit",
        "[cluster]",
        "[admin]",
    ];

    /// Names of the keys of [`RESTART`](Self::RESTART) that differ in another configuration. A new table, and a new
    /// key in the tables that are divided here, does not compile until it is listed on one side.
    #[must_use]
    pub fn restart_for(&self, next: &Self) -> Vec<&'static str> {
        let Self {
            log,
            server,
            listeners,
            cluster,
            admin,
            // A reload applies all of these.
            tls: _,
            acme: _,
            limits: _,
            spool: _,
            headers: _,
            apps: _,
            files: _,
            session: _,
            bridge: _,
            hub: _,
            channels: _,
            mercure: _,
        } = self;
        let Log {
            format,
            audit,
            level: _,
            access: _,
            access_format: _,
        } = log;
        let Server {
            threads,
            drain: _,
            handover: _,
            welcome: _,
            hosts: _,
            traces: _,
        } = server;
        let differs = [
            *listeners != next.listeners,
            *threads != next.server.threads,
            *format != next.log.format,
            *audit != next.log.audit,
            *cluster != next.cluster,
            *admin != next.admin,
        ];
        let named = Self::RESTART.into_iter().zip(differs);
        named
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_says_of_each_setting_that_only_a_restart_changes_it() {
        let reference = include_str!("../../config/noren.toml");
        let line = reference
            .lines()
            .find(|line| line.starts_with("# Only a restart changes "))
            .expect("a line about restarts");
        for name in Config::RESTART {
            assert!(line.contains(name), "{name}: {line}");
        }
    }

    #[test]
    fn a_difference_is_named_and_others_are_not() {
        let parse = |text: &str| Config::parse(text, "noren.toml").expect("a configuration");
        let app = "[[app]]\nurl = 'http://127.0.0.1:8010'\n";
        let now = parse(app);
        let next = parse(&format!(
            "{app}workers = 3\n[server]\nthreads = 3\ndrain = '1s'\n"
        ));
        assert_eq!(now.restart_for(&next), ["server.threads"]);
        assert!(now.restart_for(&now).is_empty());
    }
}

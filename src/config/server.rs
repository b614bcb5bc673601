//! `[server]`: the process as a whole. Knows neither the runtime nor the signals.

use std::time::Duration;

use super::host_pattern::HostPattern;
use super::reader::Table;

/// `hosts`: under which names the door is reached without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerHosts {
    /// `"any"`: every name.
    Any,
    /// The names in this list, and those that other keys contain.
    Listed(Vec<HostPattern>),
}

/// The `[server]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// `drain`: the time that requests and tunnels may continue after a stop was requested. Default 10 s; with 0 they
    /// are cut at once.
    pub drain: Duration,
    /// `handover`: the time that tunnels may continue in this process after a newer one has taken over. Default 8 h;
    /// none: until they end.
    pub handover: Option<Duration>,
    /// `welcome`: shows a page with the next steps if there is no app. Default `false`.
    pub welcome: bool,
    /// `hosts`: under which names the bridge, the hub and the door's own pages are reached without TLS, beside
    /// addresses, `localhost` and names that other keys have. Default none.
    pub hosts: ServerHosts,
    /// `threads`: worker threads, at most 1024. Default 0, one a core.
    pub threads: usize,
    /// `traces`: adds a `traceparent` to requests without a valid one. Default `true`.
    pub traces: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(10),
            handover: Some(Duration::from_secs(8 * 60 * 60)),
            welcome: false,
            hosts: ServerHosts::Listed(Vec::new()),
            threads: 0,
            traces: true,
        }
    }
}

impl ServerHosts {
    fn read(table: &mut Table<'_>) -> Self {
        let listed = table.list_or_any("hosts", HostPattern::parse);
        // Written as `origins` has it.
        let any = HostPattern::Exact("any".to_owned());
        match listed {
            Some(listed) if !listed.contains(&any) => Self::Listed(listed),
            _ => Self::Any,
        }
    }
}

impl Server {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            drain: table.duration("drain", default.drain),
            handover: table.time_limit_or_off("handover", default.handover),
            welcome: table.flag("welcome", default.welcome),
            hosts: ServerHosts::read(table),
            threads: table.number("threads", default.threads, 0..=1024),
            traces: table.flag("traces", default.traces),
        }
    }
}

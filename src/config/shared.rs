//! `shared` of the bridge, a source of tokens or a target: serial consoles with one connection to the guest and any
//! number of viewers. Opens nothing.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Table;
use super::rfb::Rfb;
use super::size::{KIB, MIB};
use super::value;
use super::view_rules::ViewRules;

/// The table `shared`; `shared = {}` of a target or a source is all defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleSharing {
    /// `enabled`: viewers share one connection to the guest. Default: yes where a target or a source has the table, no
    /// in `[bridge.shared]`.
    pub enabled: bool,
    /// `consoles`: the consoles it is for. Default `all`.
    pub consoles: SharedConsoles,
    /// `typing`: the viewers whose keys reach the guest. Default `first`.
    pub typing: Typing,
    /// `hold`: with `typing = "one"`, the pause of the typing viewer after which another may type. Default 10 s.
    pub hold: Duration,
    /// `scrollback`: the latest output for viewers that come later, at most 16 MiB; 0 is none. Default 64 KiB.
    pub scrollback: usize,
    /// `directory`: a directory for the scrollback, so that it outlives the connection and Noren. Default `None`: in
    /// memory only.
    pub directory: Option<PathBuf>,
    /// `lag`: output that a viewer may be behind, 4 KiB to 16 MiB. Default 256 KiB.
    pub lag: usize,
    /// `slow`: the rule for a viewer with a larger lag. Default `drop-oldest`.
    pub slow: SlowViewer,
    /// `viewer-limit`: viewers of one console at the same time, 1 to 10,000. Default 1,000.
    pub viewer_limit: usize,
    /// `linger`: the time that the connection to the guest stays open after the last viewer has left. Default 10 s;
    /// with 0 it ends at once.
    pub linger: Duration,
    /// `reconnect`: the time that viewers stay connected while Noren reconnects to the guest, after its end of the
    /// connection has ended. Default 10 s. `None`, `"off"`: viewers are closed with it.
    pub reconnect: Option<Duration>,
    /// `announce`: writes a line for all viewers when one comes, leaves or types. Default `false`.
    pub announce: bool,
    /// `view-only`, `operators` and `viewers`: the rule for view-only visitors.
    pub view: ViewRules,
}

/// The consoles of a source that are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedConsoles {
    /// `all`: every target.
    All,
    /// `serial`: the serial consoles as Kimchi names them: `vm-console`, on a UNIX socket called `vm`.
    Serial,
}

/// The viewers whose keys reach the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// `first`: the viewer who came first; when it leaves, the next one.
    First,
    /// `one`: one at a time. Another takes over by typing, or by asking, once that one is silent for `hold`.
    One,
    /// `all`: everybody.
    All,
    /// `none`: no viewer.
    None,
}

/// Rule for a viewer that is too far behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowViewer {
    /// `drop-oldest`: it gets the newest output, and a line with the number of missing bytes. The default.
    DropOldest,
    /// `disconnect`: it is closed with 1013.
    Disconnect,
}

impl SharedConsoles {
    const NAMES: [(&'static str, Self); 2] = [("all", Self::All), ("serial", Self::Serial)];
}

impl Typing {
    const NAMES: [(&'static str, Self); 4] = [
        ("first", Self::First),
        ("one", Self::One),
        ("all", Self::All),
        ("none", Self::None),
    ];

    /// The word for it in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        value::name_of(self, &Self::NAMES)
    }
}

impl SlowViewer {
    const NAMES: [(&'static str, Self); 2] = [
        ("drop-oldest", Self::DropOldest),
        ("disconnect", Self::Disconnect),
    ];
}

impl Default for ConsoleSharing {
    fn default() -> Self {
        Self {
            enabled: false,
            consoles: SharedConsoles::All,
            typing: Typing::First,
            hold: Duration::from_secs(10),
            scrollback: 64 << 10,
            directory: None,
            lag: 256 << 10,
            slow: SlowViewer::DropOldest,
            viewer_limit: 1000,
            linger: Duration::from_secs(10),
            reconnect: Some(Duration::from_secs(10)),
            announce: false,
            view: ViewRules::default(),
        }
    }
}

impl ConsoleSharing {
    /// Reads the table of the bridge, which is for all targets and sources without one of their own.
    pub(super) fn read_for_bridge(bridge: &mut Table<'_>) -> Self {
        bridge.table("shared", |table| Self::read_with(table, false))
    }

    /// Reads the table of a target or a source.
    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let has = table.has("shared");
        let shared = table.table("shared", |table| Self::read_with(table, true));
        has.then_some(shared)
    }

    /// True if every console of its target or source is shared.
    pub(super) fn is_for_all(&self) -> bool {
        self.enabled && self.consoles == SharedConsoles::All
    }

    fn read_with(table: &mut Table<'_>, enabled: bool) -> Self {
        let default = Self::default();
        let has_enabled = table.has("enabled");
        let shared = Self {
            enabled: table.flag("enabled", enabled),
            consoles: table.text("consoles", default.consoles, |text| {
                value::choice(text, &SharedConsoles::NAMES)
            }),
            typing: table.text("typing", default.typing, |text| {
                value::choice(text, &Typing::NAMES)
            }),
            hold: table.duration("hold", default.hold),
            scrollback: table.buffer("scrollback", default.scrollback, 0..=16 * MIB),
            directory: table.text("directory", None, |text| value::path(text).map(Some)),
            lag: table.buffer("lag", default.lag, 4 * KIB..=16 * MIB),
            slow: table.text("slow", default.slow, |text| {
                value::choice(text, &SlowViewer::NAMES)
            }),
            viewer_limit: table.number("viewer-limit", default.viewer_limit, 1..=10_000),
            linger: table.duration("linger", default.linger),
            reconnect: table.time_limit_or_off("reconnect", default.reconnect),
            announce: table.flag("announce", false),
            view: ViewRules::read(table),
        };
        if table.is_sound() {
            shared.check(table);
            // The other settings suggest that it is on.
            if !shared.enabled && !has_enabled && shared != Self::default() {
                let text = "is missing, and without it each viewer has a connection of its own; write enabled = true";
                table.problem("enabled", text);
            }
        }
        shared
    }

    fn check(&self, table: &Table<'_>) {
        if self.hold != Self::default().hold && self.typing != Typing::One {
            let text = "is for typing = \"one\", where the keyboard passes from one to another; remove one of the two";
            table.problem("hold", text);
        }
        if self.typing == Typing::None && self.view != ViewRules::default() {
            let text = "\"none\" lets nobody type, whoever it is; remove it, or view-only, operators and viewers";
            table.problem("typing", text);
        }
        if self.directory.is_some() && self.scrollback == 0 {
            let text = "keeps the scrollback, of which there is none; write a size for scrollback, or remove it";
            table.problem("directory", text);
        }
    }
}

/// The settings beside `shared` that mean the same target, or all of a source.
pub(super) struct RelatedSettings<'a> {
    /// `rfb` of the table itself.
    pub(super) rfb: Option<&'a Rfb>,
    /// `subprotocols` of the table itself.
    pub(super) subprotocols: Option<&'a [String]>,
    /// True if `[bridge.boundaries]` has a marker for it.
    pub(super) has_boundary: bool,
}

/// The tables of `[bridge]` that are for all targets and sources without one of their own.
pub(super) struct ForAll<'a> {
    pub(super) rfb: &'a Rfb,
    pub(super) shared: &'a ConsoleSharing,
}

impl ConsoleSharing {
    /// Reports what cannot be together in the table of a target or a source: bytes can only be shared where they are
    /// a terminal's.
    pub(super) fn check_beside(
        own: Option<&Self>,
        beside: &RelatedSettings<'_>,
        bridge: &ForAll<'_>,
        table: &Table<'_>,
    ) {
        if !table.is_sound() {
            return;
        }
        let is_rfb = |rfb: Option<&Rfb>| rfb.is_some_and(|rfb| rfb.enabled);
        match own {
            Some(own) if own.is_for_all() => {
                if is_rfb(beside.rfb) {
                    let text = "and rfb cannot both be for one console: each viewer of RFB needs a connection of its \
                                own; remove one of the two";
                    table.problem("shared", text);
                } else if beside.rfb.is_none() && is_rfb(Some(bridge.rfb)) {
                    let text = "is for a console that [bridge.rfb] is for as well, and each viewer of RFB needs a \
                                connection of its own; write rfb = { enabled = false } beside it";
                    table.problem("shared", text);
                }
                if beside.subprotocols.is_some_and(|list| !list.is_empty()) {
                    let text = "are for protocols whose clients each need a connection of their own; remove them, or \
                                shared";
                    table.problem("subprotocols", text);
                }
                if beside.has_boundary {
                    let text = "is for a terminal, and [bridge.boundaries] has a marker for this token; remove one of \
                                the two";
                    table.problem("shared", text);
                }
            }
            None if bridge.shared.is_for_all() && is_rfb(beside.rfb) => {
                let text = "is for a console that [bridge.shared] is for as well, and each viewer of RFB needs a \
                            connection of its own; write shared = { enabled = false } beside it";
                table.problem("rfb", text);
            }
            Some(_) | None => {}
        }
    }

    /// Reports that both tables are for all consoles.
    pub(super) fn check_for_all(bridge: &ForAll<'_>, table: &Table<'_>) {
        if table.is_sound_so_far() && bridge.shared.is_for_all() && bridge.rfb.enabled {
            let text = "and [bridge.rfb] are both for all consoles, and each viewer of RFB needs a connection of its \
                        own; disable one of the two, and write a table into the targets and sources it is for";
            table.problem("shared", text);
        }
    }
}

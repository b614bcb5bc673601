//! The state of one shared console: its output, its viewers and the keyboard, and the rules between them. Does not wake
//! tasks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::time::Instant;

use super::keyboard::Keyboard;
use super::presence::{self, Presence, PresentViewer};
use super::scrollback::Scrollback;
use super::store::Store;
use crate::bridge::outcome::{Cut, Ended};
use crate::bridge::recorder::Tap;
use crate::clock::since;
use crate::config::{ConsoleSharing, SlowViewer};
use crate::telemetry::ViewerState;

/// The parts of a console beside the connection to its guest.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Its recorder, if it is recorded.
    pub tap: Option<Tap>,
    /// The place of its scrollback on disk, if it has one.
    pub store: Option<Store>,
    /// Output of earlier connections.
    pub earlier: Vec<u8>,
}

/// The state of a console, behind its lock.
pub(super) struct State {
    pub(super) scrollback: Scrollback,
    pub(super) input: Vec<u8>,
    pub(super) viewers: BTreeMap<u64, Entry>,
    pub(super) last: u64,
    pub(super) keyboard: Keyboard,
    pub(super) connected: bool,
    pub(super) ended: Option<Ended>,
    pub(super) received: u64,
    /// Lines that are delayed until the end of a control sequence of the guest.
    pub(super) lines: Vec<u8>,
    /// Time until which the console is kept without viewers.
    pub(super) empty_until: Option<Instant>,
    pub(super) tap: Option<Tap>,
    pub(super) store: Option<Store>,
}

/// A viewer, as the console knows it.
pub(super) struct Entry {
    pub(super) newcomer: Newcomer,
    pub(super) since: std::time::Instant,
    /// Offset of its next byte.
    pub(super) at: u64,
    pub(super) waker: Option<Waker>,
    pub(super) tunnel: u64,
    pub(super) shown: Arc<ViewerState>,
    pub(super) cut: Cut,
}

/// A client that wants to view a console.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newcomer {
    /// User name, if one is known.
    pub user: Option<Box<str>>,
    /// The name that the page has chosen for its connection, by which it requests the keyboard.
    pub name: Option<Box<str>>,
    /// True if it is view-only.
    pub view_only: bool,
}

impl State {
    pub(super) fn new(settings: &ConsoleSharing, extras: Extras, empty_until: Instant) -> Self {
        let mut scrollback = Scrollback::default();
        scrollback.append(&extras.earlier, settings.scrollback);
        Self {
            scrollback,
            input: Vec::new(),
            viewers: BTreeMap::new(),
            last: 0,
            keyboard: Keyboard::new(settings.typing, settings.hold),
            connected: true,
            ended: None,
            received: 0,
            lines: Vec::new(),
            empty_until: Some(empty_until),
            tap: extras.tap,
            store: extras.store,
        }
    }

    /// True if a viewer is not view-only.
    pub(super) fn may_type(&self, number: u64) -> bool {
        let entry = self.viewers.get(&number);
        entry.is_some_and(|entry| !entry.newcomer.view_only)
    }

    /// True if the keys of a viewer reach the guest now.
    pub(super) fn types(&self, number: u64) -> bool {
        self.may_type(number) && self.keyboard.is_of(number)
    }

    /// The viewers, as the viewer with this number sees them.
    pub(super) fn presence(&self, settings: &ConsoleSharing, you: Option<u64>) -> Presence {
        let viewers = self.viewers.iter().map(|(number, entry)| PresentViewer {
            number: *number,
            user: entry.newcomer.user.clone(),
            since: since(entry.since),
            types: self.types(*number),
            view_only: entry.newcomer.view_only,
            you: you == Some(*number),
        });
        Presence {
            typing: settings.typing.as_str(),
            connected: self.connected,
            viewers: viewers.collect(),
        }
    }

    /// Adds bytes to the output. Besides the scrollback, the output for the slowest viewer is kept, within limits.
    pub(super) fn append(&mut self, bytes: &[u8], settings: &ConsoleSharing) {
        let end = self.scrollback.end() + bytes.len() as u64;
        let slowest = self.viewers.values().map(|entry| entry.at).min();
        let behind = slowest.map_or(0, |at| end.saturating_sub(at));
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let limit = settings.scrollback.max(behind.min(settings.lag));
        self.scrollback.append(bytes, limit);
        if settings.slow == SlowViewer::Disconnect {
            let start = self.scrollback.start();
            let lagging = self.viewers.values().filter(|entry| entry.at < start);
            lagging.for_each(|entry| entry.cut.cut(Ended::Lagging));
        }
    }

    /// Writes lines of Noren where they do not cut the guest's output.
    pub(super) fn write_lines(&mut self, settings: &ConsoleSharing) {
        if !self.lines.is_empty() && self.scrollback.ends_between() {
            let lines = std::mem::take(&mut self.lines);
            self.append(&lines, settings);
        }
    }

    /// The waiting viewers.
    pub(super) fn waiting(&mut self) -> Vec<Waker> {
        let entries = self.viewers.values_mut();
        entries.filter_map(|entry| entry.waker.take()).collect()
    }

    /// The viewer who gets the keyboard next: the one that came first among those that may type.
    pub(super) fn next(&self, but: Option<u64>) -> Option<u64> {
        let mut viewers = self.viewers.iter();
        let may =
            |(number, entry): &(&u64, &Entry)| Some(**number) != but && !entry.newcomer.view_only;
        viewers.find(may).map(|(number, _)| *number)
    }

    /// The name of a viewer in a line.
    pub(super) fn name(&self, number: u64) -> String {
        let entry = self.viewers.get(&number);
        presence::name(
            entry.and_then(|entry| entry.newcomer.user.as_deref()),
            number,
        )
    }

    /// The viewers in one sentence.
    pub(super) fn company(&self) -> String {
        let count = self.viewers.len();
        let viewers = if count == 1 { "viewer" } else { "viewers" };
        match self.keyboard.typist() {
            Some(typist) => format!("{count} {viewers}, {} types", self.name(typist)),
            None => format!("{count} {viewers}"),
        }
    }
}

impl Entry {
    /// Registers the viewer's task to be woken when there is something for it.
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waker = Some(cx.waker().clone()),
        }
    }
}

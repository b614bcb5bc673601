//! A shared console: the output of its guest, its viewers, and the keyboard. The guest's task adds output and takes
//! keys; each viewer is the task of its own connection. Nothing waits for a viewer.
//!
//! Must not know sockets, tokens and permissions.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use atomic_waker::AtomicWaker;
use tokio::io::ReadBuf;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::info;

use super::keyboard::Busy;
use super::presence::{self, OpenConsole, Presence};
use super::state::{Entry, Extras, Newcomer, State};
use crate::bridge::outcome::{Cut, Ended};
use crate::clock::since;
use crate::config::{ConsoleSharing, SlowViewer};
use crate::sync::lock;
use crate::telemetry::ViewerState;

/// Limit on keys that wait for the guest. A viewer that sends more has to wait.
pub(super) const INPUT: usize = 64 * 1024;

/// Lines of Noren that wait for the end of a control sequence.
const LINES: usize = 2048;

/// A shared console.
pub(super) struct Console {
    pub(super) id: u64,
    pub(super) target: String,
    pub(super) settings: Arc<ConsoleSharing>,
    started_at: std::time::Instant,
    state: Mutex<State>,
    /// Version of the presence, increased with each change.
    pub(super) changes: watch::Sender<u64>,
    /// Wakes the task of the guest.
    pub(super) guest: AtomicWaker,
    count: Arc<AtomicUsize>,
}

/// A viewer that was added.
pub(super) struct Joined {
    pub(super) number: u64,
    /// State that the status shows.
    pub(super) shown: Arc<ViewerState>,
    pub(super) cut: Cut,
}

/// Reasons why a console does not take a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotJoined {
    /// It has its maximum number of viewers.
    Full,
    /// It is ending.
    Ending,
}

impl Console {
    pub(super) fn new(
        (id, target): (u64, String),
        settings: Arc<ConsoleSharing>,
        extras: Extras,
        empty_until: Instant,
    ) -> Self {
        Self {
            id,
            target,
            started_at: std::time::Instant::now(),
            state: Mutex::new(State::new(&settings, extras, empty_until)),
            changes: watch::Sender::new(0),
            guest: AtomicWaker::new(),
            count: Arc::default(),
            settings,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Adds a viewer.
    pub(super) fn join(&self, newcomer: Newcomer) -> Result<Joined, NotJoined> {
        let mut state = self.state();
        if state.ended.is_some() {
            return Err(NotJoined::Ending);
        }
        if state.viewers.len() >= self.settings.viewer_limit {
            return Err(NotJoined::Full);
        }
        state.last += 1;
        let number = state.last;
        let shown = Arc::new(ViewerState {
            view_only: newcomer.view_only,
            types: AtomicBool::new(false),
            missed: AtomicU64::new(0),
            viewers: Arc::clone(&self.count),
        });
        let cut = Cut::default();
        let entry = Entry {
            at: state.scrollback.beginning(self.settings.scrollback),
            since: std::time::Instant::now(),
            waker: None,
            tunnel: 0,
            shown: Arc::clone(&shown),
            cut: cut.clone(),
            newcomer,
        };
        if !entry.newcomer.view_only {
            state.keyboard.join(number);
        }
        state.empty_until = None;
        state.viewers.insert(number, entry);
        self.announce(&mut state, |state| {
            format!("{} has come; {}", state.name(number), state.company())
        });
        self.presence_changed(&state);
        Ok(Joined { number, shown, cut })
    }

    /// Removes a viewer.
    pub(super) fn leave(&self, number: u64) {
        let mut state = self.state();
        let name = state.name(number);
        if state.viewers.remove(&number).is_none() {
            return;
        }
        let next = state.next(None);
        state.keyboard.leave(number, next);
        if state.viewers.is_empty() {
            state.empty_until = Some(Instant::now() + self.settings.linger);
        }
        self.announce(&mut state, |state| {
            format!("{name} has left; {}", state.company())
        });
        self.presence_changed(&state);
        drop(state);
        self.guest.wake();
    }

    /// Sets the number of a viewer's tunnel.
    pub(super) fn set_tunnel(&self, number: u64, tunnel: u64) {
        if let Some(entry) = self.state().viewers.get_mut(&number) {
            entry.tunnel = tunnel;
        }
    }

    /// Gives a viewer output that it has not had yet. Ready with nothing at the end of the console. `line` is a message
    /// for this viewer alone, which comes before the next output.
    pub(super) fn poll_output(
        &self,
        number: u64,
        line: &mut Vec<u8>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Ended>> {
        let mut state = self.state();
        let State {
            scrollback,
            viewers,
            ended,
            ..
        } = &mut *state;
        let Some(entry) = viewers.get_mut(&number) else {
            return Poll::Ready(Ok(()));
        };
        if entry.at < scrollback.start() {
            if self.settings.slow == SlowViewer::Disconnect {
                return Poll::Ready(Err(Ended::Lagging));
            }
            // Half of what it may lag, so that it does not fall out again at once.
            let at = scrollback.beginning(self.settings.lag / 2);
            let missing = at - entry.at;
            entry.shown.missed.fetch_add(missing, Ordering::Relaxed);
            entry.at = at;
            line.extend(presence::gap(missing));
        }
        if !line.is_empty() {
            let count = line.len().min(buf.remaining());
            buf.put_slice(line.drain(..count).as_slice());
            return Poll::Ready(Ok(()));
        }
        let (front, back) = scrollback.from(entry.at);
        let piece = if front.is_empty() { back } else { front };
        let piece = piece
            .get(..buf.remaining().min(piece.len()))
            .unwrap_or_default();
        if !piece.is_empty() {
            buf.put_slice(piece);
            entry.at += piece.len() as u64;
            return Poll::Ready(Ok(()));
        }
        match ended {
            Some(Ended::Closed) => Poll::Ready(Ok(())),
            Some(ended) => Poll::Ready(Err(*ended)),
            None => {
                entry.wait(cx);
                Poll::Pending
            }
        }
    }

    /// Takes keys of a viewer. Keys of a viewer that may not type are dropped, and so are keys for a guest that is
    /// disconnected.
    pub(super) fn poll_input(&self, number: u64, cx: &mut Context<'_>, keys: &[u8]) -> Poll<()> {
        let mut state = self.state();
        let typist = state.keyboard.typist();
        if !state.may_type(number) || !state.connected || state.ended.is_some() || keys.is_empty() {
            return Poll::Ready(());
        }
        if state.input.len() >= INPUT && state.keyboard.is_of(number) {
            if let Some(entry) = state.viewers.get_mut(&number) {
                entry.wait(cx);
            }
            return Poll::Pending;
        }
        if !state.keyboard.press(number, Instant::now()) {
            return Poll::Ready(());
        }
        if state.keyboard.typist() != typist {
            self.keyboard_passed(&mut state);
        }
        state.input.extend_from_slice(keys);
        if let Some(tap) = &state.tap {
            tap.input(keys);
        }
        drop(state);
        self.guest.wake();
        Poll::Ready(())
    }

    /// Gives the keyboard to the viewer whose page has chosen this name, if the keyboard is free.
    pub(super) fn take_keyboard(&self, number: u64) -> Result<(), Busy> {
        let mut state = self.state();
        if !state.may_type(number) {
            return Err(Busy::Rule);
        }
        let typist = state.keyboard.typist();
        state.keyboard.take(number, Instant::now())?;
        if state.keyboard.typist() != typist {
            self.keyboard_passed(&mut state);
        }
        Ok(())
    }

    /// Takes the keyboard from a viewer that gives it away.
    pub(super) fn give_keyboard(&self, number: u64) {
        let mut state = self.state();
        if state.keyboard.typist() == Some(number) {
            let next = state.next(Some(number));
            state.keyboard.leave(number, next);
            self.keyboard_passed(&mut state);
        }
    }

    /// Gives the keyboard to the viewer with this tunnel, even if another viewer has it. `None` if the tunnel is not a
    /// viewer of this console, `false` if it may not have the keyboard.
    pub(super) fn hand_over(&self, tunnel: u64) -> Option<bool> {
        let mut state = self.state();
        let mut viewers = state.viewers.iter();
        let (number, entry) = viewers.find(|(_, entry)| entry.tunnel == tunnel)?;
        let (number, view_only) = (*number, entry.newcomer.view_only);
        if view_only || !state.keyboard.passes_on() {
            return Some(false);
        }
        state.keyboard.give(number, Instant::now());
        self.keyboard_passed(&mut state);
        Some(true)
    }

    /// Number of the viewer whose page has chosen this name.
    pub(super) fn named(&self, name: &str) -> Option<u64> {
        let state = self.state();
        let mut viewers = state.viewers.iter();
        // The last, should a page come back before the end of its old connection is noticed.
        let found = viewers.rfind(|(_, entry)| entry.newcomer.name.as_deref() == Some(name));
        found.map(|(number, _)| *number)
    }

    /// The viewers, as the viewer with this number sees them.
    pub(super) fn presence(&self, you: Option<u64>) -> Presence {
        self.state().presence(&self.settings, you)
    }

    /// Reports each change of the presence.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The console as the status lists it.
    pub(super) fn shown(&self) -> OpenConsole {
        let state = self.state();
        let typist = state.keyboard.typist();
        let typist = typist.and_then(|typist| state.viewers.get(&typist));
        OpenConsole {
            id: self.id,
            target: self.target.clone(),
            viewers: state.viewers.len(),
            typing: self.settings.typing.as_str(),
            typist: typist.map(|entry| entry.tunnel),
            typist_user: typist.and_then(|entry| entry.newcomer.user.clone()),
            connected: state.connected,
            since: since(self.started_at),
            received: state.received,
            kept: state.scrollback.len(),
        }
    }

    fn keyboard_passed(&self, state: &mut State) {
        let typist = state.keyboard.typist();
        let entry = typist.and_then(|typist| state.viewers.get(&typist));
        let tunnel = entry.map(|entry| entry.tunnel);
        let user = entry.and_then(|entry| entry.newcomer.user.as_deref());
        info!(
            target = self.target,
            tunnel, user, "the keyboard of a shared console has passed to another viewer"
        );
        self.announce(state, State::company);
        self.presence_changed(state);
        // Keys that waited for room may be those of a viewer that has the keyboard no more.
        state.waiting().into_iter().for_each(Waker::wake);
    }

    /// Writes a line about viewers, if the configuration says so.
    fn announce(&self, state: &mut State, text: impl FnOnce(&State) -> String) {
        if self.settings.announce && !state.viewers.is_empty() {
            let text = text(state);
            self.write(state, &text);
            state.waiting().into_iter().for_each(Waker::wake);
        }
    }

    /// Writes a line into the terminal of every viewer, and into the scrollback.
    pub(super) fn write(&self, state: &mut State, text: &str) {
        if state.lines.len() > LINES {
            // The guest does not finish what it has begun, and the latest line says how it is now.
            state.lines.clear();
        }
        state.lines.extend(presence::line(text));
        state.write_lines(&self.settings);
    }

    /// Updates everything that shows viewers.
    pub(super) fn presence_changed(&self, state: &State) {
        self.count.store(state.viewers.len(), Ordering::Relaxed);
        for (number, entry) in &state.viewers {
            entry
                .shown
                .types
                .store(state.types(*number), Ordering::Relaxed);
        }
        self.changes.send_modify(|count| *count += 1);
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

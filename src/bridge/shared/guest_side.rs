//! The side of a shared console that the guest's task uses: output comes in, keys go out, and the console ends. Never
//! waits for a viewer.

use std::task::Waker;

use tokio::time::Instant;

use super::console::{Console, INPUT};
use crate::bridge::outcome::Ended;
use crate::bridge::recorder::Tap;

impl Console {
    /// Adds output of the guest, and wakes the waiting viewers.
    pub(super) fn output(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.received += bytes.len() as u64;
        if let Some(tap) = &state.tap {
            tap.output(bytes);
        }
        if let Some(store) = &state.store {
            store.append(bytes);
        }
        state.append(bytes, &self.settings);
        state.write_lines(&self.settings);
        let waiting = state.waiting();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Takes the keys for the guest, and lets viewers with more keys continue.
    pub(super) fn take_input(&self, into: &mut Vec<u8>) {
        let mut state = self.state();
        let was_full = state.input.len() >= INPUT;
        into.append(&mut state.input);
        state.input = Vec::new();
        let waiting = if was_full {
            state.waiting()
        } else {
            Vec::new()
        };
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Writes a line into the terminal of every viewer, and into the scrollback.
    pub(super) fn write_line(&self, text: &str) {
        let mut state = self.state();
        self.write(&mut state, text);
        let waiting = state.waiting();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Sets whether the guest is connected. Unwritten keys are dropped: they are not for a new connection.
    pub(super) fn set_connected(&self, connected: bool) {
        let mut state = self.state();
        state.connected = connected;
        state.input.clear();
        self.presence_changed(&state);
        let waiting = state.waiting();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Ends the console; the first reason counts. Viewers still get the remaining output.
    pub(super) fn end(&self, reason: Ended) {
        let mut state = self.state();
        state.ended.get_or_insert(reason);
        if matches!(reason, Ended::ByAdministrator | Ended::NotRecorded) {
            state
                .viewers
                .values()
                .for_each(|entry| entry.cut.cut(reason));
        }
        let waiting = state.waiting();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
        self.changes.send_modify(|count| *count += 1);
        self.guest.wake();
    }

    /// The reason of the end, once there is one.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.state().ended
    }

    /// Ends the console if it has no viewers and its waiting time is over. Otherwise, if it has none, returns the end
    /// of the waiting time.
    pub(super) fn end_if_empty(&self, retiring: bool) -> Option<Instant> {
        let mut state = self.state();
        let until = state.empty_until?;
        // A first viewer is on its way; in a process that retires no other can come.
        let is_over = until <= Instant::now() || (retiring && state.last > 0);
        if is_over {
            state.ended.get_or_insert(Ended::Closed);
        }
        Some(until)
    }

    /// True if there are viewers that would wait for the guest.
    pub(super) fn has_viewers(&self) -> bool {
        !self.state().viewers.is_empty()
    }

    /// Its recording, if there is one.
    pub(super) fn recording(&self) -> Option<Tap> {
        self.state().tap.clone()
    }

    /// Records the console from here on, unless it is recorded meanwhile.
    pub(super) fn record(&self, tap: Tap) {
        let mut state = self.state();
        if state.tap.is_some() {
            tap.end("another recording of the same console has begun");
        } else {
            state.tap = Some(tap);
        }
        drop(state);
        self.guest.wake();
    }

    /// Releases the recording and the scrollback file, which end when nothing holds them.
    pub(super) fn release(&self) {
        let mut state = self.state();
        if let (Some(tap), Some(ended)) = (state.tap.take(), state.ended) {
            tap.end(&ended.to_string());
        }
        state.store = None;
    }
}

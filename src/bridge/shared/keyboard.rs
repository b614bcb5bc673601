//! The keyboard of a shared console: decides which viewer's keys reach the guest. Has no side effects; the caller knows
//! the viewers.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::Typing;

/// The rule for keys, and the viewer who has the keyboard.
#[derive(Debug)]
pub(super) struct Keyboard {
    rule: Typing,
    /// Pause after which another viewer may take the keyboard, with [`Typing::One`].
    hold: Duration,
    typist: Option<u64>,
    /// Time of the last key.
    last: Option<Instant>,
}

/// Reasons why a viewer does not get the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// Everybody types, or nobody does.
    Rule,
    /// The viewer who came first has it, and keeps it.
    First,
    /// Another viewer has typed recently, and keeps it for this time.
    Typing(Duration),
}

impl Keyboard {
    pub(super) fn new(rule: Typing, hold: Duration) -> Self {
        Self {
            rule,
            hold,
            typist: None,
            last: None,
        }
    }

    /// True if this viewer's keys would reach the guest now.
    pub(super) fn is_of(&self, viewer: u64) -> bool {
        match self.rule {
            Typing::All => true,
            Typing::None => false,
            Typing::First | Typing::One => self.typist == Some(viewer),
        }
    }

    /// The viewer who has the keyboard, if there is one.
    pub(super) fn typist(&self) -> Option<u64> {
        self.typist
    }

    /// Gives the keyboard to a new viewer, if it is free.
    pub(super) fn join(&mut self, viewer: u64) {
        if matches!(self.rule, Typing::First | Typing::One) && self.typist.is_none() {
            self.typist = Some(viewer);
        }
    }

    /// Takes the keyboard from a viewer that leaves or gives it away. The next viewer in the order of arrival gets it,
    /// or with [`Typing::One`] the first one that types.
    pub(super) fn leave(&mut self, viewer: u64, next: Option<u64>) {
        if self.typist == Some(viewer) {
            self.typist = next.filter(|_| self.rule == Typing::First);
            self.last = None;
        }
    }

    /// True if keys of this viewer, who may type, reach the guest. Typing takes a keyboard that is free.
    pub(super) fn press(&mut self, viewer: u64, now: Instant) -> bool {
        if self.rule == Typing::One {
            let _ = self.take(viewer, now);
        }
        let passes = self.is_of(viewer);
        if passes {
            self.last = Some(now);
        }
        passes
    }

    /// Gives the keyboard to a viewer that requests it.
    pub(super) fn take(&mut self, viewer: u64, now: Instant) -> Result<(), Busy> {
        match (self.rule, self.typist) {
            (Typing::All | Typing::None, _) => return Err(Busy::Rule),
            (Typing::First | Typing::One, None) => {}
            (Typing::First | Typing::One, Some(typist)) if typist == viewer => return Ok(()),
            (Typing::First, Some(_)) => return Err(Busy::First),
            (Typing::One, Some(_)) => {
                let silent = self
                    .last
                    .map_or(self.hold, |last| now.saturating_duration_since(last));
                if silent < self.hold {
                    return Err(Busy::Typing(self.hold.saturating_sub(silent)));
                }
            }
        }
        self.give(viewer, now);
        Ok(())
    }

    /// Gives the keyboard to a viewer, even if another has it. It counts as a key, so nobody can take it at once.
    pub(super) fn give(&mut self, viewer: u64, now: Instant) {
        if matches!(self.rule, Typing::First | Typing::One) {
            self.typist = Some(viewer);
            self.last = Some(now);
        }
    }

    /// True if one viewer at a time has it.
    pub(super) fn passes_on(&self) -> bool {
        matches!(self.rule, Typing::First | Typing::One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(10);

    #[test]
    fn the_first_types_until_it_leaves_and_then_the_next() {
        let (mut keyboard, now) = (Keyboard::new(Typing::First, HOLD), Instant::now());
        for viewer in 1..=3 {
            keyboard.join(viewer);
        }
        assert!(keyboard.press(1, now) && !keyboard.press(2, now) && !keyboard.press(3, now));
        assert_eq!(keyboard.take(2, now + HOLD), Err(Busy::First));
        keyboard.leave(2, Some(1));
        assert!(keyboard.is_of(1));
        keyboard.leave(1, Some(3));
        assert!(keyboard.press(3, now) && !keyboard.press(1, now));
    }

    #[test]
    fn one_at_a_time_types_and_another_only_after_a_silence() {
        let (mut keyboard, now) = (Keyboard::new(Typing::One, HOLD), Instant::now());
        keyboard.join(1);
        keyboard.join(2);
        assert!(keyboard.press(1, now));
        let moment = Duration::from_secs(4);
        assert!(!keyboard.press(2, now + moment));
        assert_eq!(
            keyboard.take(2, now + moment),
            Err(Busy::Typing(HOLD.saturating_sub(moment)))
        );
        assert!(keyboard.press(1, now + moment));
        assert!(
            !keyboard.press(2, now + HOLD),
            "the silence begins with the last key"
        );
        assert!(
            keyboard.press(2, now + moment + HOLD),
            "typing takes the keyboard"
        );
        assert!(!keyboard.press(1, now + moment + HOLD));
        keyboard.leave(2, Some(1));
        assert_eq!(keyboard.typist(), None);
        assert_eq!(keyboard.take(3, now), Ok(()));
        assert!(!keyboard.press(1, now), "whoever has asked for it keeps it");
        keyboard.give(1, now);
        assert!(!keyboard.press(3, now) && keyboard.press(1, now));
    }

    #[test]
    fn everybody_types_or_nobody_does() {
        let now = Instant::now();
        for (rule, types) in [(Typing::All, true), (Typing::None, false)] {
            let mut keyboard = Keyboard::new(rule, HOLD);
            keyboard.join(1);
            keyboard.join(2);
            assert!(
                [1, 2]
                    .iter()
                    .all(|viewer| keyboard.press(*viewer, now) == types)
            );
            assert_eq!(keyboard.take(2, now), Err(Busy::Rule));
            keyboard.give(2, now);
            assert_eq!(keyboard.typist(), None);
        }
    }
}

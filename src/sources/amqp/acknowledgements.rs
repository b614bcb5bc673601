//! The order in which messages are acknowledged: each once it is as durable as its channel promises, as many as
//! possible with one frame. Must not know messages.

use std::collections::{BTreeSet, VecDeque};
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicRejectOptions};

use super::PublishOutcome;
use super::dedup::Dedup;
use crate::hub::{Pending, PublishError, Published};

/// Messages that are not acknowledged yet, bounded by the prefetch.
#[derive(Default)]
pub(super) struct Unsettled {
    /// Messages with a result, or whose result is pending.
    waiting: VecDeque<Waiting>,
    /// Delivery tags of messages that were postponed, until they are settled. Nothing behind one of them can be
    /// acknowledged together with what is before it.
    postponed: BTreeSet<u64>,
}

/// An unacknowledged message.
struct Waiting {
    tag: u64,
    kept: Option<Pending>,
    id: Option<String>,
    is_unfit: bool,
}

/// Frames for the broker.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Acknowledgements {
    /// Messages that cannot be published: for the dead-letter exchange of the queue, if it has one.
    rejected: Vec<u64>,
    /// Messages that are acknowledged one by one.
    single: Vec<u64>,
    /// The last of the messages that are acknowledged together with all before them.
    through: Option<u64>,
}

impl Acknowledgements {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sends the frames.
    pub(super) async fn send(self, channel: &Channel) -> Result<(), lapin::Error> {
        for tag in self.rejected {
            let reject = BasicRejectOptions { requeue: false };
            channel.basic_reject(tag, reject).await?;
        }
        for tag in self.single {
            let one = BasicAckOptions { multiple: false };
            channel.basic_ack(tag, one).await?;
        }
        if let Some(tag) = self.through {
            let all = BasicAckOptions { multiple: true };
            channel.basic_ack(tag, all).await?;
        }
        Ok(())
    }
}

impl Unsettled {
    /// Adds the result of a message. Its id counts as seen once the message is as durable as its channel promises: a
    /// message that the disk refuses is delivered again, and must not count as a repetition.
    pub(super) fn push(&mut self, tag: u64, taken: PublishOutcome, seen: &mut Dedup) {
        let (published, mut id, is_unfit) = match taken {
            PublishOutcome::Postponed => {
                self.postponed.insert(tag);
                return;
            }
            PublishOutcome::Unfit => (None, None, true),
            PublishOutcome::Repeated => (None, None, false),
            PublishOutcome::Published(published, id) => (Some(published), id, false),
        };
        let kept = published.and_then(Published::pending);
        if kept.is_none()
            && let Some(id) = id.take()
        {
            seen.insert(&id);
        }
        self.waiting.push_back(Waiting {
            tag,
            kept,
            id,
            is_unfit,
        });
    }

    /// True if all messages are settled or postponed.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits until messages can be acknowledged.
    pub(super) async fn settled(
        &mut self,
        seen: &mut Dedup,
    ) -> Result<Acknowledgements, PublishError> {
        poll_fn(|cx| match self.poll_settled(seen, cx) {
            Ok(none) if none.is_empty() => Poll::Pending,
            result => Poll::Ready(result),
        })
        .await
    }

    /// The messages that can be acknowledged now.
    pub(super) fn settled_now(
        &mut self,
        seen: &mut Dedup,
    ) -> Result<Acknowledgements, PublishError> {
        self.poll_settled(seen, &mut Context::from_waker(Waker::noop()))
    }

    fn poll_settled(
        &mut self,
        seen: &mut Dedup,
        cx: &mut Context<'_>,
    ) -> Result<Acknowledgements, PublishError> {
        let mut settled = Acknowledgements::default();
        while let Some(Waiting {
            tag,
            kept,
            id,
            is_unfit,
        }) = self.waiting.front_mut()
        {
            match kept.as_mut().map(|kept| kept.as_mut().poll(cx)) {
                Some(Poll::Pending) => break,
                Some(Poll::Ready(Err(error))) => return Err(error),
                None | Some(Poll::Ready(Ok(_))) => {}
            }
            if let Some(id) = id {
                seen.insert(id);
            }
            let (tag, is_unfit) = (*tag, *is_unfit);
            self.waiting.pop_front();
            let is_late = self.postponed.remove(&tag);
            let is_behind = self.postponed.first().is_some_and(|first| *first < tag);
            if is_unfit {
                settled.rejected.push(tag);
            } else if is_late || is_behind {
                settled.single.push(tag);
            } else {
                settled.through = Some(tag);
            }
        }
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(unsettled: &mut Unsettled) -> (Vec<u64>, Vec<u64>, Option<u64>) {
        let settled = unsettled.settled_now(&mut Dedup::default());
        let settled = settled.expect("no disk is involved");
        (settled.rejected, settled.single, settled.through)
    }

    #[test]
    fn nothing_is_acknowledged_together_with_a_message_that_waits() {
        let mut unsettled = Unsettled::default();
        let seen = &mut Dedup::default();
        for (tag, taken) in [
            (1, PublishOutcome::Repeated),
            (2, PublishOutcome::Unfit),
            (3, PublishOutcome::Repeated),
            (4, PublishOutcome::Postponed),
            (5, PublishOutcome::Repeated),
            (6, PublishOutcome::Postponed),
            (7, PublishOutcome::Unfit),
        ] {
            unsettled.push(tag, taken, seen);
        }
        assert_eq!(settled(&mut unsettled), (vec![2, 7], vec![5], Some(3)));
        assert_eq!(settled(&mut unsettled), (vec![], vec![], None));
        unsettled.push(4, PublishOutcome::Repeated, seen);
        unsettled.push(8, PublishOutcome::Repeated, seen);
        assert_eq!(settled(&mut unsettled), (vec![], vec![4, 8], None));
        unsettled.push(6, PublishOutcome::Unfit, seen);
        unsettled.push(9, PublishOutcome::Repeated, seen);
        assert_eq!(settled(&mut unsettled), (vec![6], vec![], Some(9)));
        assert!(unsettled.is_empty());
    }
}

//! Reads the stream: applies its records to the hub in their order, and decides which of them belong to the epoch.
//!
//! Must not know connections: [`stream`](super::stream) passes it one delivery after another.

use std::collections::HashMap;
use std::sync::Arc;

use lapin::message::Delivery;

use crate::cluster::Node;
use crate::cluster::record::{Content, Record};
use crate::hub::{Epoch, Hub};

/// Limit on node runs whose last sequence number is remembered. A node has a new run with each start.
const NODES: usize = 10_000;

/// Reasons why reading cannot continue over this connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The deliveries come from an ordinary queue.
    #[error("an entry of the stream has no offset; is the queue a stream?")]
    NoStream,
    /// The stream was deleted and made again: its offsets belong to other messages now.
    #[error("the stream was made anew")]
    Anew,
}

/// The check of the beginning of a stream, which ends with the first record that names the epoch.
pub(super) struct Recognition<'a> {
    reader: &'a StreamReader,
    /// True if the first record of the stream was among those that were looked at.
    is_complete: bool,
}

impl Recognition<'_> {
    /// Returns whether a record shows that the stream is the one that was read before; false if the next record has to
    /// tell. This node's own greeting is the last that is looked at.
    ///
    /// # Errors
    /// An [`Unreadable`] if it is another stream, or none.
    pub(super) fn accepts(&mut self, delivery: &Delivery) -> Result<bool, Unreadable> {
        let Some((offset, record)) = Record::decode(delivery) else {
            return Err(Unreadable::NoStream);
        };
        self.is_complete |= offset == 0;
        if offset >= self.reader.expected {
            return Ok(true);
        }
        let Some(record) = record else {
            return Ok(false);
        };
        if self.reader.is_greeting(&record) {
            // It was written behind all that was in the stream, and yet is before what this node has read.
            return Err(Unreadable::Anew);
        }
        let named = match record.content {
            Content::Hello { proposed } if self.is_complete => Some(proposed),
            // A complete stream has a greeting first. What comes before it is from a node that had not noticed yet that
            // the old stream was deleted, and names the epoch of that one.
            _ if self.is_complete => return Ok(false),
            _ => record.epoch,
        };
        match (named, &self.reader.epoch) {
            (Some(named), Some(known)) if named != *known => Err(Unreadable::Anew),
            (named, known) => Ok(named.is_some() && known.is_some()),
        }
    }
}

/// The place in the stream that this node has reached, kept across reconnects.
pub(super) struct StreamReader {
    node: Arc<Node>,
    hub: Hub,
    /// The offset expected next.
    expected: u64,
    epoch: Option<Epoch>,
    /// The first epoch proposal that was read; used for a stream that has lost its beginning and names no epoch.
    proposed: Option<Epoch>,
    /// True if the stream was read from its first record on. The first greeting in it then names the epoch.
    is_complete: bool,
    /// The highest sequence number of each node run.
    numbers: HashMap<Box<str>, u64>,
    /// Name in the greeting sent over this connection, until it has been read back.
    greeting: Option<Box<str>>,
    /// True if this connection continues an earlier one.
    resumed: bool,
}

impl StreamReader {
    /// A reader at the beginning of the stream.
    pub(super) fn new(node: Arc<Node>, hub: Hub) -> Self {
        Self {
            node,
            hub,
            expected: 0,
            epoch: None,
            proposed: None,
            is_complete: false,
            numbers: HashMap::new(),
            greeting: None,
            resumed: false,
        }
    }

    /// The offset to read next; 0 at the beginning of the stream.
    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// The epoch of the stream, once it is known.
    pub(super) fn epoch(&self) -> Option<&Epoch> {
        self.epoch.as_ref()
    }

    /// Prepares for a new connection, and returns the greeting to write over it. The node has caught up once it has
    /// read its greeting back, because the greeting comes behind everything that was in the stream before.
    pub(super) fn greet(&mut self) -> Record {
        self.resumed = self.expected > 0;
        let name: Box<str> = Epoch::new().to_string().into();
        self.greeting = Some(name.clone());
        Record {
            node: name,
            number: 0,
            // The old epoch belongs to a stream that has been replaced.
            epoch: None,
            content: Content::Hello {
                proposed: Epoch::new(),
            },
        }
    }

    /// Begins the check of a resumed node that this is the stream it has read before.
    pub(super) fn recognition(&self) -> Recognition<'_> {
        Recognition {
            reader: self,
            is_complete: false,
        }
    }

    /// Applies one delivery.
    ///
    /// # Errors
    /// An [`Unreadable`] if the stream is not the one that was read before, or is no stream.
    pub(super) fn take(&mut self, delivery: &Delivery) -> Result<(), Unreadable> {
        let Some((offset, record)) = Record::decode(delivery) else {
            return Err(Unreadable::NoStream);
        };
        if offset < self.expected {
            // The broker was asked for what comes behind all that this node has.
            return Err(Unreadable::Anew);
        }
        if offset > self.expected {
            // The broker has deleted the records before this one: at the start nobody can get them any more, and
            // later this node has missed them.
            self.hub.forget_through(offset);
        }
        self.is_complete |= offset == 0;
        self.expected = offset + 1;
        if let Some(record) = record
            && self.belongs(&record)?
        {
            self.apply(offset, record);
        }
        // Offsets of ids begin with 1.
        self.hub.advance(offset + 1);
        Ok(())
    }

    /// Determines the epoch from the first greeting of a complete stream, otherwise from the first record that names
    /// one, and returns whether this record belongs to it.
    fn belongs(&mut self, record: &Record) -> Result<bool, Unreadable> {
        if let Some(epoch) = &record.epoch {
            return match &self.epoch {
                // The stream was replaced while this node was not connected.
                Some(known) if known != epoch && self.resumed => Err(Unreadable::Anew),
                // Its writer has not noticed the replacement yet, and will write the record again.
                Some(known) => Ok(known == epoch),
                // The epoch of the old stream, which all its cursors have: they mean nothing here.
                None if self.is_complete => Ok(false),
                None => {
                    self.set_epoch(epoch.clone());
                    Ok(true)
                }
            };
        }
        if let (None, Content::Hello { proposed }) = (&self.epoch, &record.content) {
            let first = self
                .proposed
                .get_or_insert_with(|| proposed.clone())
                .clone();
            if self.is_complete || self.is_greeting(record) {
                self.set_epoch(first);
            }
        }
        Ok(true)
    }

    fn set_epoch(&mut self, epoch: Epoch) {
        self.hub.set_epoch(epoch.clone());
        self.epoch = Some(epoch);
    }

    /// True for the greeting that was written over this connection.
    fn is_greeting(&self, record: &Record) -> bool {
        self.greeting.as_ref() == Some(&record.node)
    }

    fn apply(&mut self, offset: u64, record: Record) {
        if self.is_greeting(&record) {
            self.greeting = None;
            self.node.catch_up(&self.hub);
        }
        if self.is_repeated(&record) {
            return;
        }
        let mut place = offset + 1;
        match record.content {
            Content::Message {
                channel,
                draft,
                time,
            } => place = self.hub.apply(place, &channel, draft, time),
            Content::Note { kind, data } => self.node.receive_note(&record.node, &kind, &data),
            Content::Hello { .. } => {}
        }
        if *self.node.name == *record.node {
            self.node.queue.confirm(record.number, &self.hub.id(place));
        }
    }

    /// True for a record that its node has written twice, because the first confirmation was lost.
    fn is_repeated(&mut self, record: &Record) -> bool {
        if record.number == 0 {
            return false;
        }
        if self.numbers.len() >= NODES && !self.numbers.contains_key(&record.node) {
            self.numbers.clear();
        }
        let highest = self.numbers.entry(record.node.clone()).or_default();
        if record.number <= *highest {
            return true;
        }
        *highest = record.number;
        false
    }
}

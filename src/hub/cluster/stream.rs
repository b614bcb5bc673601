//! The stream task: connects to the broker, writes the publish queue, and applies the entries of the stream in
//! order. It reconnects for ever; while it is disconnected, subscribers only see that no new messages arrive.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_core::Stream as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer, PublisherConfirm};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::record::{Record, Said};
use crate::amqp::{BrokerError, close};
use crate::hub::Hub;
use crate::hub::message::Epoch;
use crate::net::{Backoff, LONGEST_PAUSE};
use crate::shutdown::Shutdown;

/// Consumer prefetch: unacknowledged entries in flight, and the number acknowledged at once.
const PREFETCH: u16 = 1_000;
const BATCH: usize = 250;
/// Limit on node runs whose last sequence number is remembered. A node has a new run with each start.
const NODES: usize = 10_000;
/// Limit on messages that are written but not confirmed by the broker.
const UNCONFIRMED: usize = 1_000;

/// Reason to give up the current connection.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("{}{}", .0, remedy(.0))]
    Protocol(#[from] lapin::Error),
    #[error("the broker ended the consumer; was the stream deleted?")]
    Cancelled,
    #[error("the broker did not take a message")]
    NotTaken,
    #[error("an entry of the stream has no offset; is the queue a stream?")]
    NoStream,
    #[error("the stream was made anew")]
    Anew,
}

/// The permission that is missing where the broker refuses access: its own text names the exchange or the queue, and
/// not which of the three permissions of a user it is.
fn remedy(error: &lapin::Error) -> &'static str {
    let text = error.to_string();
    if !text.contains("ACCESS_REFUSED") {
        ""
    } else if text.contains("exchange") {
        "; the user needs the permission `write` for amq.default (rabbitmqctl set_permissions)"
    } else {
        "; the user needs the permissions `configure` and `read` for the stream (rabbitmqctl set_permissions)"
    }
}

/// Reading state of the stream, kept across reconnects.
struct Reading {
    hub: Hub,
    /// The offset expected next.
    expected: u64,
    epoch: Option<Epoch>,
    /// The first epoch proposal that was read; used for a stream that has lost its beginning and names no epoch.
    proposed: Option<Epoch>,
    /// The highest sequence number of each node run.
    numbers: HashMap<Box<str>, u64>,
    /// Name in the greeting sent over this connection, until it has been read back.
    greeting: Option<Box<str>>,
    /// True if this connection continues where an earlier one ended.
    resumed: bool,
}

impl Hub {
    /// Follows the stream of the cluster until the server stops.
    pub(in crate::hub) async fn follow_stream(self, shutdown: Shutdown) {
        let mut reading = Reading::new(self.clone());
        let mut backoff = Backoff::default();
        let mut told = false;
        loop {
            let began = Instant::now();
            let Some(lost) = reading.serve(&shutdown).await else {
                return;
            };
            let reason = lost.to_string();
            if let Some(backbone) = self.backbone() {
                backbone.condition.set_down(reason.clone());
            }
            if matches!(lost, Lost::Anew) {
                error!(
                    "the stream of the cluster was made anew; all subscribers start anew as well"
                );
                self.start_anew();
                reading = Reading::new(self.clone());
                continue;
            }
            if began.elapsed() >= LONGEST_PAUSE {
                backoff = Backoff::default();
                told = false;
            }
            if !std::mem::replace(&mut told, true) {
                warn!(
                    reason,
                    "the stream of the cluster is not there; trying again until it is"
                );
            }
            tokio::select! {
                () = sleep(backoff.pause()) => {}
                () = shutdown.requested() => return,
            }
        }
    }
}

impl Reading {
    fn new(hub: Hub) -> Self {
        Self {
            hub,
            expected: 0,
            epoch: None,
            proposed: None,
            numbers: HashMap::new(),
            greeting: None,
            resumed: false,
        }
    }

    /// Runs one connection to its end; `None` if this node ended it.
    async fn serve(&mut self, shutdown: &Shutdown) -> Option<Lost> {
        let backbone = self.hub.backbone()?;
        let connected = tokio::select! {
            connected = backbone.broker.connect("noren cluster") => connected,
            () = shutdown.requested() => return None,
        };
        let connection = match connected {
            Ok(connection) => connection,
            Err(error) => return Some(error.into()),
        };
        let lost = tokio::select! {
            lost = self.follow(&connection) => lost.err(),
            () = shutdown.requested() => None,
        };
        close(&connection).await;
        lost
    }

    async fn follow(&mut self, connection: &Connection) -> Result<(), Lost> {
        let hub = self.hub.clone();
        let Some(backbone) = hub.backbone() else {
            return Ok(());
        };
        let reader = connection.create_channel().await?;
        let writer = connection.create_channel().await?;
        let stream = backbone.settings.stream.as_str();
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        reader
            .queue_declare(stream.into(), durable, arguments(&backbone.settings))
            .await?;
        writer
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        reader
            .basic_qos(PREFETCH, BasicQosOptions::default())
            .await?;
        self.resumed = self.expected > 0;
        let mut consumer = self.consume(&reader, stream).await?;
        // It comes back behind all that was there before it, and tells that we have caught up.
        let greeting: Box<str> = Epoch::new().to_string().into();
        let hello = Record {
            node: greeting.clone(),
            number: 0,
            // The old epoch belongs to a stream that has been replaced.
            epoch: None,
            said: Said::Hello {
                proposed: Epoch::new(),
            },
        };
        self.greeting = Some(greeting);
        let mut confirms = VecDeque::new();
        confirms.push_back(write(&writer, stream, &hello).await?);
        backbone.outgoing.again();
        info!(stream, broker = %backbone.settings.broker, "connected to the cluster");
        loop {
            tokio::select! {
                delivery = next(&mut consumer) => {
                    let last = self.take_ready(&delivery?, &mut consumer)?;
                    reader.basic_ack(last, BasicAckOptions { multiple: true }).await?;
                }
                taken = confirmed(&mut confirms), if !confirms.is_empty() => taken?,
                // Without an epoch a message would not say what it belongs to.
                (number, said) = backbone.outgoing.next(), if self.epoch.is_some() && confirms.len() < UNCONFIRMED => {
                    let letter = Record {
                        node: backbone.node.clone(),
                        number,
                        epoch: self.epoch.clone(),
                        said,
                    };
                    confirms.push_back(write(&writer, stream, &letter).await?);
                }
            }
        }
    }

    async fn consume(&self, channel: &Channel, stream: &str) -> Result<Consumer, Lost> {
        let mut from = FieldTable::default();
        let place = match self.expected {
            0 => AMQPValue::LongString("first".into()),
            next => AMQPValue::LongLongInt(i64::try_from(next).unwrap_or(i64::MAX)),
        };
        from.insert("x-stream-offset".into(), place);
        let options = BasicConsumeOptions::default();
        Ok(channel
            .basic_consume(stream.into(), "noren".into(), options, from)
            .await?)
    }

    /// Applies this entry and all that have arrived with it; returns the tag of the last.
    fn take_ready(&mut self, first: &Delivery, consumer: &mut Consumer) -> Result<u64, Lost> {
        let mut last = first.delivery_tag;
        self.take(first)?;
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..BATCH {
            match Pin::new(&mut *consumer).poll_next(&mut cx) {
                Poll::Ready(Some(delivery)) => {
                    let delivery = delivery?;
                    self.take(&delivery)?;
                    last = delivery.delivery_tag;
                }
                Poll::Ready(None) => return Err(Lost::Cancelled),
                Poll::Pending => break,
            }
        }
        Ok(last)
    }

    fn take(&mut self, delivery: &Delivery) -> Result<(), Lost> {
        let Some((offset, letter)) = Record::decode(delivery) else {
            return Err(Lost::NoStream);
        };
        if offset < self.expected {
            // We asked for what comes behind all that we have.
            return Err(Lost::Anew);
        }
        if offset > self.expected {
            // The broker has let go of what was before: at the start it is what nobody can get any more, and
            // later what we have missed.
            self.hub.forget_through(offset);
        }
        self.expected = offset + 1;
        if let Some(letter) = letter
            && self.belongs(offset, &letter)?
        {
            self.apply(offset, letter);
        }
        // Offsets of ids begin with 1.
        self.hub.advance(offset + 1);
        Ok(())
    }

    /// Determines the epoch from the first entry that names one, and returns whether this entry belongs to it.
    fn belongs(&mut self, offset: u64, letter: &Record) -> Result<bool, Lost> {
        if let Some(epoch) = &letter.epoch {
            return match &self.epoch {
                // We were away: it is another stream than the one that was.
                Some(known) if known != epoch && self.resumed => Err(Lost::Anew),
                // Its writer has not noticed yet, and will write it again.
                Some(known) => Ok(known == epoch),
                None => {
                    self.set_epoch(epoch.clone());
                    Ok(true)
                }
            };
        }
        if let (None, Said::Hello { proposed }) = (&self.epoch, &letter.said) {
            let first = self
                .proposed
                .get_or_insert_with(|| proposed.clone())
                .clone();
            let caught_up = self.greeting.as_ref() == Some(&letter.node);
            if offset == 0 || caught_up {
                self.set_epoch(first);
            }
        }
        Ok(true)
    }

    fn set_epoch(&mut self, epoch: Epoch) {
        self.hub.set_epoch(epoch.clone());
        self.epoch = Some(epoch);
    }

    fn apply(&mut self, offset: u64, letter: Record) {
        if self.greeting.as_ref() == Some(&letter.node) {
            self.greeting = None;
            self.hub.catch_up();
            if let Some(backbone) = self.hub.backbone() {
                backbone.condition.set_up();
            }
        }
        if letter.number > 0 {
            if self.numbers.len() >= NODES && !self.numbers.contains_key(&letter.node) {
                self.numbers.clear();
            }
            let highest = self.numbers.entry(letter.node.clone()).or_default();
            if letter.number <= *highest {
                // Written again because the first answer was lost.
                return;
            }
            *highest = letter.number;
        }
        let mut place = offset + 1;
        match letter.said {
            Said::Message {
                channel,
                draft,
                time,
            } => place = self.hub.apply(place, &channel, draft, time),
            Said::Note { kind, data } => self.hub.heard(&letter.node, &kind, &data),
            Said::Hello { .. } => {}
        }
        self.hub.came_back(&letter.node, letter.number, place);
    }
}

/// Arguments that bound the stream. The broker deletes whole segments only, so a stream consists of several.
fn arguments(settings: &crate::config::Cluster) -> FieldTable {
    let number = |value: u64| AMQPValue::LongLongInt(i64::try_from(value).unwrap_or(i64::MAX));
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("stream".into()),
    );
    arguments.insert("x-max-length-bytes".into(), number(settings.max_size));
    let age = format!("{}s", settings.max_age.as_secs().max(1));
    arguments.insert("x-max-age".into(), AMQPValue::LongString(age.into()));
    let segment = (settings.max_size / 8).clamp(1 << 20, 100 << 20);
    arguments.insert("x-stream-max-segment-size-bytes".into(), number(segment));
    arguments
}

async fn write(channel: &Channel, stream: &str, letter: &Record) -> Result<PublisherConfirm, Lost> {
    let (properties, body) = letter.encode();
    let options = BasicPublishOptions::default();
    // The default exchange leads to the queue of this name.
    let written = channel.basic_publish("".into(), stream.into(), options, &body, properties);
    Ok(written.await?)
}

async fn next(consumer: &mut Consumer) -> Result<Delivery, Lost> {
    match poll_fn(|cx| Pin::new(&mut *consumer).poll_next(cx)).await {
        Some(delivery) => Ok(delivery?),
        None => Err(Lost::Cancelled),
    }
}

/// Waits for the confirmation of the oldest unconfirmed write.
async fn confirmed(confirms: &mut VecDeque<PublisherConfirm>) -> Result<(), Lost> {
    let confirmation = poll_fn(|cx| match confirms.front_mut() {
        Some(front) => Pin::new(front).poll(cx),
        None => Poll::Pending,
    })
    .await?;
    confirms.pop_front();
    if confirmation.is_ack() {
        Ok(())
    } else {
        Err(Lost::NotTaken)
    }
}

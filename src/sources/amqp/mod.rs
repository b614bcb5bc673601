//! The `amqp` source: a queue of our own at a RabbitMQ broker, bound to an exchange of somebody else.
//!
//! The exchange is only checked and never declared: its owner decides its settings. The queue is bounded, and the
//! broker drops the oldest messages beyond the bounds, so an absent Noren costs it no more than that. A message is
//! acknowledged once it is published, and where the history is on disk, once it is written; one that can never be
//! published is rejected, and one that finds no room waits. Lost connections are retried for ever. Independent of
//! subscribers.

mod acknowledgements;
mod backlog;
mod content;
mod dedup;
mod exchange;
mod inflate;
mod oslo;
mod postponed;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream as _;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};
use tokio::time::{Instant, interval};
use tracing::info;

use super::retry::{Retry, ended_long_ago};
use super::sink::Sink;
use crate::amqp::{Broker, BrokerError, Reads, close};
use crate::config::AmqpSource;
use crate::hub::{PublishError, Published, PublisherId};
use crate::sources::stop::Stop;

use acknowledgements::Unsettled;
use backlog::Backlog;
use content::Arrival;
use dedup::Dedup;
use exchange::Exchange;
use postponed::{Postponed, PostponedMessage};

/// Interval of asking the broker for the queue length, and of checking the exchange.
const LOOK: Duration = Duration::from_secs(2);

/// Reasons to give up the current connection.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("{0}")]
    Protocol(#[from] lapin::Error),
    #[error("the broker ended the consumer; was the queue deleted?")]
    Cancelled,
    /// The message is not acknowledged, so it will be delivered again.
    #[error(transparent)]
    NotStored(#[from] PublishError),
}

/// Runs the source until it is stopped.
pub(super) async fn follow(sink: &Sink, broker: &Broker, source: &AmqpSource, stop: &Stop) {
    let mut retry = Retry::default();
    let mut reader = Reader {
        sink,
        source,
        seen: Dedup::default(),
        backlog: None,
        postponed: Postponed::default(),
    };
    loop {
        let began = Instant::now();
        let lost = reader.serve(broker, stop).await;
        let Some(lost) = lost else {
            return sink.set_down();
        };
        if !retry.pause(sink, began, &lost, stop).await {
            return;
        }
    }
}

/// State of a source that survives reconnects.
struct Reader<'a> {
    sink: &'a Sink,
    source: &'a AmqpSource,
    seen: Dedup,
    backlog: Option<Backlog>,
    /// Messages of this connection that wait for room.
    postponed: Postponed,
}

/// An open consumer and its queue.
struct Open {
    channel: Channel,
    consumer: Consumer,
    queue: lapin::types::ShortString,
}

impl Reader<'_> {
    /// Runs one connection to its end; `None` if this side ended it.
    async fn serve(&mut self, broker: &Broker, stop: &Stop) -> Option<ConnectionError> {
        let connected = tokio::select! {
            connected = broker.connect("noren", Reads::Coalesced) => connected,
            () = stop.requested() => return None,
        };
        let connection = match connected {
            Ok(connection) => connection,
            Err(error) => return Some(error.into()),
        };
        let lost = tokio::select! {
            lost = self.read(&connection, stop) => lost.err(),
            () = ended_long_ago(stop) => None,
        };
        close(&connection).await;
        lost
    }

    /// Consumes messages until the source is stopped and all published messages are acknowledged.
    async fn read(&mut self, connection: &Connection, stop: &Stop) -> Result<(), ConnectionError> {
        let mut open = tokio::select! {
            open = self.open(connection) => open?,
            () = stop.requested() => return Ok(()),
        };
        let _counted = self.sink.connected();
        self.sink.set_up();
        info!(
            channel = %self.sink.channel(),
            address = self.sink.address(),
            queue = %open.queue,
            "connected to a source",
        );
        let mut unsettled = Unsettled::default();
        let mut looks = interval(LOOK);
        let mut exchange = Exchange::new(self.sink, self.source);
        let batch = usize::from(self.source.prefetch).div_ceil(2);
        let mut end = pin!(stop.requested());
        loop {
            tokio::select! {
                delivery = next(&mut open.consumer) => {
                    let mut delivery = Some(delivery?);
                    let mut count = 0;
                    // Messages that arrived together are acknowledged together.
                    while let Some(one) = delivery {
                        let taken = self.take(&one)?;
                        unsettled.push(one.delivery_tag, taken, &mut self.seen);
                        count += 1;
                        delivery = if count < batch { ready(&mut open.consumer)? } else { None };
                    }
                    unsettled.settled_now(&mut self.seen)?.send(&open.channel).await?;
                }
                settled = unsettled.settled(&mut self.seen) => settled?.send(&open.channel).await?,
                () = self.postponed.next_attempt() => {
                    self.publish_postponed(&mut unsettled)?;
                    unsettled.settled_now(&mut self.seen)?.send(&open.channel).await?;
                }
                _ = looks.tick() => {
                    self.look(&open).await?;
                    exchange.look(connection, &open.queue).await?;
                }
                () = end.as_mut() => break,
            }
        }
        // Those that are postponed go back into the queue.
        while !unsettled.is_empty() {
            let settled = unsettled.settled(&mut self.seen).await?;
            settled.send(&open.channel).await?;
        }
        Ok(())
    }

    async fn open(&mut self, connection: &Connection) -> Result<Open, ConnectionError> {
        let channel = connection.create_channel().await?;
        let exchange = Exchange::new(self.sink, self.source);
        exchange.check(&channel).await?;
        let named = self.source.queue.as_deref();
        let options = QueueDeclareOptions {
            durable: named.is_some(),
            exclusive: named.is_none(),
            auto_delete: named.is_none(),
            ..QueueDeclareOptions::default()
        };
        let queue = channel
            .queue_declare(named.unwrap_or_default().into(), options, self.arguments())
            .await?;
        self.backlog = Backlog::new(self.sink, self.source, queue.message_count());
        self.postponed = Postponed::default();
        let queue = queue.name().clone();
        exchange.bind(&channel, &queue).await?;
        channel
            .basic_qos(self.source.prefetch, BasicQosOptions::default())
            .await?;
        let consumer = channel
            .basic_consume(
                queue.clone(),
                "noren".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        Ok(Open {
            channel,
            consumer,
            queue,
        })
    }

    /// Arguments that bound the queue.
    fn arguments(&self) -> FieldTable {
        let number = |value: u64| AMQPValue::LongLongInt(i64::try_from(value).unwrap_or(i64::MAX));
        let mut arguments = FieldTable::default();
        let length = u64::from(self.source.queue_length);
        arguments.insert("x-max-length".into(), number(length));
        arguments.insert("x-max-length-bytes".into(), number(self.source.queue_size));
        arguments.insert(
            "x-overflow".into(),
            AMQPValue::LongString("drop-head".into()),
        );
        if self.source.queue.is_some() {
            let millis = self.source.queue_expires.as_millis();
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            arguments.insert("x-expires".into(), number(millis));
        }
        arguments
    }

    /// Updates the number of queued messages in the source's status.
    async fn look(&self, open: &Open) -> Result<(), ConnectionError> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = open
            .channel
            .queue_declare(open.queue.clone(), passive, FieldTable::default())
            .await?;
        let here = u64::try_from(self.postponed.count()).unwrap_or(u64::MAX);
        let waiting = u64::from(queue.message_count()) + here;
        self.sink.set_waiting(Some(waiting));
        Ok(())
    }

    /// Publishes a message. One that can never be published is counted and rejected, or it would be delivered for ever.
    fn take(&mut self, delivery: &Delivery) -> Result<PublishOutcome, PublishError> {
        if let Some(backlog) = &mut self.backlog
            && backlog.count(self.sink, self.source, delivery.data.len())
        {
            self.backlog = None;
        }
        let arrival = match Arrival::read(self.source, delivery) {
            Ok(arrival) => arrival,
            Err(unfit) => return Ok(self.refuse(&unfit)),
        };
        // A service repeats what it is not sure of, with the same id; others may give many the same one, and are
        // only believed when the broker says that it repeats.
        let id = arrival.id.as_deref();
        let id = id.filter(|_| arrival.may_repeat || delivery.redelivered);
        if id.is_some_and(|id| self.seen.contains(id)) {
            self.sink.repeated();
            return Ok(PublishOutcome::Repeated);
        }
        let home = self.sink.channel();
        let (channel, mut draft) = match arrival.content.fill(home, &self.source.mapping) {
            Ok(filled) => filled,
            Err(unfit) => return Ok(self.refuse(&unfit)),
        };
        // The channel remembers it too, over a restart where it is on disk: what was kept and not acknowledged then
        // comes again.
        let known = |own: &String| PublisherId::of_source(self.sink.address(), own, id.is_some());
        draft.id = arrival.id.as_ref().map(known);
        let late = PostponedMessage {
            tag: delivery.delivery_tag,
            draft,
            id: arrival.id,
        };
        if self.postponed.contains(&channel) {
            self.postponed.add(channel, late);
            return Ok(PublishOutcome::Postponed);
        }
        match self.sink.offer(&channel, late.draft.clone()) {
            Ok(published) => Ok(PublishOutcome::Published(published, late.id)),
            Err(error) if error.lacks_room() => {
                let reason = format!("messages wait in the queue: {error}");
                self.sink
                    .warn(None, &reason, "messages of a source wait for room");
                self.postponed.add(channel, late);
                Ok(PublishOutcome::Postponed)
            }
            Err(error) if error.may_pass() => Err(error),
            Err(error) => Ok(self.refuse(&error)),
        }
    }

    /// Tries to publish the postponed messages.
    fn publish_postponed(&mut self, unsettled: &mut Unsettled) -> Result<(), PublishError> {
        let Self {
            sink,
            seen,
            postponed,
            ..
        } = self;
        let mut refusal = None;
        postponed.attempt(|channel, late| {
            let taken = match sink.offer(channel, late.draft.clone()) {
                Ok(published) => PublishOutcome::Published(published, late.id.take()),
                Err(error) if error.lacks_room() => {
                    refusal = Some(error);
                    return Ok(false);
                }
                Err(error) if error.may_pass() => return Err(error),
                Err(error) => {
                    sink.refuse(None, &error);
                    PublishOutcome::Unfit
                }
            };
            unsettled.push(late.tag, taken, seen);
            Ok(true)
        })?;
        if let Some(error) = refusal {
            let count = postponed.count();
            sink.set_trouble(&format!("{count} messages wait: {error}"));
        }
        Ok(())
    }

    fn refuse(&self, reason: &dyn ToString) -> PublishOutcome {
        self.sink.refuse(None, reason);
        PublishOutcome::Unfit
    }
}

/// Waits for the next message.
async fn next(consumer: &mut Consumer) -> Result<Delivery, ConnectionError> {
    match poll_fn(|cx| Pin::new(&mut *consumer).poll_next(cx)).await {
        Some(delivery) => Ok(delivery?),
        None => Err(ConnectionError::Cancelled),
    }
}

/// Returns the next message if it has arrived already.
fn ready(consumer: &mut Consumer) -> Result<Option<Delivery>, ConnectionError> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(consumer).poll_next(&mut cx) {
        Poll::Ready(Some(delivery)) => Ok(Some(delivery?)),
        Poll::Ready(None) => Err(ConnectionError::Cancelled),
        Poll::Pending => Ok(None),
    }
}

/// The result of a message that was taken from the queue.
enum PublishOutcome {
    /// The message was published, under this id if it has one.
    Published(Published, Option<String>),
    /// It has been published before.
    Repeated,
    /// It can never be published as it is.
    Unfit,
    /// Its channel finds no room now.
    Postponed,
}

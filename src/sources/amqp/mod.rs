//! The `amqp` source: a queue of our own at a RabbitMQ broker, bound to an exchange of somebody else.
//!
//! The exchange is only checked and never declared: its owner decides its settings. The queue is bounded, and the
//! broker drops the oldest messages beyond the bounds, so an absent Noren costs it no more than that. A message is
//! acknowledged once it is published, and where the history is on disk, once it is written. Lost connections are
//! retried for ever. Independent of subscribers.

mod content;
mod dedup;
mod exchange;
mod inflate;
mod oslo;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};
use tokio::time::{Instant, interval};
use tracing::{info, warn};

use super::content::Unfit;
use super::retry::{Retry, ended_long_ago};
use super::sink::Sink;
use crate::amqp::{Broker, BrokerError, Reads, close};
use crate::config::AmqpSource;
use crate::hub::{Pending, PublishError, Published, PublisherId};
use crate::sources::stop::Stop;

use content::Arrival;
use dedup::Dedup;
use exchange::Exchange;

/// Interval of asking the broker for the queue length, and of checking the exchange.
const LOOK: Duration = Duration::from_secs(2);

/// Reasons to give up the current connection.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("{0}")]
    Protocol(#[from] lapin::Error),
    #[error("the broker ended the consumer; was the queue deleted?")]
    Cancelled,
    /// The message is not acknowledged, so it will be delivered again.
    #[error(transparent)]
    NotKept(#[from] PublishError),
}

/// Runs the source until it is stopped.
pub(super) async fn follow(sink: &Sink, broker: &Broker, source: &AmqpSource, stop: &Stop) {
    let mut retry = Retry::default();
    let mut reader = Reader {
        sink,
        source,
        seen: Dedup::default(),
        backlog: None,
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
}

/// Messages that were queued before the connection was opened. The broker reports their number but not their size.
struct Backlog {
    left: u32,
    bytes: u64,
    largest: u64,
}

/// An open consumer and its queue.
struct Open {
    channel: Channel,
    consumer: Consumer,
    queue: lapin::types::ShortString,
}

impl Reader<'_> {
    /// Runs one connection to its end; `None` if this side ended it.
    async fn serve(&mut self, broker: &Broker, stop: &Stop) -> Option<Lost> {
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
    async fn read(&mut self, connection: &Connection, stop: &Stop) -> Result<(), Lost> {
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
                    settle(&open.channel, unsettled.settled_now(&mut self.seen)?).await?;
                }
                tag = unsettled.settled(&mut self.seen) => settle(&open.channel, Some(tag?)).await?,
                _ = looks.tick() => {
                    self.look(&open).await?;
                    exchange.look(connection, &open.queue).await?;
                }
                () = end.as_mut() => break,
            }
        }
        while !unsettled.is_empty() {
            let tag = unsettled.settled(&mut self.seen).await?;
            settle(&open.channel, Some(tag)).await?;
        }
        Ok(())
    }

    async fn open(&mut self, connection: &Connection) -> Result<Open, Lost> {
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
        self.backlog = self.look_back(queue.message_count());
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

    /// Detects lost messages: a queue that is at its limit has dropped older ones. The broker does not report how
    /// many.
    fn look_back(&self, waiting: u32) -> Option<Backlog> {
        self.sink.set_waiting(Some(u64::from(waiting)));
        if waiting >= self.source.queue_length {
            self.tell_of_loss("queue-length");
            return None;
        }
        if waiting > 0 {
            info!(
                channel = %self.sink.channel(),
                address = self.sink.address(),
                waiting,
                "catching up with a source",
            );
        }
        (waiting > 0).then_some(Backlog {
            left: waiting,
            bytes: 0,
            largest: 0,
        })
    }

    /// Counts the messages of the backlog. If it left no room for one more message, older ones were dropped.
    fn count_back(&mut self, size: usize) {
        let Some(backlog) = &mut self.backlog else {
            return;
        };
        let size = size as u64;
        backlog.left = backlog.left.saturating_sub(1);
        backlog.bytes += size;
        backlog.largest = backlog.largest.max(size);
        if backlog.left > 0 {
            return;
        }
        let full = backlog.bytes + backlog.largest > self.source.queue_size;
        self.backlog = None;
        if full {
            self.tell_of_loss("queue-size");
        }
    }

    fn tell_of_loss(&self, key: &str) {
        let reason =
            format!("the queue was full ({key}): older messages were skipped while Noren was away");
        self.sink.set_trouble(&reason);
        warn!(
            channel = %self.sink.channel(),
            address = self.sink.address(),
            reason,
            "messages of a source were skipped",
        );
    }

    /// Updates the number of queued messages in the source's status.
    async fn look(&self, open: &Open) -> Result<(), Lost> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let queue = open
            .channel
            .queue_declare(open.queue.clone(), passive, FieldTable::default())
            .await?;
        self.sink
            .set_waiting(Some(u64::from(queue.message_count())));
        Ok(())
    }

    /// Publishes a message. One that cannot be published is counted and acknowledged, or it would be delivered for
    /// ever.
    fn take(&mut self, delivery: &Delivery) -> Result<Taken, PublishError> {
        self.count_back(delivery.data.len());
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
            return Ok(Taken::default());
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
        match self.sink.offer(&channel, draft) {
            Ok(published) => Ok(Taken {
                published: Some(published),
                id: arrival.id,
            }),
            Err(error @ (PublishError::NotKept(_) | PublishError::Moving)) => Err(error),
            Err(error) => {
                self.sink.refuse(None, &error);
                Ok(Taken::default())
            }
        }
    }

    fn refuse(&self, unfit: &Unfit) -> Taken {
        self.sink.refuse(None, unfit);
        Taken::default()
    }
}

/// Waits for the next message.
async fn next(consumer: &mut Consumer) -> Result<Delivery, Lost> {
    match poll_fn(|cx| Pin::new(&mut *consumer).poll_next(cx)).await {
        Some(delivery) => Ok(delivery?),
        None => Err(Lost::Cancelled),
    }
}

/// Returns the next message if it has arrived already.
fn ready(consumer: &mut Consumer) -> Result<Option<Delivery>, Lost> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(consumer).poll_next(&mut cx) {
        Poll::Ready(Some(delivery)) => Ok(Some(delivery?)),
        Poll::Ready(None) => Err(Lost::Cancelled),
        Poll::Pending => Ok(None),
    }
}

/// Acknowledges all messages up to this one.
async fn settle(channel: &Channel, tag: Option<u64>) -> Result<(), Lost> {
    if let Some(tag) = tag {
        let all = BasicAckOptions { multiple: true };
        channel.basic_ack(tag, all).await?;
    }
    Ok(())
}

/// A message that was taken from the queue, with its result and its id. Both are `None` if it was left out.
#[derive(Default)]
struct Taken {
    published: Option<Published>,
    id: Option<String>,
}

/// An unacknowledged message.
struct Waiting {
    tag: u64,
    kept: Option<Pending>,
    id: Option<String>,
}

/// Unacknowledged messages in order, bounded by the prefetch.
#[derive(Default)]
struct Unsettled(VecDeque<Waiting>);

impl Unsettled {
    /// Adds a message. Its id counts as seen once the message is as durable as its channel promises: a message that the
    /// disk refuses is delivered again, and must not count as a repetition.
    fn push(&mut self, tag: u64, taken: Taken, seen: &mut Dedup) {
        let kept = taken.published.and_then(Published::pending);
        let mut id = taken.id;
        if kept.is_none()
            && let Some(id) = id.take()
        {
            seen.insert(&id);
        }
        self.0.push_back(Waiting { tag, kept, id });
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Waits until a message and all before it are as durable as their channels promise; returns its delivery tag.
    async fn settled(&mut self, seen: &mut Dedup) -> Result<u64, PublishError> {
        poll_fn(|cx| match self.poll_settled(seen, cx) {
            Ok(Some(tag)) => Poll::Ready(Ok(tag)),
            Ok(None) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        })
        .await
    }

    fn settled_now(&mut self, seen: &mut Dedup) -> Result<Option<u64>, PublishError> {
        self.poll_settled(seen, &mut Context::from_waker(Waker::noop()))
    }

    fn poll_settled(
        &mut self,
        seen: &mut Dedup,
        cx: &mut Context<'_>,
    ) -> Result<Option<u64>, PublishError> {
        let mut last = None;
        while let Some(Waiting { tag, kept, id }) = self.0.front_mut() {
            match kept.as_mut().map(|kept| kept.as_mut().poll(cx)) {
                Some(Poll::Pending) => break,
                Some(Poll::Ready(Err(error))) => return Err(error),
                None | Some(Poll::Ready(Ok(_))) => last = Some(*tag),
            }
            if let Some(id) = id {
                seen.insert(id);
            }
            self.0.pop_front();
        }
        Ok(last)
    }
}

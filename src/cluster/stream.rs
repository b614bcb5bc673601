//! The stream task: connects to the broker, writes the publish queue, and passes the records of the stream on in their
//! order. It reconnects for ever; while it is disconnected, subscribers only see that no new messages arrive.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer, PublisherConfirm};
use tokio::time::{Instant, interval, sleep};
use tracing::{error, info, warn};

use crate::amqp::{BrokerError, Reads, close};
use crate::cluster::Node;
use crate::cluster::record::Record;
use crate::cluster::stream_reader::{StreamReader, Unreadable};
use crate::config;
use crate::hub::Hub;
use crate::net::{Backoff, LONGEST_PAUSE};
use crate::shutdown::Shutdown;

/// Consumer prefetch: unacknowledged records in flight.
const PREFETCH: u16 = 1_000;
/// Limit on records that are applied before the last of them is acknowledged.
const BATCH: usize = 250;
/// Limit on messages that are written but not confirmed by the broker.
const UNCONFIRMED: usize = 1_000;

/// Interval of checking that the broker takes messages.
const LOOK: Duration = Duration::from_secs(2);

/// Reasons to give up the current connection.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("{}{}", .0, remedy(.0))]
    Protocol(#[from] lapin::Error),
    #[error("the broker ended the consumer; was the stream deleted?")]
    Cancelled,
    #[error("the broker did not take a message")]
    NotTaken,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// The missing permission, if the broker refuses access. The broker's own text names the exchange or the queue, and not
/// which of the user's three permissions is missing.
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

/// Applies the stream to the hub until the server stops.
pub(super) async fn follow(node: Arc<Node>, hub: Hub, shutdown: Shutdown) {
    let mut reader = StreamReader::new(Arc::clone(&node), hub.clone());
    let mut backoff = Backoff::default();
    let mut logged = false;
    loop {
        let start = Instant::now();
        let Some(lost) = connect(&node, &mut reader, &shutdown).await else {
            return;
        };
        let reason = lost.to_string();
        node.connection.set_down(reason.clone());
        if matches!(lost, ConnectionError::Unreadable(Unreadable::Anew)) {
            error!("the stream of the cluster was made anew; all subscribers start anew as well");
            node.start_anew();
            hub.start_anew();
            reader = StreamReader::new(Arc::clone(&node), hub.clone());
            continue;
        }
        if start.elapsed() >= LONGEST_PAUSE {
            backoff = Backoff::default();
            logged = false;
        }
        if !std::mem::replace(&mut logged, true) {
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

/// Runs one connection to its end; `None` if this node ended it.
async fn connect(
    node: &Node,
    reader: &mut StreamReader,
    shutdown: &Shutdown,
) -> Option<ConnectionError> {
    let connected = tokio::select! {
        connected = node.broker.connect("noren cluster", Reads::AtOnce) => connected,
        () = shutdown.requested() => return None,
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => return Some(error.into()),
    };
    let lost = tokio::select! {
        lost = exchange(node, reader, &connection) => lost.err(),
        never = watch(node, &connection) => match never {},
        () = shutdown.requested() => None,
    };
    close(&connection).await;
    lost
}

/// Tells whether the broker takes messages. Beside the exchange, whose every write waits while it does not.
async fn watch(node: &Node, connection: &Connection) -> Infallible {
    let mut looks = interval(LOOK);
    loop {
        looks.tick().await;
        node.connection.set_blocked(connection.status().blocked());
    }
}

/// Reads the stream and writes the publish queue over one connection, until it fails.
async fn exchange(
    node: &Node,
    reader: &mut StreamReader,
    connection: &Connection,
) -> Result<(), ConnectionError> {
    let incoming = connection.create_channel().await?;
    let outgoing = connection.create_channel().await?;
    let stream = node.settings.stream.as_str();
    declare(&incoming, &node.settings).await?;
    outgoing
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    incoming
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let mut confirms = VecDeque::new();
    confirms.push_back(write(&outgoing, stream, &reader.greet()).await?);
    if reader.expected() > 0 {
        // Unless the broker has the greeting, the check could wait for ever in an empty stream.
        confirmed(&mut confirms).await?;
        check_beginning(connection, stream, reader).await?;
    }
    let mut consumer = consume(&incoming, stream, reader.expected()).await?;
    node.queue.rewrite();
    info!(stream, broker = %node.settings.broker, "connected to the cluster");
    loop {
        tokio::select! {
            delivery = next(&mut consumer) => {
                let last = take_ready(reader, &delivery?, &mut consumer)?;
                incoming.basic_ack(last, BasicAckOptions { multiple: true }).await?;
            }
            taken = confirmed(&mut confirms), if !confirms.is_empty() => taken?,
            // Without an epoch a message would not say which stream it belongs to.
            (number, content) = node.queue.next(), if reader.epoch().is_some() && confirms.len() < UNCONFIRMED => {
                let record = Record {
                    node: node.name.clone(),
                    number,
                    epoch: reader.epoch().cloned(),
                    content,
                };
                confirms.push_back(write(&outgoing, stream, &record).await?);
            }
        }
    }
}

/// Creates the stream if it does not exist.
async fn declare(channel: &Channel, settings: &config::Cluster) -> Result<(), ConnectionError> {
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let stream = settings.stream.as_str();
    let declared = channel.queue_declare(stream.into(), durable, arguments(settings));
    declared.await?;
    Ok(())
}

/// Consumes the stream from this offset on; 0 is its beginning, even if older records were deleted.
async fn consume(
    channel: &Channel,
    stream: &str,
    expected: u64,
) -> Result<Consumer, ConnectionError> {
    let mut from = FieldTable::default();
    let place = match expected {
        0 => AMQPValue::LongString("first".into()),
        next => AMQPValue::LongLongInt(i64::try_from(next).unwrap_or(i64::MAX)),
    };
    from.insert("x-stream-offset".into(), place);
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(stream.into(), "noren".into(), options, from);
    Ok(consumer.await?)
}

/// Checks that this is the stream that was read before. The broker passes over all records before the requested offset,
/// so a consumer that resumes in a stream that is new and shorter would get nothing until it is as long.
async fn check_beginning(
    connection: &Connection,
    stream: &str,
    reader: &StreamReader,
) -> Result<(), ConnectionError> {
    let channel = connection.create_channel().await?;
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let mut consumer = consume(&channel, stream, 0).await?;
    let mut recognition = reader.recognition();
    loop {
        let delivery = next(&mut consumer).await?;
        if recognition.accepts(&delivery)? {
            break;
        }
        channel
            .basic_ack(delivery.delivery_tag, BasicAckOptions::default())
            .await?;
    }
    channel.close(200, "".into()).await?;
    Ok(())
}

/// Applies this record and all that have arrived with it; returns the tag of the last.
fn take_ready(
    reader: &mut StreamReader,
    first: &Delivery,
    consumer: &mut Consumer,
) -> Result<u64, ConnectionError> {
    let mut last = first.delivery_tag;
    reader.take(first)?;
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..BATCH {
        match Pin::new(&mut *consumer).poll_next(&mut cx) {
            Poll::Ready(Some(delivery)) => {
                let delivery = delivery?;
                reader.take(&delivery)?;
                last = delivery.delivery_tag;
            }
            Poll::Ready(None) => return Err(ConnectionError::Cancelled),
            Poll::Pending => break,
        }
    }
    Ok(last)
}

/// Arguments that bound the stream. The broker deletes whole segments only, so a stream consists of several.
fn arguments(settings: &config::Cluster) -> FieldTable {
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

async fn write(
    channel: &Channel,
    stream: &str,
    record: &Record,
) -> Result<PublisherConfirm, ConnectionError> {
    let (properties, body) = record.encode();
    let options = BasicPublishOptions::default();
    // The default exchange leads to the queue of this name.
    let written = channel.basic_publish("".into(), stream.into(), options, &body, properties);
    Ok(written.await?)
}

async fn next(consumer: &mut Consumer) -> Result<Delivery, ConnectionError> {
    match poll_fn(|cx| Pin::new(&mut *consumer).poll_next(cx)).await {
        Some(delivery) => Ok(delivery?),
        None => Err(ConnectionError::Cancelled),
    }
}

/// Waits for the confirmation of the oldest unconfirmed write.
async fn confirmed(confirms: &mut VecDeque<PublisherConfirm>) -> Result<(), ConnectionError> {
    let confirmation = poll_fn(|cx| match confirms.front_mut() {
        Some(front) => Pin::new(front).poll(cx),
        None => Poll::Pending,
    })
    .await?;
    confirms.pop_front();
    if confirmation.is_ack() {
        Ok(())
    } else {
        Err(ConnectionError::NotTaken)
    }
}

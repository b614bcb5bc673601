//! The outbox: a table that the app fills in its own transactions and that Noren empties.
//!
//! The cursor is the table itself: a row is read, published, and deleted once its message is as durable as its channel
//! promises. An identity would be no cursor, because numbers are given out before a commit and become visible in
//! another order; a snapshot of transactions would be one, but a long transaction of anybody would stop it, and it
//! would have to be kept somewhere. What is in the table is what is left to do, on both sides of any restart.
//!
//! Between the publication and the deletion a crash leaves a row that is published already: its `message_id` is known
//! to the channel then, and it is not published again. One session reads a table at a time, by an advisory lock, so
//! that the rows of a transaction stay in order.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_postgres::{Notification, Row};

use super::super::sink::Sink;
use super::connection::{ConnectionError, Session};
use super::postponed::Postponed;
use super::row::{Entry, age};
use super::turn::wait_for_turn;
use crate::config::{ChannelName, Outbox, PostgresFormat, PostgresSource, quoted};
use crate::hub::{Data, Draft, PublishError, Published, PublisherId};
use crate::sources::stop::Stop;

/// Size limit of the data in one batch, unless a single message is larger.
const LARGEST_BATCH: usize = 16 << 20;

/// Interval of counting the waiting rows while there are many.
const LOOK: Duration = Duration::from_secs(2);

/// Limit on counted rows, because counting more would read the whole table.
const MOST_COUNTED: i64 = 100_000;

/// A source that empties a table.
pub(super) struct Reader<'a> {
    sink: &'a Sink,
    source: &'a PostgresSource,
    settings: &'a Outbox,
    /// The table as it is written in a statement.
    name: String,
    looked: Option<Instant>,
    postponed: Postponed,
    /// True if a notification has arrived since the last batch began, during whatever statement.
    woken: AtomicBool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sink: &'a Sink, source: &'a PostgresSource, settings: &'a Outbox) -> Self {
        Self {
            sink,
            source,
            settings,
            name: settings.table.quoted(),
            looked: None,
            postponed: Postponed::default(),
            woken: AtomicBool::new(false),
        }
    }

    /// Subscribes to the notifications of new rows, then waits until no other node reads the table; returns false if
    /// the source was stopped. In this order no row is missed between the first read and the first notification.
    pub(super) async fn prepare(
        &self,
        session: &mut Session,
        stop: &Stop,
    ) -> Result<bool, ConnectionError> {
        let channel = quoted(&self.settings.notify);
        session.run(&format!("LISTEN {channel}")).await?;
        // "nore" and the table's own number, which is the same whatever a node calls the table.
        let key = "(1852797541::bigint << 32) | $1::text::regclass::oid::bigint";
        let table = Some(&self.settings.table);
        wait_for_turn(session, self.sink, table, (key, &self.name), stop).await
    }

    /// Empties the table whenever it has rows, until the source is stopped.
    pub(super) async fn empty(
        &mut self,
        session: &mut Session,
        stop: &Stop,
    ) -> Result<(), ConnectionError> {
        loop {
            let more = self.batch(session).await?;
            if stop.is_requested() {
                return Ok(());
            }
            if more || self.woken.load(Ordering::Relaxed) {
                continue;
            }
            self.postponed.is_over();
            let poll = Instant::now() + self.source.poll;
            let next = self.postponed.until().map_or(poll, |until| until.min(poll));
            tokio::select! {
                notification = session.next() => drop(notification?),
                () = sleep_until(next) => {}
                () = stop.requested() => return Ok(()),
            }
        }
    }

    /// Reads, publishes and deletes some rows; true if there may be more.
    async fn batch(&mut self, session: &mut Session) -> Result<bool, ConnectionError> {
        self.woken.store(false, Ordering::Relaxed);
        self.postponed.attempt();
        let most = self.sink.message_size();
        let limit = usize::from(self.settings.batch).min((LARGEST_BATCH / most.max(1)).max(1));
        let (limit, most) = (bounded(limit), bounded(most));
        let rows = session
            .query(
                Some(&self.settings.table),
                &mut |_: &Notification| self.wake(),
                &self.selection(),
                &[&limit, &most, &self.postponed.channels()],
            )
            .await?;
        let more = bounded(rows.len()) == limit;
        self.look(session, &rows, more).await?;
        let mut done = Done::default();
        let lost = self.publish(&rows, &mut done).await;
        self.settle(session, done).await?;
        if !self.postponed.channels().is_empty() {
            self.count(session).await?;
        }
        lost.map(|()| more)
    }

    /// Records a notification: rows may have become visible behind those that were read.
    fn wake(&self) {
        self.woken.store(true, Ordering::Relaxed);
    }

    /// The statement that reads a batch. Data that is too large is not transferred, and names are cut at their limit.
    fn selection(&self) -> String {
        format!(
            "SELECT id::bigint, left(message_id::text, 257), left(channel::text, 129), left(event::text, 257), \
             left(key::text, 257), octet_length(data::text)::bigint, \
             CASE WHEN octet_length(data::text) <= $2::bigint THEN data::text END, \
             extract(epoch FROM now() - created)::float8 \
             FROM {} WHERE refused IS NULL AND (channel IS NULL OR channel::text <> ALL ($3::text[])) \
             ORDER BY id LIMIT $1::bigint",
            self.name
        )
    }

    /// Publishes rows in their order, and waits until each is as durable as its channel promises.
    async fn publish(&mut self, rows: &[Row], done: &mut Done) -> Result<(), ConnectionError> {
        let mut waiting = Vec::new();
        let mut lost = None;
        for row in rows {
            let row = Entry::read(row)?;
            let channel = row.channel.as_deref();
            if channel.is_some_and(|channel| self.postponed.contains(channel)) {
                continue;
            }
            match self.offer(&row) {
                Ok(published) => waiting.push((row.id, published)),
                Err(Fault::Unpublished(error)) => {
                    lost = Some(error);
                    break;
                }
                Err(Fault::NoRoom(error)) => {
                    if !self.postpone(&row, &error) {
                        lost = Some(error);
                        break;
                    }
                }
                Err(Fault::Unfit(reason)) => {
                    self.sink.refuse(None, &format!("row {}: {reason}", row.id));
                    done.refused.push((row.id, reason));
                }
            }
        }
        for (id, published) in waiting {
            // One that the disk refused is not deleted, nor what came after it: the order would not be kept.
            published.acknowledged().await?;
            done.published.push(id);
        }
        lost.map_or(Ok(()), |error| Err(ConnectionError::NotStored(error)))
    }

    /// Leaves a row and those after it in its channel for later; false if the whole table has to wait.
    fn postpone(&mut self, row: &Entry, error: &PublishError) -> bool {
        let Some(channel) = &row.channel else {
            return false;
        };
        let reason = format!("row {} and others wait: {error}", row.id);
        if self.postponed.channels().is_empty() {
            self.sink
                .warn(None, &reason, "rows of a source wait for room");
        }
        self.postponed.add(channel)
    }

    fn offer(&self, row: &Entry) -> Result<Published, Fault> {
        let channel = match &row.channel {
            Some(name) => ChannelName::parse(name).map_err(Fault::Unfit)?,
            None => self.sink.channel().name().ok_or_else(|| {
                Fault::Unfit("it names no channel, and its source is under a pattern".to_owned())
            })?,
        };
        if !self.sink.may_publish(&channel) {
            let reason = format!(r#"the channel {channel} has no publish = ["local"]"#);
            return Err(Fault::Unfit(reason));
        }
        let draft = self.draft(row).map_err(Fault::Unfit)?;
        self.sink
            .offer(&channel, draft)
            .map_err(|error| match error {
                error if error.lacks_room() => Fault::NoRoom(error),
                error if error.may_pass() => Fault::Unpublished(error),
                error => Fault::Unfit(error.to_string()),
            })
    }

    fn draft(&self, row: &Entry) -> Result<Draft, String> {
        let Some(data) = &row.data else {
            let limit = self.sink.message_size();
            return Err(match row.size {
                None => "its data is NULL".to_owned(),
                Some(size) => format!("its data has {size} bytes, and hub.message-size is {limit}"),
            });
        };
        let data = match self.source.format {
            PostgresFormat::Text => Data::text(data.as_str()),
            PostgresFormat::Json => {
                Data::json(data).map_err(|_| "its data is not JSON".to_owned())?
            }
        };
        let id = row
            .message_id
            .as_deref()
            .map(|id| self.id(id))
            .transpose()?;
        Ok(Draft {
            event: row.event.as_deref().map(Into::into),
            key: row.key.as_deref().map(Into::into),
            id,
            data,
        })
    }

    /// The publisher's id of a row. It is the same on every node of a cluster, whatever address the database has there.
    fn id(&self, text: &str) -> Result<PublisherId, String> {
        PublisherId::parse(text)?;
        let scope = format!("{} of {}", self.settings.table, self.source.server.database);
        Ok(PublisherId::of_source(&scope, text, true))
    }

    /// Deletes the published rows, and writes the reason into each row that cannot be published, which stays and is not
    /// read again.
    async fn settle(&self, session: &mut Session, done: Done) -> Result<(), ConnectionError> {
        let table = Some(&self.settings.table);
        for (id, reason) in &done.refused {
            let statement = format!(
                "UPDATE {} SET refused = $2::text WHERE id = $1::bigint",
                self.name
            );
            session
                .query(table, &mut |_| self.wake(), &statement, &[id, reason])
                .await?;
        }
        if !done.published.is_empty() {
            let statement = format!("DELETE FROM {} WHERE id = ANY($1::bigint[])", self.name);
            session
                .query(table, &mut |_| self.wake(), &statement, &[&done.published])
                .await?;
        }
        Ok(())
    }

    /// Updates the lag, and the number of waiting rows. While some are passed by, they are not all in `rows`.
    async fn look(
        &mut self,
        session: &mut Session,
        rows: &[Row],
        more: bool,
    ) -> Result<(), ConnectionError> {
        if !self.postponed.channels().is_empty() {
            return self.count(session).await;
        }
        self.sink.set_lag(Some(age(rows.first(), 7)));
        if !more {
            self.sink.set_waiting(Some(0));
            self.looked = None;
            return Ok(());
        }
        self.count(session).await
    }

    /// Counts the rows, and looks at the age of the first of them, if that was not done a moment ago.
    async fn count(&mut self, session: &mut Session) -> Result<(), ConnectionError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(());
        }
        let statement = format!(
            "SELECT count(*), extract(epoch FROM now() - (SELECT created FROM {0} WHERE refused IS NULL ORDER BY id \
             LIMIT 1))::float8 FROM (SELECT 1 FROM {0} WHERE refused IS NULL LIMIT {MOST_COUNTED}) AS rows",
            self.name
        );
        let counted = session
            .query(
                Some(&self.settings.table),
                &mut |_| self.wake(),
                &statement,
                &[],
            )
            .await?;
        let count: Option<i64> = counted.first().and_then(|row| row.try_get(0).ok());
        let count = count.and_then(|count| u64::try_from(count).ok());
        self.sink.set_waiting(count);
        self.sink.set_lag(Some(age(counted.first(), 1)));
        self.looked = Some(Instant::now());
        Ok(())
    }
}

/// The processed rows of a batch.
#[derive(Default)]
struct Done {
    published: Vec<i64>,
    refused: Vec<(i64, String)>,
}

/// Reasons why a row is not published.
enum Fault {
    /// The message may be accepted later, and no other before it.
    Unpublished(PublishError),
    /// Its channel cannot be opened now; messages of others can be accepted.
    NoRoom(PublishError),
    /// The message will never be accepted as it is.
    Unfit(String),
}

fn bounded(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

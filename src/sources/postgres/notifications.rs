//! Notifications: subscribes by LISTEN, and turns each payload into a message by the source's templates. Writes nothing
//! to the database.

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Notification;

use super::super::content::{Content, Unfit};
use super::super::pending_writes::PendingWrites;
use super::super::sink::Sink;
use super::connection::{ConnectionError, Session};
use super::turn::wait_for_turn;
use crate::config::{Notifications, PostgresFormat, PostgresSource, quoted};
use crate::hub::{Data, Published, PublisherId};
use crate::sources::stop::Stop;

/// Fill level of the server's notification queue from which the source reports it: with a full queue every transaction
/// that notifies fails.
const FULL: f64 = 0.5;

/// A source of notifications.
pub(super) struct Listener<'a> {
    sink: &'a Sink,
    source: &'a PostgresSource,
    settings: &'a Notifications,
    unkept: PendingWrites,
}

impl<'a> Listener<'a> {
    pub(super) fn new(
        sink: &'a Sink,
        source: &'a PostgresSource,
        settings: &'a Notifications,
    ) -> Self {
        Self {
            sink,
            source,
            settings,
            unkept: PendingWrites::default(),
        }
    }

    /// Subscribes to the notifications. Names are quoted, because NOTIFY folds an unquoted name to lower case, and
    /// `pg_notify` does not.
    pub(super) async fn prepare(&mut self, session: &mut Session) -> Result<(), ConnectionError> {
        for channel in &self.settings.channels {
            session.run(&format!("LISTEN {}", quoted(channel))).await?;
        }
        Ok(())
    }

    /// Waits until no other node of the cluster listens, because both would publish the same messages; false if the
    /// source was stopped.
    pub(super) async fn wait_for_turn(
        &mut self,
        session: &mut Session,
        cluster: &str,
        stop: &Stop,
    ) -> Result<bool, ConnectionError> {
        let key = lock_key(cluster, &self.settings.channels);
        wait_for_turn(session, self.sink, None, ("$1", &key), stop).await
    }

    /// Publishes notifications until the source is stopped.
    pub(super) async fn listen(
        mut self,
        session: &mut Session,
        stop: &Stop,
    ) -> Result<(), ConnectionError> {
        let mut looks = interval(self.source.poll);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            tokio::select! {
                notification = session.next(), if !self.unkept.is_full() => match notification {
                    Ok(notification) => self.take(&notification),
                    Err(lost) => break Err(lost),
                },
                () = self.unkept.settle(self.sink) => {}
                _ = looks.tick() => if let Err(lost) = self.look(session).await {
                    break Err(lost);
                },
                () = stop.requested() => break Ok(()),
            }
        };
        self.unkept.settle_all(self.sink).await;
        ended
    }

    /// Queries the fill level of the server's queue, which also detects a dead connection.
    async fn look(&mut self, session: &mut Session) -> Result<(), ConnectionError> {
        let statement = "SELECT pg_notification_queue_usage()";
        let mut heard = |notification: &Notification| self.take(notification);
        let rows = session.query(None, &mut heard, statement, &[]).await?;
        let used: Option<f64> = rows.first().and_then(|row| row.try_get(0).ok());
        if let Some(used) = used.filter(|used| *used > FULL) {
            let reason = format!(
                "the server's queue of notifications is {:.0} % full: a session that listens is in a long \
                 transaction (pg_stat_activity shows which), and at 100 % every NOTIFY fails",
                used * 100.0
            );
            self.sink.warn(None, &reason, "a source is in trouble");
        }
        Ok(())
    }

    /// Publishes a notification. One that cannot be published is counted and logged.
    fn take(&mut self, notification: &Notification) {
        match self.publish(notification) {
            Ok(published) => self.unkept.push(None, published),
            Err(unfit) => self.sink.refuse(None, &unfit),
        }
    }

    fn publish(&self, notification: &Notification) -> Result<Option<Published>, Unfit> {
        let payload = notification.payload();
        let content = match self.source.format {
            PostgresFormat::Json => Content::json(payload)?,
            PostgresFormat::Text => Content::plain(Data::text(payload)),
        };
        let name = notification.channel().to_owned();
        let content = content.with(PostgresSource::NOTIFY_CHANNEL, Some(name));
        let (channel, mut draft) = content.fill(self.sink.channel(), &self.settings.mapping)?;
        let id = content.label(&self.settings.id);
        draft.id = id.map(|id| PublisherId::of_source(self.sink.address(), &id, true));
        match self.sink.offer(&channel, draft) {
            Ok(published) => Ok(Some(published)),
            Err(error) => {
                self.sink.refuse(None, &error);
                Ok(None)
            }
        }
    }
}

/// The number of the lock for the nodes of one cluster. Other clusters, and a single Noren, have other locks.
fn lock_key(cluster: &str, channels: &[String]) -> i64 {
    let text = format!("noren {cluster} {}", channels.join(" "));
    let whole = digest(&SHA256, text.as_bytes());
    let first = whole.as_ref().first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}

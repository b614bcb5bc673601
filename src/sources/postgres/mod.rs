//! The `postgres` source: notifications of a PostgreSQL database (NOTIFY), or the rows of an outbox table.
//!
//! Notifications are lost while Noren is not connected. Rows of an outbox are not lost, because each is deleted only
//! after it was published, and with a history on disk, written. Lost connections are retried for ever. Independent of
//! subscribers.

mod connection;
mod fault;
mod notifications;
mod outbox;
mod passfile;
mod postponed;
mod row;
mod turn;

use tokio::time::Instant;
use tracing::info;

use super::retry::{Retry, ended_long_ago};
use super::sink::Sink;
use crate::config::{PostgresPlace, PostgresSource};
use crate::sources::stop::Stop;

pub(super) use connection::Database;

use connection::{ConnectionError, Session};
use notifications::Listener;
use outbox::Reader;

/// Runs the source until it is stopped. `cluster` is the name of the cluster's stream, if there is one.
pub(super) async fn follow(
    sink: &Sink,
    database: &Database,
    source: &PostgresSource,
    cluster: Option<&str>,
    stop: &Stop,
) {
    let mut retry = Retry::default();
    loop {
        let began = Instant::now();
        let lost = serve(sink, database, source, cluster, stop).await;
        let Some(lost) = lost else {
            return sink.set_down();
        };
        if !retry.pause(sink, began, &lost, stop).await {
            return;
        }
    }
}

/// Runs one connection to its end; `None` if this side ended it.
async fn serve(
    sink: &Sink,
    database: &Database,
    source: &PostgresSource,
    cluster: Option<&str>,
    stop: &Stop,
) -> Option<ConnectionError> {
    let opened = tokio::select! {
        opened = database.open() => opened,
        () = stop.requested() => return None,
    };
    let mut session = match opened {
        Ok(session) => session,
        Err(lost) => return Some(lost),
    };
    let lost = tokio::select! {
        lost = read(&mut session, sink, source, cluster, stop) => lost.err(),
        () = ended_long_ago(stop) => None,
    };
    session.close().await;
    lost
}

async fn read(
    session: &mut Session,
    sink: &Sink,
    source: &PostgresSource,
    cluster: Option<&str>,
    stop: &Stop,
) -> Result<(), ConnectionError> {
    let _counted = sink.connected();
    match &source.place {
        PostgresPlace::Notifications(settings) => {
            let mut listener = Listener::new(sink, source, settings);
            listener.prepare(session).await?;
            if let Some(cluster) = cluster
                && !listener.wait_for_turn(session, cluster, stop).await?
            {
                return Ok(());
            }
            connected(sink);
            listener.listen(session, stop).await
        }
        PostgresPlace::Outbox(settings) => {
            let mut reader = Reader::new(sink, source, settings);
            if !reader.prepare(session, stop).await? {
                return Ok(());
            }
            connected(sink);
            reader.empty(session, stop).await
        }
    }
}

fn connected(sink: &Sink) {
    sink.set_up();
    info!(
        channel = %sink.channel(),
        address = sink.address(),
        "connected to a source",
    );
}

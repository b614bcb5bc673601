//! The lock that lets one of several Norens read: an advisory lock of the database, which ends with its session.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::types::ToSql;
use tracing::info;

use super::super::sink::Sink;
use super::connection::{ConnectionError, Session};
use crate::config::TableName;
use crate::sources::stop::Stop;

/// Interval of trying to get the lock.
const TURN: Duration = Duration::from_secs(2);

/// Waits for the lock with the number that `key` gives, an SQL expression with `$1` in it; false if the source was
/// stopped.
pub(super) async fn wait_for_turn(
    session: &mut Session,
    sink: &Sink,
    table: Option<&TableName>,
    (key, parameter): (&str, &(dyn ToSql + Sync)),
    stop: &Stop,
) -> Result<bool, ConnectionError> {
    let statement = format!("SELECT pg_try_advisory_lock({key})");
    let mut told = false;
    loop {
        let rows = session
            .query(table, &mut |_| {}, &statement, &[parameter])
            .await?;
        if rows
            .first()
            .is_some_and(|row| row.try_get(0).unwrap_or(false))
        {
            return Ok(true);
        }
        sink.set_down_because(&"another Noren reads it; this one takes over when that one is gone");
        if !std::mem::replace(&mut told, true) {
            info!(
                channel = %sink.channel(),
                address = sink.address(),
                "another Noren reads a source; standing by",
            );
        }
        tokio::select! {
            () = sleep(TURN) => {}
            () = stop.requested() => return Ok(false),
        }
    }
}

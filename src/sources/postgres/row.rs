//! A row of the outbox, as the statement of the outbox selects it. Must not know channels of the hub.

use std::time::Duration;

use tokio_postgres::Row;

use super::connection::ConnectionError;

/// A row of the table.
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) message_id: Option<String>,
    pub(super) channel: Option<String>,
    pub(super) event: Option<String>,
    pub(super) key: Option<String>,
    /// Size of the data in bytes.
    pub(super) size: Option<i64>,
    /// The data, unless it is too large.
    pub(super) data: Option<String>,
}

impl Entry {
    pub(super) fn read(row: &Row) -> Result<Self, ConnectionError> {
        let read = || -> Result<Self, tokio_postgres::Error> {
            Ok(Self {
                id: row.try_get(0)?,
                message_id: row.try_get(1)?,
                channel: row.try_get(2)?,
                event: row.try_get(3)?,
                key: row.try_get(4)?,
                size: row.try_get(5)?,
                data: row.try_get(6)?,
            })
        };
        read().map_err(|error| ConnectionError::Database(error.to_string()))
    }
}

/// The age in a column, in seconds.
pub(super) fn age(row: Option<&Row>, column: usize) -> Duration {
    let age = row.and_then(|row| row.try_get::<_, f64>(column).ok());
    let age = age.and_then(|age| Duration::try_from_secs_f64(age).ok());
    age.unwrap_or_default()
}

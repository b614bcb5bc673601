//! Errors of the database in words for the operator, with the remedy if there is one. Must not know connections.

use std::error::Error as _;
use std::fmt::Write as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

use crate::config::{PostgresServer, TableName, quoted};

/// Describes an error. `table` is the outbox that a statement was about.
pub(super) fn error_text(
    error: &Error,
    server: &PostgresServer,
    table: Option<&TableName>,
) -> String {
    let Some(database) = error.as_db_error() else {
        return chain(error);
    };
    // Not its detail, which may quote a row.
    let mut text = format!("{} ({})", database.message(), database.code().code());
    if let Some(remedy) = remedy(database, server, table) {
        let _ = write!(text, "; {remedy}");
    }
    text
}

/// The error with its causes.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            let _ = write!(text, ": {inner_text}");
        }
        cause = inner.source();
    }
    text
}

fn remedy(error: &DbError, server: &PostgresServer, table: Option<&TableName>) -> Option<String> {
    let user = quoted(&server.user);
    let code = error.code();
    if *code == SqlState::INVALID_PASSWORD {
        return Some("look at the line for this database in `passfile`".to_owned());
    }
    if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        return Some(format!(
            "the server must have the user {user} (CREATE ROLE {user} LOGIN) and admit it in pg_hba.conf"
        ));
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return Some(
            "this server is a standby, which has no notifications; write the primary's address as `url`"
                .to_owned(),
        );
    }
    let table = table?;
    let name = table.quoted();
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        let usage = table.schema.as_deref().map(|schema| {
            let schema = quoted(schema);
            format!("GRANT USAGE ON SCHEMA {schema} TO {user}; ")
        });
        let usage = usage.unwrap_or_default();
        return Some(format!(
            "its owner grants it: {usage}GRANT SELECT, DELETE, UPDATE (refused) ON {name} TO {user};"
        ));
    }
    let is_missing = *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME;
    if is_missing || *code == SqlState::UNDEFINED_COLUMN || *code == SqlState::CANNOT_COERCE {
        return Some(format!(
            "the outbox {name} has the columns id, message_id, channel, event, key, data, created and refused; the \
             page on PostgreSQL has the statement that makes it"
        ));
    }
    None
}

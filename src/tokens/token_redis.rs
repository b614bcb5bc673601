//! Token source that queries a Redis server, as websockify's `TokenRedis` does: `GET [namespace:]token`.
//!
//! Uses one connection per token on a socket of our own that is polled here, so that no task is left behind, and
//! the amount read from the server is limited. Does not decide which targets may be named.

use redis::RedisConnectionInfo;
use redis::aio::MultiplexedConnection;
use tokio::io::{AsyncReadExt as _, join, split};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Token;
use super::address::{SourceResponse, parse_response};
use crate::config::{AnswerPlaces, RedisSource};
use crate::net::connect;
use crate::text::file::{LARGEST_SECRET, read_text};

/// Limit on bytes read from one connection: the replies to three short commands.
const LONGEST: u64 = 16 * 1024;
/// Limit on concurrent queries, so that a flood of invented tokens does not reach the server.
const CONCURRENT_QUERIES: usize = 16;

/// The server.
pub(super) struct TokenRedis {
    source: RedisSource,
    asking: Semaphore,
}

impl TokenRedis {
    pub(super) fn new(source: RedisSource) -> Self {
        Self {
            source,
            asking: Semaphore::new(CONCURRENT_QUERIES),
        }
    }

    /// Returns the target if the server knows the token; the error describes a failure of the server.
    pub(super) async fn find(&self, token: &Token) -> Result<Option<SourceResponse>, String> {
        let limit = self.source.timeout;
        let asked = timeout(limit, self.query(token)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")))
    }

    async fn query(&self, token: &Token) -> Result<Option<SourceResponse>, String> {
        // The semaphore is never closed.
        let _turn = self.asking.acquire().await;
        let key = match &self.source.namespace {
            Some(namespace) => format!("{namespace}:{}", token.plain()),
            None => token.plain().to_owned(),
        };
        let Some(value) = self.get(&key).await? else {
            return Ok(None);
        };
        parse_response(&value, &AnswerPlaces::default())
            .map(Some)
            .map_err(|reason| format!("the value of a token cannot be understood: {reason}"))
    }

    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let login = self.login().await?;
        let socket = connect(&self.source.address, self.source.timeout).await;
        let (read, write) = split(socket.map_err(|error| error.to_string())?);
        let stream = join(read.take(LONGEST), write);
        // Its errors name the command and what the server said of it; a key is in neither.
        let said = |error: redis::RedisError| error.to_string();
        let (mut connection, driver) = MultiplexedConnection::new(&login, stream)
            .await
            .map_err(said)?;
        let mut get = redis::cmd("GET");
        get.arg(key);
        tokio::select! {
            value = get.query_async(&mut connection) => value.map_err(said),
            () = driver => Err("it closed the connection".to_owned()),
        }
    }

    /// Reads the password file for each query, so that a password can be changed without a reload.
    async fn login(&self) -> Result<RedisConnectionInfo, String> {
        let mut login = RedisConnectionInfo::default()
            .set_db(self.source.database)
            .set_skip_set_lib_name();
        if let Some(user) = &self.source.user {
            login = login.set_username(user);
        }
        if let Some(file) = &self.source.password {
            let path = file.path();
            let password = spawn_blocking(move || read_text(&path, LARGEST_SECRET)).await;
            let password = password.map_err(|error| error.to_string())?;
            let password =
                password.map_err(|error| format!("read the password {file}: {error}"))?;
            login = login.set_password(password.trim_end_matches(['\r', '\n']));
        }
        Ok(login)
    }
}

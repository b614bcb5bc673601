//! Noren's own users, with passwords from a file (HTTP basic authentication, RFC 7617).
//!
//! A line of the file is `name:password` or `name:hash`, with a bcrypt hash as `htpasswd -B` creates it. A password
//! that could be taken for a hash of another kind is written as `name:{PLAIN}password`. No password is stored in clear.
//! The time of a refusal does not reveal if a user exists, even if the hashes have different costs: each refusal takes
//! as much work as the most expensive hash. Independent of routes, and of how a refusal is sent.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Semaphore;

use crate::access::hash_kind::hash_kind;
use crate::sync::lock;
use crate::text::Reason;
use crate::text::file::read_text;
use crate::text::permission::Use;

/// Size limit of the file: some twenty thousand users.
const LARGEST_FILE: u64 = 1 << 20;
/// Limit on the cost of a hash: each step doubles the time of a comparison; 10 takes some 50 ms.
const MOST_COST: u32 = 14;
/// Prefix of a password in clear text that looks like a hash.
const PLAIN: &str = "{PLAIN}";
/// Limit on waiting comparisons with hashes. One is performed at a time, so that guesses occupy at most one core.
const WAITING: usize = 16;
/// Limit on remembered correct passwords; requests with a remembered one need no comparison.
const REMEMBERED: usize = 10_000;

/// The users with a password.
pub(crate) struct Users {
    secrets: HashMap<Box<str>, Secret>,
    /// The most expensive secret, with which the password of an unknown user is compared; the result is a refusal in
    /// any case.
    stand_in: Secret,
    key: hmac::Key,
    proven: Mutex<HashSet<Box<[u8]>>>,
    waiting: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// The secret of a user.
#[derive(Clone)]
enum Secret {
    /// The keyed hash of a password in clear.
    Password(hmac::Tag),
    /// A bcrypt hash.
    Hash(Arc<str>),
}

/// Fault of a file of users.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the users in {}: {reason}", path.display())]
pub struct UsersError {
    path: PathBuf,
    reason: Reason,
}

impl UsersError {
    /// The file, if this user may not read it.
    #[must_use]
    pub fn denied(&self) -> Option<&Path> {
        self.reason.denied()
    }
}

/// Reasons why a password is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    /// No password was sent.
    #[error("no user and password were sent")]
    Missing,
    /// The header is not one user's name and password.
    #[error("the Authorization header is not a user and a password")]
    Malformed,
    /// The user does not exist, or the password is wrong.
    #[error("no user has this password")]
    Wrong,
    /// Too many passwords are being compared.
    #[error("too many passwords are waiting to be compared")]
    Busy,
}

impl Users {
    /// Reads a file.
    ///
    /// # Errors
    /// [`UsersError`] names the faulty line.
    pub(crate) fn load(path: &Path) -> Result<Self, UsersError> {
        read(path)
            .and_then(|text| Self::parse(&text).map_err(Reason::from))
            .map_err(|reason| UsersError {
                path: path.to_owned(),
                reason,
            })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| "the system has no randomness".to_owned())?;
        let mut secrets = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, secret) =
                entry(line, &key).map_err(|why| format!("line {}: {why}", index + 1))?;
            if secrets.insert(name, secret).is_some() {
                return Err(format!("line {}: this user is there twice", index + 1));
            }
        }
        let hashes = secrets.values().filter(|secret| secret.cost() > 0).count();
        if hashes > 0 && hashes < secrets.len() {
            return Err(
                "it has passwords beside hashes; write one or the other, for the time that the \
                 answer takes would tell which users have which"
                    .to_owned(),
            );
        }
        let dearest = secrets.values().max_by_key(|secret| secret.cost());
        let stand_in = dearest
            .ok_or("nobody is in it; write a line such as cook:password")?
            .clone();
        Ok(Self {
            secrets,
            stand_in,
            key,
            proven: Mutex::default(),
            waiting: Arc::new(Semaphore::new(WAITING)),
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Verifies the password in the head of a request, and returns the user's name.
    ///
    /// # Errors
    /// [`Unproven`] says whether the password is missing, malformed or wrong, or too many are being compared.
    pub(crate) async fn prove(&self, headers: &HeaderMap) -> Result<Arc<str>, Unproven> {
        let mut lines = headers.get_all(AUTHORIZATION).iter();
        let line = lines.next().ok_or(Unproven::Missing)?;
        if lines.next().is_some() {
            return Err(Unproven::Malformed);
        }
        let (name, password) = credentials(line.as_bytes()).ok_or(Unproven::Malformed)?;
        let found = self.secrets.get(name.as_str());
        let right = match found.unwrap_or(&self.stand_in) {
            Secret::Password(tag) => {
                hmac::verify(&self.key, password.as_bytes(), tag.as_ref()).is_ok()
            }
            Secret::Hash(hash) => self.matches(Arc::clone(hash), &name, password).await?,
        };
        if right && found.is_some() {
            Ok(name.into())
        } else {
            Err(Unproven::Wrong)
        }
    }

    /// True if a password matches the hash, by a remembered result or by a comparison, of which one is performed at a
    /// time.
    async fn matches(
        &self,
        hash: Arc<str>,
        name: &str,
        password: String,
    ) -> Result<bool, Unproven> {
        // The hash is part of the key, so that the substitute hash proves no password.
        let proof = format!("{name}\0{hash}\0{password}");
        let proof: Box<[u8]> = hmac::sign(&self.key, proof.as_bytes()).as_ref().into();
        if self.proven().contains(&proof) {
            return Ok(true);
        }
        let waiting = Arc::clone(&self.waiting).try_acquire_owned();
        let waiting = waiting.map_err(|_| Unproven::Busy)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.map_err(|_| Unproven::Busy)?;
        let dearest = self.stand_in.cost();
        let compared = tokio::task::spawn_blocking(move || {
            // Held to the end, also when the client has left meanwhile: the core is busy until then.
            let _held = (waiting, turn);
            compare(&password, &hash, dearest).right
        });
        let right = compared.await.unwrap_or(false);
        if right {
            let mut proven = self.proven();
            if proven.len() >= REMEMBERED {
                proven.clear();
            }
            proven.insert(proof);
        }
        Ok(right)
    }

    fn proven(&self) -> std::sync::MutexGuard<'_, HashSet<Box<[u8]>>> {
        lock(&self.proven)
    }
}

impl Secret {
    /// Cost of a comparison; 0 for a password in clear.
    fn cost(&self) -> u32 {
        match self {
            Self::Password(_) => 0,
            Self::Hash(hash) => cost_of(hash).unwrap_or(0),
        }
    }
}

/// Result of a comparison with a hash.
struct Compared {
    right: bool,
    /// Work that it took, in rounds of bcrypt.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests count the work"))]
    rounds: u64,
}

/// Compares a password with a hash. A wrong password takes as many rounds as the most expensive hash of the file,
/// whatever the cost of this one: the time would otherwise reveal which users are in the file. A hash of cost c takes
/// 2^c rounds; one further hash of each cost from c up to the highest cost, exclusive, adds the missing rounds.
fn compare(password: &str, hash: &str, dearest: u32) -> Compared {
    let cost = cost_of(hash).unwrap_or(dearest);
    let right = bcrypt::verify(password, hash).unwrap_or(false);
    let mut rounds = 1 << cost;
    if !right {
        for cost in cost..dearest {
            let _ = std::hint::black_box(bcrypt::hash_with_salt(password, cost, [0; 16]));
            rounds += 1 << cost;
        }
    }
    Compared { right, rounds }
}

/// Parses a line of the file. Reasons never show the secret.
fn entry(line: &str, key: &hmac::Key) -> Result<(Box<str>, Secret), String> {
    let (name, secret) = line
        .split_once(':')
        .ok_or("there is no colon behind the name; write name:password")?;
    if name.is_empty() || name.contains(char::is_control) {
        return Err("a user needs a name; write name:password".to_owned());
    }
    if secret.is_empty() {
        return Err(format!("{name} has no password"));
    }
    let password = |text: &str| {
        (
            name.into(),
            Secret::Password(hmac::sign(key, text.as_bytes())),
        )
    };
    if let Some(text) = said_plain(secret) {
        return match text {
            "" => Err(format!("{name} has no password")),
            text => Ok(password(text)),
        };
    }
    match (cost_of(secret), hash_kind(secret)) {
        (Some(4..=MOST_COST), _) => Ok((name.into(), Secret::Hash(secret.into()))),
        (Some(cost), _) => Err(format!(
            "the hash of {name} has a cost of {cost}; make one of 4 to {MOST_COST}"
        )),
        (None, Some(kind)) => Err(format!(
            "the hash of {name} is of a kind that is not known here ({kind}); make one with: htpasswd -nB \
             {name}; if it is a password and no hash, write {name}:{PLAIN} and then the password"
        )),
        (None, None) => Ok(password(secret)),
    }
}

/// The password behind [`PLAIN`], a prefix that nginx also supports.
fn said_plain(secret: &str) -> Option<&str> {
    let (mark, password) = secret.split_at_checked(PLAIN.len())?;
    mark.eq_ignore_ascii_case(PLAIN).then_some(password)
}

/// The cost in a bcrypt hash, `$2y$10$` and 53 letters. `None` for an invalid hash, which would be refused without any
/// work, and so faster than others.
fn cost_of(hash: &str) -> Option<u32> {
    let bcrypt = ["$2a$", "$2b$", "$2y$"];
    let known = bcrypt.iter().any(|kind| hash.starts_with(kind));
    let digits = hash.get(4..6)?.bytes().all(|byte| byte.is_ascii_digit());
    let parts: bcrypt::HashParts = (known && digits).then(|| hash.parse().ok())??;
    Some(parts.get_cost())
}

/// Parses `Basic` and the base64 of `name:password`. The scheme is case-insensitive (RFC 9110, section 11.1).
fn credentials(line: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(line).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

fn read(path: &Path) -> Result<String, Reason> {
    read_text(path, LARGEST_FILE).map_err(|error| Reason::new(path, Use::Read, &error))
}

/// Omits names and secrets.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("count", &self.secrets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

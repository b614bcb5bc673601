//! Certificates from an ACME authority (RFC 8555): ordered when there is none, and renewed before they expire.
//! [`Challenges`] shows the proofs that the authority checks; an issued certificate is a file, which the server
//! loads like any other.
//!
//! The library `instant-acme` implements the protocol. Independent of listeners and of routes.

mod account;
mod due;
mod error;
mod order;
mod transport;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use instant_acme::{Account, CertificateIdentifier};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::clock::unix_milliseconds;
use crate::config::Acme;
use crate::sync::lock;
use crate::telemetry::Telemetry;
use crate::tls::{Challenges, LoadedCertificate};

use error::AcmeError;

/// Time to sleep if nothing is configured.
const IDLE: Duration = Duration::from_secs(600);
/// Minimum pause between two attempts for a name, also after a reload.
const SHORTEST_PAUSE: Duration = Duration::from_secs(10);
/// Interval of asking for the renewal window of a certificate if the authority names none.
const WINDOW_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Keeps certificates up to date. Clones share their state.
#[derive(Clone, Debug)]
pub(crate) struct Renewer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    challenges: Challenges,
    telemetry: Arc<Telemetry>,
    names: Mutex<BTreeMap<String, Progress>>,
    again: Notify,
}

/// Renewal state of a name.
#[derive(Debug, Default)]
struct Progress {
    held: Option<CurrentCertificate>,
    /// Number of failures since the last success.
    failures: u32,
    tried: Option<Instant>,
    /// Earliest time of the next attempt.
    not_before: Option<Instant>,
    error: Option<String>,
}

/// The current certificate of a name.
#[derive(Debug)]
struct CurrentCertificate {
    begins: SystemTime,
    expires: SystemTime,
    due: SystemTime,
    share: f64,
    /// Identifier of the certificate at the authority.
    id: Option<CertificateIdentifier<'static>>,
    /// Time of the next query for its renewal window.
    ask: Instant,
}

/// Status of a name.
#[derive(Debug)]
pub(crate) struct KeptCertificate {
    /// The domain name.
    pub name: String,
    /// Expiry of its certificate, in Unix milliseconds; `None` without a certificate.
    pub expires: Option<u64>,
    /// Time of the next order, in Unix milliseconds.
    pub next: u64,
    /// Error of the last attempt, if it failed.
    pub last_error: Option<String>,
}

impl Renewer {
    /// Creates a keeper without certificates.
    #[must_use]
    pub(crate) fn new(challenges: Challenges, telemetry: Arc<Telemetry>) -> Self {
        Self(Arc::new(Shared {
            challenges,
            telemetry,
            names: Mutex::default(),
            again: Notify::new(),
        }))
    }

    /// The proofs shown to the authority.
    #[must_use]
    pub(crate) fn challenges(&self) -> &Challenges {
        &self.0.challenges
    }

    /// Notifies the keeper of a reload: names that have failed are tried at once, since the cause may be
    /// corrected.
    pub(crate) fn reloaded(&self) {
        self.0.again.notify_one();
    }

    /// Status of each name.
    #[must_use]
    pub(crate) fn overview(&self) -> Vec<KeptCertificate> {
        let row = |(name, progress): (&String, &Progress)| KeptCertificate {
            name: name.clone(),
            expires: progress
                .held
                .as_ref()
                .map(|held| unix_milliseconds(held.expires)),
            next: unix_milliseconds(progress.next(SystemTime::now())),
            last_error: progress.error.clone(),
        };
        self.with_names(|names| names.iter().map(row).collect())
    }

    /// Keeps the certificates that `wanted` returns at each moment, and calls `issued`, which may block, after it
    /// has written the file of one. Never completes.
    pub(crate) async fn keep(
        &self,
        wanted: impl Fn() -> Option<Acme>,
        issued: impl Fn() + Clone + Send + 'static,
    ) {
        loop {
            let acme = wanted();
            let pause = match &acme {
                Some(acme) => self.round(acme, &issued).await,
                None => IDLE,
            };
            let again = self.0.again.notified();
            if tokio::time::timeout(pause, again).await.is_ok() {
                self.try_at_once();
            }
        }
    }

    /// Checks each name once, and returns the time until the next check.
    async fn round(&self, acme: &Acme, issued: &(impl Fn() + Clone + Send + 'static)) -> Duration {
        self.with_names(|names| names.retain(|name, _| acme.names.contains(name)));
        let mut account = None;
        for name in &acme.names {
            self.read_certificate(acme, name).await;
            self.fetch_window(acme, name, &mut account).await;
            if !self.is_due(name) {
                continue;
            }
            if self.attempt(acme, name, &mut account).await {
                let _ = spawn_blocking(issued.clone()).await;
                self.read_certificate(acme, name).await;
                self.with_name(name, Progress::reset_failures);
            }
        }
        let now = SystemTime::now();
        let next = self.with_names(|names| names.values().map(|one| one.next(now)).min());
        next.map_or(IDLE, |next| due::sleep(now, next))
    }

    /// Updates the state of a name from its file.
    async fn read_certificate(&self, acme: &Acme, name: &str) {
        let place = acme.certificate(name);
        let loaded = spawn_blocking(move || LoadedCertificate::load(&place)).await;
        let held = loaded
            .ok()
            .and_then(Result::ok)
            .map(|loaded| CurrentCertificate::of(&loaded));
        self.with_name(name, |progress| {
            // Taken away, or of another authority than the one that is wanted now: it begins anew.
            if held.is_none() && progress.held.is_some() {
                *progress = Progress::default();
            }
            let known = progress.held.as_ref().and_then(|held| held.id.as_ref());
            let same = held.as_ref().is_some_and(|held| held.id.as_ref() == known);
            if !same || known.is_none() {
                progress.held = held;
            }
        });
    }

    /// Asks the authority for the renewal window of a certificate, if it supports that (RFC 9773).
    async fn fetch_window(&self, acme: &Acme, name: &str, account: &mut Option<Account>) {
        let id = self.with_name(name, |progress| {
            let held = progress.held.as_mut()?;
            held.is_turn(Instant::now()).then(|| held.id.clone())?
        });
        let Some(id) = id else { return };
        let asked = async {
            let account = opened(acme, account).await?;
            let asked = account.renewal_info(&id).await;
            asked.map_err(error::explain(&acme.directory))
        };
        match asked.await {
            Ok((info, next)) => self.with_name(name, |progress| {
                let Some(held) = &mut progress.held else {
                    return;
                };
                let due = due::by_window(&info, held.share);
                if due < held.due {
                    let why = info.explanation_url.as_deref();
                    info!(
                        name,
                        why, "the authority wants this certificate to be renewed earlier"
                    );
                }
                held.due = due;
                held.ask = Instant::now() + next.clamp(Duration::from_secs(60), WINDOW_INTERVAL);
            }),
            Err(reason) => {
                debug!(name, %reason, "the renewal window of a certificate could not be queried");
            }
        }
    }

    fn is_due(&self, name: &str) -> bool {
        self.with_name(name, |progress| {
            let now = SystemTime::now();
            progress.next(now) <= now
        })
    }

    /// Orders a certificate; true if there is one now.
    async fn attempt(&self, acme: &Acme, name: &str, account: &mut Option<Account>) -> bool {
        info!(name, directory = acme.directory, "asking for a certificate");
        let started_at = Instant::now();
        let ordered = async {
            let account = opened(acme, account).await?;
            order::order(account, acme, name, &self.0.challenges).await
        };
        let ordered = ordered.await;
        let counted = &self.0.telemetry.metrics.connections;
        let Err(error) = ordered else {
            counted.issued.inc();
            info!(name, "a certificate was issued");
            self.with_name(name, |progress| *progress = Progress::default());
            return true;
        };
        counted.not_issued.inc();
        if error.is_lost_account() {
            *account = None;
            if let Err(error) = account::forget(acme).await {
                warn!(%error, "the account that the authority does not know cannot be removed");
            }
        }
        let wait = self.with_name(name, |progress| {
            progress.failures += 1;
            let wait = due::wait(progress.failures, error.is_rate_limit());
            progress.tried = Some(started_at);
            progress.not_before = Some(Instant::now() + wait);
            progress.error = Some(error.to_string());
            wait
        });
        warn!(name, %error, next_try = ?wait, "no certificate was obtained; `noren reload` tries again at once");
        false
    }

    fn try_at_once(&self) {
        self.with_names(|names| {
            for progress in names.values_mut().filter(|one| one.failures > 0) {
                progress.not_before = progress.tried.map(|tried| tried + SHORTEST_PAUSE);
            }
        });
    }

    fn with_name<T>(&self, name: &str, change: impl FnOnce(&mut Progress) -> T) -> T {
        self.with_names(|names| change(names.entry(name.to_owned()).or_default()))
    }

    fn with_names<T>(&self, change: impl FnOnce(&mut BTreeMap<String, Progress>) -> T) -> T {
        change(&mut lock(&self.0.names))
    }
}

impl Progress {
    /// Resets the failures after a success.
    fn reset_failures(&mut self) {
        let rest = self
            .held
            .as_ref()
            .map(|held| due::renewal_pause(held.begins, held.expires));
        // Without a file, it was removed at this moment.
        let rest = rest.unwrap_or_else(|| due::wait(1, false));
        self.not_before = Some(Instant::now() + rest);
    }

    /// Time of the next order.
    fn next(&self, now: SystemTime) -> SystemTime {
        let due = self.held.as_ref().map_or(UNIX_EPOCH, |held| held.due);
        let free = self.not_before.map(|moment| {
            let left = moment.saturating_duration_since(Instant::now());
            now + left
        });
        free.map_or(due, |free| free.max(due))
    }
}

impl CurrentCertificate {
    fn of(loaded: &LoadedCertificate) -> Self {
        let certificate = loaded.end_entity();
        let share = certificate.map_or(0.0, |der| due::share(der));
        Self {
            begins: loaded.begins(),
            expires: loaded.expires(),
            due: due::by_age(loaded.begins(), loaded.expires(), share),
            share,
            id: certificate
                .and_then(|der| CertificateIdentifier::try_from(der).ok())
                .map(CertificateIdentifier::into_owned),
            ask: Instant::now(),
        }
    }

    /// True if the renewal window is to be queried now. Sets the next query to a day later; a response may set it
    /// earlier, a failure does not.
    fn is_turn(&mut self, now: Instant) -> bool {
        let is_turn = self.ask <= now;
        if is_turn {
            self.ask = now + WINDOW_INTERVAL;
        }
        is_turn
    }
}

/// Opens the account, once a round.
async fn opened<'a>(
    acme: &Acme,
    account: &'a mut Option<Account>,
) -> Result<&'a Account, AcmeError> {
    let open = match account.take() {
        Some(open) => open,
        None => account::open(acme).await?,
    };
    Ok(account.insert(open))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_asked_about_a_certificate_once_a_day_however_often_it_is_looked_at() {
        let begin = Instant::now();
        let mut held = CurrentCertificate {
            begins: UNIX_EPOCH,
            expires: UNIX_EPOCH,
            due: UNIX_EPOCH,
            share: 0.0,
            id: None,
            ask: begin,
        };
        let looks = (0..300).map(|look| begin + look * IDLE);
        let asked: Vec<_> = looks.filter(|now| held.is_turn(*now)).collect();
        assert_eq!(asked, [0, 1, 2].map(|day| begin + day * WINDOW_INTERVAL));
    }
}

//! The self-signed certificate for operators without one: created once, stored in a directory, and renewed before it
//! expires.
//!
//! The key is created only once, and outlives its certificates. So a client that pins the key need not do it again, and
//! only the certificate file is ever replaced, so that no crash can leave a pair that does not match.
//!
//! Does not handle certificates of the operator.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::clock::unix_time;
use crate::config::{Certificate, HostPattern};
use crate::fs::{draft, replace};
use crate::text::permission;
use crate::tls::pem::PemFile;
use crate::tls::{LoadedCertificate, TlsError};

/// Name of the certificate file in the directory.
const CERTIFICATE_FILE: &str = "noren-cert.pem";
/// Name of the key file in the directory.
const KEY_FILE: &str = "noren-key.pem";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Lifetime of a certificate. Some clients, Apple's for one, refuse more than 398 days.
const VALIDITY: Duration = Duration::from_secs(397 * DAY.as_secs());
/// Backdating of the start of validity, because a client's clock may be slow.
const HEAD_START: Duration = DAY;
/// Time before the expiry at which the certificate is renewed: a server that is restarted weekly never serves an
/// expired one.
const RENEWAL: Duration = Duration::from_secs(7 * DAY.as_secs());

/// Loads the certificate in `directory`. If it is missing or about to expire, creates it, and the key if that is
/// missing.
///
/// # Errors
/// [`TlsError`] names the file or directory, and the remedy.
pub(super) fn load_or_make(directory: &Path) -> Result<LoadedCertificate, TlsError> {
    load_or_make_at(directory, SystemTime::now())
}

/// Checks that [`load_or_make`] can load or create the certificate; creates nothing.
///
/// # Errors
/// [`TlsError`] as for [`load_or_make`].
pub(super) fn check(directory: &Path) -> Result<(), TlsError> {
    if load_kept(&files_in(directory), directory)?.is_some() {
        return Ok(());
    }
    match permission::writable(directory).map_err(|source| write_error(directory, source)) {
        Err(error) if !error.is_of_the_disk() => Err(error),
        _ => Ok(()),
    }
}

fn files_in(directory: &Path) -> Certificate {
    Certificate {
        certificate: directory.join(CERTIFICATE_FILE),
        key: directory.join(KEY_FILE),
        names: Vec::new(),
    }
}

fn load_or_make_at(directory: &Path, now: SystemTime) -> Result<LoadedCertificate, TlsError> {
    let files = files_in(directory);
    let Some(mut kept) = load_kept(&files, directory)? else {
        return match make(&files, directory, now) {
            Ok(()) => LoadedCertificate::load(&files),
            // A disk that takes nothing is no reason to serve nothing.
            Err(error) if error.is_of_the_disk() => unsaved(&files, now, &error),
            Err(error) => Err(error),
        };
    };
    if kept.expires() > now + RENEWAL {
        return Ok(kept);
    }
    match make(&files, directory, now) {
        Ok(()) => LoadedCertificate::load(&files),
        // A directory that has become read-only is no reason to serve nothing.
        Err(error) => {
            kept.warn(format!(
                "the self-signed certificate could not be renewed: {error}"
            ));
            Ok(kept)
        }
    }
}

/// Loads the pair of an earlier start, if both files exist and are not empty, as a full disk may leave them.
fn load_kept(files: &Certificate, directory: &Path) -> Result<Option<LoadedCertificate>, TlsError> {
    if is_absent(&files.certificate) || is_absent(&files.key) {
        return Ok(None);
    }
    // Anything else may be an operator's own, so it is never overwritten.
    let kept = LoadedCertificate::load(files).map_err(|reason| read_error(directory, reason))?;
    Ok(Some(kept))
}

/// Creates a certificate for this process only, with a warning, and with the stored key if there is one.
fn unsaved(
    files: &Certificate,
    now: SystemTime,
    error: &TlsError,
) -> Result<LoadedCertificate, TlsError> {
    let kept = PemFile::read(&files.key, "key").and_then(|file| file.key());
    let key = match kept.ok().map(|key| KeyPair::try_from(&key)) {
        Some(Ok(key)) => key,
        _ => KeyPair::generate()?,
    };
    let certificate = params(now)?.self_signed(&key)?;
    let der = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let path = &files.certificate;
    let mut made = LoadedCertificate::in_memory(certificate.der().clone(), &der, path)?;
    made.warn(format!(
        "the self-signed certificate cannot be kept, and the next start makes another: {error}"
    ));
    Ok(made)
}

fn make(files: &Certificate, directory: &Path, now: SystemTime) -> Result<(), TlsError> {
    fs::create_dir_all(directory).map_err(|source| write_error(directory, source))?;
    if is_absent(&files.key) {
        let key = KeyPair::generate()?;
        publish_key(&files.key, key.serialize_pem().as_bytes())?;
    }
    // Read back, because another process may have been quicker.
    let key = PemFile::read(&files.key, "key").and_then(|file| file.key());
    let key = KeyPair::try_from(&key.map_err(|reason| read_error(directory, reason))?)?;
    let certificate = params(now)?.self_signed(&key)?;
    let path = &files.certificate;
    replace(path, certificate.pem().as_bytes(), 0o644).map_err(|source| write_error(path, source))
}

fn params(now: SystemTime) -> Result<CertificateParams, TlsError> {
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ];
    names.extend(machine_name().filter(|name| name != "localhost"));

    let mut params = CertificateParams::new(names)?;
    let since_epoch = unix_time(now);
    let start = rcgen::date_time_ymd(1970, 1, 1) + since_epoch.saturating_sub(HEAD_START);
    params.not_before = start;
    params.not_after = start + VALIDITY;
    // Firefox refuses two certificates of one issuer with the same number; by default it depends on the key.
    let number = u64::try_from(since_epoch.as_nanos()).unwrap_or(1);
    params.serial_number = Some(SerialNumber::from(number));
    params.distinguished_name.push(DnType::CommonName, "Noren");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Host name of the machine, if other machines can use it.
fn machine_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    match HostPattern::parse(name.trim()) {
        Ok(HostPattern::Exact(name)) => Some(name),
        _ => None,
    }
}

/// True if the file is missing or empty, so that there is nothing to lose.
fn is_absent(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(metadata) => metadata.is_file() && metadata.len() == 0,
        // If the directory is a file, making the directory gives the better error.
        Err(error) => matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        ),
    }
}

/// Stores the key unless there is one: if two processes start at the same time, both use the first key.
fn publish_key(path: &Path, text: &[u8]) -> Result<(), TlsError> {
    let draft = draft(path, text, 0o600).map_err(|source| write_error(path, source))?;
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == 0) {
        let _ = fs::remove_file(path);
    }
    match draft.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        // Not every file system can do this.
        Err(failed) => failed.file.persist(path).map(drop),
    }
    .map_err(|failed| write_error(path, failed.error))
}

fn write_error(path: &Path, source: io::Error) -> TlsError {
    let path = path.to_owned();
    TlsError::Write {
        path,
        cause: source,
    }
}

fn read_error(directory: &Path, reason: TlsError) -> TlsError {
    TlsError::Stored {
        directory: directory.to_owned(),
        reason: Box::new(reason),
    }
}

#[cfg(test)]
mod tests;

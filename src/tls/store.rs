//! All certificates of a listener, and the choice among them by server name (RFC 6066 §3).
//!
//! A store is immutable. A reload builds a new one, and existing sessions keep the old one.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::config::{self, Certificate};
use crate::faults::Faults;
use crate::tls::names::{normal, wildcard_key};
use crate::tls::{CertificateNames, LoadedCertificate, TlsError, self_signed};

/// Certificates for the same name, with keys of different kinds, in order of cost.
type Group = Vec<Arc<LoadedCertificate>>;

/// The certificates by name: exact names have precedence over wildcards, and those over the default, which is the first
/// certificate (with others for exactly the same names).
///
/// Among several certificates for a name the client gets the first one that it can verify; ECDSA comes before RSA,
/// since it costs the server a quarter.
pub(crate) struct CertificateStore {
    exact: HashMap<String, Group>,
    /// Wildcards by suffix: `.example.org` for `*.example.org`.
    wildcards: HashMap<String, Group>,
    default: Group,
    default_names: Arc<CertificateNames>,
    warnings: Vec<String>,
    expiries: Vec<(PathBuf, SystemTime)>,
    self_signed: Option<SelfSigned>,
}

/// The certificate that Noren created because none is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfSigned {
    /// Its file.
    pub file: PathBuf,
    /// Its SHA-256 fingerprint, as browsers show it.
    pub fingerprint: String,
}

/// The loaded certificates. If there are none, the self-signed one is created later.
#[derive(Debug)]
pub(super) struct Loaded {
    certificates: Vec<LoadedCertificate>,
    /// Faults of issued certificates that could not be loaded.
    damaged: Vec<String>,
}

impl Loaded {
    /// Loads the configured certificates, and those that an authority has `issued`, as far as their files exist.
    /// Creates nothing, but checks that a self-signed one can be created if it is needed.
    ///
    /// # Errors
    /// A [`TlsError`] for each that cannot be loaded.
    pub(super) fn read(
        tls: &config::Tls,
        issued: &[Certificate],
    ) -> Result<Self, Faults<TlsError>> {
        let configured = tls.certificates.iter().map(LoadedCertificate::load);
        let mut certificates = Faults::gather(configured)?;
        let mut damaged = Vec::new();
        for files in issued {
            match LoadedCertificate::load(files) {
                Ok(certificate) => certificates.push(certificate),
                Err(error) if error.is_absence() => {}
                Err(error) => damaged.push(format!("{error}; another certificate is asked for")),
            }
        }
        let mut faults = Faults::default();
        if certificates.is_empty() {
            faults.keep(self_signed::check(&tls.self_signed));
        }
        faults.or(Self {
            certificates,
            damaged,
        })
    }

    /// Faults that clients will complain about, one sentence each.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &String> {
        let own = self
            .certificates
            .iter()
            .flat_map(LoadedCertificate::warnings);
        own.chain(&self.damaged)
    }

    /// Creates the store. If no certificate was loaded, the self-signed one is loaded or created.
    ///
    /// # Errors
    /// [`TlsError`] says why it cannot be made.
    pub(super) fn store(mut self, tls: &config::Tls) -> Result<CertificateStore, TlsError> {
        let mut made = None;
        if self.certificates.is_empty() {
            let own = self_signed::load_or_make(&tls.self_signed)?;
            // One that cannot be kept has no file to be named.
            let der = own.end_entity().filter(|_| own.file().is_file());
            made = der.map(|der| SelfSigned {
                file: own.file().to_owned(),
                fingerprint: fingerprint(der),
            });
            self.certificates.push(own);
        }
        let mut store = CertificateStore::new(self.certificates)?;
        store.self_signed = made;
        store.warnings.append(&mut self.damaged);
        Ok(store)
    }
}

impl CertificateStore {
    /// Loads the certificates of a configuration, or creates one.
    #[cfg(test)]
    pub(crate) fn load(tls: &config::Tls, issued: &[Certificate]) -> Result<Self, TlsError> {
        let loaded = Loaded::read(tls, issued);
        let loaded = loaded.map_err(|faults| faults.into_first().expect("a fault"));
        loaded?.store(tls)
    }

    /// Creates a store of certificates; the first one becomes the default.
    ///
    /// # Errors
    /// [`TlsError::NoCertificate`] if there is none.
    pub(crate) fn new(certificates: Vec<LoadedCertificate>) -> Result<Self, TlsError> {
        let mut certificates: Group = certificates.into_iter().map(Arc::new).collect();
        let warnings = certificates
            .iter()
            .flat_map(|one| one.warnings())
            .cloned()
            .collect();
        let expiries = certificates
            .iter()
            .map(|one| (one.file().to_owned(), one.expires()))
            .collect();
        let first = certificates.first().ok_or(TlsError::NoCertificate)?;
        let default_names = Arc::clone(first.names());
        // A stable sort: among equals the order of the configuration stays.
        certificates.sort_by_key(|certificate| cost(certificate));

        let mut store = Self {
            exact: HashMap::new(),
            wildcards: HashMap::new(),
            default: Vec::new(),
            default_names,
            warnings,
            expiries,
            self_signed: None,
        };
        for certificate in certificates {
            store.insert(certificate);
        }
        Ok(store)
    }

    /// The names of the certificate that a client gets for `server_name`, to decide if its requests for other hosts may
    /// use the connection (RFC 9110 §15.5.20).
    ///
    /// If the certificates for a name have different names, these are the names of the certificate that most clients
    /// get.
    pub(crate) fn names_for(&self, server_name: Option<&str>) -> Arc<CertificateNames> {
        let first = self.group(server_name).first();
        Arc::clone(first.map_or(&self.default_names, |certificate| certificate.names()))
    }

    /// Warnings about all certificates, one sentence each.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The certificate that Noren created, if it is presented.
    pub(crate) fn self_signed(&self) -> Option<&SelfSigned> {
        self.self_signed.as_ref()
    }

    /// The file and the expiry of each certificate.
    pub(crate) fn expiries(&self) -> &[(PathBuf, SystemTime)] {
        &self.expiries
    }

    fn insert(&mut self, certificate: Arc<LoadedCertificate>) {
        let names = Arc::clone(certificate.names());
        for name in names.exact() {
            self.exact
                .entry(name.to_owned())
                .or_default()
                .push(Arc::clone(&certificate));
        }
        for key in names.wildcards() {
            self.wildcards
                .entry(key.to_owned())
                .or_default()
                .push(Arc::clone(&certificate));
        }
        if names == self.default_names {
            self.default.push(certificate);
        }
    }

    /// Finds the certificates for a server name. An address is not a server name (RFC 6066 §3): a client that has only
    /// an address sends none.
    fn group(&self, server_name: Option<&str>) -> &Group {
        let Some(name) = server_name.map(normal) else {
            return &self.default;
        };
        let wildcard = || self.wildcards.get(wildcard_key(&name)?);
        self.exact
            .get(&name)
            .or_else(wildcard)
            .unwrap_or(&self.default)
    }

    fn choose(
        &self,
        server_name: Option<&str>,
        offered: &[SignatureScheme],
    ) -> Option<&LoadedCertificate> {
        let group = self.group(server_name);
        let fits = |one: &&Arc<LoadedCertificate>| {
            one.certified_key().key.choose_scheme(offered).is_some()
        };
        // If nothing fits, rustls says so to the client in the proper alert.
        group
            .iter()
            .find(fits)
            .or_else(|| group.first())
            .map(AsRef::as_ref)
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.choose(hello.server_name(), hello.signature_schemes())?;
        Some(Arc::clone(chosen.certified_key()))
    }
}

impl fmt::Debug for CertificateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateStore")
            .field("default", &self.default_names)
            .finish_non_exhaustive()
    }
}

/// Formats the hash of a certificate in pairs of digits.
fn fingerprint(der: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, der);
    let pairs = hash.as_ref().iter().map(|byte| format!("{byte:02X}"));
    pairs.collect::<Vec<_>>().join(":")
}

/// Relative cost of a signature: an RSA-2048 handshake takes as long as four on P-256.
fn cost(certificate: &LoadedCertificate) -> u8 {
    match certificate.certified_key().key.algorithm() {
        SignatureAlgorithm::ECDSA | SignatureAlgorithm::ED25519 => 0,
        _ => 1,
    }
}

#[cfg(test)]
mod tests;

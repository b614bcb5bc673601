//! Trust in the certificates of servers: those signed by an authority in a file or in the system's list, and those that
//! are themselves in the file.
//!
//! A console often has a self-signed certificate that claims to be an authority (`openssl req -x509` creates such
//! certificates). RFC 5280 §4.2.1.9 forbids that for a server, so it is accepted only if the file contains exactly this
//! certificate: then the owner of its key is the server that the operator meant. It must still be valid now and have
//! the right name. Independent of the protocol.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    WantsClientCert, WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor,
    verify_server_name,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use crate::tls::TlsError;
use crate::tls::pem::PemFile;

/// The certificates that a client trusts.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Certificates that an authority of this system has signed.
    System,
    /// Certificates in this file (PEM), and those that an authority in it has signed.
    File(&'a Path),
    /// Like `File`, with any name in the certificate: for an authority that signs nothing else.
    AnyName(&'a Path),
    /// All certificates. Anyone between the client and its server can then read and change everything.
    Anyone,
}

impl<'a> Trust<'a> {
    /// Trust in the certificates of a file or, without one, in those of the system.
    #[must_use]
    pub fn of(file: Option<&'a Path>) -> Self {
        file.map_or(Self::System, Self::File)
    }
}

/// Begins the settings of every TLS client in this program.
///
/// # Errors
/// [`TlsError`] names the file and its fault.
pub fn client(trust: Trust<'_>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let trusted = match trust {
        Trust::System => return Ok(builder.with_root_certificates(system()?)),
        Trust::Anyone => Trusted::Anyone,
        Trust::File(path) => {
            let pinned = PemFile::read(path, "authority")?.certificates()?;
            let roots = Arc::new(roots(path, &pinned)?);
            let provider = Arc::clone(&provider);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            let chain = chain.map_err(|error| TlsError::Authority {
                path: path.to_owned(),
                reason: error.to_string(),
            })?;
            Trusted::File { chain, pinned }
        }
        Trust::AnyName(path) => {
            let pinned = PemFile::read(path, "authority")?.certificates()?;
            let roots = roots(path, &pinned)?;
            Trusted::AnyName { roots, pinned }
        }
    };
    let verifier = Arc::new(Verifier { trusted, provider });
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(verifier))
}

/// Loads the certificates of a file as authorities.
pub(super) fn roots(
    path: &Path,
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        let damaged = |error: Error| TlsError::Certificate {
            path: path.to_owned(),
            position: index + 1,
            reason: error.to_string(),
        };
        roots.add(certificate.clone()).map_err(damaged)?;
    }
    Ok(roots)
}

/// Loads the certificates that the system trusts.
fn system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(TlsError::NoAuthorities);
    }
    Ok(roots)
}

/// Verifies the certificate of a server, in the cases in which the system's list does not. In every case the server
/// proves that it has the key of its certificate.
#[derive(Debug)]
struct Verifier {
    trusted: Trusted,
    provider: Arc<CryptoProvider>,
}

/// The certificates that a [`Verifier`] accepts. With a file, they are in it byte for byte, or signed by one of them.
#[derive(Debug)]
enum Trusted {
    /// Certificates of a file, with the name of the server.
    File {
        chain: Arc<WebPkiServerVerifier>,
        pinned: Vec<CertificateDer<'static>>,
    },
    /// Certificates of a file, with any name.
    AnyName {
        roots: RootCertStore,
        pinned: Vec<CertificateDer<'static>>,
    },
    /// All certificates.
    Anyone,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trusted {
            Trusted::Anyone => {}
            Trusted::File { pinned, .. } if is_pinned(pinned, end_entity) => {
                is_valid(end_entity, now)?;
                has_name(end_entity, server_name)?;
            }
            Trusted::File { chain, .. } => {
                return chain.verify_server_cert(
                    end_entity,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                );
            }
            Trusted::AnyName { pinned, .. } if is_pinned(pinned, end_entity) => {
                is_valid(end_entity, now)?;
            }
            Trusted::AnyName { roots, .. } => verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// True if a file contains exactly this certificate.
pub(super) fn is_pinned(pinned: &[CertificateDer<'_>], certificate: &CertificateDer<'_>) -> bool {
    pinned
        .iter()
        .any(|one| one.as_ref() == certificate.as_ref())
}

/// Checks that a certificate is valid at this time.
pub(super) fn is_valid(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed = parsed(certificate)?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let now = ASN1Time::from_timestamp(now).map_err(|_| CertificateError::BadEncoding)?;
    if now < parsed.validity().not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > parsed.validity().not_after {
        return Err(CertificateError::Expired.into());
    }
    Ok(())
}

/// Checks that a certificate has a name: as an alternative name or, if there are none, as its common name. Common names
/// are obsolete for public certificates (RFC 9525 §2), but here the certificate is exactly the pinned one.
fn has_name(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> Result<(), Error> {
    let alternative = verify_server_name(&ParsedCertificate::try_from(certificate)?, name);
    if alternative.is_ok() {
        return Ok(());
    }
    let parsed = parsed(certificate)?;
    if !matches!(parsed.subject_alternative_name(), Ok(None)) {
        return alternative;
    }
    let mut common = parsed.subject().iter_common_name();
    let name = name.to_str();
    let fits = common.any(|common| {
        common
            .as_str()
            .is_ok_and(|common| common.eq_ignore_ascii_case(&name))
    });
    if fits { Ok(()) } else { alternative }
}

fn parsed<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    Ok(parsed)
}

#[cfg(test)]
mod tests;

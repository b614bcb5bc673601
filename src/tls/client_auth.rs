//! Client certificates: the authorities that may sign them, and the names in them (RFC 5280 §4.1.2.6, §4.2.1.6).
//!
//! Independent of routes, which may refuse a certificate that is valid here.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use crate::config::ClientCertificates;
use crate::tls::pem::PemFile;
use crate::tls::{TlsError, trust};

/// Length limit of a name in a certificate.
const LONGEST_NAME: usize = 256;

/// The names in a client's verified certificate. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientName(Arc<Names>);

#[derive(Debug, PartialEq, Eq)]
struct Names {
    shown: String,
    all: Vec<String>,
}

impl ClientName {
    /// Reads the names of a certificate that the handshake has verified; `None` if it has no name and so identifies no
    /// client.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let common = certificate.subject().iter_common_name();
        let common = common.filter_map(|name| name.as_str().ok());
        let mut all: Vec<String> = common.map(str::to_owned).collect();
        if let Ok(Some(alternative)) = certificate.subject_alternative_name() {
            for name in &alternative.value.general_names {
                match name {
                    GeneralName::DNSName(name)
                    | GeneralName::RFC822Name(name)
                    | GeneralName::URI(name) => all.push((*name).to_owned()),
                    _ => {}
                }
            }
        }
        all.retain(|name| is_sound(name));
        let shown = all.first()?.clone();
        Some(Self(Arc::new(Names { shown, all })))
    }

    /// The name for logs and for the app: the common name, or otherwise the first alternative name.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0.shown
    }

    /// True if any of the names is in a list.
    #[must_use]
    pub(crate) fn is_one_of(&self, names: &[String]) -> bool {
        self.0.all.iter().any(|own| names.contains(own))
    }
}

/// False for a name that could break a line of the log or a header.
fn is_sound(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && !name.contains(char::is_control)
        && name.trim() == name
}

/// Builds the verifier for the client certificates of a listener.
pub(super) fn verifier(
    clients: &ClientCertificates,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let path = &clients.authority;
    let unusable = |reason: String| TlsError::Authority {
        path: path.clone(),
        reason,
    };
    let pinned = PemFile::read(path, "certificate")?.certificates()?;
    let roots = trust::roots(path, &pinned)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if clients.required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    let chain = builder.build();
    let chain = chain.map_err(|error| unusable(error.to_string()))?;
    Ok(Arc::new(Verifier { chain, pinned }))
}

/// Verifies the chain to an authority, or that the certificate is one of those in the file: a client may have a
/// self-signed certificate, which often claims to be an authority, and a client certificate must not do that otherwise.
#[derive(Debug)]
struct Verifier {
    chain: Arc<dyn ClientCertVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if trust::is_pinned(&self.pinned, end_entity) {
            trust::is_valid(end_entity, now)?;
            return Ok(ClientCertVerified::assertion());
        }
        self.chain
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(common: &[&str], alternative: Vec<SanType>) -> Option<ClientName> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.subject_alt_names = alternative;
        let key = KeyPair::generate().expect("a key");
        let made = params.self_signed(&key).expect("a certificate");
        ClientName::of(made.der())
    }

    #[test]
    fn a_client_is_called_by_its_common_name_and_known_by_all() {
        let mail = "cook@kitchen.example".try_into().expect("ASCII");
        let client = certificate(&["cook"], vec![SanType::Rfc822Name(mail)]).expect("a name");
        assert_eq!(client.as_str(), "cook");
        for (names, known) in [
            (&["cook"][..], true),
            (&["other", "cook@kitchen.example"], true),
            (&["Cook"], false),
            (&["coo", "cook2", ""], false),
            (&[], false),
        ] {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            assert_eq!(client.is_one_of(&names), known, "{names:?}");
        }
    }

    #[test]
    fn a_name_that_could_break_a_line_is_none() {
        assert_eq!(certificate(&["a\r\nUser: root"], Vec::new()), None);
        assert_eq!(certificate(&[], Vec::new()), None);
        let dns = "cook.example".try_into().expect("ASCII");
        let client = certificate(&["a\nb"], vec![SanType::DnsName(dns)]);
        assert_eq!(client.expect("a name").as_str(), "cook.example");
    }
}

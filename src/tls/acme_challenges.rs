//! ACME challenges: presents to an authority the proof that a name leads to this server, as a special certificate
//! (tls-alpn-01, RFC 8737) or a file (http-01, RFC 8555 §8.3). A proof is presented only while an order needs it.
//!
//! Independent of orders and accounts.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::tls::names::normal;
use crate::tls::{TlsError, key};

/// Application protocol of a validation handshake (RFC 8737 §6.2).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";
/// Path prefix of validation files.
const PATH: &str = "/.well-known/acme-challenge/";

/// The proofs that are presented now. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Challenges(Arc<ArcSwap<Proofs>>);

#[derive(Clone, Debug, Default)]
struct Proofs {
    certificates: HashMap<String, Arc<CertifiedKey>>,
    files: HashMap<String, Arc<str>>,
}

/// A guard that presents a proof until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct PresentedProof {
    challenges: Challenges,
    proof: ProofKey,
}

#[derive(Debug)]
enum ProofKey {
    Certificate(String),
    File(String),
}

impl Challenges {
    /// Presents a certificate for `name` that contains the SHA-256 of a proof.
    ///
    /// # Errors
    /// [`TlsError`] if the cryptographic library cannot make one.
    pub(crate) fn show_certificate(
        &self,
        name: &str,
        digest: &[u8],
    ) -> Result<PresentedProof, TlsError> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let pair = KeyPair::generate()?;
        let certificate = params.self_signed(&pair)?;
        let der = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
        let signing = key::signing_key(&der).map_err(rustls::Error::General)?;
        let shown = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing));
        let name = normal(name);
        self.change(|proofs| {
            proofs.certificates.insert(name.clone(), Arc::clone(&shown));
        });
        Ok(PresentedProof {
            challenges: self.clone(),
            proof: ProofKey::Certificate(name),
        })
    }

    /// Presents a file with the text of a proof.
    pub(crate) fn show_file(&self, token: &str, text: &str) -> PresentedProof {
        let text: Arc<str> = text.into();
        self.change(|proofs| {
            proofs.files.insert(token.to_owned(), Arc::clone(&text));
        });
        PresentedProof {
            challenges: self.clone(),
            proof: ProofKey::File(token.to_owned()),
        }
    }

    /// Returns the file at this path, if it is presented now.
    #[must_use]
    pub(crate) fn file(&self, path: &str) -> Option<Arc<str>> {
        let token = path.strip_prefix(PATH)?;
        self.0.load().files.get(token).cloned()
    }

    /// True if any certificate is presented now.
    pub(super) fn has_certificates(&self) -> bool {
        !self.0.load().certificates.is_empty()
    }

    fn change(&self, change: impl Fn(&mut Proofs)) {
        self.0.rcu(|proofs| {
            let mut proofs = Proofs::clone(proofs);
            change(&mut proofs);
            proofs
        });
    }
}

impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = normal(hello.server_name()?);
        self.0.load().certificates.get(&name).cloned()
    }
}

impl Drop for PresentedProof {
    fn drop(&mut self) {
        let proof = &self.proof;
        self.challenges.change(|proofs| match proof {
            ProofKey::Certificate(name) => drop(proofs.certificates.remove(name)),
            ProofKey::File(token) => drop(proofs.files.remove(token)),
        });
    }
}

/// True if this is a validation handshake, which offers no other protocol (RFC 8737 §3).
pub(super) fn is_asked_for(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|names| names.eq([PROTOCOL]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_shown_for_as_long_as_it_is_kept() {
        let challenges = Challenges::default();
        let file = challenges.show_file("token", "token.thumb");
        let path = "/.well-known/acme-challenge/token";
        assert_eq!(challenges.file(path).as_deref(), Some("token.thumb"));
        assert_eq!(challenges.file("/.well-known/acme-challenge/"), None);
        assert_eq!(challenges.file("/token"), None);
        drop(file);
        assert_eq!(challenges.file(path), None);

        let certificate = challenges.show_certificate("A.example", &[7; 32]);
        assert!(certificate.is_ok(), "{certificate:?}");
        assert!(challenges.has_certificates());
        drop(certificate);
        assert!(!challenges.has_certificates());
    }
}

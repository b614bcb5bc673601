//! Certificates for the tests of this module, made at run time with `openssl` and rcgen, and a handshake in
//! memory. A test fails without `openssl`: to skip would hide that nothing was tested.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConfig,
    ServerConnection, SignatureScheme, SupportedProtocolVersion,
};

use crate::config::Certificate;
use crate::tls::pem::PemFile;

/// A directory that is removed at the end of the test.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("noren-tls-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a new directory for the test");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), text).expect("the test's own directory can be written");
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).expect("a file made by the test")
    }

    /// Runs `openssl` in the directory, with arguments separated by spaces.
    pub(super) fn openssl(&self, arguments: &str) -> String {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .expect("this test needs the program openssl");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Makes a self-signed certificate in `NAME-cert.pem` and `NAME-key.pem`.
    pub(super) fn pair(
        &self,
        name: &str,
        names: &[&str],
        kind: &'static SignatureAlgorithm,
    ) -> Certificate {
        let key = KeyPair::generate_for(kind).expect("a new key");
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(names).expect("these are names");
        let certificate = params.self_signed(&key).expect("a new certificate");
        self.write(&format!("{name}-cert.pem"), certificate.pem());
        self.write(&format!("{name}-key.pem"), key.serialize_pem());
        self.files(&format!("{name}-cert.pem"), &format!("{name}-key.pem"))
    }

    pub(super) fn files(&self, certificate: &str, key: &str) -> Certificate {
        Certificate {
            certificate: self.0.join(certificate),
            key: self.0.join(key),
            names: Vec::new(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A client that trusts the certificates in these files and checks what browsers check.
pub(super) fn client(
    trusted: &[&Certificate],
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for files in trusted {
        let file =
            PemFile::read(&files.certificate, "certificate").expect("a file made by the test");
        for certificate in file.certificates().expect("a certificate made by the test") {
            roots.add(certificate).expect("a certificate to trust");
        }
    }
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client that accepts any certificate, but supports only these signature schemes.
pub(super) fn client_with_schemes(schemes: &[SignatureScheme]) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAny(schemes.to_vec())))
        .with_no_client_auth()
}

/// Performs a handshake in memory, and transfers the tickets that follow it.
pub(super) fn handshake(
    server: &Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<(ServerConnection, ClientConnection), rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).expect("a server name");
    let mut client = ClientConnection::new(Arc::clone(client), name)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).expect("writing into memory");
        }
        server
            .read_tls(&mut wire.as_slice())
            .expect("reading from memory");
        server.process_new_packets()?;
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).expect("writing into memory");
        }
        client
            .read_tls(&mut wire.as_slice())
            .expect("reading from memory");
        client.process_new_packets()?;
    }
    assert!(
        !client.is_handshaking() && !server.is_handshaking(),
        "the handshake is stuck"
    );
    Ok((server, client))
}

#[derive(Debug)]
struct TakesAny(Vec<SignatureScheme>);

impl ServerCertVerifier for TakesAny {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _issuers: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

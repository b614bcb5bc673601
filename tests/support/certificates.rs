//! Certificates made for one test: an authority that the clients trust, and leaves signed by it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

/// An authority with its file for clients (`ca.pem`) and the leaves it has signed.
pub(crate) struct Certificates {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    /// Makes the authority and writes `ca.pem` into the directory.
    pub(crate) fn new(directory: &Path) -> Self {
        let mut params = CertificateParams::new([]).expect("no names, so none is wrong");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Noren test authority");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        fs::write(directory.join("ca.pem"), issuer.pem()).expect("ca.pem written");
        Self { issuer }
    }

    /// Signs a certificate for these names and writes it as `<name>.pem` and `<name>.key`.
    pub(crate) fn sign(&self, directory: &Path, name: &str, names: &[&str]) {
        self.write(directory, name, server(names));
    }

    /// The same, of a certificate that is valid until this year begins.
    pub(crate) fn sign_until(&self, directory: &Path, name: &str, names: &[&str], year: i32) {
        let mut params = server(names);
        params.not_after = date_time_ymd(year, 1, 1);
        self.write(directory, name, params);
    }

    /// The same for a client.
    pub(crate) fn sign_client(&self, directory: &Path, name: &str) {
        let mut params = CertificateParams::new([]).expect("no names, so none is wrong");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.write(directory, name, params);
    }

    fn write(&self, directory: &Path, name: &str, mut params: CertificateParams) {
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let leaf = params
            .signed_by(&key, &self.issuer)
            .expect("a signed certificate");
        fs::write(directory.join(format!("{name}.pem")), leaf.pem())
            .expect("the certificate written");
        let file = directory.join(format!("{name}.key"));
        fs::write(&file, key.serialize_pem()).expect("the key written");
        // The door warns of keys that others can read.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("our own file");
    }
}

/// The certificate of a server with these names.
fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("names that are valid");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

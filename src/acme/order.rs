//! One order for one name, from the challenge to the file with key and certificate chain. Independent of when it
//! is due.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::task::spawn_blocking;

use super::account::make_storage;
use super::error::{AcmeError, explain, problem_text};
use crate::config::{Acme, Certificate, Challenge};
use crate::fs::draft;
use crate::tls::{Challenges, LoadedCertificate, PresentedProof};

/// Time limit for the authority to validate the name, and then again to issue the certificate.
const LIMIT: Duration = Duration::from_secs(120);

/// Orders a certificate and stores it.
pub(super) async fn order(
    account: &Account,
    acme: &Acme,
    name: &str,
    challenges: &Challenges,
) -> Result<(), AcmeError> {
    let explain = explain(&acme.directory);
    let patience = RetryPolicy::new().timeout(LIMIT);
    let names = [Identifier::Dns(name.to_owned())];
    let mut new = NewOrder::new(&names);
    if let Some(profile) = &acme.profile {
        new = new.profile(profile);
    }
    let mut order = account.new_order(&new).await.map_err(&explain)?;

    let shown = match show(&mut order, acme, challenges).await {
        // It may have looked before it answered that it will, and then says there what it has not seen. Where no
        // challenge has failed, the answer itself is what counts.
        Err(refused @ AcmeError::Refused(_)) => {
            let failed = failures(&mut order).await.unwrap_or_default();
            return Err(if failed.is_empty() {
                refused
            } else {
                not_seen(acme, &failed)
            });
        }
        shown => shown?,
    };
    let looked = order.poll_ready(&patience).await;
    drop(shown);
    match looked {
        Ok(OrderStatus::Ready) => {}
        Ok(_) => {
            let failed = failures(&mut order).await.map_err(&explain)?;
            return Err(not_seen(acme, &failed));
        }
        // Some say it with the order as well.
        Err(Error::Api(problem)) if order.state().status == OrderStatus::Invalid => {
            return Err(not_seen(acme, &[problem_text(&problem)]));
        }
        Err(error) => return Err(explain(error)),
    }

    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    let signed = order.finalize_csr(request.der()).await;
    signed.map_err(&explain)?;
    let chain = order.poll_certificate(&patience).await.map_err(&explain)?;

    let text = format!("{}{chain}", key.serialize_pem());
    let certificate = acme.certificate(name);
    spawn_blocking(move || store(&certificate, &text)).await?
}

/// Shows the proofs for all challenges of an order while the returned value lives.
async fn show(
    order: &mut Order,
    acme: &Acme,
    challenges: &Challenges,
) -> Result<Vec<PresentedProof>, AcmeError> {
    let explain = explain(&acme.directory);
    let kind = match acme.challenge {
        Challenge::TlsAlpn => ChallengeType::TlsAlpn01,
        Challenge::Http => ChallengeType::Http01,
    };
    let mut all = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(&explain)?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let offered = authorization.challenges.iter();
        let offered: Vec<String> = offered.map(|one| identifier_name(&one.r#type)).collect();
        let name = authorization.identifier().to_string();
        let Some(mut challenge) = authorization.challenge(kind.clone()) else {
            return Err(AcmeError::NotOffered {
                wanted: acme.challenge,
                offered: offered.join(", "),
            });
        };
        let proof = challenge.key_authorization();
        all.push(match acme.challenge {
            Challenge::TlsAlpn => challenges.show_certificate(&name, proof.digest().as_ref())?,
            Challenge::Http => challenges.show_file(&challenge.token, proof.as_str()),
        });
        challenge.set_ready().await.map_err(&explain)?;
    }
    Ok(all)
}

fn identifier_name(kind: &ChallengeType) -> String {
    match kind {
        ChallengeType::Http01 => "http-01".to_owned(),
        ChallengeType::Dns01 => "dns-01".to_owned(),
        ChallengeType::TlsAlpn01 => "tls-alpn-01".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Collects the authority's errors for the failed challenges.
async fn failures(order: &mut Order) -> Result<Vec<String>, Error> {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let state = authorization.refresh().await?;
        let failed = state.challenges.iter().filter_map(|one| one.error.as_ref());
        reasons.extend(failed.map(problem_text));
    }
    Ok(reasons)
}

fn not_seen(acme: &Acme, reasons: &[String]) -> AcmeError {
    AcmeError::NotSeen {
        challenge: acme.challenge,
        reason: if reasons.is_empty() {
            "it does not say why".to_owned()
        } else {
            reasons.join("; ")
        },
    }
}

/// Replaces key and certificate chain, if the new ones can be used.
fn store(certificate: &Certificate, text: &str) -> Result<(), AcmeError> {
    let path = &certificate.certificate;
    let failed = |source| AcmeError::File {
        path: path.clone(),
        source,
    };
    if let Some(directory) = path.parent() {
        make_storage(directory)?;
    }
    let draft = draft(path, text.as_bytes(), 0o600).map_err(failed)?;
    LoadedCertificate::load(&Certificate {
        certificate: draft.path().to_owned(),
        key: draft.path().to_owned(),
        names: Vec::new(),
    })?;
    draft.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

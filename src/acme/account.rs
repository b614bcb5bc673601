//! The account at an ACME authority: created once, kept in a file that only its owner can read. Independent of
//! orders.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD_INDIFFERENT;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use tokio::task::spawn_blocking;
use tracing::info;

use super::error::{AcmeError, explain};
use super::transport::Transport;
use crate::config::{Acme, ExternalKey};
use crate::fs::replace;
use crate::text::file::{LARGEST_SECRET, read_text};

/// Name of the account file in the directory of the authority.
const FILE: &str = "account.json";

/// Content of the account file.
#[derive(Serialize, Deserialize)]
struct AccountFile {
    /// Contact addresses registered with the authority.
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// Opens the existing account, or registers a new one.
pub(super) async fn open(acme: &Acme) -> Result<Account, AcmeError> {
    let path = acme.storage().join(FILE);
    let transport = {
        let acme = acme.clone();
        spawn_blocking(move || Transport::new(&acme)).await??
    };
    let builder = Account::builder_with_http(Box::new(transport));
    let explain = explain(&acme.directory);
    let read = {
        let path = path.clone();
        spawn_blocking(move || read(&path)).await??
    };
    let (account, kept) = if let Some(kept) = read {
        let credentials = copy(&kept.credentials, &path)?;
        let account = builder.from_credentials(credentials).await;
        let account = account.map_err(&explain)?;
        if kept.contact == acme.contact {
            return Ok(account);
        }
        let contact = contacts(acme);
        account.update_contacts(&contact).await.map_err(&explain)?;
        (account, kept.credentials)
    } else {
        let external = acme.external.as_ref().map(external_key).transpose()?;
        let new = NewAccount {
            contact: &contacts(acme),
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let made = builder.create(&new, acme.directory.clone(), external.as_ref());
        let (account, credentials) = made.await.map_err(&explain)?;
        info!(
            directory = acme.directory,
            account = account.id(),
            "account made"
        );
        (account, credentials)
    };
    let kept = AccountFile {
        contact: acme.contact.clone(),
        credentials: kept,
    };
    spawn_blocking(move || write(&path, &kept)).await??;
    Ok(account)
}

/// Deletes the file of an account that the authority does not know any more.
pub(super) async fn forget(acme: &Acme) -> Result<(), AcmeError> {
    let path = acme.storage().join(FILE);
    let removed = spawn_blocking(move || fs::remove_file(&path).map_err(|source| (path, source)));
    removed
        .await?
        .map_err(|(path, source)| AcmeError::File { path, source })
}

fn contacts(acme: &Acme) -> Vec<&str> {
    acme.contact.iter().map(String::as_str).collect()
}

fn read(path: &Path) -> Result<Option<AccountFile>, AcmeError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            let path = path.to_owned();
            return Err(AcmeError::File { path, source });
        }
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| damaged(path, &error))
}

fn write(path: &Path, kept: &AccountFile) -> Result<(), AcmeError> {
    let text = serde_json::to_vec_pretty(kept).map_err(|error| damaged(path, &error))?;
    if let Some(directory) = path.parent() {
        make_storage(directory)?;
    }
    replace(path, &text, 0o600).map_err(|source| AcmeError::File {
        path: path.to_owned(),
        source,
    })
}

/// Creates the directory of an authority.
pub(super) fn make_storage(directory: &Path) -> Result<(), AcmeError> {
    fs::create_dir_all(directory).map_err(|source| AcmeError::File {
        path: directory.to_owned(),
        source,
    })
}

/// Copies the credentials, because the library consumes them and does not give them back.
fn copy(credentials: &AccountCredentials, path: &Path) -> Result<AccountCredentials, AcmeError> {
    serde_json::to_value(credentials)
        .and_then(serde_json::from_value)
        .map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &serde_json::Error) -> AcmeError {
    AcmeError::Account {
        path: path.to_owned(),
        reason: format!("line {}: {}", error.line(), words(error)),
    }
}

/// Describes a JSON error in general terms: the library's own text quotes the invalid value, which may be the key.
fn words(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        Category::Data => "this is not what an account has",
        Category::Eof => "it has no end",
        Category::Io | Category::Syntax => "it is not JSON",
    }
}

fn external_key(key: &ExternalKey) -> Result<ExternalAccountKey, AcmeError> {
    let unfit = |reason: String| AcmeError::ExternalKey {
        file: key.file.clone(),
        reason,
    };
    let text =
        read_text(&key.file.path(), LARGEST_SECRET).map_err(|error| unfit(error.to_string()))?;
    let bytes = URL_SAFE_NO_PAD_INDIFFERENT
        .decode(text.trim())
        .map_err(|_| unfit("it is not base64url".to_owned()))?;
    Ok(ExternalAccountKey::new(key.id.clone(), &bytes))
}

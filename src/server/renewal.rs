//! Certificate renewal: reloads certificates when their files change, because programs that renew them only write the
//! files.
//!
//! Checks the files every few seconds instead of using file notifications: the files may be behind symbolic links, on a
//! network, or in a directory that is replaced as a whole, and a check takes two system calls per file.

use std::time::Duration;

use tracing::{error, info, warn};

use crate::acme::Renewer;
use crate::server::Handle;
use crate::shutdown::Shutdown;
use crate::tls::TlsError;

/// Interval of checking whether a reload has enabled watching.
const OFF: Duration = Duration::from_secs(5);

/// Checks the files until the server stops.
pub(super) async fn watch(handle: Handle, shutdown: Shutdown) {
    let watching = async {
        let mut logged = None;
        loop {
            let every = handle.look_every();
            tokio::time::sleep(every.unwrap_or(OFF)).await;
            if every.is_some() {
                check_files(&handle, &mut logged).await;
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = shutdown.requested() => {}
    }
}

/// Gets the configured certificates from an ACME authority until the server stops.
pub(super) async fn keep(acme: Renewer, handle: Handle, shutdown: Shutdown) {
    let own = handle.clone();
    let keeping = acme.keep(
        move || own.acme(),
        move || log_outcome(handle.renew(), &mut None),
    );
    tokio::select! {
        () = keeping => {}
        () = shutdown.requested() => {}
    }
}

/// Checks the files once. A fault is logged once, no matter how often it is found: two files are rarely written at the
/// same moment, and a failed renewal may last for hours.
async fn check_files(handle: &Handle, logged: &mut Option<String>) {
    let own = handle.clone();
    let looked = tokio::task::spawn_blocking(move || own.renew()).await;
    match looked {
        Ok(renewed) => log_outcome(renewed, logged),
        Err(fault) => error!(%fault, "the certificate files could not be checked"),
    }
}

fn log_outcome(renewed: Result<bool, TlsError>, logged: &mut Option<String>) {
    match renewed {
        Ok(false) => {}
        Ok(true) => {
            info!("the files of the certificates have changed; new connections get the new ones");
            *logged = None;
        }
        Err(fault) => {
            let reason = fault.to_string();
            if logged.as_ref() != Some(&reason) {
                warn!(
                    %reason,
                    "the files of the certificates have changed and cannot be used yet; the old ones stay in use",
                );
                *logged = Some(reason);
            }
        }
    }
}

//! Certificates are taken into use when their files change: programs that renew them write files and know no
//! door. Looks at the files every few seconds rather than having the kernel tell: they may lie behind symbolic
//! links, on a network, or in a directory that is replaced whole, and a look is two system calls a file.

use std::time::Duration;

use tracing::{error, info, warn};

use crate::acme::Keeper;
use crate::server::Handle;
use crate::shutdown::Shutdown;
use crate::tls::TlsError;

/// How often to look whether watching was switched on by a reload.
const OFF: Duration = Duration::from_secs(5);

/// Looks until the server stops.
pub(super) async fn watch(handle: Handle, shutdown: Shutdown) {
    let watching = async {
        let mut told = None;
        loop {
            let every = handle.look_every();
            tokio::time::sleep(every.unwrap_or(OFF)).await;
            if every.is_some() {
                look(&handle, &mut told).await;
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = shutdown.requested() => {}
    }
}

/// Has an authority give the certificates that are wanted, until the server stops.
pub(super) async fn keep(acme: Keeper, handle: Handle, shutdown: Shutdown) {
    let own = handle.clone();
    let keeping = acme.keep(move || own.acme(), move || tell(handle.renew(), &mut None));
    tokio::select! {
        () = keeping => {}
        () = shutdown.requested() => {}
    }
}

/// Tells a fault once, however often it is found: two files are rarely written in one moment, and a renewal that
/// failed stays so for hours.
async fn look(handle: &Handle, told: &mut Option<String>) {
    let own = handle.clone();
    let looked = tokio::task::spawn_blocking(move || own.renew()).await;
    match looked {
        Ok(renewed) => tell(renewed, told),
        Err(fault) => error!(%fault, "the certificates could not be looked at"),
    }
}

fn tell(renewed: Result<bool, TlsError>, told: &mut Option<String>) {
    match renewed {
        Ok(false) => {}
        Ok(true) => {
            info!("the files of the certificates have changed; new connections get the new ones");
            *told = None;
        }
        Err(fault) => {
            let reason = fault.to_string();
            if told.as_ref() != Some(&reason) {
                warn!(%reason, "the files of the certificates have changed and cannot be used yet; the old ones stay in use");
                *told = Some(reason);
            }
        }
    }
}

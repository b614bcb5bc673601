//! `noren demo`: everything that Noren needs behind it, in the same process: a blocking web app with a push server
//! like Wok's, a queue of jobs and a chat, a console, and a page that shows them.
//!
//! All of it is plain blocking code on threads of its own, with UNIX sockets in a private directory, because that
//! is what Noren is made for. It knows the server only by the configuration text that it generates. The page is in
//! `page/`.

mod app;
mod calendar;
mod channels;
mod console;
mod directory;
mod jobs;
mod journal;
mod json;
mod push;
mod sessions;
mod state;
#[cfg(test)]
mod tests;
mod threads;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use directory::Directory;
use state::AppState;
use threads::Threads;

/// Names of the sockets. Pages also use those of the push server and the console.
const APP: &str = "app";
const PUSH: &str = "woknotifications";
const CONSOLE: &str = "console";
/// Sockets that the server creates: for messages of the app about jobs, and for programs of this machine.
const JOBS: &str = "jobs";
const ADMIN: &str = "admin";

/// Time limit for the threads to end. They are woken, so they need milliseconds.
const END: Duration = Duration::from_secs(1);

/// The running parts of the demo. Dropping it stops them and removes their directory.
pub(crate) struct Services {
    threads: Threads,
    // Goes when this is dropped, after `drop` below has closed its sockets.
    directory: Directory,
}

impl Services {
    /// Creates the directory and starts all parts; on a failure everything is undone.
    pub(crate) fn start() -> io::Result<Services> {
        let threads = Threads::new();
        let services = Services {
            directory: Directory::create()?,
            threads: threads.clone(),
        };
        let state = Arc::new(AppState::new(threads.clone()));
        let path = |name| services.directory.path(name);
        app::serve(&state, &path(APP))?;
        state.push.serve(&threads, &path(PUSH))?;
        console::serve(&state, &path(CONSOLE))?;
        state.start_clock()?;
        state.channels.lead_to(path(JOBS));
        services.directory.announce(CONSOLE)?;
        Ok(services)
    }

    /// The configuration of a server that listens on `address` in front of the demo.
    pub(crate) fn config(&self, address: &str) -> String {
        let quote = |path: std::path::PathBuf| json::quote(&path.to_string_lossy());
        let unix = |name| json::quote(&format!("unix:{}", self.directory.path(name).display()));
        format!(
            include_str!("demo.toml"),
            address = json::quote(address),
            app = unix(APP),
            workers = app::WORKERS - app::ASKED,
            asked = app::ASKED,
            tokens = quote(self.directory.tokens()),
            push = unix(PUSH),
            jobs = unix(JOBS),
            admin = quote(self.directory.path(ADMIN)),
        )
    }

    /// Path of the server's admin socket.
    pub(crate) fn admin(&self) -> std::path::PathBuf {
        self.directory.path(ADMIN)
    }

    /// Stops all parts and removes the directory; takes at most a second.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        for thread in self.threads.stop(END) {
            tracing::warn!(thread, "demo thread did not end in time");
        }
    }
}

/// The welcome text with commands to try and, as its last line, the URL to open, for a terminal of 80 columns.
/// `address` is the server's address, `admin` its admin socket, `program` this program.
pub(crate) fn banner(address: SocketAddr, admin: &Path, program: &Path) -> String {
    let url = if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("https://localhost:{}", address.port())
    } else {
        format!("https://{address}")
    };
    format!(
        include_str!("banner.txt"),
        url = url,
        admin = admin.display(),
        program = program.display(),
        door = url.trim_start_matches("https://"),
    )
}

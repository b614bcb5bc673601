//! `noren demo`: everything the door needs behind it, in the same process: a blocking web app with a push server like
//! Wok's, a queue of jobs and a chat, a console, and a page that shows them.
//!
//! All of it is plain blocking code on threads of its own and UNIX sockets in a private directory,
//! for that is what Noren is made for. It knows the door only as text: the configuration it asks
//! the door to run with. The page is in `page/`.

mod app;
mod calendar;
mod channels;
mod console;
mod crew;
mod directory;
mod house;
mod json;
mod push;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crew::Crew;
use directory::Directory;
use house::House;

/// The names of the sockets. Of the push server and the console they are also what pages name them by.
const APP: &str = "app";
const PUSH: &str = "woknotifications";
const CONSOLE: &str = "console";
/// These two the door makes: where the app says how its jobs go, and where this machine's programs come in.
const JOBS: &str = "jobs";
const ADMIN: &str = "admin";

/// Threads have this long to end. They are woken, so they need milliseconds.
const END: Duration = Duration::from_secs(1);

/// The parts behind the door, running. Dropping it stops them and removes their directory.
pub(crate) struct Backstage {
    crew: Crew,
    // Goes when this is dropped, after `drop` below has closed its sockets.
    directory: Directory,
}

impl Backstage {
    /// Makes the directory and starts every part. What fails is undone.
    pub(crate) fn start() -> io::Result<Backstage> {
        let crew = Crew::new();
        let backstage = Backstage {
            directory: Directory::create()?,
            crew: crew.clone(),
        };
        let house = Arc::new(House::new(crew.clone()));
        let path = |name| backstage.directory.path(name);
        app::serve(&house, &path(APP))?;
        house.push.serve(&crew, &path(PUSH))?;
        console::serve(&house, &path(CONSOLE))?;
        house.start_clock()?;
        house.channels.lead_to(path(JOBS));
        backstage.directory.announce(CONSOLE)?;
        Ok(backstage)
    }

    /// The configuration that puts a door listening on `address` in front of this.
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

    /// Where the door makes its admin socket.
    pub(crate) fn admin(&self) -> std::path::PathBuf {
        self.directory.path(ADMIN)
    }

    /// Stops every part and removes the directory; takes a second at most.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Backstage {
    fn drop(&mut self) {
        for thread in self.crew.stop(END) {
            tracing::warn!(thread, "demo thread did not end in time");
        }
    }
}

/// What to open and what to try, for a terminal of 80 columns. `address` is where the door listens, `admin` its admin
/// socket, `program` this program.
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
        token = directory::token(PUSH),
    )
}

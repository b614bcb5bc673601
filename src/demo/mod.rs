//! `noren demo`: everything the door needs behind it, in the same process: a blocking web app, a
//! push server like Wok's, a console, and a page that shows them.
//!
//! All of it is plain blocking code on threads of its own and UNIX sockets in a private directory,
//! for that is what Noren is made for. It knows the door only as text: the configuration it asks
//! the door to run with. The page is in `page/`.

mod app;
mod calendar;
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
use std::sync::Arc;
use std::time::Duration;

use crew::Crew;
use directory::Directory;
use house::House;

/// The names of the sockets, and of the token files for the two the bridge may reach.
const APP: &str = "app";
const PUSH: &str = "woknotifications";
const CONSOLE: &str = "console";

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
        for name in [PUSH, CONSOLE] {
            backstage.directory.announce(name)?;
        }
        Ok(backstage)
    }

    /// The configuration that puts a door listening on `address` in front of this.
    pub(crate) fn config(&self, address: &str) -> String {
        let quote = |path: std::path::PathBuf| json::quote(&path.to_string_lossy());
        format!(
            r#"[[listener]]
address = {address}

# A browser keeps this header for a host name on every port. On localhost it would lock people out
# of their other, plain servers there.
[headers]
strict-transport-security = ""

[[app]]
name = "demo"
url = {app}
workers = {workers}

[[bridge.tokens]]
source = "directory"
path = {tokens}

[bridge.boundaries]
{push} = {marker}
"#,
            address = json::quote(address),
            app = json::quote(&format!("unix:{}", self.directory.path(APP).display())),
            workers = app::WORKERS,
            tokens = quote(self.directory.tokens()),
            push = PUSH,
            marker = json::quote(push::END_OF_MESSAGE),
        )
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

/// What to open and what to try, for a terminal of 80 columns. `address` is where the door listens.
pub(crate) fn banner(address: SocketAddr) -> String {
    let url = if address.ip().is_unspecified() || address.ip().is_loopback() {
        format!("https://localhost:{}", address.port())
    } else {
        format!("https://{address}")
    };
    let token = directory::token(PUSH);
    format!(
        r#"
  Noren demo    {url}
  Log in        any name, password: demo
  Close         Ctrl-C

  The certificate is self-signed; a browser asks once whether you mean it.
  With curl, in another terminal and in this directory:

  U={url}
  door() {{ curl -s --cacert certs/noren-cert.pem -b .jar -c .jar "$@"; echo; }}

  door $U/login -d '{{"username":"ann","password":"demo"}}'
  door $U/headers                 what the app sees behind the door
  door $U/jobs -d ''              a job, its progress is pushed
  door $U/logs                    who did what, from where
  door --http2 -I $U/style.css    HTTP/2 outside, HTTP/1.1 inside

  The notifications as raw WebSocket frames, and the way to the console:

  door -N --http1.1 -H Connection:Upgrade -H Upgrade:websocket \
    -H Sec-WebSocket-Version:13 -H Sec-WebSocket-Key:bm9yZW4gc2F5cyBoZWxsbw== \
    "$U/websockify?token={token}" | cat -v
  noren token console
"#
    )
}

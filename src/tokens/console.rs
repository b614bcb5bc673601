//! The guest of a console, derived from its name and its socket.
//!
//! A token is a name, and Kimchi makes two of each guest: its display has the name of the guest, and its serial console
//! has `-console` behind it. So `web-console` is the serial console of `web`, or the display of a guest called
//! `web-console`. Their sockets differ: Kimchi's serial console of `web` is a UNIX socket called `web`, and a display
//! is a port. Does not check permissions.

use std::ffi::OsStr;

use super::Target;
use crate::config::Endpoint;

/// Suffix of the name of a serial console.
const SERIAL: &str = "-console";

/// A console of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Console {
    /// The complete name in the token.
    pub name: Box<str>,
    /// Name of the guest.
    pub guest: Box<str>,
    /// Kind of the console.
    pub kind: ConsoleKind,
}

/// A kind of console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsoleKind {
    /// A display: VNC, SPICE, or anything else under the guest's own name.
    Graphical,
    /// The serial console.
    Serial,
}

impl ConsoleKind {
    /// The name of the kind in queries to the app.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Graphical => "graphical",
            Self::Serial => "serial",
        }
    }
}

impl Target {
    /// Determines the console; `None` if name and socket do not decide between two guests.
    #[must_use]
    pub(crate) fn console(&self) -> Option<Console> {
        match &self.server {
            // The name is the server's, and no guest has it in another form.
            Some(server) => Some(Console {
                name: self.name.as_str().into(),
                guest: self.name.as_str().into(),
                kind: server.kind(&self.endpoint),
            }),
            None => console(&self.name, &self.endpoint),
        }
    }
}

fn console(name: &str, endpoint: &Endpoint) -> Option<Console> {
    let of = |guest: &str, kind| {
        Some(Console {
            name: name.into(),
            guest: guest.into(),
            kind,
        })
    };
    let (Some(guest), Endpoint::Unix(path)) = (name.strip_suffix(SERIAL), endpoint) else {
        return of(name, ConsoleKind::Graphical);
    };
    match path.file_name() {
        Some(file) if file == OsStr::new(name) => of(name, ConsoleKind::Graphical),
        Some(file) if file == OsStr::new(guest) => of(guest, ConsoleKind::Serial),
        // The app cannot decide between them: whether it knows a guest, it may not tell everybody.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_its_guests_by_name_and_socket() {
        for (name, endpoint, expected) in [
            ("web", "localhost:5901", "web graphical"),
            ("web", "unix:/run/web", "web graphical"),
            ("web-console", "localhost:5901", "web-console graphical"),
            ("web-console", "unix:/run/web", "web serial"),
            (
                "web-console",
                "unix:/run/web-console",
                "web-console graphical",
            ),
            (
                "web-console-console",
                "unix:/run/web-console",
                "web-console serial",
            ),
            (
                "caf\u{e9}-console",
                "unix:/run/caf\u{e9}",
                "caf\u{e9} serial",
            ),
        ] {
            let endpoint = Endpoint::parse(endpoint).expect("an address");
            let found = console(name, &endpoint).expect("one console");
            assert_eq!(&*found.name, name);
            let found = format!("{} {}", found.guest, found.kind.as_str());
            assert_eq!(found, expected, "{name} {endpoint}");
        }
        for name in ["web-console", "-console"] {
            let endpoint = Endpoint::parse("unix:/run/echo").expect("an address");
            assert_eq!(console(name, &endpoint), None, "{name}");
        }
    }
}

//! The guest that a console belongs to, as far as its name and its socket tell.
//!
//! A token is a name, and Kimchi makes two of each guest: that of its display, which is the guest's, and that of its
//! serial console with `-console` behind it. So `web-console` is the serial console of `web`, or the display of a guest
//! that somebody has called `web-console`. Their sockets differ: Kimchi's serial console of `web` is a UNIX socket
//! called `web`, and a display is a port. Must not know who may have which.

use std::ffi::OsStr;

use super::Target;
use crate::config::Endpoint;

/// The end of the name of a serial console.
const SERIAL: &str = "-console";

/// A console, as its guest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// The name in the token, all of it.
    pub name: Box<str>,
    /// Whose it is.
    pub guest: Box<str>,
    /// Which one of the guest's it is.
    pub kind: ConsoleKind,
}

/// A kind of console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleKind {
    /// A display: VNC, SPICE, or whatever a guest has under its own name.
    Graphical,
    /// The serial console.
    Serial,
}

impl ConsoleKind {
    /// As the app is told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Graphical => "graphical",
            Self::Serial => "serial",
        }
    }
}

impl Target {
    /// The consoles that this may be: one, unless neither its name nor its socket tells which.
    #[must_use]
    pub fn claims(&self) -> Vec<Console> {
        claims(&self.name, &self.endpoint)
    }
}

fn claims(name: &str, endpoint: &Endpoint) -> Vec<Console> {
    let console = |guest: &str, kind| Console {
        name: name.into(),
        guest: guest.into(),
        kind,
    };
    let graphical = console(name, ConsoleKind::Graphical);
    let (Some(guest), Endpoint::Unix(path)) = (name.strip_suffix(SERIAL), endpoint) else {
        return vec![graphical];
    };
    let serial = console(guest, ConsoleKind::Serial);
    match path.file_name() {
        Some(file) if file == OsStr::new(name) => vec![graphical],
        Some(file) if file == OsStr::new(guest) => vec![serial],
        _ => vec![serial, graphical],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_its_guests_by_name_and_socket() {
        for (name, endpoint, expected) in [
            ("web", "localhost:5901", &["web graphical"][..]),
            ("web", "unix:/run/web", &["web graphical"]),
            ("web-console", "localhost:5901", &["web-console graphical"]),
            ("web-console", "unix:/run/web", &["web serial"]),
            (
                "web-console",
                "unix:/run/web-console",
                &["web-console graphical"],
            ),
            (
                "web-console-console",
                "unix:/run/web-console",
                &["web-console serial"],
            ),
            (
                "web-console",
                "unix:/run/echo",
                &["web serial", "web-console graphical"],
            ),
            (
                "caf\u{e9}-console",
                "unix:/run/caf\u{e9}",
                &["caf\u{e9} serial"],
            ),
        ] {
            let endpoint = Endpoint::parse(endpoint).expect("an address");
            let found: Vec<_> = claims(name, &endpoint)
                .iter()
                .map(|console| {
                    assert_eq!(&*console.name, name);
                    format!("{} {}", console.guest, console.kind.as_str())
                })
                .collect();
            assert_eq!(found, expected, "{name} {endpoint}");
        }
    }
}

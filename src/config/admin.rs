//! `[admin]`: the socket on which the programs of this machine speak with Noren, and the address on which it
//! can be watched. Opens nothing.

use std::path::PathBuf;

use super::address::port_alone;
use super::listener::{ListenAddress, parse_mode};
use super::path_prefix::PathPrefix;
use super::reader::Table;
use super::value;

/// The `[admin]` table.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// `socket`: the path of the socket. Default none: there is no admin socket.
    pub socket: Option<PathBuf>,
    /// `mode`: its permission bits. Default `0o660`, owner and group.
    pub mode: u32,
    /// `address`: `host:port` for metrics and health only. Default none. Anybody who can connect to it can read
    /// them.
    pub address: Option<String>,
    /// `page`: the path of the admin page on the public listeners. Default none: there is no page.
    pub page: Option<PathPrefix>,
    /// `users`: the users who may see the page, by the name that the session gives.
    pub users: Vec<String>,
    /// `recordings`: permits them to see and play the recordings of consoles, with everything that was typed. Default
    /// `false`: the right to see the status does not include the right to see recordings.
    pub recordings: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            socket: None,
            mode: 0o660,
            address: None,
            page: None,
            users: Vec::new(),
            recordings: false,
        }
    }
}

impl Admin {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            socket: table.text("socket", default.socket, |text| value::path(text).map(Some)),
            mode: table.text("mode", default.mode, parse_mode),
            address: table.text("address", default.address, |text| tcp(text).map(Some)),
            page: table.text("page", default.page, |text| {
                PathPrefix::parse(text).map(Some)
            }),
            users: table.list("users", default.users, value::not_empty),
            recordings: table.flag("recordings", default.recordings),
        }
    }
}

/// An address of the network: what a UNIX socket can do, `socket` can do better. A port alone is one of this machine,
/// because metrics are not for everybody.
pub(super) fn tcp(text: &str) -> Result<String, String> {
    if let Some(port) = port_alone(text) {
        return Ok(format!("127.0.0.1:{port}"));
    }
    match ListenAddress::parse(text)? {
        ListenAddress::Tcp(address) => Ok(address),
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) => Err(format!(
            r#""{text}" is no network address; write "127.0.0.1:9100", or use the key `socket`"#
        )),
    }
}

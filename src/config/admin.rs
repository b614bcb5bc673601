//! `[admin]`: the socket on which the programs of this machine speak with Noren, and the address on which it
//! can be watched. Opens nothing.

use std::path::PathBuf;

use super::listener::{ListenAddress, parse_mode};
use super::reader::Table;
use super::value;

/// `[admin]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// `socket`: where. Default none: there is no admin socket.
    pub socket: Option<PathBuf>,
    /// `mode`: its permission bits. Default `0o660`, owner and group.
    pub mode: u32,
    /// `address`: `host:port` for metrics and health only. Default none. Anybody who can connect to it can read
    /// them.
    pub address: Option<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            socket: None,
            mode: 0o660,
            address: None,
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
        }
    }
}

/// An address of the network: what a UNIX socket can do, `socket` can do better.
fn tcp(text: &str) -> Result<String, String> {
    match ListenAddress::parse(text)? {
        ListenAddress::Tcp(address) => Ok(address),
        ListenAddress::Unix(_) | ListenAddress::Systemd(_) => Err(format!(
            r#""{text}" is no network address; write "127.0.0.1:9100", or use the key `socket`"#
        )),
    }
}

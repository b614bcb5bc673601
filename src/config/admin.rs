//! `[admin]`: the socket on which the programs of this machine speak with Noren. Opens nothing.

use std::path::PathBuf;

use super::listener::parse_mode;
use super::reader::Table;
use super::value;

/// `[admin]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Admin {
    /// `socket`: where. Default none: there is no admin socket.
    pub socket: Option<PathBuf>,
    /// `mode`: its permission bits. Default `0o660`, owner and group.
    pub mode: u32,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            socket: None,
            mode: 0o660,
        }
    }
}

impl Admin {
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let default = Self::default();
        Self {
            socket: table.text("socket", default.socket, |text| value::path(text).map(Some)),
            mode: table.text("mode", default.mode, parse_mode),
        }
    }
}

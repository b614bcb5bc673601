//! `noren token`: the token of a name, as Wok's and Kimchi's pages compute it.

use clap::Args;

use crate::cli::print;

/// The arguments of `noren token`.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// The name of a socket, of a token file, or of a virtual machine
    #[arg(value_name = "NAME")]
    name: String,
    /// The address of the door, for the URL
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8001")]
    address: String,
}

impl Token {
    pub(super) fn run(self) -> anyhow::Result<()> {
        anyhow::ensure!(!self.name.is_empty(), "an empty name has no token");
        let token = noren::encode_token(&self.name);
        let address = self.address;
        print(&format!(
            "{token}\nwss://{address}/websockify?token={token}\n"
        ))
    }
}

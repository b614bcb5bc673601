//! `noren token`: the token of a name, as Wok's and Kimchi's pages compute it, or a signed link to it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use noren::config::parse_duration;
use noren::{Config, LinkOrder};

use crate::cli::{Failure, file_or_default, print};

/// The arguments of `noren token`.
#[derive(Debug, Args)]
pub(super) struct Token {
    /// The name of a socket, of a token file, or of a virtual machine
    #[arg(value_name = "NAME")]
    name: String,
    /// Sign a link with the key that [bridge.signed] in the configuration names
    #[arg(long)]
    sign: bool,
    /// How long the link is good, such as 30s, 5m or 1h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration, requires = "sign")]
    expires: Duration,
    /// The link opens once
    #[arg(long, requires = "sign")]
    single_use: bool,
    /// The client's address, or network such as 192.0.2.0/24, that the link is for
    #[arg(long, value_name = "IP", value_parser = address, requires = "sign")]
    address: Option<String>,
    /// The configuration file with the key [default: /etc/noren/noren.toml]
    #[arg(long, value_name = "FILE", requires = "sign")]
    config: Option<PathBuf>,
    /// The public host and port of the door, for the URL
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8001")]
    door: String,
}

impl Token {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.name.is_empty() {
            return Err(anyhow::anyhow!("an empty name has no token").into());
        }
        let (token, path) = if self.sign {
            let config =
                Config::load(&file_or_default(self.config)).map_err(Failure::configuration)?;
            let order = LinkOrder {
                name: &self.name,
                expires: self.expires,
                single_use: self.single_use,
                address: self.address,
            };
            let signed = noren::sign_link(&config.bridge.signed, &order);
            let path = config.bridge.paths.into_iter().next().unwrap_or_default();
            (signed.map_err(Failure::configuration)?, path)
        } else {
            (noren::encode_token(&self.name), "/websockify".to_owned())
        };
        let door = self.door;
        let text = format!("{token}\nwss://{door}{path}?token={token}\n");
        print(&text).map_err(Failure::Other)
    }
}

/// An address or a network, checked so that a slip does not make a link that nobody can use.
fn address(text: &str) -> Result<String, String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, bits.parse().ok()),
        None => (text, Some(0)),
    };
    let address: Option<std::net::IpAddr> = address.parse().ok();
    let longest = if address.is_some_and(|address| address.is_ipv6()) {
        128
    } else {
        32
    };
    match (address, bits) {
        (Some(_), Some(0..=128_u8)) if bits <= Some(longest) => Ok(text.to_owned()),
        _ => Err(
            "write an address such as 192.0.2.1 or 2001:db8::1, or a network such as 192.0.2.0/24"
                .to_owned(),
        ),
    }
}

//! `noren token`: prints the token of a name, as Wok's and Kimchi's pages compute it, a signed link to a console, or a
//! token for channels.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use noren::config::parse_duration;
use noren::{ChannelOrder, Config, LinkOrder};

use crate::cli::{Failure, file_or_default, print};

/// The arguments of `noren token`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("signed").args(["sign", "subscribe", "publish"]).multiple(true))]
pub(super) struct Token {
    /// The name of a socket, of a token file, or of a virtual machine
    #[arg(value_name = "NAME", required_unless_present_any = ["subscribe", "publish"])]
    name: Option<String>,
    /// Sign a link with the key that [bridge.signed] in the configuration names
    #[arg(long)]
    sign: bool,
    /// Sign a token to subscribe to this channel, or pattern, or * for all, with the key that [hub.tokens] names
    #[arg(long, value_name = "CHANNEL", conflicts_with_all = ["name", "sign"])]
    subscribe: Vec<String>,
    /// Sign a token to publish on it
    #[arg(long, value_name = "CHANNEL", conflicts_with_all = ["name", "sign"])]
    publish: Vec<String>,
    /// The user name in a token for channels, as presence and the audit show it
    #[arg(long, value_name = "USER", conflicts_with = "name")]
    subject: Option<String>,
    /// Lifetime of the link or the token, such as 30s, 5m or 1h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration, requires = "signed")]
    expires: Duration,
    /// The link opens once
    #[arg(long, requires = "sign")]
    single_use: bool,
    /// The link permits viewing only: no key and no click reaches the console (VNC)
    #[arg(long, requires = "sign")]
    view_only: bool,
    /// The address of the client, or a network such as 192.0.2.0/24, that the link is valid for
    #[arg(long, value_name = "IP", value_parser = address, requires = "sign")]
    address: Option<String>,
    /// The configuration file with the key [default: /etc/noren/noren.toml]
    #[arg(long, value_name = "FILE", requires = "signed")]
    config: Option<PathBuf>,
    /// The public host and port of this server, for the URL
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:8001")]
    door: String,
}

impl Token {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Some(name) = self.name.as_deref() else {
            return self.for_channels();
        };
        if name.is_empty() {
            return Err(anyhow::anyhow!("an empty name has no token").into());
        }
        let (token, path) = if self.sign {
            let config =
                Config::load(&file_or_default(self.config)).map_err(Failure::configuration)?;
            let order = LinkOrder {
                name,
                expires: self.expires,
                single_use: self.single_use,
                view_only: self.view_only,
                address: self.address,
            };
            let signed = noren::sign_link(&config.bridge.signed, &order);
            let path = config.bridge.paths.into_iter().next().unwrap_or_default();
            (signed.map_err(Failure::configuration)?, path)
        } else {
            (noren::encode_token(name), "/websockify".to_owned())
        };
        let door = self.door;
        let text = format!("{token}\nwss://{door}{path}?token={token}\n");
        print(&text).map_err(Failure::Other)
    }

    /// Prints a token for channels, and the URL of the first channel that it is for and that has one.
    fn for_channels(self) -> Result<(), Failure> {
        let config = Config::load(&file_or_default(self.config)).map_err(Failure::configuration)?;
        let mut topics = self.subscribe.iter().chain(&self.publish);
        let channel = topics.find(|topic| !topic.contains(['*', '{'])).cloned();
        let order = ChannelOrder {
            subscribe: self.subscribe,
            publish: self.publish,
            subject: self.subject,
            expires: self.expires,
        };
        let token = noren::sign_channel_token(&config.hub.tokens, order);
        let token = token.map_err(Failure::configuration)?;
        let mut text = format!("{token}\n");
        if let Some(channel) = channel {
            let (door, path) = (self.door, config.hub.path);
            let _ = writeln!(text, "https://{door}{path}/{channel}?access_token={token}");
        }
        print(&text).map_err(Failure::Other)
    }
}

/// Parses an address or a network, so that a typing error does not produce a useless link.
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

//! Writes the file for Noren: the same routes, with sockets, certificates and files of the comparison.

use std::process::Command;

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::super::writer::CLOSED;
use super::process::Running;
use super::{Listener, TrialDirectory, address};

/// The file, and the listeners of Noren with it.
#[derive(Debug)]
pub(super) struct NorenFile {
    text: String,
    listeners: Vec<Listener>,
}

impl NorenFile {
    /// Derives the configuration of the comparison from the imported one, which is valid.
    pub(super) fn of(made: &str, trial: &mut TrialDirectory) -> Result<Self> {
        let mut file: Table = made.parse().context("read the result of the import")?;
        let path = |name: &str| Value::from(trial.path(name).display().to_string());
        let (certificate, key, users) = (path("certificate.pem"), path("key.pem"), path("users"));
        // Consoles and channels are no routes of nginx, and need what is not here.
        for table in ["acme", "admin", "bridge", "channel", "hub", "session"] {
            file.remove(table);
        }
        let listeners = listeners(&mut file, trial, &certificate);
        let pair = [
            ("certificate".to_owned(), certificate),
            ("key".to_owned(), key),
        ]
        .into_iter()
        .collect::<Table>();
        let tls = file
            .entry("tls")
            .or_insert_with(|| Value::Table(Table::new()));
        if let Some(tls) = tls.as_table_mut() {
            tls.insert(
                "certificate".to_owned(),
                Value::Array(vec![Value::Table(pair)]),
            );
        }
        for app in tables(&mut file, "app") {
            self::app(app, trial, &users);
        }
        let quiet = [
            ("level".to_owned(), Value::from("warn")),
            ("access".to_owned(), Value::from(false)),
        ]
        .into_iter()
        .collect::<Table>();
        file.insert("log".to_owned(), Value::Table(quiet));
        Ok(Self {
            text: file.to_string(),
            listeners,
        })
    }

    /// Returns the listener that corresponds to this address of nginx.
    pub(super) fn beside(&self, theirs: &Listener) -> Option<&Listener> {
        let port = |one: &Listener| {
            let port = one
                .address
                .rsplit_once(':')
                .map(|(_, port)| port.to_owned());
            port.filter(|_| !one.address.starts_with("unix:"))
        };
        let same = self
            .listeners
            .iter()
            .find(|one| one.address == theirs.address);
        let wide = |one: &&Listener| {
            let is_wide = ["[::]:", "0.0.0.0:"]
                .iter()
                .any(|wide| one.address.starts_with(wide));
            is_wide && port(theirs).is_some() && port(one) == port(theirs)
        };
        same.or_else(|| self.listeners.iter().find(wide))
    }

    pub(super) fn start(&self, trial: &TrialDirectory) -> Result<Running> {
        let file = trial.path("noren.toml");
        std::fs::write(&file, &self.text).context("write the file for Noren")?;
        let own = std::env::current_exe().context("find out which program this is")?;
        let sockets: Vec<_> = self
            .listeners
            .iter()
            .map(|one| one.socket.clone())
            .collect();
        let mut command = Command::new(own);
        command
            .args(["serve", "--config"])
            .arg(&file)
            .current_dir(trial.directory.path());
        Running::start(&mut command, &trial.path("noren.said"), &sockets).context("Noren")
    }
}

/// Returns the tables of a list.
fn tables<'a>(file: &'a mut Table, name: &str) -> impl Iterator<Item = &'a mut Table> {
    let list = file.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}

/// Gives each listener a socket. A part of a server has no listener, so it gets one.
fn listeners(file: &mut Table, trial: &TrialDirectory, certificate: &Value) -> Vec<Listener> {
    let default = || {
        let table = [
            ("address".to_owned(), Value::from("0.0.0.0:80")),
            ("protocol".to_owned(), Value::from("http")),
        ]
        .into_iter()
        .collect::<Table>();
        Value::Array(vec![Value::Table(table)])
    };
    file.entry("listener").or_insert_with(default);
    let mut found = Vec::new();
    for (number, table) in tables(file, "listener").enumerate() {
        let text = |key: &str| {
            table
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let listener = Listener {
            address: text("address"),
            is_tls: text("protocol") == "https",
            socket: trial.path(&format!("noren-{number}")),
        };
        // A proxy before it is not compared.
        for key in ["trusted-proxies", "proxy-protocol", "forwarded-header"] {
            table.remove(key);
        }
        let socket = format!("unix:{}", listener.socket.display());
        table.insert("address".to_owned(), Value::from(socket));
        if table.contains_key("client-authority") {
            table.insert("client-authority".to_owned(), certificate.clone());
        }
        found.push(listener);
    }
    found
}

/// Replaces the addresses of an app by stubs.
fn app(app: &mut Table, trial: &mut TrialDirectory, users: &Value) {
    let url = app.remove("url").into_iter();
    let urls = app.remove("urls");
    let urls = urls.iter().filter_map(Value::as_array).flatten().cloned();
    let mut sockets = Vec::new();
    for url in url.chain(urls) {
        let url = url.as_str().unwrap_or_default();
        let socket = if url == CLOSED {
            CLOSED.to_owned()
        } else {
            format!("unix:{}", trial.app(&address(url)).display())
        };
        if !sockets.contains(&socket) {
            sockets.push(socket);
        }
    }
    if let [one] = sockets.as_slice() {
        app.insert("url".to_owned(), Value::from(one.as_str()));
        // They mean nothing for one address.
        for key in ["affinity", "health-silence", "retry-elsewhere"] {
            app.remove(key);
        }
    } else {
        app.insert("urls".to_owned(), Value::from(sockets));
    }
    app.remove("tls");
    app.insert("restart-wait".to_owned(), Value::from("0s"));
    if app.contains_key("users") {
        app.insert("users".to_owned(), users.clone());
    }
}

//! A door with a source of messages: what the tests of brokers and databases have in common.

use std::process::Command;

use super::{Door, Ran, path, run, scratch, until};

/// A door with an admin socket, whose channels have one source. It can be killed and opened again.
pub(crate) struct SourceDoor {
    door: Option<Door>,
    pub(crate) directory: tempfile::TempDir,
    /// The beginning of the source's table.
    source: String,
}

impl SourceDoor {
    /// Opens a door. `SOURCE` in the tables is the beginning of a source's table, and `STORE` a directory for the
    /// hub.
    #[track_caller]
    pub(crate) fn open(source: String, tables: &str) -> Self {
        let mut door = Self {
            door: None,
            directory: scratch(),
            source,
        };
        door.open_door(tables);
        door
    }

    /// Opens the door again, with other tables.
    #[track_caller]
    pub(crate) fn open_door(&mut self, tables: &str) {
        self.door = Some(Door::open(&self.tables(tables)));
    }

    /// The configuration of these tables.
    pub(crate) fn tables(&self, tables: &str) -> String {
        let socket = path(&self.directory, "admin.sock");
        let tables = tables.replace("SOURCE", &self.source);
        let tables = tables.replace("STORE", &path(&self.directory, "store"));
        format!("{tables}\n[admin]\nsocket = \"{socket}\"\n")
    }

    /// Ends the door as a crash does.
    pub(crate) fn kill_door(&mut self) {
        self.door = None;
    }

    /// The open door.
    #[track_caller]
    pub(crate) fn door(&self) -> &Door {
        self.door.as_ref().expect("a door")
    }

    #[track_caller]
    pub(crate) fn log(&self) -> String {
        self.door().log()
    }

    /// A command of Noren at the admin socket.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
        command.arg(arguments.first().expect("a verb"));
        command.args(["--socket", &path(&self.directory, "admin.sock")]);
        command.args(arguments.get(1..).unwrap_or_default());
        command
    }

    /// The first messages of a channel, as JSON.
    #[track_caller]
    pub(crate) fn first(&self, channel: &str, count: usize) -> Vec<serde_json::Value> {
        let count = count.to_string();
        let arguments = [
            "subscribe",
            channel,
            "--from",
            "earliest",
            "--json",
            "--once",
            &count,
        ];
        let Ran { stdout, .. } = run(&mut self.command(&arguments)).well();
        let lines = stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// The numbers in the first messages of the channel `a`.
    #[track_caller]
    pub(crate) fn numbers(&self, count: usize) -> Vec<u64> {
        let messages = self.first("a", count);
        let number = |one: &serde_json::Value| one.pointer("/data/n")?.as_u64();
        messages
            .iter()
            .map(|one| number(one).expect("a number"))
            .collect()
    }

    #[track_caller]
    pub(crate) fn until_logged(&self, text: &str) {
        until(text, || self.log().contains(text).then_some(()));
    }

    #[track_caller]
    pub(crate) fn connected(&self) {
        self.until_logged("connected to a source");
    }
}

//! `source = "postgres"`: notifications of a PostgreSQL database, or the rows of an outbox table. Connects to nothing.

use std::time::Duration;

use super::channel_name::ChannelPattern;
use super::mapping::Mapping;
use super::postgres_server::PostgresServer;
use super::reader::Table;
use super::template::{Template, Templates};
use super::value;

/// The format of a payload, and of the column `data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresFormat {
    /// A JSON value. The default.
    Json,
    /// Text, into which no template points.
    Text,
}

impl PostgresFormat {
    const NAMES: [(&'static str, Self); 2] = [("json", Self::Json), ("text", Self::Text)];
}

/// One `[[channel.source]]` with `source = "postgres"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresSource {
    /// `url`, `passfile` and `ca`.
    pub server: PostgresServer,
    /// `format`: the format of a payload, or of the column `data`. Default `json`.
    pub format: PostgresFormat,
    /// `poll`: the connection is tried, and an outbox is read, at least this often. Default 10 s.
    pub poll: Duration,
    /// The place of the messages.
    pub place: PostgresPlace,
}

/// The place of the messages in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresPlace {
    /// `listen`: channels of NOTIFY. What is sent while Noren is not connected is lost.
    Notifications(Notifications),
    /// `outbox`: a table that Noren empties.
    Outbox(Outbox),
}

/// The keys that belong to `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifications {
    /// `listen`: the names of the channels at the database, exactly as NOTIFY has them.
    pub channels: Vec<String>,
    /// `channel`, `event`, `key` and `data`.
    pub mapping: Mapping,
    /// `id`: the publisher's own id; a second message with the same is not published. Default none.
    pub id: Templates,
}

/// The keys that belong to `outbox`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// `outbox`: the table, with or without its schema.
    pub table: TableName,
    /// `notify`: the channel of NOTIFY that announces new rows. Default `noren_outbox`.
    pub notify: String,
    /// `batch`: rows that are read, published and deleted together, 1 to 1,000. Default 100.
    pub batch: u16,
}

/// The name of a table, in two parts if it has a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    /// The schema; without it the search path of the user decides.
    pub schema: Option<String>,
    /// The table itself.
    pub table: String,
}

/// The longest name at the database (`NAMEDATALEN` less one).
const LONGEST_NAME: usize = 63;

impl PostgresSource {
    /// The place of the name that a notification was sent by.
    pub const NOTIFY_CHANNEL: &'static str = "notify-channel";

    pub(super) fn read(table: &mut Table<'_>) -> Option<Self> {
        let names = &[Self::NOTIFY_CHANNEL];
        let server = PostgresServer::read(table);
        let listens = table.has("listen");
        let has_outbox = table.has("outbox");
        let channels = table.list("listen", Vec::new(), name);
        let outbox = table.text("outbox", None, |text| TableName::parse(text).map(Some));
        let notify = table.text("notify", "noren_outbox".to_owned(), name);
        let batch = table.number("batch", 100, 1..=1000);
        let mapping = Mapping::read(table, names, Vec::new());
        let id = table.alternatives("id", Vec::new(), |text| Template::parse(text, names));
        let format = table.text("format", PostgresFormat::Json, |text| {
            value::choice(text, &PostgresFormat::NAMES)
        });
        let poll = table.time_limit("poll", Duration::from_secs(10));
        if poll < Duration::from_secs(1) || poll > LONGEST_POLL {
            table.problem(
                "poll",
                r#"is out of range; write a duration from "1s" to "1h""#,
            );
        }
        if listens == has_outbox {
            let text = "belongs here, or listen, and not both; write outbox = \"noren_outbox\" for a table that loses \
                        nothing, or listen = [\"jobs\"] for what NOTIFY sends";
            table.problem("outbox", text);
        }
        if table.is_sound_so_far() {
            let strange: &[&'static str] = if has_outbox {
                &["channel", "event", "key", "data", "id"]
            } else {
                &["notify", "batch"]
            };
            for key in strange.iter().filter(|key| table.has(key)) {
                table.problem(
                    key,
                    if has_outbox {
                        "is for listen: a row of an outbox says it in its columns; remove it"
                    } else {
                        "is for an outbox; remove it"
                    },
                );
            }
            if listens && channels.is_empty() {
                table.problem("listen", r#"is empty; write the names, such as ["jobs"]"#);
            }
            if format == PostgresFormat::Text {
                mapping.refuse_pointers(table);
                if id.iter().any(Template::has_pointers) {
                    table.problem("id", r#"points into JSON; write format = "json""#);
                }
            }
        }
        let place = match outbox {
            Some(table) => PostgresPlace::Outbox(Outbox {
                table,
                notify,
                batch,
            }),
            None => PostgresPlace::Notifications(Notifications {
                channels,
                mapping,
                id,
            }),
        };
        Some(Self {
            server: server?,
            format,
            poll,
            place,
        })
    }

    /// Describes why the messages cannot go to the right channel, if the source belongs to a channel of this name.
    pub(super) fn misplaced(&self, pattern: &ChannelPattern) -> Option<String> {
        match &self.place {
            PostgresPlace::Notifications(notifications) => notifications.mapping.misplaced(pattern),
            // Each row names its channel.
            PostgresPlace::Outbox(_) => None,
        }
    }

    /// The database and the table, if it is an outbox: two sources cannot both have its rows.
    pub(super) fn outbox(&self) -> Option<(&PostgresServer, &TableName)> {
        match &self.place {
            PostgresPlace::Outbox(outbox) => Some((&self.server, &outbox.table)),
            PostgresPlace::Notifications(_) => None,
        }
    }
}

/// Longest poll interval: a lost connection is noticed on the same day.
const LONGEST_POLL: Duration = Duration::from_secs(3600);

/// The name of a channel or a table, exactly as the database has it: not folded to lower case.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > LONGEST_NAME || text.contains(char::is_control) {
        return Err(format!(
            "{text:?} is not a name; write 1 to {LONGEST_NAME} bytes without control characters"
        ));
    }
    Ok(text.to_owned())
}

/// Writes the database and the place that is read there, for the log and the status.
impl std::fmt::Display for PostgresSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            PostgresPlace::Notifications(one) => {
                write!(f, "{} notify {}", self.server, one.channels.join(", "))
            }
            PostgresPlace::Outbox(one) => write!(f, "{} table {}", self.server, one.table),
        }
    }
}

impl TableName {
    fn parse(text: &str) -> Result<Self, String> {
        if text.contains('"') {
            return Err(format!(
                "{text:?} has a quotation mark; write the name as it is, it is quoted for you"
            ));
        }
        let (schema, table) = match text.split_once('.') {
            Some((schema, table)) => (Some(name(schema)?), name(table)?),
            None => (None, name(text)?),
        };
        if table.contains('.') {
            return Err(format!(
                "{text:?} has more than a schema and a table; write \"schema.table\""
            ));
        }
        Ok(Self { schema, table })
    }

    /// Quotes a name for an SQL statement.
    #[must_use]
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.table)),
            None => quoted(&self.table),
        }
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.table)
    }
}

/// A name as a quoted identifier, which keeps its case and cannot end early.
#[must_use]
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn said_of(channel: &str, rest: &str) -> String {
        let text = format!(
            "[[channel]]\nname = \"{channel}\"\n[[channel.source]]\nsource = \"postgres\"\n\
             url = \"postgres://noren@localhost/app\"\n{rest}"
        );
        Config::parse(&text, "noren.toml").map_or_else(|error| error.to_string(), |_| String::new())
    }

    #[test]
    fn a_source_without_a_place_or_with_two_is_told_so() {
        for (channel, rest, reason) in [
            ("a", "", "belongs here"),
            ("a", "listen = [\"x\"]\noutbox = \"y\"", "and not both"),
            ("a", "listen = []", "is empty"),
            ("a", "listen = [\"\"]", "is not a name"),
            ("a", "outbox = \"a.b.c\"", "more than a schema"),
            ("a", "outbox = \"\\\"a\\\"\"", "quoted for you"),
            ("a", "outbox = \"o\"\nkey = \"{/id}\"", "is for listen"),
            ("a", "listen = [\"x\"]\nbatch = 5", "is for an outbox"),
            ("a.*", "listen = [\"x\"]", "the source must say which"),
            (
                "a",
                "listen = [\"x\"]\nformat = \"text\"\nkey = \"{/id}\"",
                "points into JSON",
            ),
            (
                "a",
                "listen = [\"x\"]\nformat = \"text\"\nid = \"{/id}\"",
                "points into JSON",
            ),
            ("a", "listen = [\"x\"]\npoll = \"2h\"", "out of range"),
        ] {
            let said = said_of(channel, rest);
            assert!(said.contains(reason), "{rest}: {said}");
        }
        for (channel, rest) in [
            ("a", "listen = [\"Jobs\"]"),
            (
                "a.*",
                "listen = [\"x\"]\nchannel = \"a.{notify-channel}\"\nid = \"{/id}\"",
            ),
            (
                "a.*",
                "outbox = \"public.noren_outbox\"\nnotify = \"x\"\nbatch = 5",
            ),
        ] {
            assert_eq!(said_of(channel, rest), "", "{rest}");
        }
    }

    #[test]
    fn a_table_that_two_sources_would_empty_is_told() {
        let source = "[[channel.source]]\nsource = \"postgres\"\nurl = \"postgres://noren@localhost/app\"\n\
                      outbox = \"o\"\n";
        let text =
            format!("[[channel]]\nname = \"a\"\n{source}[[channel]]\nname = \"b\"\n{source}");
        let said = Config::parse(&text, "noren.toml")
            .map_or_else(|error| error.to_string(), |_| String::new());
        assert!(said.contains("two sources empty"), "{said}");
    }

    #[test]
    fn a_name_is_quoted_so_that_it_cannot_end_early() {
        assert_eq!(quoted("Jobs\"; DROP"), "\"Jobs\"\"; DROP\"");
        let table = TableName::parse("app.Out").expect("a table");
        assert_eq!(
            (table.quoted().as_str(), table.to_string().as_str()),
            ("\"app\".\"Out\"", "app.Out")
        );
    }
}

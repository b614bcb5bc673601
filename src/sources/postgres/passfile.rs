//! A password file as libpq reads it (PostgreSQL documentation, section 34.16): lines
//! `host:port:database:user:password`, of which the first that matches counts. No error quotes from it.

use crate::config::PostgresServer;
use crate::text::Reason;
use crate::text::file::{LARGEST_SECRET, read_text};
use crate::text::permission::Use;

/// Reads the password for a server; `None` if the configuration names no file.
pub(super) fn password(server: &PostgresServer) -> Result<Option<String>, Reason> {
    let Some(file) = &server.passfile else {
        return Ok(None);
    };
    let path = file.path();
    let text = read_text(&path, LARGEST_SECRET);
    let text = text.map_err(|error| Reason::new(&path, Use::Read, &error).at(&path))?;
    let found = text.lines().find_map(|line| matching(line, server));
    found.map(Some).ok_or_else(|| {
        let PostgresServer {
            host,
            port,
            database,
            user,
            ..
        } = server;
        let reason = format!(
            "it has no line for this database; write one: {host}:{port}:{database}:{user}:PASSWORD"
        );
        Reason::from(reason).at(&path)
    })
}

/// The password of a line that is for this server.
fn matching(line: &str, server: &PostgresServer) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut rest = line;
    let mut field = || {
        let (field, behind) = split(rest)?;
        rest = behind;
        Some(field)
    };
    let (host, port, database, user) = (field()?, field()?, field()?, field()?);
    // The password is the rest of the line, in which a backslash still stands for the next character.
    let password = unescaped(rest);
    let fits = |field: &str, own: &str| field == "*" || field == own;
    // libpq has a UNIX socket under this name too.
    let is_host = fits(&host, &server.host) || server.host.starts_with('/') && host == "localhost";
    let is_other = fits(&port, &server.port.to_string()) && fits(&database, &server.database);
    (is_host && is_other && fits(&user, &server.user) && !password.is_empty()).then_some(password)
}

/// The text before the first colon without a backslash in front of it, and the text behind it.
fn split(text: &str) -> Option<(String, &str)> {
    let mut escaped = false;
    for (at, sign) in text.char_indices() {
        match sign {
            ':' if !escaped => {
                let (before, behind) = text.split_at_checked(at)?;
                return Some((unescaped(before), behind.strip_prefix(':')?));
            }
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => plain.extend(signs.next()),
            sign => plain.push(sign),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SecretFile, SslMode};

    fn server(host: &str) -> PostgresServer {
        PostgresServer {
            host: host.to_owned(),
            port: 5432,
            database: "app".to_owned(),
            user: "noren".to_owned(),
            mode: SslMode::Disable,
            passfile: None,
            ca: None,
        }
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pgpass");
        let text = "# db:5432:app:noren:comment\ndb:5432:app:other:o\ndb:1:app:noren:p\n\
                    db:*:app:noren:a\\:b\\\\c\n*:*:*:*:last\n";
        std::fs::write(&path, text).expect("a file");
        let found = |host: &str| {
            let mut server = server(host);
            server.passfile = Some(SecretFile::File(path.clone()));
            password(&server).expect("a password")
        };
        assert_eq!(found("db").as_deref(), Some("a:b\\c"));
        assert_eq!(found("elsewhere").as_deref(), Some("last"));
        std::fs::write(&path, "localhost:*:*:noren:socket\n").expect("a file");
        assert_eq!(found("/run/postgresql").as_deref(), Some("socket"));
    }

    #[test]
    fn a_file_without_a_line_for_the_database_is_told_without_its_passwords() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("pgpass");
        for text in [
            "",
            "hunter2",
            "db:5432:other:noren:hunter2",
            "db:5432:app:noren:",
        ] {
            std::fs::write(&path, text).expect("a file");
            let mut server = server("db");
            server.passfile = Some(SecretFile::File(path.clone()));
            let said = password(&server).expect_err("no line").to_string();
            assert!(said.contains("db:5432:app:noren:PASSWORD"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

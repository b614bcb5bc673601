//! A machine's clock that the test sets, for one program: Debian's libfaketime between it and the C library.
//!
//! Only the time of day is another one (`CLOCK_REALTIME`), as when an administrator or NTP sets it; what has
//! passed since the start of the machine (`CLOCK_MONOTONIC`) stays true.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::macros::format_description;

use super::{path, scratch};

const DAY: u64 = 24 * 60 * 60;

/// The clock of the programs that have its environment.
pub(crate) struct Clock(tempfile::TempDir);

impl Clock {
    /// One that is right.
    pub(crate) fn new() -> Self {
        let clock = Self(scratch());
        clock.set(0);
        clock
    }

    /// Puts it so many days ahead of the true time, or behind.
    pub(crate) fn set(&self, days: i64) {
        // By a rename: the program looks whenever it wants to know the time.
        let next = path(&self.0, "next");
        fs::write(&next, format!("{days:+}d\n")).expect("the time written");
        fs::rename(next, self.file()).expect("the time in force");
    }

    /// The time it shows.
    pub(crate) fn now(&self) -> SystemTime {
        let text = fs::read_to_string(self.file()).expect("the time");
        let days: i64 = text.trim().trim_end_matches('d').parse().expect("days");
        let away = Duration::from_secs(days.unsigned_abs() * DAY);
        let now = SystemTime::now();
        if days < 0 { now - away } else { now + away }
    }

    /// The same in milliseconds since 1970.
    pub(crate) fn milliseconds(&self) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH).expect("after 1970");
        u64::try_from(since.as_millis()).expect("a time of this age")
    }

    /// The day it shows, as the log writes it and as HTTP does.
    pub(crate) fn day(&self) -> [String; 2] {
        let now = OffsetDateTime::from(self.now());
        let of_log = format_description!("[year]-[month]-[day]T");
        let of_http = format_description!("[day] [month repr:short] [year]");
        [now.format(of_log), now.format(of_http)].map(|day| day.expect("a day"))
    }

    /// Environment that makes a program use this clock.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        let library = library().to_string_lossy().into_owned();
        [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", self.file()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // Files keep the times they have.
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }

    fn file(&self) -> String {
        path(&self.0, "now")
    }
}

/// The one for programs of several threads, in the directory of this machine's kind.
fn library() -> PathBuf {
    let kinds = fs::read_dir("/usr/lib").expect("the system's libraries");
    let libraries = kinds.map_while(Result::ok).map(|kind| kind.path());
    libraries
        .map(|directory| directory.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("libfaketime; tests/run installs what the tests need")
}

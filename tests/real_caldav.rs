//! A calendar server, Radicale, whose client comes through the door: a library that makes, finds, changes and
//! removes events.

use std::fs;

use crate::support::{Door, Peer, python_in_venv, run, scratch};

#[test]
fn a_caldav_library_keeps_its_calendar_behind_the_door() {
    let files = scratch();
    let calendars = files.path().join("calendars");
    fs::create_dir(&calendars).expect("a directory for the app");
    let app = Peer::start_in_venv("caldav_server.py", &[&calendars.to_string_lossy()]);
    let door = Door::in_front_of(&app.address);
    let mut client = python_in_venv("caldav_client.py");
    client.args([&door.url("/"), &door.file("ca.pem")]);
    let said = run(&mut client).well().stdout;
    assert!(said.contains("calendar: ok"), "{said}");
    for method in ["PROPFIND", "MKCALENDAR", "REPORT", "PUT", "DELETE"] {
        assert!(door.log().contains(method), "{method}: {}", door.log());
    }
}

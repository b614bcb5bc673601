//! Errors of single values: durations, sizes, numbers, types, words and modes.

use super::{said_of, says};

#[test]
fn a_duration_without_a_unit_is_told_which_units_there_are() {
    let said = r#"noren.toml:4: bridge.idle: "10" has no unit; write "10s", "5m" or "1h""#;
    says("[bridge]\nidle = \"10\"", said);
    let said = r#"noren.toml:4: bridge.idle: "never" is not a duration; write "10s", "5m" or "1h", or "off""#;
    says("[bridge]\nidle = \"never\"", said);
    let said = r#"noren.toml:4: limits.head: 10 has no unit; write "10s", "5m" or "1h""#;
    says("[limits]\nhead = 10", said);
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let said =
        r#"noren.toml:4: limits.head: a limit of nothing lets nothing pass; write at least "1ms""#;
    says("[limits]\nhead = \"0s\"", said);
    let said = r#"noren.toml:4: bridge.idle: a limit of nothing is written "off""#;
    says("[bridge]\nidle = \"0s\"", said);
}

#[test]
fn a_size_of_a_doubtful_unit_is_told_the_exact_one() {
    let said = r#"noren.toml:4: limits.body-size: "4GB" has an unknown unit; write "4GiB" (B, KiB, MiB, GiB or TiB)"#;
    says("[limits]\nbody-size = \"4GB\"", said);
}

#[test]
fn a_size_out_of_range_is_told_the_range() {
    let said = r#"noren.toml:4: bridge.frame-size: "100B" is out of range; write a size from "256B" to "16MiB""#;
    says("[bridge]\nframe-size = 100", said);
    let said = r#"noren.toml:4: limits.head-size: "4KiB" is out of range; write a size from "8KiB" to "1MiB""#;
    says("[limits]\nhead-size = \"4KiB\"", said);
}

#[test]
fn a_number_out_of_range_is_told_the_range() {
    says(
        "workers = 0",
        "noren.toml:3: app[0].workers: 0 is out of range; write a number from 1 to 100000",
    );
    says(
        "[limits]\nstreams = -1",
        "noren.toml:4: limits.streams: -1 is out of range; write a number from 1 to 10000",
    );
}

#[test]
fn a_value_of_the_wrong_type_is_told_the_right_one() {
    let said = r#"noren.toml:4: log.access: expected true or false, found the string "yes"; write true or false"#;
    says("[log]\naccess = \"yes\"", said);
    let said = r#"noren.toml:4: limits.streams: expected a whole number, found the string "100"; write 100"#;
    says("[limits]\nstreams = \"100\"", said);
    let said = r#"noren.toml:4: tls.minimum-version: expected a string, found the number 1.3; write "1.3""#;
    says("[tls]\nminimum-version = 1.3", said);
    let said = r#"noren.toml:4: bridge.paths: expected a list of strings, found the string "/x"; write ["/x"]"#;
    says("[bridge]\npaths = \"/x\"", said);
}

#[test]
fn an_unknown_word_is_told_the_known_ones() {
    let said = "noren.toml:4: log.level: \"verbose\" is not known here; write \"error\", \"warn\", \
                \"info\", \"debug\" or \"trace\"";
    says("[log]\nlevel = \"verbose\"", said);
    let said =
        r#"noren.toml:4: tls.minimum-version: "1.1" is not known here; write "1.2" or "1.3""#;
    says("[tls]\nminimum-version = \"1.1\"", said);
}

#[test]
fn an_item_of_a_list_is_told_by_its_number_and_its_own_line() {
    let said = "noren.toml:5: bridge.origins[1]: \"https://a.example/\" goes on behind the host, an origin \
                does not; write \"https://a.example\"";
    says(
        "[bridge]\norigins = [\n  \"same\",\"https://a.example/\",\n]",
        said,
    );
}

#[test]
fn a_mode_that_is_no_permission_is_refused() {
    let said = "noren.toml:5: listener[0].mode: \"0990\" is not a mode; write octal digits from \"0000\" to \
                \"0777\", such as \"0660\"";
    says(
        "[[listener]]\naddress = \"unix:/run/n\"\nmode = \"0990\"",
        said,
    );
}

#[test]
fn advice_that_is_followed_is_taken() {
    let said = "noren.toml:5: bridge.target[0].address: expected a string, found the number 5900: \"5900\" \
                has no port; write \"host:port\", \"[::1]:port\" or \"unix:/path\"";
    says("[[bridge.target]]\ntoken = \"a\"\naddress = 5900", said);
    // A port alone is the address of a listener.
    let said = r#"noren.toml:4: listener[0].address: expected a string, found the number 8443; write "8443""#;
    says("[[listener]]\naddress = 8443", said);
    says("[[listener]]\naddress = \"8443\"", "");
    let said =
        r#"noren.toml:2: app.b.workers: expected a whole number, found the string "8"; write 8"#;
    let app = "[[app]]\nname = \"b\"\nurl = \"http://b:1\"\nworkers = \"8\"";
    assert_eq!(said_of(app), said.replace(":2:", ":4:"));
}

#[test]
fn an_empty_marker_is_refused() {
    let said = "noren.toml:4: bridge.boundaries.a: the marker is empty; write the text that ends a message, \
                such as \"//EOM//\", or remove the line";
    says("[bridge.boundaries]\na = \"\"", said);
}

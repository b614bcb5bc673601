use super::*;

#[test]
fn a_name_stays_within_its_segment() {
    for (name, expected) in [
        ("vm1", "vm1"),
        ("vm1-console", "vm1-console"),
        ("a b?c#d%2F;e", "a%20b%3Fc%23d%252F%3Be"),
        ("café", "caf%C3%A9"),
        ("...", "..."),
    ] {
        assert_eq!(segment(name).as_deref().ok(), Some(expected), "{name}");
    }
    for name in ["", ".", "..", "a/b", "../vms", "a\\b", "a\nb"] {
        assert!(matches!(segment(name), Err(Denied::Forbidden)), "{name:?}");
    }
}

#[test]
fn a_path_gets_the_root_of_its_app_once() {
    let text = "[[app]]\nurl = 'http://127.0.0.1:1'\nserver-root = '/wok'";
    let config = config::Config::parse(text, "test").expect("a valid configuration");
    let app = config.apps.first().expect("an app");
    assert_eq!(below_root("/tasks", app), "/wok/tasks");
    assert_eq!(below_root("/wok/tasks", app), "/wok/tasks");
    assert_eq!(below_root("/tasks", &config::App::default()), "/tasks");
}

//! Errors of the sources of channels.

use super::{said_of, says, with_app};

#[test]
fn a_source_of_an_unknown_kind_is_told_nothing_else() {
    let said = "noren.toml:6: channel.a.source[0].source: \"rabbitmq\" is not known here; write \"wok\", \
                \"listen\", \"amqp\", \"postgres\" or \"webhook\"";
    says(
        "[[channel]]\nname = \"a\"\n[[channel.source]]\nsource = \"rabbitmq\"\nurl = \"amqp://b\"",
        said,
    );
}

#[test]
fn a_source_that_cannot_be_is_refused() {
    let source = "[[channel.source]]\nsource = \"listen\"\naddress = \"unix:/run/s\"\n";
    let told = |more: &str| {
        said_of(&with_app(&format!(
            "[[channel]]\nname = \"a\"\n{source}{more}"
        )))
    };
    assert_eq!(told("users = [\"wok\"]"), "");
    assert_eq!(told("type = \"datagram\""), "");
    let datagram = told("type = \"datagram\"\nusers = [\"wok\"]");
    assert!(
        datagram.contains("users: cannot be told from a datagram"),
        "{datagram}"
    );
    let second = "two sources listen on \"unix:/run/s\"";
    let twice = told(source);
    assert!(twice.contains(second), "{twice}");
    let twice = told(&format!("[[channel]]\nname = \"b\"\n{source}"));
    assert!(
        twice.contains("channel.b.source") && twice.contains(second),
        "{twice}"
    );
}

//! Errors of the rules for visitors: sessions, entrances and trusted proxies.

use super::{said_of, says, with_app};

#[test]
fn a_session_that_would_ask_nobody_is_refused() {
    let said = "noren.toml:3: session.path: is missing, and without it nobody is asked; write for example \
                path = \"/tasks\"";
    says("[session]\ninterval = \"10s\"", said);
    let said = r#"noren.toml:3: bridge: session = "required" needs a question; write [session] with path = "/tasks""#;
    says("[bridge]\nsession = \"required\"", said);
    let said = r#"noren.toml:4: session.app: no app is called "wok"; there is "app""#;
    says("[session]\napp = \"wok\"\npath = \"/tasks\"", said);
    let text = "[session]\npath = \"/tasks\"\n[[bridge.tokens]]\nsource = \"file\"\npath = \"/t\"";
    let said = r#"noren.toml:1: session: there is no app to ask; write [[app]] with url = "http://127.0.0.1:8010""#;
    assert_eq!(said_of(text), said);
}

#[test]
fn a_question_that_the_app_could_not_read_is_refused() {
    let said = r#"noren.toml:4: session.path: "tasks" is not a path; write for example "/tasks""#;
    says("[session]\npath = \"tasks\"", said);
    let said = "noren.toml:5: session.token-path: \"/vms/\" must have {vm} once, where the name goes; write \
                for example \"/plugins/kimchi/vms/{vm}\"";
    says("[session]\npath = \"/tasks\"\ntoken-path = \"/vms/\"", said);
    let said = "noren.toml:6: session.headers.Cookie: is set by Noren for each question; remove it";
    says(
        "[session]\npath = \"/tasks\"\n[session.headers]\nCookie = \"a=b\"",
        said,
    );
}

#[test]
fn proxies_are_believed_only_by_name() {
    let said = said_of(&with_app("[[listener]]\nproxy-protocol = true"));
    assert!(
        said.contains("proxy-protocol: needs to know whom to believe"),
        "{said}"
    );
    let said = said_of(&with_app(
        "[[listener]]\ntrusted-proxies = [\"10.1.2.3/8\"]",
    ));
    assert!(said.contains("10.0.0.0/8"), "{said}");
    let trusted = "[[listener]]\ntrusted-proxies = [\"10.0.0.0/8\"]\nproxy-protocol = true";
    assert_eq!(said_of(&with_app(trusted)), "");
}

#[test]
fn an_entrance_that_keeps_nobody_out_or_everybody_is_refused() {
    let said = "noren.toml:3: bridge: client-certificate = \"required\" needs a listener that asks for one; \
                write client-authority = \"/path\" in a [[listener]]";
    says("[bridge]\nclient-certificate = \"required\"", said);
    let said = "noren.toml:4: hub.client-names: would not keep those out who have no certificate; write \
                client-certificate = \"required\"";
    says("[hub]\nclient-names = [\"cook\"]", said);
    let said =
        r#"noren.toml:4: bridge.realm: has a meaning only beside users = "/path"; remove it"#;
    says("[bridge]\nrealm = \"Kitchen\"", said);
    let said = "noren.toml:3: listener[0].client-authority: is missing: whose certificates are good? Write \
                client-authority = \"/etc/noren/clients.pem\"";
    says("[[listener]]\nclient-certificate = \"optional\"", said);
    let said = r#"noren.toml:5: listener[0].client-authority: has a meaning only with protocol = "https"; remove it"#;
    says(
        "[[listener]]\nprotocol = \"http\"\nclient-authority = \"/ca\"",
        said,
    );
    let said = "noren.toml:3: app[0].user-header: \"X-Forwarded-User\" cannot carry a name; write one that \
                nothing else uses, such as \"X-Remote-User\"";
    says("user-header = \"X-Forwarded-User\"", said);
}

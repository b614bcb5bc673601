use super::*;

#[test]
fn the_routes_are_told_in_their_order_with_who_may_pass() {
    let config = Config::parse(
            "[[app]]\nname = 'wok'\nurl = 'http://127.0.0.1:8010'\nworkers = 8\n\
             [[app]]\nname = 'docs'\nurl = 'unix:/run/docs'\nhosts = ['docs.example']\npath = '/d'\n\
             methods = ['GET', 'POST']\nrequest-rate = '30/m'\nrequest-burst = 9\nrequest-delay-after = 4\n\
             requests-per-address = 5\nlimit-zone = 'docs'\n\
             [app.request-headers]\nset = { X-Api-Key = 'secret' }\n\
             [app.response-headers]\nremove = ['X-Powered-By', 'Server']\n\
             [session]\npath = '/tasks'\ntoken-path = '/vms/{vm}'\nname-header = 'X-User'\n\
             [[bridge.target]]\ntoken = 'secret'\naddress = 'unix:/run/vm'\nsubprotocols = ['mqtt']\n\
             [[bridge.target]]\ntoken = 'serial'\naddress = 'unix:/run/tty'\nshared = { typing = 'one' }\n\
             [[channel]]\nname = 'job.*'\nsubscribers = ['ann', 'bob']\n\
             [hub.tokens]\nkeys = ['/k']\n",
            "test.toml",
        )
        .expect("a valid configuration");
    let text = explain(&config);
    let mut at = 0;
    for line in [
        "  [::]:8001 (https)\n",
        " 1. /websockify on any host -> a console, by its token\n",
        "a fixed token -> unix:/run/vm, which also speaks mqtt\n",
        "a fixed token -> unix:/run/tty, shared by at most 1000 viewers of each: one viewer types, another after 10s, \
         64KiB of scrollback\n",
        "for visitors to whom wok answers GET /tasks with 2xx, and /vms/{vm} for the guest\n",
        " 2. /events/NAME on any host -> a channel\n",
        "job.*: messages from the admin socket; keeps 1000 messages, 1MiB, 1h\n",
        "for clients with a token that names it, or for visitors to whom wok answers GET /tasks with 2xx\n",
        "of these, only ann, bob may subscribe\n",
        " 3. /d on docs.example -> the app docs at unix:/run/docs\n",
        "accepts GET, POST, HEAD only\n",
        "30/m from one address, 4 more at once and 5 later, then 429, counted in the zone docs\n",
        "5 in progress from one address, then 429, counted in the zone docs\n",
        "headers to the app: set: x-api-key\n",
        "headers from here: removed: x-powered-by, server\n",
        " 4. / on any host -> the app wok at 127.0.0.1:8010\n",
        "8 workers; 1000 more requests wait, 30s at most; a response within 10m\n",
        " 5. anything else -> 404\n",
        "set where there is none: strict-transport-security, x-frame-options, x-content-type-options\n",
        "connections                        10000 in all\n",
        "applies everything except [[listener]], server.threads, ",
    ] {
        let found = text.get(at..).and_then(|rest| rest.find(line));
        at += found.unwrap_or_else(|| panic!("{line}{text}"));
    }
    assert!(
        !text.contains("secret"),
        "a token is no text for a terminal"
    );
}

#[test]
fn a_socket_whose_clients_have_no_address_is_told() {
    let told = |keys: &str| {
        let text = format!("[[app]]\nurl = 'http://127.0.0.1:1'\n[[listener]]\n{keys}");
        let config = Config::parse(&text, "test.toml").expect("a valid configuration");
        explain(&config).contains("limits per address do not apply")
    };
    assert!(told("address = 'unix:/run/door'\nprotocol = 'http'"));
    assert!(!told(
        "address = 'unix:/run/door'\nprotocol = 'http'\ntrusted-proxies = ['unix']"
    ));
    assert!(!told("address = '127.0.0.1:80'\nprotocol = 'http'"));
}

//! Keys of sessions, of entrances, and of what opens a channel.

use super::*;

#[test]
fn the_session_is_read() {
    let session = with_app(
        r#"
        [[app]]
        name = "second"
        url = "unix:/run/second"
        path = "/second"
        [session]
        app = "second"
        method = "POST"
        path = "/tasks?x=1"
        cookies = ["wok"]
        allow-cache = "0s"
        interval = "1s"
        repeat-rate = "30/m"
        workers = 3
        timeout = "4s"
        name-header = "Remote-User"
        groups-header = "Remote-Groups"
        channels-header = "Noren-Channels"
        token-path = "/vms/{vm}/rights"
        channel-path = "/may/{channel}"
        open-tokens = ["news"]
        logout = ["/a", "/b"]
        logout-ends = "user"
        switch = ["/auth/switch"]
        [session.headers]
        Wok-Robot = "wok-robot"
        "#,
    )
    .session;
    let expected = Session {
        app: 1,
        method: "POST",
        path: Some("/tasks?x=1".to_owned()),
        headers: [("Wok-Robot".to_owned(), "wok-robot".to_owned())].into(),
        cookies: vec!["wok".to_owned()],
        allow_cache: Duration::ZERO,
        interval: seconds(1),
        repeat_rate: Some(RequestRate {
            requests: 30,
            time: seconds(60),
        }),
        workers: 3,
        timeout: seconds(4),
        name_header: Some("Remote-User".to_owned()),
        groups_header: Some("Remote-Groups".to_owned()),
        channels_header: Some("Noren-Channels".to_owned()),
        token_path: Some("/vms/{vm}/rights".to_owned()),
        channel_path: Some("/may/{channel}".to_owned()),
        open_tokens: vec!["news".to_owned()],
        logout: vec!["/a".to_owned(), "/b".to_owned()],
        logout_ends: LogoutEnds::User,
        switch: vec!["/auth/switch".to_owned()],
    };
    assert_eq!(session, expected);
}

#[test]
fn what_opens_a_channel_is_read() {
    let config = with_app(
        r#"
        [session]
        path = "/tasks"
        name-header = "Remote-User"
        groups-header = "Remote-Groups"
        [hub.tokens]
        keys = ["/etc/keys", "credential:channels"]
        audience = "noren"
        longest = "off"
        leeway = "0s"
        cookie = "ticket"
        [[channel]]
        name = "jobs"
        needs = "session"
        subscribers = ["ann", "group:kitchen"]
        publish = ["token"]
        publishers = ["bob"]
        [[channel]]
        name = "news"
        "#,
    );
    let expected = ChannelTokens {
        keys: vec![
            SecretFile::File("/etc/keys".into()),
            SecretFile::Credential("channels".to_owned()),
        ],
        audience: Some("noren".to_owned()),
        longest: None,
        leeway: Duration::ZERO,
        cookie: "ticket".to_owned(),
    };
    assert_eq!(config.hub.tokens, expected);
    let [jobs, news] = config.channels.as_slice() else {
        unreachable!("two channels were written");
    };
    let user = |name: &str| Member::User(name.to_owned());
    assert_eq!(
        jobs.subscribers,
        [user("ann"), Member::Group("kitchen".to_owned())]
    );
    assert_eq!(jobs.publishers, [user("bob")]);
    assert_eq!(config.needs(Some(jobs)), Needs::Session);
    assert_eq!(config.needs(Some(news)), Needs::Either);
}

#[test]
fn what_is_not_said_of_a_channel_is_never_less_than_what_the_hub_asks_for() {
    let session = "[session]\npath = \"/tasks\"\n";
    let keys = "[hub.tokens]\nkeys = [\"/k\"]\n";
    let open = "[hub]\nsession = \"none\"\n";
    for (text, needs) in [
        (String::new(), Needs::Nothing),
        (session.to_owned(), Needs::Session),
        (keys.to_owned(), Needs::Token),
        (format!("{session}{keys}"), Needs::Either),
        (format!("{session}{open}"), Needs::Nothing),
        (format!("{session}{open}{keys}"), Needs::Token),
    ] {
        assert_eq!(with_app(&text).needs(None), needs, "{text}");
    }
}

#[test]
fn a_question_makes_sessions_required_and_a_word_decides_otherwise() {
    let asked = with_app("[session]\npath = \"/tasks\"\n");
    assert!(asked.session.is_required(asked.bridge.session));
    let told = with_app("[session]\npath = \"/tasks\"\n[bridge]\nsession = \"none\"\n");
    assert!(!told.session.is_required(told.bridge.session));
    let silent = with_app("[session]\n[bridge]\n");
    assert!(!silent.session.is_required(silent.bridge.session));
}

#[test]
fn an_entrance_is_read_in_each_route() {
    let keys = r#"
        origins = ["https://a.example"]
        missing-origin = false
        users = "/etc/users"
        realm = "Kitchen"
        client-certificate = "required"
        client-names = ["cook", "b.example"]
    "#;
    let config = parsed(&format!(
        "[[listener]]\nclient-authority = '/ca'\nclient-certificate = 'optional'\n\
         [[app]]\nurl = 'unix:/a'\nuser-header = 'Remote-User'\n\
         certificate-header = 'X-Client'\n{keys}\n[bridge]\n{keys}\n[hub]\n{keys}"
    ));
    let expected = Entrance {
        origins: vec![OriginRule::Exact("https://a.example".to_owned())],
        missing_origin: false,
        users: Some("/etc/users".into()),
        realm: "Kitchen".to_owned(),
        certificate: CertificateRule::Required,
        certificate_names: vec!["cook".to_owned(), "b.example".to_owned()],
    };
    assert_eq!(config.bridge.entrance, expected);
    assert_eq!(config.hub.entrance, expected);
    let app = config.apps.first().expect("an app");
    assert_eq!(app.entrance, expected);
    assert_eq!(app.user_header.as_deref(), Some("remote-user"));
    assert_eq!(app.certificate_header.as_deref(), Some("x-client"));
    let clients = ClientCertificates {
        authority: "/ca".into(),
        required: false,
    };
    let listener = config.listeners.first().expect("a listener");
    assert_eq!(listener.clients, Some(clients));
}

mod readings;

use super::*;

fn router(text: &str) -> Router {
    Router::new(&Config::parse(text, "test").expect("a valid configuration"))
}

/// The route of a target, or the status of its refusal.
fn route(router: &Router, host: &str, target: &str, websocket: bool) -> Result<Route, u16> {
    let uri: http::Uri = target.parse().expect(target);
    let path = RequestPath::of(&uri).map_err(|_| 400u16)?;
    let asked = RouteKey {
        host,
        path: &path,
        query: uri.query(),
        websocket,
    };
    router
        .route(asked)
        .map_err(|refusal| refusal.status.as_u16())
}

#[test]
fn every_spelling_of_websockify_reaches_the_bridge_and_open_targets_do_not() {
    let router = router(
        "[[app]]\nname = 'wok'\nurl = 'http://127.0.0.1:8010'\nserver-root = '/wok'\n\
             [[bridge.tokens]]\nsource = 'directory'\npath = '/t'",
    );
    for path in [
        "/websockify",
        "//websockify",
        "/wok/websockify",
        "/wokwebsockify",
        "//wokwebsockify",
        "//wok/websockify",
        "/wok//websockify",
        "/websockify/",
        "/%77ebsockify",
    ] {
        assert_eq!(
            route(&router, "a", path, false).expect(path),
            Route::Websockify
        );
    }
    assert!(route(&router, "a", "/websockify/host/10.0.0.1/port/22", true).is_err());
    assert_eq!(
        route(&router, "a", "/websockifyx", false).expect("the app"),
        Route::App(0)
    );
}

#[test]
fn the_most_specific_app_is_chosen() {
    let router = router(
        "[[app]]\nname = 'any'\nurl = 'http://127.0.0.1:1'\n\
             [[app]]\nname = 'wild'\nurl = 'http://127.0.0.1:2'\nhosts = ['*.example']\n\
             [[app]]\nname = 'exact'\nurl = 'http://127.0.0.1:3'\nhosts = ['a.example']\n\
             [[app]]\nname = 'path'\nurl = 'http://127.0.0.1:4'\nhosts = ['a.example']\npath = '/api'",
    );
    for (host, path, app) in [
        ("other", "/", 0),
        ("b.example", "/", 1),
        ("A.example", "/apix", 2),
        ("a.example", "/api", 3),
        ("a.example", "/api/x", 3),
    ] {
        assert_eq!(
            route(&router, host, path, false).expect(path),
            Route::App(app),
            "{host}{path}"
        );
    }
}

#[test]
fn an_open_ended_path_takes_what_begins_with_it_and_the_longer_wildcard_comes_first() {
    let router = router(
        "[[app]]\nname = 'all'\nurl = 'http://127.0.0.1:1'\n\
             [[app]]\nname = 'open'\nurl = 'http://127.0.0.1:2'\npath = '/adm*'\n\
             [[app]]\nname = 'segment'\nurl = 'http://127.0.0.1:3'\npath = '/adm'\n\
             [[app]]\nname = 'below'\nurl = 'http://127.0.0.1:4'\npath = '/adm/*'\n\
             [[app]]\nname = 'wide'\nurl = 'http://127.0.0.1:5'\nhosts = ['*.example']\npath = '/long'\n\
             [[app]]\nname = 'near'\nurl = 'http://127.0.0.1:6'\nhosts = ['*.b.example']\n",
    );
    for (host, path, app) in [
        ("a", "/ad", 0),
        ("a", "/admin", 1),
        ("a", "/%61dmin/x", 1),
        ("a", "/adm", 2),
        ("a", "/adm/", 3),
        ("a", "//adm//x", 3),
        ("a.example", "/long/x", 4),
        ("a.b.example", "/long/x", 5),
    ] {
        assert_eq!(
            route(&router, host, path, false),
            Ok(Route::App(app)),
            "{host}{path}"
        );
    }
}

#[test]
fn a_directory_is_chosen_by_the_longest_path_and_before_an_app() {
    let router = router(
        "[[app]]\nname = 'any'\nurl = 'http://127.0.0.1:1'\n\
             [[app]]\nname = 'deep'\nurl = 'http://127.0.0.1:2'\npath = '/static/live'\n\
             [[app]]\nname = 'same'\nurl = 'http://127.0.0.1:3'\npath = '/same'\n\
             [[files]]\npath = '/static'\ndirectory = '/a'\n\
             [[files]]\npath = '/same'\ndirectory = '/b'",
    );
    for (path, expected) in [
        ("/", Route::App(0)),
        ("/static/x", Route::Files(0)),
        ("/staticx", Route::App(0)),
        ("/static/live/x", Route::App(1)),
        ("/same", Route::Files(1)),
    ] {
        assert_eq!(
            route(&router, "a", path, false).expect(path),
            expected,
            "{path}"
        );
    }
    assert!(route(&router, "a", "/static/a%2Fb", false).is_err());
}

#[test]
fn the_hub_and_the_admin_page_are_known_in_every_spelling() {
    let router = router(
        "[[app]]\nname = 'all'\nurl = 'http://127.0.0.1:1'\n\
             [[channel]]\nname = 'news'\n[admin]\npage = '/noren'\nusers = ['cook']\n\
             [session]\npath = '/tasks'\nname-header = 'X-User'",
    );
    for path in [
        "/events/news",
        "//events/news",
        "/%65vents//n%65ws",
        "/events;x/news",
    ] {
        assert_eq!(
            route(&router, "a", path, false),
            Ok(Route::Hub(8)),
            "{path}"
        );
    }
    for path in ["/noren/x", "//noren/x", "/n%6fren/x"] {
        assert_eq!(
            route(&router, "a", path, false),
            Ok(Route::Page(7)),
            "{path}"
        );
    }
    assert_eq!(route(&router, "a", "/events%2Fnews", false), Err(400));
}

#[test]
fn a_bridge_at_the_root_takes_websockets_with_a_token_and_leaves_the_rest() {
    let app = "[[app]]\nname = 'a'\nurl = 'http://127.0.0.1:1'\n\
                   [[bridge.tokens]]\nsource = 'directory'\npath = '/t'\n[bridge]\n";
    let root = router(&format!("{app}paths = ['/', '/websockify/']"));
    for (target, websocket, expected) in [
        ("/?token=vm", true, Route::Websockify),
        ("//?a=b&token=vm", true, Route::Websockify),
        ("/?token=vm", false, Route::App(0)),
        ("/?x=token=", true, Route::App(0)),
        ("/", true, Route::App(0)),
        ("/x?token=vm", true, Route::App(0)),
        ("/host/a/port/1", false, Route::App(0)),
        ("/websockify?token=vm", true, Route::Websockify),
        ("/websockify/?token=vm", true, Route::Websockify),
    ] {
        assert_eq!(
            route(&root, "a", target, websocket),
            Ok(expected),
            "{target}"
        );
    }
    let hosts = router(&format!("{app}paths = ['/']\nhost-token = true"));
    assert_eq!(route(&hosts, "vm", "/", true), Ok(Route::Websockify));
    assert_eq!(route(&hosts, "vm", "/", false), Ok(Route::App(0)));
}

/// CPU time of this thread in nanoseconds, which other load on the machine does not change.
fn time_on_core() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let spent = text.split_whitespace().next();
    spent.and_then(|text| text.parse().ok()).expect("a number")
}

#[test]
fn ten_times_as_many_apps_and_directories_cost_some_ten_times_as_much() {
    let app = |number| format!("[[app]]\nname = 'a{number}'\nurl = 'http://127.0.0.1:1'\n");
    let kinds: [&dyn Fn(usize) -> String; 3] = [
        &|number| format!("{}path = '/p{number}'\n", app(number)),
        &|number| format!("{}hosts = ['h{number}.example']\n", app(number)),
        &|number| format!("[[files]]\npath = '/f{number}'\ndirectory = '/srv'\n"),
    ];
    for kind in kinds {
        let cost = |count: usize| {
            let text: String = (0..count).map(kind).collect();
            let started_at = time_on_core();
            let _ = router(&text);
            time_on_core() - started_at
        };
        // Several times, because the system counts in milliseconds.
        let few = (0..4).map(|_| cost(1000)).sum::<u64>() / 4;
        let many = cost(10_000);
        assert!(
            many < 30 * few,
            "{few} ns for 1,000 of {}, and {many} for 10,000",
            kind(0)
        );
    }
}

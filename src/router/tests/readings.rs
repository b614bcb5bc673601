//! Paths that servers read in several ways: no spelling evades a guard.

use super::*;

#[test]
fn a_refused_path_is_refused_in_every_reading() {
    let router = router(
        "[[app]]\nname = 'all'\nurl = 'http://127.0.0.1:1'\nrefuse = ['*.php', '/.git*', '/']\nencoded-slash = \
             true\n\
             [[app]]\nname = 'closed'\nurl = 'http://127.0.0.1:1'\npath = '/in'\nrefuse = ['*']\n\
             [[files]]\npath = '/static'\ndirectory = '/a'\nrefuse = ['*.pl']\n",
    );
    for path in [
        "/",
        "//",
        "/x.php",
        "/x.PHP",
        "/x%2ephp",
        "/x.php;y",
        "/x;y.php",
        "/.git/config",
        "//.git",
        "/%2Egit",
        "/in",
        "/in/x",
        "/in;x",
        "/%69n/x",
        "/in%3Fx",
        "/static/x.pl",
    ] {
        assert_eq!(route(&router, "a", path, false), Err(403), "{path}");
    }
    for path in ["/x", "/x.phpx", "/inner", "/a/.git"] {
        assert_eq!(
            route(&router, "a", path, false),
            Ok(Route::App(0)),
            "{path}"
        );
    }
    assert_eq!(
        route(&router, "a", "/static/x.php", false),
        Ok(Route::Files(0))
    );
}

#[test]
fn an_encoded_slash_passes_only_where_the_app_takes_it() {
    let app = "[[app]]\nname = 'a'\nurl = 'http://127.0.0.1:1'\n";
    for path in ["/vms/a%2Fb", "/vms/a%252Fb"] {
        assert_eq!(route(&router(app), "h", path, false), Err(400), "{path}");
        let router = router(&format!("{app}encoded-slash = true"));
        assert!(route(&router, "h", path, false).is_ok(), "{path}");
    }
}

/// Routes with an open app at `/`, one with users at `/admin`, an open one below it, and one for certificates.
fn guarded(keys: &str) -> Router {
    router(&format!(
        "[[app]]\nname = 'open'\nurl = 'http://127.0.0.1:1'\n{keys}\n\
             [[app]]\nname = 'admin'\nurl = 'http://127.0.0.1:1'\npath = '/admin'\nusers = '/u'\n{keys}\n\
             [[app]]\nname = 'public'\nurl = 'http://127.0.0.1:1'\npath = '/admin/public'\n{keys}\n\
             [[app]]\nname = 'keys'\nurl = 'http://127.0.0.1:1'\npath = '/keys'\nusers = '/v'\n{keys}\n\
             [[files]]\npath = '/static'\ndirectory = '/a'\n",
    ))
}

#[test]
fn every_spelling_of_a_guarded_path_gets_its_guard() {
    let router = guarded("encoded-slash = true");
    for path in [
        "/admin",
        "/admin/",
        "/%61dmin",
        "/a%64min/x",
        "//admin",
        "///admin",
        "/admin;x=1",
        "/;x/admin",
        "/admin%3Bx",
        "/admin%2Fx",
        "/%2Fadmin",
        "/admin/x%20/.",
    ] {
        let expected = if path.ends_with("/.") {
            Err(400)
        } else {
            Ok(Route::App(1))
        };
        assert_eq!(route(&router, "a", path, false), expected, "{path}");
    }
    for path in [
        "/admin/public",
        "/%61dmin/public/x",
        "/admin/public/x;y",
        "/admin/p%75blic",
    ] {
        assert_eq!(
            route(&router, "a", path, false),
            Ok(Route::App(2)),
            "{path}"
        );
    }
}

#[test]
fn a_path_that_some_server_reads_as_a_guarded_one_is_refused() {
    let router = guarded("encoded-slash = true");
    for path in [
        "/admin;/public",
        "/admin//public",
        "/admin%3B/public",
        "/admin/;x/public",
        "/admin/public;x",
        "/x//../admin",
        "/%2561dmin",
        "/%252561dmin",
        "/admin%3fx",
        "/admin%23x",
        "/admin%20",
        "/admin.",
        "//a.example/admin",
        "/keys//x/%61/..",
        "//x/keys",
        "/%252Fadmin",
        "/admin;/public/%2561",
    ] {
        assert_eq!(route(&router, "a", path, false), Err(400), "{path}");
    }
    for path in [
        "/x;y/z",
        "//x",
        "/x//y",
        "/x%3fy",
        "/x.",
        "/x%20",
        "/%2561",
        "/administrator",
    ] {
        assert_eq!(
            route(&router, "a", path, false),
            Ok(Route::App(0)),
            "{path}"
        );
    }
    // Noren serves this itself, so it has one reading.
    for path in ["//static/x", "/static//x;y", "/%73tatic/x"] {
        assert_eq!(
            route(&router, "a", path, false),
            Ok(Route::Files(0)),
            "{path}"
        );
    }
    assert_eq!(route(&router, "a", "/static%2Fx", false), Err(400));
}

#[test]
fn an_open_directory_of_a_guarded_app_keeps_its_guard_closed_for_other_spellings() {
    let router = router(
        "[[app]]\nname = 'all'\nurl = 'http://127.0.0.1:1'\nusers = '/u'\n\
             [[app]]\nname = 'open'\nurl = 'http://127.0.0.1:1'\npath = '/open'",
    );
    assert_eq!(route(&router, "a", "/open/x", false), Ok(Route::App(1)));
    assert_eq!(
        route(&router, "a", "/open/x;y//z", false),
        Ok(Route::App(1))
    );
    assert_eq!(route(&router, "a", "/%6Fpen/x", false), Ok(Route::App(1)));
    for path in ["//open/x", "/open;x", "/open%3Bx", "/;x/open"] {
        assert_eq!(route(&router, "a", path, false), Err(400), "{path}");
    }
}

#[test]
fn letter_case_is_one_where_the_app_folds_it() {
    let strict = guarded("");
    assert_eq!(route(&strict, "a", "/ADMIN", false), Ok(Route::App(0)));
    let folding = guarded("case-insensitive = true");
    for path in ["/ADMIN", "/Admin/x", "//aDmin"] {
        assert_eq!(
            route(&folding, "a", path, false),
            Ok(Route::App(1)),
            "{path}"
        );
    }
    // The app at the root folds, and would take it for the guarded path, which does not say so.
    let mixed = router(
        "[[app]]\nname = 'all'\nurl = 'http://127.0.0.1:1'\ncase-insensitive = true\n\
             [[app]]\nname = 'admin'\nurl = 'http://127.0.0.1:1'\npath = '/admin'\nusers = '/u'",
    );
    assert_eq!(route(&mixed, "a", "/ADMIN/x", false), Err(400));
    assert_eq!(route(&mixed, "a", "/admin/x", false), Ok(Route::App(1)));
}

#[test]
fn the_pages_of_a_guard_count_for_websockets_only() {
    let router = router(
        "[[app]]\nname = 'all'\nurl = 'http://127.0.0.1:1'\norigins = ['any']\n\
             [[app]]\nname = 'chat'\nurl = 'http://127.0.0.1:1'\npath = '/chat'\n",
    );
    assert_eq!(route(&router, "a", "/chat%20", true), Err(400));
    assert_eq!(route(&router, "a", "/chat%20", false), Ok(Route::App(0)));
    assert_eq!(route(&router, "a", "/%63hat", true), Ok(Route::App(1)));
}

#[test]
fn the_methods_of_a_route_hold_for_every_reading() {
    let router = router(
        "[[app]]\nname = 'all'\nurl = 'http://127.0.0.1:1'\n\
             [[app]]\nname = 'shown'\nurl = 'http://127.0.0.1:1'\npath = '/shown'\nmethods = ['GET', 'POST']\n\
             [[app]]\nname = 'read'\nurl = 'http://127.0.0.1:1'\npath = '/shown/read'\nmethods = ['GET']",
    );
    assert_eq!(route(&router, "a", "/%73hown", false), Ok(Route::App(1)));
    assert_eq!(route(&router, "a", "/x%20", false), Ok(Route::App(0)));
    for path in ["/shown%20", "/%2573hown", "//a/shown", "/shown/read%20"] {
        assert_eq!(route(&router, "a", path, false), Err(400), "{path}");
    }
}

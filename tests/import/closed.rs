//! Tests that the result is closed where nginx is.

use noren::Config;
use noren::config::{AppUrl, AppUrls, Protocol};

use super::{answer, from_nginx, import, made_of};

#[test]
fn what_was_closed_is_not_open_after_an_import() {
    let websockify = |words: &[&str]| import(&[&["websockify", "--"], words].concat());
    let made = websockify(&[
        "--web=/w",
        "--web-auth",
        "--auth-plugin=BasicHTTPAuth",
        "--auth-source=ann:tea",
        "6080",
        "h:1",
    ]);
    let config = Config::parse(&made, "made").unwrap();
    assert!(
        config.files.is_empty() && config.bridge.entrance.users.is_some(),
        "{made}"
    );
    assert!(made.contains("--web /w") && !made.contains("tea"), "{made}");
    // A check that is not known here: the file is not valid until somebody has said who may pass.
    let made = websockify(&["--auth-plugin=own.Check", "6080", "h:1"]);
    assert!(made.starts_with("# This is not complete yet:"), "{made}");
    let made = websockify(&["--key-password", "s3cret", "6080", "h:1"]);
    assert!(!made.contains("s3cret"), "{made}");

    for closed in [
        "internal;",
        "auth_basic x; auth_basic_user_file /u;",
        "auth_request /ask;",
        "allow 192.0.2.1; deny all;",
    ] {
        let inside = format!("location /p {{ {closed} root /srv; }}");
        let (config, made) = from_nginx(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://h:1; }} {inside} }}"
        ));
        assert!(config.files.is_empty(), "{made}");
        assert!(made.contains("location /p { … }"), "{made}");
        // What stands around a location holds in it.
        let made = made_of(&format!(
            "server {{ listen 80; {closed} location /p {{ root /srv; }} }}"
        ));
        assert!(!made.contains("\n[[files]]"), "{made}");
    }
    let (config, made) = from_nginx(
        "server { listen 80; auth_basic Staff; auth_basic_user_file /u;
         location /websockify { proxy_pass http://localhost:64667; proxy_set_header Upgrade $http_upgrade; } }",
    );
    let users = config.bridge.entrance.users.as_deref();
    assert_eq!(
        users.and_then(std::path::Path::to_str),
        Some("/u"),
        "{made}"
    );
}

#[test]
fn what_nginx_refuses_is_never_answered_by_the_app_of_a_shorter_path() {
    for guard in [
        "allow 192.0.2.0/24; deny all;",
        "internal;",
        "return 403;",
        "return 444;",
        "auth_request /ask;",
        "satisfy any; allow 192.0.2.1;",
        "if ($ssl_client_verify != SUCCESS) { return 403; }",
        "auth_basic Staff;",
        "proxy_method GET;",
    ] {
        let (config, made) = from_nginx(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://h:1;
               location /in {{ {guard} proxy_pass http://h:1; }} }}
             location /admin/ {{ {guard} proxy_pass http://h:1; }} }}"
        ));
        for path in ["/admin", "/admin/", "/admin/x", "/in", "/inner", "/in/x"] {
            assert_eq!(answer(&config, "a", path), None, "{path}\n{made}");
        }
        assert!(answer(&config, "a", "/other").is_some(), "{made}");
        assert!(made.contains("location /admin/ { … }"), "{made}");
        // For a pattern of paths, those paths.
        let (config, made) = from_nginx(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://h:1; }} location ~ /\\.git {{ {guard} }} }}"
        ));
        for path in ["/.git", "/.git/config", "/x/.gitignore"] {
            assert_eq!(answer(&config, "a", path), None, "{path}\n{made}");
        }
        assert!(answer(&config, "a", "/git").is_some(), "{made}");
    }
}

#[test]
fn what_nginx_redirects_to_https_is_not_served_in_clear() {
    for redirect in [
        "if ($host = a.example) { return 301 https://$host$request_uri; } return 404;",
        "location / { return 301 https://$host$request_uri; }",
    ] {
        let (config, made) = from_nginx(&format!(
            "server {{ listen 443 ssl; server_name a.example; ssl_certificate /c; ssl_certificate_key /k;
               location / {{ proxy_pass http://h:1; }} }}
             server {{ listen 80; server_name a.example; {redirect} }}"
        ));
        let plain = config
            .listeners
            .iter()
            .find(|one| one.address.to_string() == "[::]:80");
        assert_eq!(
            plain.map(|one| one.protocol),
            Some(Protocol::Redirect),
            "{made}"
        );
        assert_eq!(config.apps.len(), 1, "{made}");
    }
}

#[test]
fn what_may_hold_or_be_a_guard_is_closed_until_somebody_decides() {
    for guard in [
        "include /etc/nginx/snippets/staff.conf;",
        "auth_ldap Staff;",
        "access_by_lua_file /etc/nginx/a.lua;",
        "return 302 /elsewhere;",
        "if ($cookie_s = \"\") { return 302 /login; }",
        "if ($cookie_s = \"\") { rewrite ^ /login redirect; }",
        "if ($http_x_secret != tea) { return 403; }",
        "if ($invalid_referer) { return 403; }",
    ] {
        let (config, made) = from_nginx(&format!(
            "server {{ listen 80; location / {{ proxy_pass http://h:1; }}
             location /admin {{ {guard} proxy_pass http://h:1; }} }}"
        ));
        for path in ["/admin", "/admin/x", "/administrator"] {
            assert_eq!(answer(&config, "a", path), None, "{path}\n{made}");
        }
        assert!(answer(&config, "a", "/").is_some(), "{made}");
    }
    // A directory below a pattern that is closed, and a server that another would answer for.
    let (config, made) = from_nginx(
        "server { listen 80; server_name _; location / { proxy_pass http://h:1; } }
         server { listen 80; server_name a.example; location /w/ { alias /srv/; location ~ \\.php$ { deny all; } } }
         server { listen 80; server_name b.example; return 403; }",
    );
    for (host, path, expected) in [
        ("a.example", "/w/x", Some("/srv")),
        ("a.example", "/w/x.php", None),
        ("a.example", "/", None),
        ("b.example", "/x", None),
        ("c.example", "/x", Some("h:1")),
    ] {
        assert_eq!(
            answer(&config, host, path).as_deref(),
            expected,
            "{host}{path}\n{made}"
        );
    }
    // A listener that was there already asks nobody for a certificate.
    let (config, made) = from_nginx(
        "ssl_certificate /c; ssl_certificate_key /k;
         server { listen 0.0.0.0:443 ssl; server_name a.example; location / { proxy_pass http://h:1; } }
         server { listen [::]:443 ssl; server_name b.example; ssl_client_certificate /a; ssl_verify_client on;
           location / { proxy_pass http://h:2; } }",
    );
    assert_eq!(answer(&config, "b.example", "/"), None, "{made}");
}

#[test]
fn what_nginx_never_hands_to_an_app_is_closed_here() {
    let inside = |locations: &str| {
        format!("server {{ listen 80; {locations} location / {{ proxy_pass http://h:1; }} }}")
    };
    let secure = |settings: &str| {
        format!(
            "server {{ listen 443 ssl; ssl_certificate /c; ssl_certificate_key /k; {settings}
               location / {{ proxy_pass http://h:1; }} }}"
        )
    };
    for (text, path) in [
        (inside("location /e { }"), "/e"),
        (inside("location /e { }"), "/ex"),
        (inside("location /e { try_files $uri =403; }"), "/e"),
        (
            inside("location /e { try_files $uri =403; proxy_pass http://h:1; }"),
            "/e",
        ),
        (
            inside("location /e { return 301 https://x/; proxy_pass http://h:1; }"),
            "/e",
        ),
        (
            inside("location /e { proxy_pass http://h:1/public/; }"),
            "/e",
        ),
        (inside("location =/e { return 403; }"), "/e"),
        (inside("location /e/ { fastcgi_pass h:2; }"), "/e/x"),
        (inside("location /adm { deny all; }"), "/admin"),
        (
            inside(
                "location /adm { auth_basic x; auth_basic_user_file /none$x; proxy_pass http://h:1; }",
            ),
            "/admin",
        ),
        (inside("rewrite ^/admin /login;"), "/admin"),
        (inside("rewrite ^/admin /login;"), "/administrator"),
        (inside("location ~ /\\. { try_files /none =404; }"), "/.x"),
        (inside("location ~ \\.php$ { fastcgi_pass h:2; }"), "/x.php"),
        (
            inside("location ~* \\.(css|js)$ { expires 30d; }"),
            "/x.CSS",
        ),
        (inside("location ~ [ { proxy_pass http://h:2; }"), "/"),
        (
            inside(
                "if ($http_x_forwarded_proto != https) { return 301 https://$host$request_uri; }",
            ),
            "/",
        ),
        (
            inside("if ($denied) { return 302 https://login.example/; }"),
            "/",
        ),
        (secure("if ($scheme = https) { return 403; }"), "/"),
        (secure("ssl_verify_client on;"), "/"),
        (
            secure("ssl_verify_client on; ssl_client_certificate /a; ssl_crl /revoked;"),
            "/",
        ),
        (
            secure("ssl_verify_client optional_no_ca; ssl_client_certificate /a;"),
            "/",
        ),
        (secure("return 301 https://www.example$request_uri;"), "/"),
        (
            "server { listen 80; server_name a; location /e { proxy_pass http://h:1; } }
             server { listen 80 default_server; location / { proxy_pass http://h:2; } }"
                .to_owned(),
            "/x",
        ),
        (
            "server { listen 80; server_name ~^a; return 403; }
             server { listen 80 default_server; location / { proxy_pass http://h:2; } }"
                .to_owned(),
            "/x",
        ),
        (
            "server { listen 80; location / { proxy_pass http://h:1; } }
             server { listen 127.0.0.1:81; server_name a; location /i { proxy_pass http://h:2; } }"
                .to_owned(),
            "/i",
        ),
    ] {
        let (config, made) = from_nginx(&text);
        assert_eq!(answer(&config, "a", path), None, "{path} {text}\n{made}");
        // Where there is nothing in nginx either, nothing is told.
        let is_told = made.contains("# not carried over: ");
        assert!(
            is_told || text.contains("server_name a; location /e"),
            "{text}\n{made}"
        );
    }
    // At another address, nginx has the app of the first server there.
    let other = "server { listen 8080; location /m { proxy_pass http://h:2; } }";
    let (config, made) = from_nginx(&format!("{}{other}", secure("")));
    assert_eq!(answer(&config, "a", "/m").as_deref(), Some("h:1"), "{made}");
}

#[test]
fn a_listener_in_clear_offers_nothing_that_nginx_has_behind_tls_only() {
    let tls = "ssl_certificate /c; ssl_certificate_key /k;";
    let secure = format!(
        "server {{ listen 443 ssl; server_name a; {tls} location / {{ proxy_pass http://h:1; }} }}"
    );
    for plain in [
        "server { listen 80; server_name b; location / { proxy_pass http://h:2; } }",
        "server { listen 80; server_name a; return 301 https://$host$request_uri; }
         server { listen 80; server_name b; location / { proxy_pass http://h:2; } }",
        "server { listen 80; server_name a; location /x/ { proxy_pass http://h:1; } location / { return 301 \
         https://$host$request_uri; } }",
        "server { listen 8080; location / { proxy_pass http://h:2; } }",
    ] {
        let (config, made) = from_nginx(&format!("{plain} {secure}"));
        assert!(
            config
                .listeners
                .iter()
                .all(|one| one.protocol != Protocol::Http),
            "{made}"
        );
        assert_eq!(answer(&config, "a", "/").as_deref(), Some("h:1"), "{made}");
        assert_eq!(answer(&config, "b", "/"), None, "{made}");
    }
    // The app of the one is for clients with a certificate, the other's is for all in clear.
    let (config, made) = from_nginx(&format!(
        "server {{ listen 443 ssl; {tls} ssl_verify_client on; ssl_client_certificate /a; location / {{ proxy_pass \
         http://h:1; }} }}
         server {{ listen 80; location /p {{ proxy_pass http://h:2; }} }}"
    ));
    assert!(
        config.listeners.iter().all(|one| one.clients.is_some()),
        "{made}"
    );
}

#[test]
fn websockets_reach_an_app_where_nginx_passes_them_on() {
    let (config, made) = from_nginx(
        "server { listen 80; location / { proxy_pass http://h:1; }
         location /live/ { proxy_set_header Upgrade $http_upgrade; proxy_pass http://h:1; } }",
    );
    let pages = config.apps.iter().map(|app| {
        let entrance = &app.entrance;
        (
            app.path.as_str(),
            entrance.origins.len(),
            entrance.missing_origin,
        )
    });
    let pages: Vec<_> = pages.collect();
    assert_eq!(pages, [("/", 0, false), ("/live", 1, true)], "{made}");
}

#[test]
fn a_redirect_for_a_pattern_of_paths_is_not_served_in_clear() {
    let (config, made) = from_nginx(
        "server { listen 80; location ~ ^/(.*)$ { return 301 https://$host$request_uri; } }
         server { listen 443 ssl; ssl_certificate /c; ssl_certificate_key /k;
           location /api/ { proxy_pass http://h:1; } }",
    );
    let plain = config.listeners.first().map(|one| one.protocol);
    assert_eq!(plain, Some(Protocol::Redirect), "{made}");
    let app = config.apps.first().unwrap();
    assert_eq!(
        app.urls,
        AppUrls::one(AppUrl::parse("http://h:1").unwrap()),
        "{made}"
    );
}

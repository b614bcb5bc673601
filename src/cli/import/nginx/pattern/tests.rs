use super::*;

#[test]
fn a_pattern_becomes_texts_with_stars_that_stand_for_no_less() {
    for (pattern, texts, exact) in [
        (r"\.php$", "*.php", true),
        (r"\.(?:jpg|png)$", "*.jpg *.png", true),
        (r"\.jpe?g$", "*.jpg *.jpeg", true),
        (r"/\.ht", "*/.ht*", true),
        (r"/\.", "*/.*", true),
        (r"^/api/", "/api/*", true),
        (r"^/(api|auth)/", "/api/* /auth/*", true),
        (r"^/api/(.*)$", "/api/*", true),
        (r"^/(.*)$", "/*", true),
        (r"^/v[0-9]+/x$", "/v*/x", false),
        (r"[^/]\.php(/|$)", "*.php *.php/*", false),
        (r"^(?<name>.+\.php)(?!/x)", "*.php*", false),
        (r"(^|/)\.", ".* */.*", true),
        (r"^", "*", true),
        (r"a{2,3}", "*", false),
        (r"((", "*", false),
        (r"[[:alpha:]]x", "*x*", false),
    ] {
        let globs = Globs::read(pattern, false);
        let mut found: Vec<_> = globs.texts.iter().map(String::as_str).collect();
        let mut expected: Vec<_> = texts.split(' ').collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!((found, globs.exact), (expected, exact), "{pattern}");
    }
}

#[test]
fn a_text_fits_or_does_not_or_it_is_not_known() {
    let www = Globs::read(r"^www\.", false);
    assert_eq!(www.fits("www.a"), Some(true));
    assert_eq!(www.fits("WWW.a"), None);
    assert_eq!(www.fits("a"), Some(false));
    assert_eq!(Globs::read("^[a-z]+$", false).fits("b"), None);
    let api = Globs::read("^/(api|auth)/", false);
    assert_eq!(api.beginnings(), ["/api/", "/auth/"]);
    assert!(api.covers("/api/x") && !api.covers("/ap"));
    assert_eq!(api.below("/"), ["/api/*", "/auth/*"]);
    assert_eq!(api.below("/api/v1"), ["/api/*"]);
    assert!(api.below("/b").is_empty());
    assert!(Globs::read(r"\.php$", false).beginnings().is_empty());
}

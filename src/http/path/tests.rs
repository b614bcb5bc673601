use super::*;

fn read(path: &str) -> RequestPath {
    RequestPath::parse(path).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

#[test]
fn a_plain_path_is_its_own_only_reading() {
    for path in [
        "/",
        "/a",
        "/a/b.html",
        "/a..b/x",
        "/.well-known/x",
        "/a/",
        "/caf\u{e9}",
    ] {
        let read = read(path);
        assert!(read.readings.is_none(), "{path}");
        assert_eq!((read.as_str(), read.with_parameters()), (path, path));
        assert_eq!(read.others().next(), None);
    }
}

#[test]
fn every_spelling_of_a_path_has_its_canonical_reading() {
    for path in [
        "/admin/x",
        "/%61dmin/x",
        "/a%64min/%78",
        "//admin/x",
        "///admin//x",
        "/admin;v=1/x;y",
        "/;v/admin/x",
        "/admin%3Bv/x",
        "/admin%2Fx",
        "/%2fadmin/x",
        "//admin/x?q=1",
    ] {
        assert_eq!(read(path).as_str(), "/admin/x", "{path}");
    }
    for (path, canonical) in [
        ("//", "/"),
        ("/;x", "/"),
        ("/a//", "/a/"),
        ("/a/;x", "/a/"),
        ("/a%20b", "/a b"),
        ("/%C3%A9", "/\u{e9}"),
        ("/%e9", "/%E9"),
        ("/100%25", "/100%"),
        ("/...", "/..."),
    ] {
        assert_eq!(read(path).as_str(), canonical, "{path}");
    }
    assert_eq!(read("/a;b//c").with_parameters(), "/a;b/c");
    assert_eq!(read("/a%20b//c").as_sent(), "/a%20b//c");
}

#[test]
fn a_path_tells_what_other_servers_could_take_it_for() {
    for (path, other) in [
        ("//admin", "//admin"),
        ("//a.example/admin", "/admin"),
        ("/admin;/public", "/admin"),
        ("/admin;x", "/admin;x"),
        ("/admin%3fx", "/admin"),
        ("/admin%23x", "/admin"),
        ("/admin%20", "/admin"),
        ("/admin.", "/admin"),
        ("/admin./x", "/admin/x"),
        ("/%20admin", "/admin"),
        ("/admin%2Fx", "/admin%2Fx"),
        ("/%2561dmin", "/admin"),
        ("/%252561dmin", "/admin"),
        ("/a%252Fb", "/a/b"),
    ] {
        let read = read(path);
        assert!(
            read.others().any(|reading| reading == other),
            "{path}: {read:?}"
        );
        assert!(read.may_be(other, false) && read.may_be(read.as_str(), false));
    }
    // A space and a percent sign mean the same to all.
    assert_eq!(read("/a%20b/100%25").others().count(), 0);
    assert!(read("/LOGIN/").may_be("/login", true));
    assert!(!read("/LOGIN").may_be("/login", false));
}

#[test]
fn paths_to_climb_with_are_refused_however_they_are_written() {
    use PathFault::*;
    let cases = [
        ("x", Relative),
        ("*", Relative),
        ("/a/../b", DotSegment),
        ("/a/.", DotSegment),
        ("/%2e%2E/b", DotSegment),
        ("/.%2e", DotSegment),
        ("/a/..;x=1/b", DotSegment),
        ("/a/..%3Bx/b", DotSegment),
        ("/a/..%20/b", DotSegment),
        ("/a%2F..%2fb", DotSegment),
        ("/a/..%2f", DotSegment),
        ("/a\\b", Backslash),
        ("/a%5Cb", Backslash),
        ("/a%00", Nul),
        ("/a%0a", Control),
        ("/a%0D%0Ab", Control),
        ("/a%09", Control),
        ("/a%7f", Control),
        ("/%c0%af", Overlong),
        ("/%c0%ae%c0%ae/", Overlong),
        ("/%e0%80%af", Overlong),
        ("/%f0%80%80%af", Overlong),
        ("/%25c0%25af", Overlong),
        ("/a%255c", EncodedTwice),
        ("/a%2500", EncodedTwice),
        ("/%252e%252e/", EncodedTwice),
        ("/a%25%32%65", EncodedTwice),
        ("/%25252e", EncodedTwice),
        ("/%2525252561", EncodedTwice),
        ("/a%zz", BrokenEncoding),
        ("/a%2", BrokenEncoding),
        ("/%u002f", BrokenEncoding),
        ("/%", BrokenEncoding),
    ];
    for (path, fault) in cases {
        let refused = RequestPath::parse(path).map(|path| path.as_str().to_owned());
        assert_eq!(refused, Err(fault), "{path}");
    }
}

#[test]
fn an_encoded_slash_is_a_question_for_the_route() {
    for path in ["/vms/a%2fb", "/vms/a%252Fb", "/vms/a%25252fb"] {
        assert_eq!(
            read(path).check_slashes(),
            Err(PathFault::EncodedSlash),
            "{path}"
        );
    }
    assert_eq!(read("/vms/a%20b").check_slashes(), Ok(()));
}

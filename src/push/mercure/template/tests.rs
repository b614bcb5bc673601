use super::*;

fn matches(template: &str, topic: &str) -> bool {
    Template::parse(template).expect(template).matches(topic)
}

/// The expansions of RFC 6570 §3.2, of variables that are texts; with `*` of all.
#[test]
fn every_expansion_of_the_specification_is_one_of_its_template() {
    for (template, topic) in [
        ("{var}", "value"),
        ("{hello}", "Hello%20World%21"),
        ("O{empty}X", "OX"),
        ("O{undef}X", "OX"),
        ("{x,y}", "1024,768"),
        ("{x,hello,y}", "1024,Hello%20World%21,768"),
        ("?{x,empty}", "?1024,"),
        ("?{x,undef}", "?1024"),
        ("?{undef,y}", "?768"),
        ("{var:3}", "val"),
        ("{var:30}", "value"),
        ("{list*}", "red,green,blue"),
        ("{keys*}", "semi=%3B,dot=.,comma=%2C"),
        ("{+var}", "value"),
        ("{+hello}", "Hello%20World!"),
        ("{+half}", "50%25"),
        ("{base}index", "http%3A%2F%2Fexample.com%2Fhome%2Findex"),
        ("{+base}index", "http://example.com/home/index"),
        ("{+path}/here", "/foo/bar/here"),
        ("here?ref={+path}", "here?ref=/foo/bar"),
        ("up{+path}{var}/here", "up/foo/barvalue/here"),
        ("{+x,hello,y}", "1024,Hello%20World!,768"),
        ("{+path:6}/here", "/foo/b/here"),
        ("{#var}", "#value"),
        ("foo{#empty}", "foo#"),
        ("foo{#undef}", "foo"),
        ("{#path:6}/here", "#/foo/b/here"),
        ("{.who}", ".fred"),
        ("{.half,who}", ".50%25.fred"),
        ("www{.dom*}", "www.example.com"),
        ("X{.empty}", "X."),
        ("X{.undef}", "X"),
        ("{/who}", "/fred"),
        ("{/var,x}/here", "/value/1024/here"),
        ("{/var:1,var}", "/v/value"),
        ("{/list*}", "/red/green/blue"),
        ("{/list*,path:4}", "/red/green/blue/%2Ffoo"),
        ("{/keys*}", "/semi=%3B/dot=./comma=%2C"),
        ("{;who}", ";who=fred"),
        ("{;empty}", ";empty"),
        ("{;v,empty,who}", ";v=6;empty;who=fred"),
        ("{;x,y,undef}", ";x=1024;y=768"),
        ("{;hello:5}", ";hello=Hello"),
        ("{;list*}", ";list=red;list=green;list=blue"),
        ("{?x,y,empty}", "?x=1024&y=768&empty="),
        ("{?var:3}", "?var=val"),
        ("{?keys*}", "?semi=%3B&dot=.&comma=%2C"),
        ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
        ("{&x,y,undef}", "&x=1024&y=768"),
        (
            "https://example.net/foo/{random}",
            "https://example.net/foo/a1b2",
        ),
    ] {
        assert!(matches(template, topic), "{template} {topic}");
    }
}

#[test]
fn a_text_that_no_value_expands_to_is_not_matched() {
    for (template, topic) in [
        ("https://example.net/bar/{var}", "https://example.net/foo/x"),
        ("https://example.net/{var}", "https://example.net/a/b"),
        ("{var}", "a b"),
        ("{var}", "a/b"),
        ("{var}", "a,b"),
        ("{var}", "%zz"),
        ("{var}", "é"),
        ("{var:3}", "value"),
        ("{var:1}", "%41%42"),
        ("{x,y}", "1,2,3"),
        ("{;x}", ";y=1"),
        ("{;x}", ";xy"),
        ("{?x,y}", "?y=1&x=2"),
        ("{?x}", "?x"),
        ("{/a}", "x"),
        ("{/a}", "/x/y"),
        ("{#a}", "x"),
        ("a{b}c", "abd"),
    ] {
        assert!(!matches(template, topic), "{template} {topic}");
    }
}

#[test]
fn a_malformed_template_is_none() {
    for text in [
        "plain",
        "",
        "{}",
        "{",
        "a{b",
        "a}b{c}",
        "{a}}",
        "{a{b}}",
        "{=a}",
        "{a b}",
        "{.}",
        "{a:0}",
        "{a:10000}",
        "{a:x}",
        "{a:}",
        "{a..b}",
        "{a.}",
        "{%4}",
        "{a,}",
        "{a:3*}",
    ] {
        assert_eq!(Template::parse(text), None, "{text}");
    }
    for text in ["{a.b}", "{%41_}", "{a:9999}", "{+a*,b:2}"] {
        assert!(Template::parse(text).is_some(), "{text}");
    }
}

/// Backtracking would take longer than the universe has been there.
#[test]
fn a_hostile_template_takes_no_longer_than_its_length() {
    let template = Template::parse(&format!("{}!", "{a}".repeat(500))).expect("a template");
    assert!(!template.matches(&format!("{}?!", "x".repeat(2000))));
}

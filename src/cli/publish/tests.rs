use super::*;

fn read(input: &[u8], json: bool) -> (Vec<u8>, anyhow::Result<()>) {
    let mut sent = Vec::new();
    let form = Form { json, id: None };
    let ended = read_lines(input, &form, |batch| {
        sent.extend(batch);
        true
    });
    (sent, ended)
}

#[test]
fn each_line_is_a_message_and_what_is_not_utf8_goes_as_bytes() {
    let (sent, ended) = read(b"a \"b\"\n\n\xff\nlast", false);
    ended.expect("a good input");
    assert_eq!(
        String::from_utf8(sent).expect("UTF-8"),
        "{\"data\":\"a \\\"b\\\"\"}\n\
             {\"data\":\"\"}\n{\"data\":\"/w==\",\"encoding\":\"base64\"}\n{\"data\":\"last\"}\n"
    );
}

#[test]
fn a_line_that_is_not_json_is_named_and_those_before_it_are_sent() {
    let (sent, ended) = read(b"{\"a\":1}\n\n{\n[]\n", true);
    assert_eq!(sent, b"{\"data\":{\"a\":1}}\n\n");
    let reason = ended.expect_err("a bad line").to_string();
    assert!(reason.starts_with("line 3 "), "{reason}");
}

#[test]
fn labels_are_escaped() {
    assert_eq!(encoded("a&b=ü +~"), "a%26b%3D%C3%BC%20%2B~");
}

use super::*;

/// Label, line and bytes of each section.
fn read(text: &str) -> Vec<(String, usize, Vec<u8>)> {
    let sections = sections(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let one = |section: Section| (section.label, section.line, section.der.unwrap_or_default());
    sections.into_iter().map(one).collect()
}

fn one(text: &str) -> Vec<u8> {
    match read(text).as_slice() {
        [(label, _, der)] if label == "PRIVATE KEY" => der.clone(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_section_is_read_however_its_lines_were_ended() {
    let der: Vec<u8> = (0..=255).collect();
    let written = written("PRIVATE KEY", &der);
    assert!(written.lines().all(|line| line.len() <= 64));
    for text in [
        written.clone(),
        written.replace('\n', "\r\n"),
        written.replace('\n', "\r"),
        written.replace('\n', "\\n"),
        written.replace('\n', "\\r\\n"),
        written.replace('\n', "\\\\n"),
        written.replace('\n', " "),
        written.replace('\n', "\t"),
        written.replace('\n', ""),
        written.replace('\n', "\\n").replace('/', "\\/"),
        written.replace('\n', "\n\n"),
        written.replace('\n', "  \n  "),
        format!("KEY=\"{}\"\n", written.replace('\n', "\\n")),
        format!("subject=cook\n  i: kitchen, begin end\n{written}trailing words"),
        written.replace('=', ""),
    ] {
        assert_eq!(one(&text), der, "{text}");
    }
}

#[test]
fn a_letter_behind_a_line_feed_that_is_two_letters_belongs_to_the_section() {
    // Base64 whose lines begin with the letters of the escapes.
    for line in ["nnnn", "rrrr", "tttt", "nrtn", "/nnn"] {
        let text =
            format!("-----BEGIN PRIVATE KEY-----\n{line}\n{line}\n-----END PRIVATE KEY-----\n");
        let expected = one(&text);
        assert_eq!(expected.len(), 6);
        for ends in ["\\n", "\\r\\n", "\\\\n"] {
            assert_eq!(one(&text.replace('\n', ends)), expected, "{line} {ends}");
        }
    }
}

#[test]
fn sections_that_are_glued_together_are_all_read() {
    let (a, b) = (written("A B", b"first"), written("CERTIFICATE", b"second"));
    let expected = |line| {
        vec![
            ("A B".to_owned(), 1, b"first".to_vec()),
            ("CERTIFICATE".to_owned(), line, b"second".to_vec()),
        ]
    };
    let glued = format!("{}{b}", a.trim_end());
    assert!(glued.contains("----------"), "{glued}");
    assert_eq!(read(&glued), expected(3));
    // With five dashes for both.
    assert_eq!(read(&glued.replace("----------", "-----")), expected(3));
    assert_eq!(read(&format!("{} {b}", a.trim_end())), expected(3));
    assert_eq!(read(&format!("{a}\n# words\n{b}")), expected(6));
    assert_eq!(read(&format!("{a}{b}").replace('\n', "\\n")), expected(1));
}

#[test]
fn what_cannot_be_read_is_refused_by_its_line_and_without_its_words() {
    let good = written("CERTIFICATE", b"secret");
    let with = |text: &str| format!("{good}\n{text}\n");
    for (text, reason) in [
        (
            with("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n"),
            "line 5: the section that begins here has no end",
        ),
        (
            with("-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END PRIVATE KEY-----"),
            "line 5: the section that begins here has no end",
        ),
        (
            with("-----BEGIN A-----\nc2VjcmV0\n-----BEGIN A-----\nc2VjcmV0\n-----END A-----"),
            "line 5: the section that begins here has no end",
        ),
        (
            with("-----BEGIN A-----\nc2Vjcm%V0\n-----END A-----"),
            "line 5: the section that begins here is not base64",
        ),
        (
            with("-----BEGIN A-----\n-----END A-----"),
            "line 5: the section that begins here is empty",
        ),
        (
            with("-----BEGIN A\nc2VjcmV0\n-----END A-----"),
            "line 5: this is no whole marker",
        ),
        (
            with("----BEGIN A-----\nc2VjcmV0\n-----END A-----"),
            "line 5: this is no whole marker",
        ),
        (
            with("—–BEGIN A—–\nc2VjcmV0\n—–END A—–"),
            "line 5: this is no whole marker",
        ),
        (
            with("----- BEGIN A -----\nc2VjcmV0\n----- END A -----"),
            "line 5: this is no whole marker",
        ),
        (
            with("-----begin A-----\nc2VjcmV0\n-----end A-----"),
            "line 5: this is no whole marker",
        ),
        (
            with("BEGIN CERTIFICATE-----\nc2VjcmV0"),
            "line 5: this is no whole marker",
        ),
        (
            with("c2VjcmV0\n-----END CERTIFICATE-----"),
            "line 6: no section begins before this end",
        ),
        (
            with("-----BEGIN A-----\nc2VjcmV0\n-----END A"),
            "line 5: the section that begins here has no end",
        ),
    ] {
        let said = sections(text.as_bytes()).expect_err(&text).to_string();
        assert!(said.starts_with(reason), "{text}: {said}");
        assert!(!said.contains("c2V"), "{said}");
    }
}

#[test]
fn a_section_that_is_encrypted_in_the_old_way_has_no_bytes() {
    let text = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: \
                    AES-256-CBC,0\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let sections = sections(text.as_bytes()).expect("a section");
    assert!(sections.iter().all(|section| section.der.is_none()) && sections.len() == 1);
    assert!(!format!("{sections:?}").contains("AAAA"));
}

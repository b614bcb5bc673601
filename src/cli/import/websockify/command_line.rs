//! Finds websockify's arguments in a whole command line: removes the parts that belong to a shell, a systemd unit,
//! `sudo` or an interpreter.

/// Programs that accept websockify's options.
const PROGRAMS: &[&str] = &[
    "websockify",
    "websockify.py",
    "websocketproxy.py",
    "websockify-py",
];

/// The scripts of noVNC, which start websockify with options of their own.
const LAUNCHERS: &[&str] = &["novnc_proxy", "launch.sh"];

/// The options of websockify, which may be abbreviated as long as they are unambiguous.
const OPTIONS: &[&str] = &[
    "--auth-plugin",
    "--auth-source",
    "--cafile",
    "--cert",
    "--daemon",
    "--file-only",
    "--heartbeat",
    "--help",
    "--host-token",
    "--idle-timeout",
    "--inetd",
    "--key",
    "--key-password",
    "--legacy-syslog",
    "--libserver",
    "--log-file",
    "--prefer-ipv6",
    "--record",
    "--run-once",
    "--ssl-ciphers",
    "--ssl-only",
    "--ssl-target",
    "--ssl-version",
    "--syslog",
    "--target-config",
    "--timeout",
    "--token-plugin",
    "--token-source",
    "--traffic",
    "--unix-listen",
    "--unix-listen-mode",
    "--unix-target",
    "--verbose",
    "--verify-client",
    "--web",
    "--web-auth",
    "--wrap-mode",
];

/// Returns the words after the name of the program, or all words if it is missing.
pub(super) fn words(line: &[String]) -> Vec<String> {
    // A line in quotes is one word.
    let mut words: Vec<String> = match line {
        [whole] if whole.contains(char::is_whitespace) => split(whole),
        words => words.to_vec(),
    };
    if let Some(first) = words.first_mut() {
        for key in ["ExecStart=", "ExecStartPre=", "command="] {
            if let Some(rest) = first.strip_prefix(key) {
                *first = rest
                    .trim_start_matches(['-', '@', ':', '+', '!'])
                    .to_owned();
            }
        }
    }
    let own = |word: &String| OPTIONS.contains(&word.split('=').next().unwrap_or_default());
    let end = words.iter().position(own).unwrap_or(words.len());
    let front = words.get(..end).unwrap_or_default();
    let name = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
    let is_program = |word: &String| {
        let name = name(word);
        PROGRAMS.contains(&name.as_str())
            || name.starts_with("websockify.")
            || word.ends_with("websockify/run")
            || word == "./run"
    };
    if let Some(at) = front
        .iter()
        .position(|word| LAUNCHERS.contains(&name(word).as_str()))
    {
        return launched(words.get(at + 1..).unwrap_or_default());
    }
    let begin = match front.iter().position(is_program) {
        Some(at) => at + 1,
        // Another name, behind an interpreter and its options.
        None if front
            .first()
            .is_some_and(|word| name(word).starts_with("python")) =>
        {
            let script = |word: &String| !word.starts_with('-');
            let script = front.iter().skip(1).position(script);
            script.map_or(words.len(), |at| at + 2)
        }
        None => 0,
    };
    let rest = words.get(begin..).unwrap_or_default();
    let wrapped = rest
        .iter()
        .position(|word| word == "--")
        .unwrap_or(rest.len());
    let rest = rest
        .iter()
        .enumerate()
        .filter(|(at, word)| *at >= wrapped || !is_of_the_shell(word));
    let rest = rest.map(|(at, word)| {
        if at < wrapped {
            full(word)
        } else {
            word.clone()
        }
    });
    rest.collect()
}

/// Converts the arguments of noVNC's script to those of websockify.
fn launched(words: &[String]) -> Vec<String> {
    let mut made = Vec::new();
    let (mut listen, mut vnc) = ("6080".to_owned(), "localhost:5900".to_owned());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().cloned().unwrap_or_default();
        match word.as_str() {
            "--listen" => listen = value(),
            "--vnc" => vnc = value(),
            "--cert" | "--key" | "--web" | "--record" | "--heartbeat" | "--timeout"
            | "--idle-timeout" | "--token-plugin" | "--token-source" | "--auth-plugin"
            | "--auth-source" | "--cafile" | "--ssl-version" | "--ssl-ciphers" => {
                let value = value();
                made.extend([word.clone(), value]);
            }
            "--file-only" | "--ssl-only" | "--syslog" | "--web-auth" | "--host-token"
            | "--verify-client" => made.push(word.clone()),
            word if is_of_the_shell(word) => {}
            word => made.push(word.to_owned()),
        }
    }
    made.extend([listen, vnc]);
    made
}

/// True for redirections and control operators of a shell.
fn is_of_the_shell(word: &str) -> bool {
    let bare = word.trim_start_matches(|sign: char| sign.is_ascii_digit());
    matches!(word, "&" | "&&" | ";" | "|" | "\\")
        || bare.starts_with(['>', '<'])
        || word.starts_with("&>")
}

/// Returns an option with its full name.
fn full(word: &str) -> String {
    let (name, value) = word
        .split_once('=')
        .map_or((word, None), |(name, value)| (name, Some(value)));
    if !name.starts_with("--") || name.len() < 3 || OPTIONS.contains(&name) {
        return word.to_owned();
    }
    let mut meant = OPTIONS.iter().filter(|option| option.starts_with(name));
    match (meant.next(), meant.next(), value) {
        (Some(option), None, Some(value)) => format!("{option}={value}"),
        (Some(option), None, None) => (*option).to_owned(),
        _ => word.to_owned(),
    }
}

/// Splits a line into words, as a shell and systemd do.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match (sign, quote) {
            ('\\', None | Some('"')) => match signs.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            (sign, Some(open)) if sign == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(sign);
                word.get_or_insert_default();
            }
            (sign, None) if sign.is_whitespace() => words.extend(word.take()),
            (sign, _) => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_before_websockify_is_taken_off() {
        for line in [
            "6080 h:1",
            "websockify 6080 h:1",
            "/usr/bin/websockify 6080 h:1",
            "python3 -m websockify 6080 h:1",
            "python3 -m websockify.websocketproxy 6080 h:1",
            "/usr/bin/python3 -u /opt/websockify/websockify.py 6080 h:1",
            "python3 /opt/novnc/utils/websockify/run 6080 h:1",
            "python2 -O /opt/own.py 6080 h:1",
            "sudo -u vnc env PYTHONPATH=/x A=b nice -n 10 python3 websockify 6080 h:1",
            "ExecStart=/usr/bin/websockify 6080 h:1",
            "ExecStart=-/usr/bin/env python3 -m websockify 6080 h:1",
            "nohup websockify 6080 h:1 > /dev/null 2>&1 &",
            "exec ./run 6080 h:1",
        ] {
            let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let found = super::words(&words);
            let found: Vec<_> = found.iter().filter(|word| *word != "/dev/null").collect();
            assert_eq!(found, ["6080", "h:1"], "{line}");
            let whole = super::words(&[line.to_owned()]);
            assert_eq!(whole.first().map(String::as_str), Some("6080"), "{line}");
        }
    }

    #[test]
    fn options_may_be_shortened_and_what_is_wrapped_is_left_alone() {
        let line = "websockify --token-pl TokenFile --token-s='/a b' 6080 -- x --token-s 2>&1";
        assert_eq!(
            words(&[line.to_owned()]),
            [
                "--token-plugin",
                "TokenFile",
                "--token-source=/a b",
                "6080",
                "--",
                "x",
                "--token-s",
                "2>&1"
            ]
        );
        let line = "/usr/share/novnc/utils/novnc_proxy --vnc h:1 --listen 80 --cert /c";
        assert_eq!(words(&[line.to_owned()]), ["--cert", "/c", "80", "h:1"]);
    }
}

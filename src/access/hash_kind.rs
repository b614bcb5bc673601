//! Recognises password hashes of unsupported kinds by their form.
//!
//! A file of users may come from anywhere: `htpasswd`, `/etc/shadow`, a database. If a hash were taken for a plain
//! password, anyone who has seen the file could log in with it. So text that looks like a hash is no password unless
//! the file marks it as one. Independent of the use of the result.

/// Kinds by their prefix, in lower case; the first match counts.
const BY_BEGINNING: &[(&str, &str)] = &[
    ("$apr1$", "Apache's MD5, htpasswd -m"),
    ("$1$", "MD5 crypt"),
    ("$2", "bcrypt, but not a whole one"),
    ("$3$", "NT hash"),
    ("$5$", "SHA-256 crypt, htpasswd -2"),
    ("$6$", "SHA-512 crypt, htpasswd -5"),
    ("$7$", "scrypt"),
    ("$8$", "PBKDF2"),
    ("$9$", "scrypt"),
    ("$y$", "yescrypt"),
    ("$gy$", "gost-yescrypt"),
    ("$argon2", "Argon2"),
    ("$sha1$", "SHA-1 crypt"),
    ("$md5", "SunMD5"),
    ("$pbkdf2", "PBKDF2"),
    ("$scrypt$", "scrypt"),
    ("{sha}", "SHA-1, htpasswd -s"),
    ("{ssha", "salted SHA"),
    ("{sha", "SHA"),
    ("{md5", "MD5"),
    ("{smd5}", "salted MD5"),
    ("{crypt}", "crypt"),
    ("$", "unknown"),
    ("{", "unknown"),
    ("pbkdf2", "PBKDF2"),
    ("scrypt:", "scrypt"),
    ("scrypt$", "scrypt"),
    ("argon2", "Argon2"),
    ("bcrypt", "bcrypt, but not as htpasswd writes it"),
    ("scram-sha-", "SCRAM"),
    ("sha1$", "SHA-1"),
    ("sha256$", "SHA-256"),
    ("sha512$", "SHA-512"),
    ("md5$", "MD5"),
    ("sha1:", "SHA-1 or PBKDF2"),
    ("sha256:", "SHA-256 or PBKDF2"),
    ("sha512:", "SHA-512 or PBKDF2"),
    ("sha-", "SHA"),
    ("md5:", "MD5"),
    ("!", "locked account"),
    ("*", "locked account"),
];

/// Returns the kind of hash that a text looks like, if any.
pub(super) fn hash_kind(text: &str) -> Option<&'static str> {
    let small = text.to_ascii_lowercase();
    let by_beginning = BY_BEGINNING
        .iter()
        .find(|(beginning, _)| small.starts_with(beginning));
    if let Some((_, kind)) = by_beginning {
        return Some(kind);
    }
    let of_crypt = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte))
    };
    match text.len() {
        13 if of_crypt(text) => return Some("DES crypt, htpasswd -d"),
        20 if text.strip_prefix('_').is_some_and(of_crypt) => return Some("extended DES crypt"),
        _ => {}
    }
    // htdigest: name:realm:hash.
    if small
        .rsplit_once(':')
        .is_some_and(|(_, last)| is_hex(last, &[32, 64]))
    {
        return Some("digest of a realm, htdigest");
    }
    // passwd(5): the hash is in another file.
    let fields = small.strip_prefix("x:").map(|rest| rest.split(':').take(2));
    let is_number =
        |field: &str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    if small == "x" || fields.is_some_and(|mut fields| fields.all(is_number)) {
        return Some("account of the system, whose hash is in /etc/shadow");
    }
    let digits = small
        .strip_prefix("md5")
        .or_else(|| small.strip_prefix("0x"));
    let is_digest = |text: &str| is_hex(text, &[32, 40, 56, 64, 96, 128]);
    if is_digest(digits.unwrap_or(&small)) {
        return Some("digest without salt");
    }
    // Many programs write the salt before or behind it.
    small
        .split([':', '$', '.', ',', '|', ' '])
        .any(is_digest)
        .then_some("digest with salt")
}

/// True for hexadecimal digits of one of these lengths.
fn is_hex(text: &str, lengths: &[usize]) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_all_kinds_are_known_by_their_form() {
        for (text, kind) in [
            ("abYXn0BjEIEUU", "DES crypt"),
            ("..............".split_at(1).1, "DES crypt"),
            ("_J9..CCCCXBrJUJV154M", "extended DES"),
            ("$1$abcdefgh$irWbblnpmw.5z7wgBnprh0", "MD5 crypt"),
            ("$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "Apache's MD5"),
            ("$5$rounds=5000$salt$hash", "SHA-256 crypt"),
            ("$6$salt$hash", "SHA-512 crypt"),
            ("$y$j9T$salt$hash", "yescrypt"),
            ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "Argon2"),
            ("$2y$10$short", "bcrypt"),
            ("$whatever$x", "unknown"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("{SSHA}c2FsdGVk", "salted SHA"),
            ("{ssha512}c2FsdGVk", "salted SHA"),
            ("{NEW}x", "unknown"),
            ("pbkdf2_sha256$600000$salt$hash", "PBKDF2"),
            ("scrypt:32768:8:1$salt$00", "scrypt"),
            ("SCRAM-SHA-256$4096:c2FsdA==$a:b", "SCRAM"),
            ("!", "locked"),
            ("!!$6$salt$hash", "locked"),
            ("*", "locked"),
            ("*0", "locked"),
            ("x", "account of the system"),
            ("x:1000:1000:Ann:/home/ann:/bin/sh", "account of the system"),
            ("Staff only:0123456789abcdef0123456789abcdef", "htdigest"),
            ("5F4DCC3B5AA765D61D8327DEB882CF99", "digest without salt"),
            ("md55f4dcc3b5aa765d61d8327deb882cf99", "digest without salt"),
            (
                "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
                "digest without salt",
            ),
            ("5f4dcc3b5aa765d61d8327deb882cf99:Qx7n", "digest with salt"),
            ("Qx7n$5f4dcc3b5aa765d61d8327deb882cf99", "digest with salt"),
            ("sha1:64000:18:c2FsdA==:aGFzaA==", "PBKDF2"),
            ("sha256:1000:c2FsdA:aGFzaA", "PBKDF2"),
        ] {
            let found = hash_kind(text).unwrap_or("none");
            assert!(found.contains(kind), "{text}: {found}");
        }
    }

    #[test]
    fn passwords_that_look_like_none_are_none() {
        for text in [
            "tea",
            "tea-time",
            "wok:1",
            "correct horse battery staple",
            "abYXn0BjEIEU",
            "abYXn0BjEIEUUx",
            "abYXn0Bj EIEU",
            "x1",
            "12345678",
            "grüße",
            "a$b",
            "a{b}",
            "pass*word!",
        ] {
            assert_eq!(hash_kind(text), None, "{text}");
        }
    }
}

//! Models of the request parsers of gateways and apps, for comparison with Noren's decision. They use none of
//! Noren's own code.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

use crate::http::{drop_client_claims, drop_hop_by_hop};

/// Header names that an app gets from Noren or not at all, as CGI folds them.
const RESERVED: [&str; 6] = [
    "FORWARDED",
    "PROXY",
    "X_REAL_IP",
    "X_CLIENT_IP",
    "X_ORIGINAL_URL",
    "X_REWRITE_URL",
];

/// Header names with one meaning for Noren, which no other name may imitate for an app.
const SINGLE: [&str; 6] = [
    "AUTHORIZATION",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "COOKIE",
    "HOST",
    "TRANSFER_ENCODING",
];

/// Checks that every model parser of a request that passes sees what Noren has decided about: one credential for
/// every parser of Basic, a target that is a path, and no header name that a gateway folds into a reserved one.
///
/// # Panics
/// If some reader sees something else.
pub fn reading(text: &str) {
    let Some((mut parts, head)) = super::checked(text) else {
        return;
    };
    let users = users(&parts.headers);
    assert!(users.len() <= 1, "{text:?}: {users:?}");
    let sent = head.path.as_sent();
    assert!(head.asterisk || sent.starts_with('/'), "{text:?}: {sent:?}");
    assert!(!sent.contains(['#', ' ', '\t']), "{text:?}: {sent:?}");
    super::path(sent);
    drop_hop_by_hop(&mut parts.headers);
    drop_client_claims(&mut parts.headers);
    for name in parts.headers.keys() {
        let folded = folded(name);
        let is_exact = name.as_str().replace('-', "_").to_ascii_uppercase() == folded;
        assert!(
            !RESERVED.contains(&folded.as_str())
                && !["X_FORWARDED_", "X_ACCEL_", "NOREN_"]
                    .iter()
                    .any(|begin| folded.starts_with(begin)),
            "{text:?}: {name}"
        );
        assert!(
            is_exact && !name.as_str().contains('_') || !SINGLE.contains(&folded.as_str()),
            "{text:?}: {name}"
        );
    }
}

/// Name of a header's variable in a gateway that maps every special character to the underscore.
fn folded(name: &HeaderName) -> String {
    let sign = |sign: char| match sign {
        'a'..='z' | '0'..='9' => sign.to_ascii_uppercase(),
        _ => '_',
    };
    name.as_str().chars().map(sign).collect()
}

/// Every `name:password` that some parser of Basic finds: in the first line, in the last, or in all joined with
/// commas, as cheroot, Node and WSGI servers differ; split at one blank, at any white space, or as a list.
fn users(headers: &HeaderMap) -> BTreeSet<Vec<u8>> {
    let lines: Vec<&str> = headers
        .get_all(AUTHORIZATION)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    let joined = lines.join(", ");
    let first = lines.first().copied();
    let texts = [first, lines.last().copied(), Some(joined.as_str())];
    let mut users = BTreeSet::new();
    for text in texts.into_iter().flatten() {
        users.extend(text.split_once(' ').and_then(decoded));
        users.extend(divided(text).and_then(decoded));
        users.extend(text.split(',').filter_map(divided).filter_map(decoded));
    }
    users
}

fn divided(text: &str) -> Option<(&str, &str)> {
    let mut words = text.split_ascii_whitespace();
    Some((words.next()?, words.next()?))
}

fn decoded((scheme, text): (&str, &str)) -> Option<Vec<u8>> {
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let reader = GeneralPurpose::new(&STANDARD, lenient);
    let user = reader.decode(text.trim().trim_end_matches(',')).ok()?;
    user.contains(&b':').then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Pieces that a mutation inserts: the characters that parsers treat differently.
    const PIECES: [&str; 16] = [
        ", ",
        "\t",
        " ",
        "%2f",
        "%61",
        "//",
        ";",
        "#",
        "_",
        "$",
        ".",
        "\n",
        "Basic YTpi",
        "Authorization: x\n",
        "-",
        "?",
    ];

    #[test]
    fn no_mutation_of_the_seeds_is_read_otherwise_than_the_door_has_decided() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/reading");
        let seeds: Vec<String> = fs::read_dir(seeds)
            .expect("the seeds")
            .map(|seed| fs::read_to_string(seed.expect("a seed").path()).expect("a text"))
            .collect();
        assert!(seeds.len() >= 8, "{} seeds", seeds.len());
        let mut passed = 0;
        // Xorshift: the same mutations each time.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap_or_default() % below.max(1)
        };
        for round in 0..10_000 {
            let mut text = seeds.get(round % seeds.len()).cloned().unwrap_or_default();
            for _ in 0..next(4) {
                let mut at = next(text.len() + 1);
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                text.insert_str(
                    at,
                    PIECES.get(next(PIECES.len())).copied().unwrap_or_default(),
                );
            }
            reading(&text);
            passed += usize::from(super::super::checked(&text).is_some());
        }
        assert!(passed > 1_000, "only {passed} passed");
    }

    #[test]
    fn the_models_differ_where_servers_do() {
        let mut headers = HeaderMap::new();
        for line in ["Basic YTpi", "Basic\tYzpk"] {
            headers.append(AUTHORIZATION, line.parse().expect("a value"));
        }
        assert_eq!(users(&headers).len(), 2);
        assert_eq!(
            folded(&HeaderName::from_static("x$forwarded.for")),
            "X_FORWARDED_FOR"
        );
    }
}

//! User ids from user names and numbers.
//!
//! Names are looked up in passwd(5) itself. The system's own look-up may ask a directory server, and delay Noren's
//! start; users that are only known there can be given by number.

use std::fs;

/// The file of user names and numbers.
const PASSWD: &str = "/etc/passwd";

/// Returns the user ids of all `users`; the error names an unknown user.
pub(super) fn numbers(users: &[String]) -> Result<Vec<u32>, String> {
    let is_number = |user: &String| user.parse::<u32>().is_ok();
    let passwd = if users.iter().all(is_number) {
        String::new()
    } else {
        let bytes = fs::read(PASSWD).map_err(|error| format!("read {PASSWD}: {error}"))?;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    users.iter().map(|user| number(user, &passwd)).collect()
}

fn number(user: &str, passwd: &str) -> Result<u32, String> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let own = fields.next() == Some(user);
        own.then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    passwd.lines().find_map(of_line).ok_or_else(|| {
        format!("there is no user {user:?} in {PASSWD}; write the name of one, or a number")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "root:x:0:0:root:/root:/bin/sh\nbad:x\nwok:x:990:990::/:/bin/false\n";

    #[test]
    fn a_user_is_a_name_or_a_number() {
        assert_eq!(number("wok", LINES), Ok(990));
        assert_eq!(number("77", LINES), Ok(77));
        for unknown in ["wo", "x", "bad", "", "-1"] {
            let refusal = number(unknown, LINES).expect_err("unknown");
            assert!(refusal.contains(&format!("{unknown:?}")), "{refusal}");
        }
    }

    #[test]
    fn numbers_need_no_file_and_root_is_in_it() {
        let all = ["root", "5"].map(str::to_owned);
        assert_eq!(numbers(&all), Ok(vec![0, 5]));
    }
}

//! Entries in a list of users: one user, or all of a group. Does not look up users.

use std::fmt;

/// One entry of a list of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// `ann`: the user of this name.
    User(String),
    /// `group:kitchen`: every user of this group.
    Group(String),
}

impl Member {
    /// Reads `NAME` or `group:NAME`; the error text says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (group, name) = match text.strip_prefix("group:") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let unfit = |c: char| c.is_control() || c == ',';
        if name.is_empty() || name.trim() != name || name.contains(unfit) {
            return Err(format!(
                r#"{text:?} is no user; write a name such as "ann", or "group:kitchen""#
            ));
        }
        let name = name.to_owned();
        Ok(if group {
            Self::Group(name)
        } else {
            Self::User(name)
        })
    }

    /// True if the entry matches a user with this name and these groups.
    #[must_use]
    pub fn is(&self, user: Option<&str>, groups: &[Box<str>]) -> bool {
        match self {
            Self::User(name) => user == Some(name),
            Self::Group(name) => groups.iter().any(|group| **group == **name),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => f.write_str(name),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_no_group_of_the_same_name() {
        let is = |text: &str, user, groups: &[Box<str>]| {
            Member::parse(text).expect("a member").is(user, groups)
        };
        let kitchen: [Box<str>; 1] = ["kitchen".into()];
        assert!(is("ann", Some("ann"), &[]));
        assert!(is("group:kitchen", Some("ann"), &kitchen));
        assert!(!is("kitchen", Some("ann"), &kitchen));
        assert!(!is("group:ann", Some("ann"), &kitchen));
        assert!(!is("ann", None, &kitchen));
        for text in ["", "group:", " ann", "a,b", "a\nb"] {
            assert!(Member::parse(text).is_err(), "{text:?} was taken");
        }
    }
}

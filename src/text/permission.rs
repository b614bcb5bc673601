//! Permissions of files in the words of an administrator: which user may not do what, who may, and the command that
//! changes it. Goes by owner, group and mode, as they are on this machine; lists of access (ACLs) are not read.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::{getegid, geteuid};

/// Files with the users and their numbers (passwd(5)), and the groups (group(5)).
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A use of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Reading a file.
    Read,
    /// Writing to a file, or creating one in a directory.
    Write,
    /// Passing through a directory.
    Enter,
}

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: u32,
    gid: u32,
    /// The groups that the user is in beside.
    groups: Vec<u32>,
}

impl Use {
    /// The bits of one class of a mode.
    fn bits(self) -> u32 {
        match self {
            Self::Read => 0o4,
            Self::Write => 0o2,
            Self::Enter => 0o1,
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write to",
            Self::Enter => "enter",
        }
    }

    /// Mode change for chmod(1) that permits this to the group.
    fn change(self, is_directory: bool) -> &'static str {
        match (self, is_directory) {
            (Self::Read, false) => "g+r",
            (Self::Read, true) => "g+rx",
            (Self::Write, false) => "g+rw",
            (Self::Write, true) => "g+rwx",
            (Self::Enter, _) => "g+x",
        }
    }
}

impl Account {
    /// The user of this process.
    #[must_use]
    pub fn current() -> Self {
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        Self {
            name: name_of(PASSWD, uid),
            uid,
            gid,
            groups: Vec::new(),
        }
    }

    /// The user of this name, if there is one.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let passwd = fs::read_to_string(PASSWD).ok()?;
        let groups = fs::read_to_string(GROUP).unwrap_or_default();
        Self::find(name, &passwd, &groups)
    }

    fn find(name: &str, passwd: &str, groups: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| first(line) == name)?;
        let mut numbers = line.split(':').skip(2).map(str::parse);
        let (uid, gid) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let member = |line: &&str| {
            let members = line.rsplit(':').next().unwrap_or_default();
            members.split(',').any(|member| member == name)
        };
        let groups = groups.lines().filter(member);
        Some(Self {
            name: name.to_owned(),
            uid,
            gid,
            groups: groups.filter_map(number).collect(),
        })
    }

    /// True for root, whom no mode keeps out.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// The user's name, or number.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The remedy if this user may not use a file that is there, by the modes of the file and of its directories.
    #[must_use]
    pub fn lacks(&self, path: &Path, wanted: Use) -> Option<String> {
        let path = std::path::absolute(path).ok()?;
        let mut directories: Vec<&Path> = path.ancestors().skip(1).collect();
        directories.reverse();
        let steps = directories.into_iter().map(|one| (one, Use::Enter));
        steps
            .chain([(path.as_path(), wanted)])
            .find_map(|(place, wanted)| {
                let found = fs::metadata(place).ok()?;
                let may = self.may(&found, wanted);
                (!may).then(|| self.remedy(place, &path, wanted, &found))
            })
    }

    fn may(&self, found: &Metadata, wanted: Use) -> bool {
        let shift = if self.uid == found.uid() {
            6
        } else if self.gid == found.gid() || self.groups.contains(&found.gid()) {
            3
        } else {
            0
        };
        self.is_root() || (found.permissions().mode() >> shift) & wanted.bits() != 0
    }

    /// `place` is what is in the way to `path`.
    fn remedy(&self, place: &Path, path: &Path, wanted: Use, found: &Metadata) -> String {
        let mode = found.permissions().mode() & 0o7777;
        let owner = name_of(PASSWD, found.uid());
        let (user, verb, shown) = (&self.name, wanted.verb(), place.display());
        let what = if place == path {
            "it".to_owned()
        } else {
            shown.to_string()
        };
        let denied = format!(
            "the user {user} may not {verb} {what} (mode {mode:04o}, of {owner}:{})",
            name_of(GROUP, found.gid())
        );
        if self.is_root() {
            return format!("{denied}: its unit or container takes that right away");
        }
        let group = name_of(GROUP, self.gid);
        let change = wanted.change(found.is_dir());
        format!("{denied}; as root: chgrp {group} {shown} && chmod {change} {shown}")
    }
}

/// Sentence for a use that the system has denied to this process: what it may not do, and the command that helps.
#[must_use]
pub fn remedy(path: &Path, wanted: Use) -> String {
    let account = Account::current();
    let (place, wanted) = obstacle(path, wanted);
    match fs::metadata(&place) {
        Ok(found) => account.remedy(&place, path, wanted, &found),
        Err(_) => format!(
            "the user {} may not {} {}",
            account.name,
            wanted.verb(),
            place.display()
        ),
    }
}

/// Checks that a directory can be written to or, if it is not there, be made with those above it. Makes nothing.
///
/// # Errors
/// The error that writing would cause.
pub fn writable(directory: &Path) -> io::Result<()> {
    let directory = std::path::absolute(directory)?;
    for place in directory.ancestors() {
        match fs::metadata(place) {
            Ok(found) if !found.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
            Ok(_) => {
                // By the rights that this process really has: plain access(2) leaves out capabilities.
                let wanted = Access::WRITE_OK | Access::EXEC_OK;
                return Ok(accessat(CWD, place, wanted, AtFlags::EACCESS)?);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The users who may read a file, or pass to it: `root`, or `root and the group noren`.
#[must_use]
pub fn readers(path: &Path) -> String {
    let (place, wanted) = obstacle(path, Use::Read);
    let Ok(found) = fs::metadata(place) else {
        return "root".to_owned();
    };
    let mode = found.permissions().mode();
    let mut readers = vec!["root".to_owned()];
    if mode >> 6 & wanted.bits() != 0 && found.uid() != 0 {
        readers.push(name_of(PASSWD, found.uid()));
    }
    if mode >> 3 & wanted.bits() != 0 {
        readers.push(format!("the group {}", name_of(GROUP, found.gid())));
    }
    readers.join(" and ")
}

/// Finds the obstacle: a directory above that may not be entered, or the file itself; for a file that is not there,
/// the directory it would be made in.
fn obstacle(path: &Path, wanted: Use) -> (PathBuf, Use) {
    let mut directories: Vec<&Path> = path.ancestors().collect();
    directories.reverse();
    for pair in directories.windows(2) {
        let [directory, next] = pair else { continue };
        match fs::symlink_metadata(next) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return ((*directory).to_owned(), Use::Enter);
            }
            Err(_) => return ((*directory).to_owned(), wanted),
            Ok(_) => {}
        }
    }
    (path.to_owned(), wanted)
}

/// The name that a number has in a file such as passwd(5), or the number.
fn name_of(file: &str, id: u32) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| number(line) == Some(id));
    line.map_or_else(|| id.to_string(), |line| first(line).to_owned())
}

fn first(line: &str) -> &str {
    line.split(':').next().unwrap_or_default()
}

fn number(line: &str) -> Option<u32> {
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_group_of_its_own_and_those_that_name_it() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad:x\nnoren:x:990:991::/:/bin/false\n";
        let groups = "root:x:0:\nnoren:x:991:\nkvm:x:78:ann,noren\nbroken\n";
        let found = Account::find("noren", passwd, groups).expect("a user");
        assert_eq!((found.uid, found.gid, found.groups), (990, 991, vec![78]));
        assert_eq!(Account::find("nor", passwd, groups), None);
        assert_eq!(Account::find("bad", passwd, groups), None);
    }

    #[test]
    fn the_remedy_names_the_place_that_is_in_the_way_and_the_command() {
        let directory = tempfile::tempdir().expect("a directory");
        let private = directory.path().join("private");
        fs::create_dir(&private).expect("a directory");
        let file = private.join("key.pem");
        fs::write(&file, "").expect("a file");
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
        };
        let other = Account {
            name: "noren".to_owned(),
            uid: 4_000_000,
            gid: 4_000_001,
            groups: Vec::new(),
        };
        mode(directory.path(), 0o755);
        mode(&private, 0o755);
        mode(&file, 0o600);
        let shown = file.display();
        let said = other.lacks(&file, Use::Read).expect("it is private");
        assert!(said.contains("the user noren may not read"), "{said}");
        let command = format!("chgrp 4000001 {shown} && chmod g+r {shown}");
        assert!(said.ends_with(&command), "{said}");
        mode(&private, 0o700);
        let said = other.lacks(&file, Use::Read).expect("it is out of reach");
        assert!(said.contains("may not enter"), "{said}");
        mode(&private, 0o755);
        mode(&file, 0o604);
        assert_eq!(other.lacks(&file, Use::Read), None);
        assert_eq!(other.lacks(&private.join("none"), Use::Read), None);
        let own = Account {
            gid: fs::metadata(&file).expect("ours").gid(),
            ..other
        };
        assert!(
            own.lacks(&file, Use::Read).is_some(),
            "its group is kept out"
        );
    }
}

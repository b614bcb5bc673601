use super::*;
use http::HeaderValue;

fn users(text: &str) -> Users {
    Users::parse(text).unwrap_or_else(|reason| panic!("{reason}"))
}

fn shown(credential: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = format!("Basic {}", STANDARD.encode(credential));
    headers.insert(AUTHORIZATION, HeaderValue::try_from(value).expect("base64"));
    headers
}

async fn proven(users: &Users, credential: &str) -> Result<String, Unproven> {
    let name = users.prove(&shown(credential)).await?;
    Ok(name.to_string())
}

#[tokio::test]
async fn passwords_and_hashes_prove_their_users_only() {
    let hash = |password| bcrypt::hash(password, 4).expect("a hash");
    let hashed = format!(
        "# staff\ncook:{}\n\nwaiter:{}\n",
        hash("wok:1"),
        hash("tea")
    );
    for file in [hashed.as_str(), "cook:wok:1\nwaiter:tea\n"] {
        let users = users(file);
        assert_eq!(proven(&users, "cook:wok:1").await, Ok("cook".to_owned()));
        // Once more, which is remembered where there is a hash.
        assert_eq!(proven(&users, "cook:wok:1").await, Ok("cook".to_owned()));
        assert_eq!(proven(&users, "waiter:tea").await, Ok("waiter".to_owned()));
        for wrong in [
            "cook:tea",
            "waiter:wok:1",
            "cook:",
            "cook:wok",
            "Cook:wok:1",
            ":wok:1",
            "guest:wok:1",
        ] {
            assert_eq!(proven(&users, wrong).await, Err(Unproven::Wrong), "{wrong}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_takes_the_same_work_for_every_user_whatever_their_hashes_cost() {
    let hash = |cost| bcrypt::hash("wok", cost).expect("a hash");
    let users = users(&format!(
        "cook:{}\nwaiter:{}\nhost:{}\n",
        hash(4),
        hash(7),
        hash(5)
    ));
    let rounds = |name: &str, password: &str| {
        let secret = users.secrets.get(name).unwrap_or(&users.stand_in);
        let Secret::Hash(hash) = secret else {
            panic!("{name} has no hash");
        };
        let compared = compare(password, hash, users.stand_in.cost());
        (compared.right, compared.rounds)
    };
    for name in ["cook", "waiter", "host", "nobody"] {
        assert_eq!(rounds(name, "tea"), (false, 1 << 7), "{name}");
    }
    // A correct password may be accepted early.
    assert_eq!(rounds("cook", "wok"), (true, 1 << 4));
    for name in ["cook", "waiter", "host"] {
        assert_eq!(
            proven(&users, &format!("{name}:wok")).await,
            Ok(name.to_owned())
        );
        let wrong = format!("{name}:tea");
        assert_eq!(proven(&users, &wrong).await, Err(Unproven::Wrong));
    }
}

#[test]
fn a_hash_that_cannot_be_compared_with_is_refused_for_it_would_be_a_quick_no() {
    let hash = bcrypt::hash("wok", 4).expect("a hash");
    for broken in [
        hash.replace("$04$", "$+4$"),
        format!("{}!", hash.get(..59).unwrap_or_default()),
        hash.get(..59).unwrap_or_default().to_owned(),
    ] {
        let said = Users::parse(&format!("cook:{broken}")).err();
        let said = said.unwrap_or_default();
        assert!(said.contains("of a kind that is not known"), "{said}");
    }
}

#[tokio::test]
async fn what_is_no_basic_credential_proves_nothing() {
    let users = users("cook:wok");
    assert_eq!(users.prove(&HeaderMap::new()).await, Err(Unproven::Missing));
    for value in [
        "Bearer Y29vazp3b2s=",
        "Basic",
        "Basic !",
        "Basic Y29vaw==",
        "Basic /w==",
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        assert_eq!(
            users.prove(&headers).await,
            Err(Unproven::Malformed),
            "{value}"
        );
    }
    let mut twice = shown("cook:wok");
    twice.append(AUTHORIZATION, HeaderValue::from_static("Basic eDp4"));
    assert_eq!(users.prove(&twice).await, Err(Unproven::Malformed));
}

#[tokio::test]
async fn more_guesses_than_may_wait_are_told_so() {
    let hash = bcrypt::hash("wok", 4).expect("a hash");
    let users = users(&format!("cook:{hash}"));
    let _all = users.waiting.clone().acquire_many_owned(16).await;
    assert_eq!(proven(&users, "cook:wok").await, Err(Unproven::Busy));
}

#[tokio::test]
async fn a_hash_of_another_kind_is_no_password_unless_the_file_says_so() {
    for hash in [
        "abYXn0BjEIEUU",
        "_J9..CCCCXBrJUJV154M",
        "$1$abcdefgh$irWbblnpmw.5z7wgBnprh0",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "Staff:0123456789abcdef0123456789abcdef",
        "!locked",
        "*",
    ] {
        let said = Users::parse(&format!("ann:{hash}"))
            .err()
            .unwrap_or_default();
        assert!(
            said.starts_with("line 1: the hash of ann is of a kind"),
            "{hash}: {said}"
        );
        assert!(
            said.contains("htpasswd -nB ann") && !said.contains(hash),
            "{said}"
        );
        let users = users(&format!("ann:{{PLAIN}}{hash}"));
        assert_eq!(
            proven(&users, &format!("ann:{hash}")).await,
            Ok("ann".to_owned())
        );
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_first_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users");
    std::fs::write(&path, "\u{feff}ann:tea\r\nbob:wok\r\n").expect("a file");
    let users = Users::load(&path).expect("two users");
    assert_eq!(proven(&users, "ann:tea").await, Ok("ann".to_owned()));
    assert_eq!(proven(&users, "bob:wok").await, Ok("bob".to_owned()));
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_without_its_secrets() {
    let hash = bcrypt::hash("wok", 4).expect("a hash");
    for (text, reason) in [
        ("", "nobody is in it"),
        ("cook", "line 1: there is no colon"),
        (":wok", "line 1: a user needs a name"),
        ("\ncook:", "line 2: cook has no password"),
        ("cook:a\ncook:b", "line 2: this user is there twice"),
        ("cook:$apr1$secret", "line 1: the hash of cook is of a kind"),
        ("cook:{SHA}secret", "line 1: the hash of cook is of a kind"),
        ("cook:{PLAIN}", "line 1: cook has no password"),
        (
            &format!("cook:{}", hash.replace("$04$", "$31$")),
            "line 1: the hash of cook has a cost of 31",
        ),
        (
            &format!("cook:{hash}\nwaiter:tea"),
            "it has passwords beside hashes",
        ),
    ] {
        let said = Users::parse(text).err().unwrap_or_default();
        assert!(said.starts_with(reason), "{text:?}: {said}");
        assert!(!said.contains("secret"), "{said}");
    }
}

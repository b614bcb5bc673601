//! Tests of the handshake with hosts of every version, played byte by byte.

use tokio::net::UnixStream;

use super::*;
use crate::net::Socket;

/// One step of a host: what it sends, and what it then reads.
type Step<'a> = (&'a [u8], &'a [u8]);

fn login(security: &[RfbSecurity], user: Option<&str>) -> Login {
    let rfb = Rfb {
        security: (!security.is_empty()).then(|| security.to_vec()),
        user: user.map(str::to_owned),
        timeout: Duration::from_millis(500),
        ..Rfb::default()
    };
    Login::new(&rfb).expect("no files")
}

/// The method that is agreed on with a host of these steps, or the reason of the failure.
async fn perform(
    login: &Login,
    password: Option<&str>,
    steps: &[Step<'_>],
) -> Result<RfbSecurity, String> {
    let (own, mut host) = UnixStream::pair().expect("two sockets");
    let endpoint = Endpoint::Unix("/run/vm".into());
    let password = password.map(Secret::from);
    let connection = Outgoing::Left(Socket::Unix(own));
    let ours = login.perform(connection, &endpoint, password.as_ref());
    let theirs = async move {
        for (sent, expected) in steps {
            host.write_all(sent).await.expect("the door reads");
            let mut read = vec![0; expected.len()];
            host.read_exact(&mut read).await.expect("the door answers");
            assert_eq!(read, *expected);
        }
    };
    let (performed, ()) = tokio::join!(ours, theirs);
    performed
        .map(|host| host.method)
        .map_err(|error| error.to_string().replace("RFB with unix:/run/vm: ", ""))
}

const V3_8: &[u8] = b"RFB 003.008\n";
const OK: &[u8] = &[0; 4];

#[tokio::test]
async fn each_version_is_answered_in_its_own_way() {
    let any = login(&[], None);
    for steps in [
        &[(V3_8, V3_8), (&[2, 5, 1], &[1]), (OK, &[])][..],
        &[(b"RFB 003.889\n", V3_8), (&[1, 1], &[1]), (OK, &[])],
        &[(b"RFB 003.007\n", b"RFB 003.007\n"), (&[1, 1], &[1])],
        &[(b"RFB 003.003\n", b"RFB 003.003\n"), (&[0, 0, 0, 1], &[])],
    ] {
        assert_eq!(perform(&any, None, steps).await, Ok(RfbSecurity::None));
    }
}

#[tokio::test]
async fn a_password_answers_the_challenge_and_the_best_method_is_taken() {
    let any = login(&[], None);
    let response: &[u8] = &vnc_auth::respond("secret", *b"0123456789abcdef");
    let challenge: &[u8] = b"0123456789abcdef";
    let steps: &[Step<'_>] = &[
        (V3_8, V3_8),
        (&[2, 1, 2], &[2]),
        (challenge, response),
        (OK, &[]),
    ];
    let vnc = perform(&any, Some("secret"), steps).await;
    assert_eq!(vnc, Ok(RfbSecurity::Vnc));
    let old: &[u8] = b"RFB 003.003\n";
    let steps: &[Step<'_>] = &[
        (old, old),
        (&[0, 0, 0, 2], &[]),
        (challenge, response),
        (OK, &[]),
    ];
    let vnc = perform(&any, Some("secret"), steps).await;
    assert_eq!(vnc, Ok(RfbSecurity::Vnc));
    // Without a password what needs none is taken, if the operator accepts it.
    let steps: &[Step<'_>] = &[(V3_8, V3_8), (&[2, 1, 2], &[1]), (OK, &[])];
    assert_eq!(perform(&any, None, steps).await, Ok(RfbSecurity::None));
}

#[tokio::test]
async fn every_failure_is_told_in_one_sentence() {
    let any = login(&[], None);
    let certified = login(&[RfbSecurity::X509Plain], None);
    let refused: &[u8] = b"\0\0\0\0\x05full\0";
    let failed: &[u8] = b"\0\0\0\x01\0\0\0\x05wrong";
    let response = vnc_auth::respond("soup", [7; CHALLENGE]);
    let endless: &[u8] = b"\0\0\0\x01\xFF\xFF\xFF\xFFwrong";
    for (login, password, steps, said) in [
        (
            &any,
            None,
            &[(V3_8, V3_8), (refused, &[])][..],
            "it refused the connection: full",
        ),
        (
            &any,
            None,
            &[(b"RFB 000.000\n", &[])],
            "it is a repeater, which waits for the name of a host; name the host itself",
        ),
        (
            &any,
            None,
            &[(b"HTTP/1.1 400", &[])],
            "it does not speak RFB; it began with \"HTTP/1.1 400\"",
        ),
        (
            &any,
            None,
            &[(b"RFB 002.000\n", &[])],
            "it speaks a version before 3.3",
        ),
        (
            &any,
            None,
            &[],
            "it closed the connection during the handshake",
        ),
        (
            &any,
            None,
            &[(V3_8, V3_8), (&[1, 2], &[])],
            "it wants a password (vnc), and there is none; write rfb.password, or have the token source tell it",
        ),
        (
            &any,
            None,
            &[(V3_8, V3_8), (&[2, 5, 30], &[])],
            "it offers RA2, Apple, and nothing that is accepted; accept it in rfb.security, or change the host",
        ),
        (
            &any,
            Some("soup"),
            &[
                (V3_8, V3_8),
                (&[1, 2], &[2]),
                (&[7; 16], &response),
                (failed, &[]),
            ],
            "it did not accept the password: wrong",
        ),
        (
            &any,
            None,
            &[(V3_8, V3_8), (&[1, 1], &[1]), (endless, &[])],
            "it let nobody in: wrong",
        ),
        (
            &certified,
            Some("soup"),
            &[(V3_8, V3_8), (&[1, 19], &[])],
            "it requires a user and a password (x509-plain); write rfb.user and rfb.password",
        ),
        (
            &certified,
            None,
            &[(V3_8, V3_8), (&[2, 1, 2], &[])],
            "it offers None, VncAuth, and nothing that is accepted; accept it in rfb.security, or change the host",
        ),
    ] {
        // What the door writes beyond the steps is left unread.
        let failed = perform(login, password, steps).await;
        assert_eq!(failed, Err(said.to_owned()));
    }
}

#[tokio::test]
async fn vencrypt_ends_before_tls_where_there_is_nothing_to_accept() {
    let certified = login(&[RfbSecurity::X509None, RfbSecurity::None], None);
    let begin: &[Step<'_>] = &[(V3_8, V3_8), (&[2, 19, 1], &[19])];
    for (more, said) in [
        (
            &[(&[0, 1][..], &[][..])][..],
            "it broke the protocol: its VeNCrypt is older than 0.2",
        ),
        (
            &[(&[0, 2], &[0, 2]), (&[1], &[])],
            "it broke the protocol: it does not take VeNCrypt 0.2",
        ),
        (
            &[(&[0, 2], &[0, 2]), (&[0, 1, 0, 0, 1, 1], &[])],
            "it offers TLSNone, and nothing that is accepted; that is TLS without a certificate, which whoever is on \
             the way can answer: give the host one",
        ),
        // A host cannot talk its way back to no certificate.
        (
            &[(&[0, 2], &[0, 2]), (&[0, 1, 0, 0, 0, 1], &[])],
            "it offers None, and nothing that is accepted; accept it in rfb.security, or change the host",
        ),
        (
            &[
                (&[0, 2], &[0, 2]),
                (&[0, 1, 0, 0, 1, 4], &[0, 0, 1, 4]),
                (&[0], &[]),
            ],
            "it refused the connection: without a reason",
        ),
    ] {
        let steps = [begin, more].concat();
        assert_eq!(
            perform(&certified, None, &steps).await,
            Err(said.to_owned())
        );
    }
}

#[tokio::test]
async fn a_host_that_falls_silent_is_not_waited_for_longer_than_the_limit() {
    let (own, _host) = UnixStream::pair().expect("two sockets");
    let connection = Outgoing::Left(Socket::Unix(own));
    let endpoint = Endpoint::Unix("/run/vm".into());
    let performed = login(&[], None).perform(connection, &endpoint, None).await;
    let error = performed.expect_err("silence");
    assert!(error.is_slow(), "{error}");
}

#[test]
fn a_password_is_read_from_a_file_that_not_everybody_may_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("password");
    for (text, mode, expected) in [
        ("soup\r\n", 0o600, Ok("soup")),
        ("so up", 0o640, Ok("so up")),
        (
            "soup",
            0o644,
            Err("every user of this machine has access to it; chmod o= it"),
        ),
        ("\n", 0o600, Err("the file is empty")),
    ] {
        fs::write(&path, text).expect("a file of our own");
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(&path, mode).expect("a file of our own");
        let read = read_secret(&path);
        let read = read.as_ref().map(Secret::reveal).map_err(String::as_str);
        assert_eq!(read, expected);
    }
}

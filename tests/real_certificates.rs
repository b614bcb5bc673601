//! Client certificates that openssl has made, shown by curl, and passwords that htpasswd has hashed.

use std::process::Command;

use crate::support::{Door, ask, path, run, scratch, until};

/// An authority and two clients that it has signed, as an administrator makes them. The extension makes them
/// certificates of version 3; openssl's older ones are not taken by rustls.
const MAKE: &str = "
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
  -subj '/CN=Kitchen authority' -keyout ca.key -out clients.pem
echo 'extendedKeyUsage = clientAuth' > client.ext
for name in cook guest; do
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -subj \"/O=Kitchen/CN=$name\" -keyout $name.key -out $name.csr
  openssl x509 -req -in $name.csr -CA clients.pem -CAkey ca.key -CAcreateserial \
    -extfile client.ext -days 2 -out $name.pem
done
openssl x509 -req -in cook.csr -CA clients.pem -CAkey ca.key -CAcreateserial \
  -extfile client.ext -days -1 -out old.pem
htpasswd -nbB -C 5 cook wok > users
";

/// The port of the listener that was opened last.
fn last_port(door: &Door) -> String {
    until("the second listener", || {
        let log = door.log();
        let lines: Vec<_> = log
            .lines()
            .filter(|line| line.contains("protocol=https"))
            .collect();
        let (_, rest) = lines.get(1)?.split_once("address=127.0.0.1:")?;
        rest.split_ascii_whitespace().next().map(str::to_owned)
    })
}

#[test]
fn curl_comes_in_with_a_certificate_of_the_authority_and_a_password() {
    let directory = scratch();
    let mut make = Command::new("sh");
    make.args(["-e", "-c", MAKE]).current_dir(directory.path());
    run(&mut make).well();
    let file = |name: &str| path(&directory, name);
    let door = Door::open(&format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\nclient-authority = \"{}\"\n\
         [hub]\nclient-certificate = \"required\"\nclient-names = [\"cook\"]\nusers = \"{}\"\n\
         [[channel]]\nname = \"news\"\n",
        file("clients.pem"),
        file("users")
    ));
    let url = format!("https://localhost:{}/events/news", last_port(&door));
    let certificate = |name: &str| {
        let request = ask(&door, &url).with("--cert", &file(&format!("{name}.pem")));
        request.with(
            "--key",
            &file(&format!("{}.key", name.replace("old", "cook"))),
        )
    };
    certificate("cook").with("--user", "cook:wok").gets(200);
    let refused = certificate("cook").with("--user", "cook:tea").gets(401);
    assert_eq!(
        refused.header("www-authenticate"),
        "Basic realm=\"Noren\", charset=\"UTF-8\""
    );
    certificate("guest").with("--user", "cook:wok").gets(403);
    // The other listener asks for no certificate, so nobody has one there.
    ask(&door, "/events/news")
        .with("--user", "cook:wok")
        .gets(403);
    for (request, reason) in [
        (ask(&door, &url), "peer sent no certificates"),
        (certificate("old"), "invalid peer certificate: Expired"),
    ] {
        let ran = run(&mut request.with("--user", "cook:wok").into_command());
        assert!(!ran.status.success(), "{}", ran.stdout);
        // curl's reaction to the alert depends on its age and on who was first; the server's log says why.
        until("the door to say why", || {
            door.log().contains(reason).then_some(())
        });
    }
}

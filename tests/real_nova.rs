//! Consoles of a real cloud: Keystone and Nova's API as `PyPI` has them, tokens by Nova's own objects, QEMU with the
//! certificates of a compute host, the client `openstack`, and Horizon's console page in Chromium.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread::JoinHandle;

use tempfile::TempDir;

use crate::support::{
    Certificates, Door, Peer, Rabbit, Ran, alone, chromium, path, python, run, scratch, until,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The small cloud of `tests/peers/nova.py`.
#[track_caller]
fn cloud(arguments: &[&str]) -> Peer {
    Peer::start_cloud("nova.py", arguments)
}

/// The files of a compute host, and the secrets of the door.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(scratch());
        let authority = Certificates::new(files.0.path());
        authority.sign(files.0.path(), "host", &["localhost"]);
        authority.sign_client(files.0.path(), "noren");
        files.secret("password", "secret");
        files
    }

    fn file(&self, name: &str) -> String {
        path(&self.0, name)
    }

    fn secret(&self, name: &str, text: &str) {
        fs::write(self.file(name), format!("{text}\n")).expect("a file of our own");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(self.file(name), private).expect("a file of our own");
    }

    /// A source of tokens with this login, whose displays want certificates from both sides.
    fn source(&self, cloud: &Peer, login: &str) -> String {
        let [ca, certificate, key] =
            ["ca.pem", "noren.pem", "noren.key"].map(|name| self.file(name));
        format!(
            "[[bridge.tokens]]\nsource = 'nova'\nauth-url = 'http://{}/v3'\n{login}\ntimeout = '7s'\n\
             allow = ['localhost:*', '127.0.0.1:*']\nrfb = {{ ports = ['10000-19999'], security = ['x509-none'], \
             tls = {{ ca = '{ca}', certificate = '{certificate}', key = '{key}' }} }}\n",
            cloud.address
        )
    }

    fn password(&self) -> String {
        format!(
            "user = 'nova'\nproject = 'service'\npassword = '{}'",
            self.file("password")
        )
    }
}

/// Makes a server with a console, and gives its id.
fn server(cloud: &mut Peer, cell: &str, address: &str) -> String {
    let id = cloud.ask(&format!("create {cell} kitchen vm-of-{cell}"));
    let (host, port) = address.rsplit_once(':').expect("host and port");
    cloud.ask(&format!("console {id} novnc {host} {port}"));
    id
}

/// A new token for a server.
fn token(cloud: &mut Peer, server: &str) -> String {
    let made = cloud.ask(&format!("token {server} novnc"));
    let (token, url) = made.split_once(' ').expect("a token and a URL");
    assert!(url.ends_with(&format!("?path=%3Ftoken%3D{token}")), "{url}");
    token.to_owned()
}

/// A viewer that takes one picture of the console, as noVNC's page finds it.
fn view(door: &Door, token: &str) -> Ran {
    let url = format!("wss://localhost:{}/?token={token}", door.port);
    run(python("rfb_client.py").args([&url, &door.file("ca.pem")]))
}

/// A guest behind a plain port, which says something and waits for something.
fn guest(says: &'static str, hears: &'static [u8]) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let guest = std::thread::Builder::new()
        .name("guest".to_owned())
        .spawn(move || {
            let (mut socket, _) = listener.accept().expect("the door");
            socket.write_all(says.as_bytes()).expect("the door");
            let mut received = vec![0; hears.len()];
            socket.read_exact(&mut received).expect("the browser");
            assert_eq!(received, hears);
        });
    (format!("127.0.0.1:{port}"), guest.expect("a thread"))
}

const BRIDGE: &str = "[bridge]\npaths = ['/', '/websockify']\ntoken-cookie = 'token'\n";

#[test]
fn tokens_of_every_cell_open_consoles_with_certificates_and_end_with_token_and_server() {
    let files = Files::new();
    let qemu = Peer::start(
        "vnc_host.py",
        &["qemu", "x509-none+clients", &files.file("")],
    );
    let mut cloud = cloud(&[]);
    let tables = format!(
        "{BRIDGE}recheck-tokens = '200ms'\n{}",
        files.source(&cloud, &files.password())
    );
    let door = Door::open(&tables);
    let mut opened = Vec::new();
    for cell in ["cell1", "cell2"] {
        let server = server(&mut cloud, cell, &qemu.address);
        let token = token(&mut cloud, &server);
        let seen = view(&door, &token).well();
        assert!(seen.stdout.starts_with("640x480 "), "{}", seen.stdout);
        let log = door.log();
        let line = log.lines().rfind(|line| line.contains("opened"));
        let line = line.expect("a line of the audit");
        assert!(line.contains(&format!("console=\"{server}\"")), "{line}");
        assert!(line.contains("rfb=\"x509-none\""), "{line}");
        opened.push((server, token));
    }
    let stay = |token: &str| {
        let mut viewer = Peer::speak("rfb_client.py", {
            let url = format!("wss://localhost:{}/?token={token}", door.port);
            let mut command = python("rfb_client.py");
            command.args([&url, &door.file("ca.pem"), "stay"]);
            command
        });
        viewer.ask("look");
        viewer
    };
    let gone = || door.log().matches("its token was removed").count();
    for (number, (server, token)) in opened.iter().enumerate() {
        let _viewer = stay(token);
        assert_eq!(gone(), number);
        let command = if number == 0 {
            format!("expire {token}")
        } else {
            format!("delete {server}")
        };
        cloud.ask(&command);
        until("the end of the console", || {
            (gone() == number + 1).then_some(())
        });
        assert!(!view(&door, token).status.success());
    }
    for (_, token) in opened {
        assert!(!door.log().contains(&token), "{}", door.log());
    }
    assert!(!door.log().contains("gAAAA"), "a token of Keystone");
}

#[test]
fn a_cloud_that_is_away_or_refuses_is_told_counted_and_found_again() {
    let files = Files::new();
    let qemu = Peer::start(
        "vnc_host.py",
        &["qemu", "x509-none+clients", &files.file("")],
    );
    let mut cloud = cloud(&[]);
    let server = server(&mut cloud, "cell1", &qemu.address);
    let socket = files.file("control");
    let admin = format!("[admin]\nsocket = '{socket}'\n");
    let tables = |login: &str| format!("{BRIDGE}{}{admin}", files.source(&cloud, login));
    files.secret("wrong", "soup");
    let wrong = files
        .password()
        .replace(&files.file("password"), &files.file("wrong"));
    let member = wrong
        .replace("'nova'", "'cook'")
        .replace("'service'", "'kitchen'")
        .replace(&files.file("wrong"), &files.file("password"));
    let (wrong, member, right) = (tables(&wrong), tables(&member), tables(&files.password()));
    let fails = |door: &Door, token: &str, said: &str| {
        assert!(!view(door, token).status.success());
        assert!(door.log().contains(said), "{said}\n{}", door.log());
        assert!(!door.log().contains(token), "{}", door.log());
    };
    for (tables, said) in [
        (
            wrong,
            "it refuses the user nova of the project service (401)",
        ),
        (
            member,
            "it does not let the user cook of the project kitchen read tokens of consoles (403)",
        ),
    ] {
        let door = Door::open(&tables);
        fails(&door, &token(&mut cloud, &server), said);
    }
    let credential = cloud.ask(&format!("credential {}", files.file("secret")));
    let login = format!(
        "application-credential = '{credential}'\nsecret = '{}'",
        files.file("secret")
    );
    let by_credential = Door::open(&format!("{BRIDGE}{}", files.source(&cloud, &login)));
    view(&by_credential, &token(&mut cloud, &server)).well();
    drop(by_credential);

    let door = Door::open(&right);
    view(&door, &token(&mut cloud, &server)).well();
    cloud.ask("forget");
    view(&door, &token(&mut cloud, &server)).well();
    let status = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_noren"));
        run(command.args(["status", "--socket", &socket]))
            .well()
            .stdout
    };
    for (away, back, said) in [
        (
            "end keystone",
            "begin keystone",
            "it may not reach Keystone",
        ),
        ("end nova", "begin nova", "nothing listens there"),
        ("hang nova", "go nova", "no answer within 7s (timeout)"),
    ] {
        let token = token(&mut cloud, &server);
        cloud.ask(away);
        fails(&door, &token, said);
        let shown = status();
        assert!(
            shown.contains("Token sources") && shown.contains(said),
            "{shown}"
        );
        cloud.ask(back);
        view(&door, &token).well();
    }
    assert_eq!(
        door.log()
            .matches("a source of tokens cannot be queried")
            .count(),
        3
    );
    assert_eq!(
        door.log()
            .matches("a source of tokens can be queried again")
            .count(),
        3
    );
}

#[test]
fn the_urls_of_the_client_and_horizons_console_page_open_in_chromium() {
    let _alone = alone();
    let files = Files::new();
    let qemu = Peer::start(
        "vnc_host.py",
        &["qemu", "x509-none+clients", &files.file("")],
    );
    let clear = Peer::start("vnc_host.py", &["qemu", "vnc", &files.file("")]);
    // SPICE's client begins with these letters; a guest at a serial line speaks first.
    let (spice, greeted) = guest("", b"REDQ");
    let (serial, typed) = guest("guest login: ", b"root\r");
    let rabbit = Rabbit::start();
    let mut cloud = cloud(&["--broker", &rabbit.port.to_string(), "--horizon"]);
    let server_of_cook = server(&mut cloud, "cell1", &qemu.address);
    let refused = server(&mut cloud, "cell2", &clear.address);
    let statics = format!("{ROOT}/tests/.cache/openstack/static");
    let door = Door::open(&format!(
        "[[app]]\nname = 'horizon'\nurl = 'http://{}'\nworkers = 8\n\
         [[files]]\npath = '/static'\ndirectory = '{statics}'\n\
         [[files]]\npath = '/spice'\ndirectory = '/usr/share/spice-html5'\n\
         [[files]]\npath = '/novnc'\ndirectory = '/usr/share/novnc'\n\
         response-headers = {{ set = {{ X-Frame-Options = 'SAMEORIGIN' }} }}\n{BRIDGE}{}",
        cloud.ask("horizon"),
        files.source(&cloud, &files.password()),
    ));
    let root = door.url("/").replace("https:", "wss:");
    for (kind, url, address) in [
        ("novnc", door.url("/novnc/vnc_lite.html"), &qemu.address),
        ("spice-html5", door.url("/spice/spice_auto.html"), &spice),
        ("serial", root, &serial),
    ] {
        let (host, port) = address.rsplit_once(':').expect("host and port");
        cloud.ask(&format!("base {kind} {url}"));
        cloud.ask(&format!("console {server_of_cook} {kind} {host} {port}"));
    }
    let mut url = |kind: &str, server: &str| {
        let words = format!("console url show --{kind} -f value -c url {server}");
        cloud.ask(&format!("client cook kitchen {words}"))
    };
    let (console, refused) = (url("novnc", &server_of_cook), url("novnc", &refused));
    let [spice, serial] = ["spice", "serial"].map(|kind| url(kind, &server_of_cook));
    assert!(
        console.starts_with(&door.url("/novnc/vnc_lite.html?path=%3Ftoken%3D")),
        "{console}"
    );
    // The lite page shows no reason at all; this one shows what RFB says.
    let refused = refused.replace("vnc_lite.html?", "vnc.html?autoconnect=true&");
    let mut page = chromium("nova_page.mjs", &door);
    page.args([
        "--console",
        &console,
        "--refused",
        &refused,
        "--server",
        &server_of_cook,
    ]);
    page.args(["--spice", &spice, "--serial", &serial]);
    if let Ok(pictures) = std::env::var("NOREN_PICTURES") {
        page.args(["--pictures", &pictures]);
    }
    run(&mut page).well();
    for guest in [greeted, typed] {
        guest.join().expect("a guest that heard what it should");
    }
}

#[test]
fn the_file_that_import_makes_of_a_real_nova_conf_opens_its_consoles() {
    let files = Files::new();
    let qemu = Peer::start(
        "vnc_host.py",
        &["qemu", "x509-none+clients", &files.file("")],
    );
    let mut cloud = cloud(&[]);
    let conf = fs::read_to_string(cloud.ask("conf")).expect("the file of the cloud");
    let [ca, certificate, key] = ["ca.pem", "noren.pem", "noren.key"].map(|name| files.file(name));
    let conf = format!(
        "{conf}\n[vnc]\nauth_schemes = vencrypt\nvencrypt_ca_certs = {ca}\nvencrypt_client_cert = {certificate}\n\
         vencrypt_client_key = {key}\n"
    );
    fs::write(files.file("nova.conf"), conf).expect("a file of our own");
    let mut import = Command::new(env!("CARGO_BIN_EXE_noren"));
    let made = run(import.args(["import", "nova", &files.file("nova.conf")]))
        .well()
        .stdout;
    assert!(!made.contains("= secret"), "{made}");
    // This machine instead of compute hosts, and ports that are free.
    let adapted = made
        .replace("/etc/noren/nova-password", &files.file("password"))
        .replace("/run/noren/admin.sock", &files.file("admin.sock"))
        .replace("0.0.0.0:6080", "127.0.0.1:0")
        .replace("0.0.0.0:6083", "127.0.0.1:0")
        .replace("\"*:", "\"localhost:")
        .replace("5900-6899", "1-65535")
        .replace("\"localhost:10000-20000\"", "\"localhost:1\"")
        .replace("interface = \"internal\"", "interface = \"public\"");
    let door = Door::open(&adapted);
    let server = server(&mut cloud, "cell2", &qemu.address);
    let seen = view(&door, &token(&mut cloud, &server)).well();
    assert!(
        seen.stdout.starts_with("640x480 "),
        "{}\n{made}",
        seen.stdout
    );
}

//! Real VNC servers with certificates and passwords, QEMU and TigerVNC: the door logs in at them, and a viewer that
//! knows neither sees their picture.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Certificates, Door, Peer, Ran, alone, chromium, path, python, run, scratch};

/// The files of a host: its certificate, that of the door, and the password.
struct Files {
    directory: TempDir,
    authority: Certificates,
}

impl Files {
    fn new() -> Self {
        let directory = scratch();
        let authority = Certificates::new(directory.path());
        let files = Self {
            directory,
            authority,
        };
        files.issue();
        files.authority.sign_client(files.directory.path(), "noren");
        for (name, text) in [("password", "secret\n"), ("wrong", "soup\n")] {
            fs::write(files.file(name), text).expect("a file of our own");
            let private = fs::Permissions::from_mode(0o600);
            fs::set_permissions(files.file(name), private).expect("a file of our own");
        }
        files
    }

    /// Gives the host another certificate of the same authority.
    fn issue(&self) {
        let names = ["localhost", "kvm.example"];
        self.authority.sign(self.directory.path(), "host", &names);
    }

    fn file(&self, name: &str) -> String {
        path(&self.directory, name)
    }

    fn host(&self, kind: &str, method: &str) -> Peer {
        Peer::start("vnc_host.py", &[kind, method, &self.file("")])
    }

    /// The keys of `rfb`, with the names of these files in braces.
    fn keys(&self, keys: &str) -> String {
        let mut keys = keys.to_owned();
        for name in ["ca.pem", "noren.pem", "noren.key", "password", "wrong"] {
            let file = self.file(name);
            keys = keys.replace(&format!("{{{name}}}"), &format!("'{file}'"));
        }
        keys
    }

    fn target(&self, token: &str, address: &str, rfb: &str) -> String {
        let rfb = self.keys(rfb);
        format!("[[bridge.target]]\ntoken = '{token}'\naddress = '{address}'\nrfb = {{ {rfb} }}\n")
    }
}

/// A viewer that takes one picture of the console.
fn view(door: &Door, token: &str) -> Ran {
    let url = format!("wss://localhost:{}/websockify?token={token}", door.port);
    run(python("rfb_client.py").args([&url, &door.file("ca.pem")]))
}

/// The line of the audit about the last console.
fn audited(door: &Door, word: &str) -> String {
    let log = door.log();
    let line = log.lines().rfind(|line| line.contains(word));
    line.unwrap_or_else(|| panic!("no line with {word:?} in\n{log}"))
        .to_owned()
}

const CERTIFIED: &str = "tls.ca = {ca.pem}";

#[test]
fn qemu_is_logged_in_at_by_every_method_that_it_has() {
    let files = Files::new();
    let client = "tls = { ca = {ca.pem}, certificate = {noren.pem}, key = {noren.key} }";
    for (method, keys) in [
        ("x509-none", CERTIFIED.to_owned()),
        ("x509-none+clients", client.to_owned()),
        ("x509-vnc", format!("{CERTIFIED}, password = {{password}}")),
        ("vnc", "password = {password}".to_owned()),
        ("none", String::new()),
    ] {
        let host = files.host("qemu", method);
        let door = Door::open(&files.target("vm", &host.address, &keys));
        let seen = view(&door, "vm").well();
        assert!(
            seen.stdout.starts_with("640x480 "),
            "{method}: {}",
            seen.stdout
        );
        let (plain, _) = method.split_once('+').unwrap_or((method, ""));
        let line = audited(&door, "opened");
        assert!(line.contains(&format!("rfb=\"{plain}\"")), "{line}");
        assert!(!door.log().contains("secret"), "{}", door.log());
    }
}

#[test]
fn libvirts_consoles_with_vnc_tls_are_logged_in_at_and_stay_open_while_its_certificate_is_renewed()
{
    let files = Files::new();
    let client = "tls = { ca = {ca.pem}, certificate = {noren.pem}, key = {noren.key} }";
    let mut host = files.host("libvirt", "x509-vnc+clients");
    let right = format!("{client}, password = {{password}}");
    let authority = right.replace("{ca.pem}", "{noren.pem}");
    let door = Door::open(
        &[
            files.target("vm", &host.address, &right),
            files.target(
                "wrong",
                &host.address,
                &format!("{client}, password = {{wrong}}"),
            ),
            files.target("authority", &host.address, &authority),
            files.target(
                "nobody",
                &host.address,
                "tls.ca = {ca.pem}, password = {password}",
            ),
        ]
        .concat(),
    );
    let mut viewer = Peer::speak("rfb_client.py", {
        let url = format!("wss://localhost:{}/websockify?token=vm", door.port);
        let mut command = python("rfb_client.py");
        command.args([&url, &door.file("ca.pem"), "stay"]);
        command
    });
    assert!(viewer.ask("look").contains('x'));
    assert!(audited(&door, "opened").contains("rfb=\"x509-vnc\""));
    for (token, said) in [
        (
            "wrong",
            "it did not accept the password: Authentication failed",
        ),
        ("authority", "name the file with the right one as tls.ca"),
        ("nobody", "it may want a client certificate"),
    ] {
        assert!(!view(&door, token).status.success(), "{token}");
        let line = audited(&door, "refused");
        assert!(line.contains(said), "{token}: {line}");
    }
    // The new certificate has another name, so that it is seen to be the one that counts.
    files
        .authority
        .sign(files.directory.path(), "host", &["kvm.example"]);
    host.ask("renew");
    assert!(!view(&door, "vm").status.success());
    let line = audited(&door, "refused");
    assert!(
        line.contains("write one of its names as tls.name"),
        "{line}"
    );
    assert!(viewer.ask("look").contains('x'), "the open console");
    files.issue();
    host.ask("renew");
    view(&door, "vm").well();
}

#[test]
fn tigervnc_is_logged_in_at_by_every_method_but_those_without_a_certificate() {
    let files = Files::new();
    for (method, keys) in [
        ("x509-none", CERTIFIED.to_owned()),
        ("x509-vnc", format!("{CERTIFIED}, password = {{password}}")),
        ("vnc", "password = {password}".to_owned()),
    ] {
        let host = files.host("tigervnc", method);
        let door = Door::open(&files.target("vm", &host.address, &keys));
        let seen = view(&door, "vm").well();
        assert!(
            seen.stdout.starts_with("640x480 "),
            "{method}: {}",
            seen.stdout
        );
    }
    for (method, offered) in [("tls-none", "TLSNone"), ("tls-vnc", "TLSVnc")] {
        let host = files.host("tigervnc", method);
        let keys = "password = {password}";
        let door = Door::open(&files.target("vm", &host.address, keys));
        assert!(!view(&door, "vm").status.success());
        let line = audited(&door, "refused");
        let said = format!(
            "it offers {offered}, and nothing that is accepted; that is TLS without a certificate"
        );
        assert!(line.contains(&said), "{line}");
    }
}

#[test]
fn each_fault_of_a_host_has_one_line_with_its_remedy_and_opens_nothing() {
    let files = Files::new();
    let certified = files.host("qemu", "x509-vnc");
    let password = files.host("qemu", "vnc");
    let kvm = certified.address.replace("localhost", "127.0.0.1");
    let other = files.file("noren.pem");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("an address").to_string();
    let at = |tokens: &[(&str, &str, &str)]| {
        let tables = tokens.iter();
        let tables = tables.map(|(token, address, keys)| files.target(token, address, keys));
        Door::open(&tables.collect::<String>())
    };
    let authority = format!("tls.ca = '{other}', password = {{password}}");
    let door = at(&[
        (
            "wrong",
            &certified.address,
            "tls.ca = {ca.pem}, password = {wrong}",
        ),
        ("authority", &certified.address, &authority),
        ("name", &kvm, "tls.ca = {ca.pem}, password = {password}"),
        (
            "any",
            &kvm,
            "tls = { ca = {ca.pem}, any-name = true }, password = {password}",
        ),
        (
            "kvm",
            &kvm,
            "tls = { ca = {ca.pem}, name = 'kvm.example' }, password = {password}",
        ),
        ("nothing", &certified.address, CERTIFIED),
        (
            "clear",
            &password.address,
            "security = ['x509-none', 'x509-vnc'], password = {password}",
        ),
        ("plain", &password.address, "password = {wrong}"),
        (
            "missing",
            &password.address,
            "password = '/nowhere/password'",
        ),
        ("silent", &silent, "timeout = '100ms'"),
    ]);
    for token in ["any", "kvm"] {
        view(&door, token).well();
    }
    for (token, said) in [
        (
            "wrong",
            "it did not accept the password: Authentication failed",
        ),
        ("authority", "name the file with the right one as tls.ca"),
        ("name", "write one of its names as tls.name"),
        (
            "nothing",
            "it wants a password (x509-vnc), and there is none; write rfb.password",
        ),
        ("clear", "it offers VncAuth, and nothing that is accepted"),
        (
            "plain",
            "it did not accept the password: Authentication failed",
        ),
        (
            "missing",
            "read the password /nowhere/password: No such file",
        ),
        (
            "silent",
            "the handshake was not done within 100ms (rfb.timeout)",
        ),
    ] {
        let before = door.log().lines().count();
        assert!(!view(&door, token).status.success(), "{token}");
        let line = audited(&door, "refused");
        let status = if token == "silent" {
            "status=504"
        } else {
            "status=502"
        };
        assert!(
            line.contains(said) && line.contains(status),
            "{token}: {line}"
        );
        let log = door.log();
        let about = log.lines().skip(before);
        let about: Vec<_> = about.filter(|line| line.contains("RFB with")).collect();
        // The audit and the access log have one each.
        assert_eq!(about.len(), 2, "{token}: {log}");
        assert!(!log.contains("soup"), "{log}");
    }
}

#[test]
fn a_program_that_speaks_no_rfb_is_told_by_its_first_words() {
    let files = Files::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::Builder::new()
        .name("no VNC server".to_owned())
        .spawn(move || {
            let (mut socket, _) = listener.accept().expect("the door");
            std::io::Write::write_all(&mut socket, b"SSH-2.0-OpenSSH_9\r\n").expect("the door");
            let _ = std::io::Read::read(&mut socket, &mut [0; 1]);
        })
        .expect("a thread");
    let door = Door::open(&files.target("vm", &address, ""));
    assert!(!view(&door, "vm").status.success());
    let line = audited(&door, "refused");
    assert!(
        line.contains("it does not speak RFB; it began with") && line.contains("SSH-2.0-Open"),
        "{line}"
    );
}

#[test]
fn consoles_stay_open_while_certificates_are_renewed_and_new_ones_get_the_new() {
    let files = Files::new();
    let host = files.host("qemu", "x509-none+clients");
    let keys = "tls = { ca = {ca.pem}, certificate = {noren.pem}, key = {noren.key} }";
    let door = Door::open(&files.target("vm", &host.address, keys));
    let mut viewer = Peer::speak("rfb_client.py", {
        let url = format!("wss://localhost:{}/websockify?token=vm", door.port);
        let mut command = python("rfb_client.py");
        command.args([&url, &door.file("ca.pem"), "stay"]);
        command
    });
    assert!(viewer.ask("look").starts_with("640x480 "));
    // Another key and another certificate of the door, of the same authority.
    files.authority.sign_client(files.directory.path(), "noren");
    let hang_up = Command::new("kill")
        .args(["-HUP", &door.process().to_string()])
        .status();
    assert!(hang_up.expect("kill").success());
    crate::support::until("the reload", || {
        door.log().contains("reloaded").then_some(())
    });
    assert!(viewer.ask("look").starts_with("640x480 "));
    view(&door, "vm").well();
}

#[test]
fn no_key_of_a_viewer_reaches_the_host_through_novnc() {
    let _alone = alone();
    let files = Files::new();
    let host = files.host("tigervnc", "x509-vnc");
    let browser = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
    let pages = format!("/pages={browser}/pages");
    let novnc = format!("/novnc={browser}/node_modules/@novnc/novnc");
    let app = Peer::start("app.py", &["--static", &pages, "--static", &novnc]);
    let keys = format!("{CERTIFIED}, password = {{password}}");
    let door = Door::open(&format!(
        "[[app]]
name = 'wok'
url = 'http://{}'
workers = 10
{}{}",
        app.address,
        files.target(
            "looking",
            &host.address,
            &format!("{keys}, view-only = true, clipboard = 'none'")
        ),
        files.target(
            "touching",
            &host.address,
            &format!("{keys}, clipboard = 'to-host'")
        ),
    ));
    let page = |token: &str| format!("/pages/vnc.html?path=websockify%3Ftoken%3D{token}");
    let typed = files.file("typed");
    let mut command = chromium("viewer_page.mjs", &door);
    command.args([
        "--viewer",
        &page("looking"),
        "--operator",
        &page("touching"),
        "--typed",
        &typed,
    ]);
    run(&mut command).well();
    assert!(door.log().contains("view_only=true"), "{}", door.log());
}

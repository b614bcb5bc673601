//! nginx itself, and this door with what `noren import nginx` made of the same configuration, asked side by side:
//! whatever
//! an app or a directory answers here, it answers there too.
//!
//! The configurations are in tests/nginx/cases.conf. One nginx serves all of them, and the apps behind them.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Certificates, run, scratch, until};

/// A configuration, and the requests that stay open.
struct Case {
    name: String,
    text: String,
    open: Vec<(String, String)>,
    directory: PathBuf,
}

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A request, as far as cases differ in it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    host: &'a str,
    path: &'a str,
    method: &'a str,
}

const HOSTS: &[&str] = &["a.example", "b.example", "x.example", "other"];

const PATHS: &[&str] = &[
    "/",
    "/x",
    "/xy",
    "/x/y",
    "/x.php",
    "/X.PHP",
    "/admin",
    "/admin/",
    "/admin/x",
    "/administrator",
    "/ADMIN/x",
    "/%61dmin/x",
    "//admin/x",
    "/pub/",
    "/pub/x",
    "/public",
    "/api/x",
    "/apis",
    "/static/f.txt",
    "/static/f.php",
    "/staticfile",
    "/.git/config",
    "/x/.git",
    "/e",
    "/ex",
    "/e/x",
    "/else",
    "/a%20b",
    "/caf%C3%A9",
];

/// The cases of the file, each with a directory in this one.
fn cases(directory: &Path) -> Vec<Case> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/nginx/cases.conf");
    let text = fs::read_to_string(file).expect("the cases");
    let parts = text.split("\n### ").skip(1);
    let cases = parts.enumerate().map(|(number, part)| {
        let (name, rest) = part.split_once('\n').expect("a case has a name");
        let directory = directory.join(number.to_string());
        let expected = rest.lines().filter_map(|line| line.strip_prefix("#! "));
        let open = expected.map(|line| {
            let (host, path) = line.split_once(' ').expect("a host and a path");
            (host.to_owned(), path.to_owned())
        });
        Case {
            name: name.to_owned(),
            open: open.collect(),
            text: rest.replace("DIR", &directory.display().to_string()),
            directory,
        }
    });
    cases.collect()
}

/// The files of a case, and its part of nginx's configuration.
fn prepare(case: &Case) -> String {
    let directory = case.directory.display();
    fs::create_dir_all(case.directory.join("srv/static")).expect("a directory");
    for name in ["srv/f.txt", "srv/static/f.txt", "srv/static/f.php"] {
        fs::write(case.directory.join(name), format!("file {name}\n")).expect("a file");
    }
    let users = "ann:{PLAIN}tea\n";
    fs::write(case.directory.join("users"), users).expect("a file");
    fs::write(case.directory.join("site.conf"), &case.text).expect("a file");
    let mut text = case.text.clone();
    for app in ["app1", "app2", "app3"] {
        write!(
            text,
            "\nserver {{ listen unix:{directory}/{app}; return 200 \"{app} $http_x_ident $http_upgrade\\n\"; }}\n"
        )
        .expect("a String takes everything");
    }
    text
}

fn nginx(directory: &Path, servers: &str) -> Running {
    let at = directory.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};"))
        .concat();
    let text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log;
         events {{ worker_connections 2048; }}
         http {{ access_log off; {temporary} {servers} }}"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, text).expect("the configuration written");
    let child = Command::new("/usr/sbin/nginx")
        .args(["-p".as_ref(), directory.as_os_str()])
        .args(["-c".as_ref(), file.as_os_str()])
        .args(["-e".as_ref(), directory.join("error.log").as_os_str()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("nginx: {error}; tests/run installs what the tests need"));
    Running(child)
}

/// Waits for a socket, and fails if its process ends before.
fn ready(running: &mut Running, socket: &Path, log: &Path) {
    until("a listener", || {
        let ended = running.0.try_wait().expect("the state of a child");
        let log = || fs::read_to_string(log).unwrap_or_default();
        assert!(ended.is_none(), "it ended at once: {ended:?}\n{}", log());
        UnixStream::connect(socket).ok()
    });
}

/// The answer of an app or from a directory; `None` for any other. nginx may send a path on to itself with a
/// slash, where Noren asks the app at once.
fn ask(socket: &Path, asked: Asked<'_>) -> Option<String> {
    let mut stream = UnixStream::connect(socket).expect("a listener");
    let Asked { host, path, method } = asked;
    // A WebSocket is a method of its own here.
    let (method, connection) = match method {
        "WEBSOCKET" => (
            "GET",
            "Connection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ),
        method => (method, "Connection: close\r\nContent-Length: 0"),
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Ident: forged\r\n{connection}\r\n\r\n"
    )
    .expect("a request sent");
    let mut answer = Vec::new();
    // A server that closes without an answer (nginx: 444) gives none.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let slash = format!("{path}/");
    let adds_slash = |line: &str| line.starts_with("Location: ") && line.ends_with(&slash);
    if answer.contains(" 301 ") && answer.lines().any(adds_slash) {
        return ask(
            socket,
            Asked {
                path: &slash,
                ..asked
            },
        );
    }
    served(&answer)
}

/// The same over TLS.
fn ask_encrypted(socket: &Path, asked: Asked<'_>) -> Option<String> {
    let ran = run(Command::new("curl")
        .args(["--silent", "--insecure", "--include", "--http1.1"])
        .args(["--header", "X-Ident: forged", "--request", asked.method])
        .arg("--unix-socket")
        .arg(socket)
        .arg(format!("https://{}{}", asked.host, asked.path)));
    served(&ran.stdout)
}

fn served(answer: &str) -> Option<String> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let begins = ["app", "file "].iter().any(|text| body.starts_with(text));
    (head.contains(" 200") && begins).then(|| body.trim_end().to_owned())
}

/// The door on what was made of a case, with sockets of its own; none if nothing is to be served.
fn door(case: &Case) -> Option<(Running, String)> {
    let mut import = Command::new(env!("CARGO_BIN_EXE_noren"));
    import
        .args(["import", "nginx"])
        .arg(case.directory.join("site.conf"));
    let made = run(&mut import).well().stdout;
    if made.starts_with("# This is not complete yet:") {
        return None;
    }
    let own = |name: &str| format!("address = \"unix:{}/{name}\"", case.directory.display());
    let mut config = made.clone();
    for name in ["plain", "tls", "other"] {
        config = config.replace(&own(name), &own(&format!("noren-{name}")));
    }
    let socket = format!("{}/admin", case.directory.display());
    config = config.replace("/run/noren/admin.sock", &socket);
    let file = case.directory.join("noren.toml");
    fs::write(&file, config).expect("the configuration written");
    let log = case.directory.join("noren.log");
    let output = fs::File::create(&log).expect("a file");
    let child = Command::new(env!("CARGO_BIN_EXE_noren"))
        .args(["serve", "--config"])
        .arg(&file)
        .current_dir(&case.directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .expect("the binary that cargo built for this test");
    let mut running = Running(child);
    for name in ["plain", "tls", "other"] {
        if made.contains(&own(name)) {
            ready(
                &mut running,
                &case.directory.join(format!("noren-{name}")),
                &log,
            );
        }
    }
    Some((running, made))
}

/// Asks both for everything; the answers of the door that nginx does not give.
fn compare(case: &Case, made: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let requests = HOSTS.iter().flat_map(|host| {
        let paths = PATHS.iter().map(|path| (*path, "GET"));
        let methods = ["POST", "OPTIONS", "PUT", "WEBSOCKET"].map(|method| ("/x", method));
        paths
            .chain(methods)
            .map(|(path, method)| Asked { host, path, method })
    });
    let requests: Vec<_> = requests.collect();
    for name in ["plain", "tls", "other"] {
        let (theirs, ours) = (
            case.directory.join(name),
            case.directory.join(format!("noren-{name}")),
        );
        if !ours.exists() {
            continue;
        }
        for request in &requests {
            let answers = match name {
                "tls" if !matches!(request.path, "/" | "/xy") || request.method != "GET" => {
                    continue;
                }
                "tls" => [&theirs, &ours].map(|socket| ask_encrypted(socket, *request)),
                _ => [&theirs, &ours].map(|socket| ask(socket, *request)),
            };
            let [nginx, noren] = answers;
            let Asked { host, path, method } = request;
            if noren.is_some() && noren != nginx {
                wrong.push(format!(
                    "{}: {name}: {method} {host}{path}: nginx {nginx:?}, noren {noren:?}\n{made}",
                    case.name
                ));
            }
            let stays = |(a, b): &(String, String)| (a.as_str(), b.as_str()) == (*host, *path);
            if *method == "GET" && noren.is_none() && case.open.iter().any(stays) {
                wrong.push(format!("{}: {host}{path} is closed\n{made}", case.name));
            }
        }
    }
    wrong
}

#[test]
fn no_app_gets_what_nginx_does_not_hand_to_it() {
    let directory = scratch();
    let cases = cases(directory.path());
    assert!(cases.len() > 50, "the cases are there: {}", cases.len());
    let mut servers = String::new();
    for case in &cases {
        fs::create_dir(&case.directory).expect("a directory");
        let certificates = Certificates::new(&case.directory);
        if case.text.contains("ssl_certificate ") {
            certificates.sign(&case.directory, "c", &["a.example", "b.example"]);
        }
        servers += &prepare(case);
    }
    let mut running = nginx(directory.path(), &servers);
    let log = directory.path().join("error.log");
    for case in &cases {
        ready(&mut running, &case.directory.join("app3"), &log);
    }
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some((_door, made)) = door(case) {
            wrong.extend(compare(case, &made));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

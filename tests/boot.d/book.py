"""The shell blocks of README and guide, run as they are written in the machine of tests/boot.

Which block belongs to which step is in commands.toml. A step makes what the text takes for granted (an app, a console, a
certificate), runs the block, and looks for what the text promises. It knows nothing of how the machine is made.
"""

import base64
import hashlib
import hmac
import json
import re
import time

from documents import PROJECT, block, commands
from machine import Failed
from package import DOOR, make_certificate

# A console that says what a VNC server says first, on a port and on a socket.
CONSOLE = """
import os, socket, socketserver, threading
class Console(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"RFB 003.008\\n")
        while self.request.recv(100):
            pass
class Port(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
os.umask(0)
servers = [Port(("127.0.0.1", 5900), Console), socketserver.ThreadingUnixStreamServer("/run/consoles/vm1", Console)]
for server in servers:
    threading.Thread(target=server.serve_forever).start()
"""

# A page that opens a console: prints the status line and the first message.
VIEWER = """
import socket, ssl, sys
context = ssl._create_unverified_context()
stream = context.wrap_socket(socket.create_connection(("localhost", 8001), 20), server_hostname="localhost")
stream.sendall(("GET /websockify?token=%s HTTP/1.1\\r\\nHost: localhost:8001\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n" % sys.argv[1]).encode())
came = b""
while b"RFB 003.008" not in came and (data := stream.recv(4096)):
    came += data
print(came.decode("latin-1"))
"""


def token(key, claims):
    """A JSON Web Token, signed with HS256."""
    coded = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")  # noqa: E731
    claims = {"exp": int(time.time()) + 3600} | claims
    text = coded(b'{"alg":"HS256","typ":"JWT"}') + b"." + coded(json.dumps(claims).encode())
    return (text + b"." + coded(hmac.new(key, text, hashlib.sha256).digest())).decode()


class Commands:
    """Each method runs blocks of the documents; the package is installed, and its app answers on 8010."""

    def __init__(self, machine, book):
        self.machine = machine
        self.book = book

    # --- what the steps need

    def serve(self, line, directory="/root/own"):
        """Runs a command that stays, in a directory of its own, in place of the package's service."""
        self.machine.command(f"systemctl stop noren.socket noren shown 2>&1; mkdir -p {directory}", check=False)
        self.machine.write("/root/shown", f"{line}\n")
        self.machine.command(
            f"systemd-run --quiet --collect --unit=shown --working-directory={directory} --setenv=HOME=/root sh /root/shown"
        )

    def stop(self):
        self.machine.command("systemctl stop shown")

    def package_serves(self, more):
        """Has the package's service run with these tables below those that the package brings."""
        package = (PROJECT / "config/package.toml").read_text(encoding="utf-8")
        self.machine.write("/etc/noren/noren.toml", f"{package}\n{more}")
        self.machine.command("systemctl stop shown 2>/dev/null; noren check && systemctl restart noren.socket noren")

    def answers(self, url, word):
        return self.machine.until(f"{DOOR} {url} 2>&1", word, url)

    def output(self, line, word, what):
        """Runs a block that has to succeed, and to print this."""
        said = self.machine.command(line)
        if word not in said:
            raise Failed(f"{what}: `{line}` said\n{said}")
        return said

    # --- the steps

    def a_console_is_one_line(self):
        self.machine.command("mkdir -p /usr/share/novnc /etc/tokens /run/consoles; echo 'the page' > /usr/share/novnc/vnc.html")
        self.machine.command("echo 'vm1: 127.0.0.1:5900' > /etc/tokens/vm1")
        self.machine.write("/root/console.py", CONSOLE)
        self.machine.write("/root/viewer.py", VIEWER)
        self.machine.command("systemd-run --quiet --unit=console python3 /root/console.py")
        socket = self.machine.command("noren token vm1").split()[0]
        (text,) = self.book.take("a_console_is_one_line", "README.md")
        for line, name in zip(commands(text), ("console", "vm1", socket), strict=True):
            self.serve(line)
            self.answers("https://localhost:8001/vnc.html", "the page")
            self.output(f"python3 /root/viewer.py {name}", "RFB 003.008", line)
            said = self.machine.command("journalctl -u shown -o cat")
            if "certs/noren-cert.pem" not in said or "https://" not in said:
                raise Failed(f"it does not say where its certificate and its page are:\n{said}")
        self.stop()

    def the_file_for_horizon_is_checked_and_served(self):
        make_certificate(self.machine)
        self.machine.command("echo noren:PASSWORD | install -g noren -m 640 /dev/stdin /etc/noren/amqp")
        (text,) = self.book.take("the_file_for_horizon_is_checked_and_served", "README.md")
        *checks, serve = commands(text)
        for line in checks:
            self.machine.command(line)
        self.serve(serve, "/root/noren")
        # There is no dashboard behind it here: the page is the door's own.
        self.machine.until("curl -sS --insecure -o /dev/null -w '%{http_code}' https://localhost/", "503", serve)
        self.stop()

    def a_site_publishes_and_listens(self):
        """The file of README's last screen as it stands, with the package, and the two commands below it."""
        step = "a_site_publishes_and_listens"
        self.machine.command("rm -rf /etc/systemd/system/noren.service.d; systemctl daemon-reload; systemctl stop shown", check=False)
        self.machine.write("/etc/noren/noren.toml", block("README.md", "[[app]]", "toml"))
        (text,) = self.book.take(step, "README.md")
        check, publish, subscribe = commands(text)
        self.machine.command(f"systemctl start noren.socket; {check}")
        self.answers("https://localhost:8001/", "the blocking app")
        (other,) = self.book.take(step, "src/guide/channels.md")
        for line in (publish, *commands(other)):
            listener = self.machine.background(f"timeout 20 {subscribe} --once 1 2>&1")
            self.machine.until("noren status --json", '"news"', "the channel")
            deadline = time.monotonic() + 15
            while time.monotonic() < deadline and listener.poll() is None:
                self.machine.command(line)
                time.sleep(1)
            said = listener.communicate()[0]
            if "Irasshaimase!" not in said:
                raise Failed(f"`{subscribe}` has not heard `{line}`:\n{said}")

    def the_running_door_is_looked_at_and_changed(self):
        step = "the_running_door_is_looked_at_and_changed"
        self.package_serves('[[app]]\nurl = "http://127.0.0.1:8010"\n')
        texts = [
            text
            for document in ("README.md", "src/guide/running.md", "src/guide/inside.md")
            for text in self.book.take(step, document)
        ]
        for line in (line for text in texts for line in commands(text)):
            if "--watch" in line:
                # It wants a terminal, and stays.
                said = self.machine.command(f"timeout 5 script -qec '{line}' /dev/null", check=False)
                if "connections" not in said.lower():
                    raise Failed(f"`{line}` shows no status:\n{said}")
            elif line.startswith("noren close"):
                if "t12" not in self.machine.fails(line):
                    raise Failed(f"`{line}` does not name what is not open")
            else:
                self.machine.command(line)
        self.answers("https://localhost:8001/", "the blocking app")

    def a_certificate_of_its_own_is_trusted(self):
        serve, curl, trust = self.book.take("a_certificate_of_its_own_is_trusted", "certs/README.md")
        self.serve("noren serve --app http://127.0.0.1:8010")
        self.machine.until(f"cd /root/own && {curl.strip()}", "the blocking app", curl)
        self.machine.command(f"cd /root/own && set -e\n{trust}")
        self.output("certutil -d sql:/root/.pki/nssdb -L", "noren", trust)
        self.serve(serve.strip())
        self.machine.until("curl -sS --cacert /etc/noren/cert.pem https://localhost:8001/", "the blocking app", serve)
        self.stop()

    def the_examples_publish_and_listen(self):
        use, trust = self.book.take("the_examples_publish_and_listen", "examples/README.md")
        self.machine.command("openssl rand -hex 32 | install -g noren -m 640 /dev/stdin /etc/noren/publish-token")
        self.package_serves(block("examples/README.md", "[hub]", "toml"))
        self.answers("https://localhost:8001/events/news", '"messages"')
        self.machine.command("cp /var/lib/noren/certs/noren-cert.pem certs/")
        name, subscribe, publish = commands(use)
        said = self.machine.command(
            f"{trust}\n{name}\n{subscribe} heard=$!\nfor i in 1 2 3 4 5 6; do sleep 1; {publish}; done; kill $heard"
        )
        if "Irasshaimase!" not in said:
            raise Failed(f"`{subscribe}` has not heard `{publish}`:\n{said}")

    def a_client_certificate_is_made(self):
        (text,) = self.book.take("a_client_certificate_is_made", "src/guide/access.md")
        self.machine.command(
            "mkdir -p /root/ca && cd /root/ca && openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=clients "
            "-keyout ca.key -out clients.pem 2>&1 && openssl req -newkey rsa:2048 -nodes -subj /CN=cook -keyout cook.key "
            f"-out cook.csr 2>&1 && set -e\n{text}"
        )
        self.output("cd /root/ca && openssl verify -purpose sslclient -CAfile clients.pem cook.pem", "OK", text)
        self.output("openssl x509 -in /root/ca/cook.pem -noout -text", "Version: 3", text)

    def tokens_for_channels_are_made(self):
        key, sign = self.book.take("tokens_for_channels_are_made", "src/guide/access.md")
        self.machine.command(key)
        self.package_serves(block("src/guide/access.md", "[hub.tokens]", "toml") + '[[channel]]\nname = "job.*"\n')
        self.output(sign, "eyJ", sign)

    def channels_work_in_a_directory_of_ones_own(self):
        start, publish, use = self.book.take("channels_work_in_a_directory_of_ones_own", "src/guide/channels.md")
        self.machine.command("rm -rf /root/own")
        self.serve(start)
        self.machine.until(f"cd /root/own && {publish.strip()} 2>&1 && echo published", "published", publish)
        beginning, *lines = use.strip().split("\n")
        for line in commands("\n".join(lines))[1:]:
            said = self.machine.command(f"cd /root/own; timeout 5 sh -c '{beginning}\n{lines[0]}\n{line}' 2>&1; test $? -lt 125")
            if "(60)" in said or "(7)" in said or "refused" in said:
                raise Failed(f"`{line}` said:\n{said}")
        self.stop()

    def secrets_are_readable_by_the_service(self):
        (text,) = self.book.take("secrets_are_readable_by_the_service", "src/guide/rabbitmq.md")
        self.machine.command(text)
        self.output("runuser -u noren -- cat /etc/noren/amqp", "noren:PASSWORD", text)

    def an_app_publishes_with_grip(self):
        key, address, publish = self.book.take("an_app_publishes_with_grip", "src/guide/grip.md")
        self.machine.command(key)
        self.output(f"{address}\necho $GRIP_URL", "iss=shop&key=base64:", address)
        self.machine.write("/root/own/grip.toml", block("src/guide/grip.md", "[[listener]]", "toml"))
        self.serve("noren serve --config grip.toml")
        secret = base64.b64decode(self.machine.command("cat /etc/noren/grip.key"))
        self.machine.until(f"TOKEN={token(secret, {'iss': 'shop'})}\n{publish}", "ublished", publish)
        self.stop()

    def an_app_publishes_with_mercure(self):
        key, address, publish = self.book.take("an_app_publishes_with_mercure", "src/guide/mercure.md")
        self.machine.command(key)
        self.output(f"{address}\necho $MERCURE_URL $MERCURE_PUBLIC_URL", "/.well-known/mercure", address)
        self.machine.command(
            "echo '127.0.0.1 www.example.org' >> /etc/hosts; openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "
            "/CN=www.example.org -addext subjectAltName=DNS:www.example.org -keyout /root/own/www.key -out /root/own/www.pem 2>&1"
        )
        self.machine.write("/root/own/mercure.toml", block("src/guide/mercure.md", "[[app]]", "toml"))
        self.serve("noren serve --config mercure.toml --listen '[::]:443' --cert www.pem --key www.key")
        secret = self.machine.command("cat /etc/noren/mercure.key").encode()
        signed = token(secret, {"mercure": {"publish": ["https://www.example.org/books/{id}"]}})
        self.machine.until(f"export CURL_CA_BUNDLE=/root/own/www.pem TOKEN={signed}\n{publish}", "urn:uuid:", publish)
        self.stop()

    def nginx_and_websockify_are_imported(self):
        imports, check = self.book.take("nginx_and_websockify_are_imported", "src/guide/running.md")
        self.machine.command(
            "cp /etc/nginx/conf.d/wok.conf.before-noren /etc/nginx/conf.d/wok.conf; mkdir -p /etc/tokens /root/import; "
            "cat /etc/wok/wok-key.pem /etc/wok/wok-cert.pem > /etc/ssl/self.pem"
        )
        for line in commands(imports):
            self.machine.command(f"cd /root/import && {line} && noren check --syntax noren.toml")
        self.machine.command(check)
        self.machine.command("rm /etc/nginx/conf.d/wok.conf")

    def a_link_is_signed(self):
        key, sign = self.book.take("a_link_is_signed", "src/guide/tokens.md")
        self.machine.command(key)
        consoles = '[[bridge.tokens]]\nsource = "sockets"\npath = "/run/noren/sockets"\n'
        self.package_serves(block("src/guide/tokens.md", "[bridge.signed]", "toml") + consoles)
        self.output(sign, "wss://kvm.example:8001/websockify?token=eyJ", sign)

    def a_webhook_is_tried(self):
        key, send = self.book.take("a_webhook_is_tried", "src/guide/webhooks.md")
        self.machine.command(key)
        self.package_serves(block("src/guide/webhooks.md", "[[channel]]", "toml"))
        self.answers("https://localhost:8001/events/builds", '"messages"')
        self.machine.command(f"set -e\n{send}")
        self.output("noren status", "builds", send)


STEPS = [
    "a_console_is_one_line",
    "the_file_for_horizon_is_checked_and_served",
    "a_site_publishes_and_listens",
    "the_running_door_is_looked_at_and_changed",
    "a_certificate_of_its_own_is_trusted",
    "the_examples_publish_and_listen",
    "a_client_certificate_is_made",
    "tokens_for_channels_are_made",
    "channels_work_in_a_directory_of_ones_own",
    "secrets_are_readable_by_the_service",
    "an_app_publishes_with_grip",
    "an_app_publishes_with_mercure",
    "nginx_and_websockify_are_imported",
    "a_link_is_signed",
    "a_webhook_is_tried",
]

"""What the documentation says about the package, done as an administrator does it, in the machine of tests/boot.

It knows the README, the guide and the package, and nothing of how the machine is made.
"""

import pathlib
import re
import subprocess
import time

from documents import PROJECT, commands
from machine import Failed

DOOR = "curl -sS --insecure --max-time 20 --retry 30 --retry-delay 1 --retry-connrefused"


def make_certificate(machine):
    """Makes the pair /etc/noren/cert.pem and key.pem, as an administrator has it."""
    machine.command(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
        "-keyout /etc/noren/key.pem -out /etc/noren/cert.pem 2>/dev/null && chgrp noren /etc/noren/key.pem && "
        "chmod 640 /etc/noren/key.pem"
    )


class Documentation:
    """Every documented step, in the order of an administrator's life with it. Each method is one promise."""

    def __init__(self, machine, book):
        self.machine = machine
        self.book = book

    def serves(self, url, word, what):
        return self.machine.until(f"{DOOR} {url}", word, what)

    def an_app_runs(self):
        """An app stands in for Wok: it says its name on 8010 and knows one visitor."""
        self.machine.write(
            "/root/app.py",
            "import http.server\n"
            "class App(http.server.BaseHTTPRequestHandler):\n"
            "    protocol_version = 'HTTP/1.1'\n"
            "    def do_GET(self):\n"
            "        body = b'the blocking app'\n"
            "        self.send_response(200)\n"
            "        self.send_header('Content-Length', str(len(body)))\n"
            "        self.end_headers()\n"
            "        self.wfile.write(body)\n"
            "    def log_message(self, *_):\n"
            "        pass\n"
            "http.server.ThreadingHTTPServer(('127.0.0.1', 8010), App).serve_forever()\n",
        )
        self.machine.command("systemd-run --unit=app python3 /root/app.py")
        self.machine.until("curl -s http://127.0.0.1:8010/", "the blocking app", "the app starts")

    def wok_runs_behind_nginx(self):
        """What a Wok host looks like before: nginx has 8001, and Wok has made a certificate."""
        self.machine.command(
            "mkdir -p /etc/wok /var/lib/wok/ws-tokens && openssl req -x509 -newkey rsa:2048 -nodes -days 30 "
            "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout /etc/wok/wok-key.pem "
            "-out /etc/wok/wok-cert.pem 2>/dev/null && chmod 644 /etc/wok/wok-key.pem"
        )
        self.machine.write(
            "/etc/nginx/conf.d/wok.conf",
            "server { listen 0.0.0.0:8001 ssl; ssl_certificate /etc/wok/wok-cert.pem; ssl_certificate_key "
            "/etc/wok/wok-key.pem; location / { proxy_pass http://127.0.0.1:8010; } }\n",
        )
        self.machine.command("systemctl enable --now nginx && systemctl restart nginx")
        self.serves("https://localhost:8001/", "the blocking app", "nginx serves Wok")

    def the_package_installs_beside_nginx_and_says_what_comes_next(self):
        (text,) = self.book.take("the_package_installs_beside_nginx_and_says_what_comes_next", "src/guide/running.md")
        said = self.machine.command(f"cd target/package && {text}")
        if "installed, but not started" not in said or "systemctl start noren" not in said:
            raise Failed(f"nothing says that it is not started, and what to do:\n{said}")
        self.serves("https://localhost:8001/", "the blocking app", "nginx keeps its port")

    def the_steps_for_wok_work_as_the_readme_has_them(self):
        step = "the_steps_for_wok_work_as_the_readme_has_them"
        (readme,) = self.book.take(step, "README.md")
        guide = "".join(self.book.take(step, "src/guide/wok.md"))
        # The guide has the same commands, a reason between them.
        together = " && ".join(commands(readme)).split(" && ")
        if together != " && ".join(commands(guide)).split(" && "):
            raise Failed("README and the guide have different steps for Wok")
        # The package is there already.
        for line in commands(readme)[1:]:
            self.machine.command(line)
        self.serves("https://localhost:8001/", "the blocking app", "the door serves Wok")
        self.is_the_door(8001)

    def is_the_door(self, port):
        owner = self.machine.command(f"ss -ltnpH sport = :{port}")
        if "nginx" in owner or not owner:
            raise Failed(f"port {port} is not the door's: {owner}")

    def the_way_back_gives_nginx_its_port(self):
        said = (PROJECT / "src/guide/wok.md").read_text(encoding="utf-8")
        back = re.search(r"To go back: `(systemctl disable --now [^`]*)`, rename the file back, `([^`]*)`", said)
        if not back:
            raise Failed("the way back was not found in the guide")
        self.machine.command(back.group(1))
        self.machine.command("mv /etc/nginx/conf.d/wok.conf.before-noren /etc/nginx/conf.d/wok.conf")
        # There is no wokd here.
        self.machine.command(back.group(2).replace(" wokd", ""))
        self.serves("https://localhost:8001/", "the blocking app", "nginx serves again")
        self.machine.until("ss -ltnpH sport = :8001", "nginx", "the port is nginx's")

    def a_port_that_is_given_back_late_is_taken_then(self):
        """`reload` instead of `restart` of nginx: the port is free a little later than the start."""
        self.machine.command("mv /etc/nginx/conf.d/wok.conf /etc/nginx/conf.d/wok.conf.before-noren")
        # The start may say that the port is taken; the units go on.
        self.machine.command("systemctl enable noren.socket noren; systemctl start noren", check=False)
        self.machine.command("sleep 8; systemctl reload nginx")
        self.machine.until("systemctl is-active noren.socket noren", "active\nactive", "both units come up")
        self.serves("https://localhost:8001/", "the blocking app", "the door serves")
        self.is_the_door(8001)

    def the_port_is_changed_as_documented(self):
        edit = "[Socket]\nListenStream=\nListenStream=[::]:{}\n"
        for port, restart in (
            (8443, "systemctl restart noren.socket noren"),
            (9443, "systemctl restart noren.socket"),
        ):
            self.machine.write("/etc/systemd/system/noren.socket.d/override.conf", edit.format(port))
            self.machine.command(f"systemctl daemon-reload && {restart}")
            self.serves(f"https://localhost:{port}/", "the blocking app", f"after `{restart}`")
            self.machine.until("systemctl is-active noren.socket noren", "active\nactive", "both units run")
        self.machine.command(
            "install -m 0644 -D systemd/drop-ins/port-443.conf /etc/systemd/system/noren.socket.d/override.conf && "
            "systemctl daemon-reload && systemctl restart noren.socket"
        )
        self.serves("https://localhost/", "the blocking app", "with port-443.conf")
        self.machine.command(
            "rm -r /etc/systemd/system/noren.socket.d && systemctl daemon-reload && systemctl restart noren.socket noren"
        )
        self.serves("https://localhost:8001/", "the blocking app", "back on the first port")

    def served_certificate(self):
        return self.machine.command(
            "openssl s_client -connect localhost:8001 -servername localhost </dev/null 2>/dev/null | "
            "openssl x509 -noout -fingerprint -sha256"
        )

    def a_new_certificate_is_served_after_a_reload(self):
        before = self.served_certificate()
        self.machine.command(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext "
            "subjectAltName=DNS:localhost -keyout /etc/wok/wok-key.pem -out /etc/wok/wok-cert.pem 2>/dev/null && "
            "systemctl reload noren"
        )
        if self.served_certificate() == before:
            raise Failed("the old certificate is still served after a reload")

    def a_reload_that_is_refused_fails_and_changes_nothing(self):
        before = self.served_certificate()
        self.machine.command("cp /etc/wok/wok-key.pem /root/key && openssl genrsa -out /etc/wok/wok-key.pem 2048")
        self.machine.fails("systemctl reload noren")
        self.machine.fails("noren check")
        if self.served_certificate() != before:
            raise Failed("a refused reload changed the certificate")
        said = self.machine.command("journalctl -u noren -n 30 -o cat")
        if "wok-key.pem" not in said:
            raise Failed(f"the journal does not name the key:\n{said}")
        self.machine.command("cp /root/key /etc/wok/wok-key.pem && systemctl reload noren")

    def a_killed_door_is_back_and_its_port_never_closes(self):
        self.machine.command("systemctl kill --signal=KILL noren.service")
        said = self.machine.command("curl -sS --insecure --max-time 50 https://localhost:8001/")
        if "the blocking app" not in said:
            raise Failed(f"a visitor who came while it was started again got: {said}")

    def an_upgrade_of_the_package_keeps_what_is_open(self):
        # A request whose head has begun and not ended.
        process = self.machine.command("systemctl show -p MainPID --value noren")
        slow = self.machine.background(
            "{ printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\n'; sleep 8; printf 'Connection: close\\r\\n\\r\\n'; sleep 3; } | "
            "openssl s_client -quiet -ign_eof -connect localhost:8001 2>/dev/null"
        )
        time.sleep(1)
        self.machine.command("dpkg --install ./target/package/noren_*.deb")
        self.machine.until(
            "systemctl show -p MainPID --value noren | grep -vx " + process + " && systemctl is-active noren",
            "active", "the new program is the main process",
        )  # fmt: skip
        said, _ = slow.communicate(timeout=60)
        if "the blocking app" not in said:
            raise Failed(f"a connection that was open during the upgrade got: {said!r}")
        self.serves("https://localhost:8001/", "the blocking app", "the new program serves")

    def each_shipped_configuration_starts_with_the_unit(self):
        """The files of config/ as the package brings them, each with what its first lines say."""
        # What the files name, and an administrator has.
        make_certificate(self.machine)
        self.machine.command(
            "openssl genpkey -algorithm ed25519 2>/dev/null | install -g noren -m 640 /dev/stdin /etc/noren/channels.pem"
        )
        # The certificates that Noren shows to compute hosts, and their authority.
        self.machine.command(
            "cd /etc/noren && cp -p cert.pem vnc-ca.pem && cp -p cert.pem vnc.pem && cp -p key.pem vnc.key"
        )
        seen = 0
        for path in sorted((PROJECT / "config").glob("*.toml")):
            text = path.read_text(encoding="utf-8")
            head = text.split("\n[", 1)[0]
            if path.name in ("noren.toml", "package.toml"):
                continue
            seen += 1
            # Secrets that it names, as its first lines say.
            named = re.findall(r'^[^#\n]*"(/etc/noren/[^"]+)"', text, flags=re.MULTILINE)
            for secret in named + re.findall(r'^[^#\n]*, "(/etc/noren/[^"]+)"', text, flags=re.MULTILINE):
                self.machine.command(
                    f"[ -e {secret} ] || openssl rand -hex 32 | install -g noren -m 640 /dev/stdin {secret}"
                )
            own = "own-ports.conf" in head
            self.machine.command("rm -rf /etc/systemd/system/noren.service.d; systemctl unmask noren.socket 2>/dev/null; true")
            for name in ("own-ports.conf", "wok.conf"):
                if name in head or (name == "wok.conf" and path.name == "wok.toml"):
                    self.machine.command(
                        f"install -m 644 -D systemd/drop-ins/{name} /etc/systemd/system/noren.service.d/{name}"
                    )
            # The package's own way to the port, as the comment beside the address says.
            self.machine.command(
                f"sed 's/^address = .*\"systemd:https\"$/address = \"systemd:https\"/' config/{path.name} "
                "> /etc/noren/noren.toml"
            )
            if "\n[[listener]]\n" not in text:
                # A part of a file: it goes below the one of the package.
                self.machine.command("cat config/package.toml >> /etc/noren/noren.toml")
            if own:
                self.machine.command("systemctl mask --now noren.socket 2>&1")
            self.machine.command("systemctl daemon-reload")
            said = self.machine.command("noren check 2>&1; systemctl restart noren 2>&1", check=False)
            if self.machine.command("systemctl is-active noren", check=False) != "active":
                raise Failed(f"{path.name} does not start:\n{said}\n" + self.machine.command("journalctl -u noren -n 20 -o cat"))
            self.machine.command("systemctl reload noren")
            print(f"    {path.name}: starts and reloads")
        if seen < 5:
            raise Failed(f"only {seen} configurations were found")

    def nothing_is_left_after_a_purge(self):
        # The keys are the administrator's own.
        self.machine.command("systemctl unmask noren.socket 2>/dev/null; find /etc/noren -type f ! -name noren.toml -delete; dpkg --purge noren 2>&1")
        left = self.machine.command(
            "ls -d /etc/noren /var/lib/noren /run/noren /etc/systemd/system/noren* /usr/share/doc/noren 2>/dev/null; "
            "getent passwd noren; systemctl list-units --all --no-legend 'noren*'",
            check=False,
        )
        if left:
            raise Failed(f"purge left:\n{left}")

    def the_rpm_is_installed_serves_is_upgraded_and_removed(self):
        """As on Fedora and its kin: nothing starts by itself, an upgrade keeps what is open, users and data stay."""
        install = "rpm --install --nodeps --force-debian target/package/noren-*-1.*.rpm"
        self.machine.command(install)
        self.machine.fails("systemctl is-active noren.socket")
        self.machine.command("noren check && systemctl enable --now noren.socket noren")
        self.serves("https://localhost:8001/", "there is no app behind it yet", "the RPM serves")
        process = self.machine.command("systemctl show -p MainPID --value noren")
        self.machine.command("rpm --upgrade --nodeps --force-debian target/package/noren-*-2.*.rpm")
        self.machine.until(
            f"systemctl show -p MainPID --value noren | grep -vx {process} && systemctl is-active noren",
            "active", "the new program is the main process",
        )  # fmt: skip
        self.serves("https://localhost:8001/", "there is no app behind it yet", "the upgraded RPM serves")
        self.machine.command("echo '# mine' >> /etc/noren/noren.toml && rpm --erase --nodeps --force-debian noren")
        self.machine.command("grep -q '# mine' /etc/noren/noren.toml.rpmsave && getent passwd noren && ls -d /var/lib/noren/certs")
        left = self.machine.command("ls -d /usr/bin/noren /run/noren /usr/lib/systemd/system/noren* 2>/dev/null; ss -ltnH sport = :8001", check=False)
        if left:
            raise Failed(f"the removal left:\n{left}")


BEFORE = [
    "an_app_runs",
    "wok_runs_behind_nginx",
    "the_package_installs_beside_nginx_and_says_what_comes_next",
    "the_steps_for_wok_work_as_the_readme_has_them",
    "the_way_back_gives_nginx_its_port",
    "a_port_that_is_given_back_late_is_taken_then",
    "the_port_is_changed_as_documented",
    "a_new_certificate_is_served_after_a_reload",
    "a_reload_that_is_refused_fails_and_changes_nothing",
    "a_killed_door_is_back_and_its_port_never_closes",
    "an_upgrade_of_the_package_keeps_what_is_open",
    "each_shipped_configuration_starts_with_the_unit",
]
AFTER = [
    "nothing_is_left_after_a_purge",
    "the_rpm_is_installed_serves_is_upgraded_and_removed",
]

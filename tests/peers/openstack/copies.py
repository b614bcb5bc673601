"""A copy of the databases of the small cloud, with the ports of one test, and the services that run on it."""

import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

from services import BIN, NOVA_CONF, PORTS

# Made by tests/run, beside the virtual environment that this runs in.
STATE = (BIN.parent / "state").resolve()
STATIC = BIN.parent / "static"
# Seconds until all services have to be there, of which a busy machine takes half; a test waits for longer
# (tests/support/peer.rs), and so hears which of them is not, and why.
LIMIT = 240
# The same for one that is started later, while a test waits for an answer.
LATER = 50
# All services are on this machine, whatever proxy it has.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Copy:
    """The services end with it, and the databases are thrown away."""

    def __init__(self, rabbit, ports):
        self.limit = time.monotonic() + LIMIT
        self.scratch = tempfile.TemporaryDirectory(prefix="noren-cloud-", ignore_cleanup_errors=True)
        self.home = pathlib.Path(self.scratch.name)
        shutil.copytree(STATE, self.home, dirs_exist_ok=True)
        self.children = []
        for path in self.home.glob("*.conf"):
            path.write_text(path.read_text().replace(str(STATE), str(self.home)))
        (self.home / "nova.conf").write_text(
            NOVA_CONF.format(home=self.home, rabbit=rabbit, identity=ports["identity"]))
        for name, port in ports.items():
            change = "UPDATE endpoint SET url = replace(url, ?, ?)"
            execute(self.home / "keystone.db", change, f":{PORTS[name]}", f":{port}")
        change = "UPDATE cell_mappings SET database_connection = ?"
        execute(self.home / "api.db", change, f"sqlite:///{self.home}/nova.db")

    def start(self, command, env, url):
        """Starts a service, and waits until it answers."""
        return self.await_answer(self.spawn(command, env), url)

    def spawn(self, command, env):
        """Starts a service: several of them get ready in the time of the slowest."""
        child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def await_answer(self, child, url):
        limit = max(self.limit, time.monotonic() + LATER)
        last = "nothing"
        while child.poll() is None and (left := limit - time.monotonic()) > 0:
            try:
                DIRECT.open(url, timeout=left).close()
                return child
            except urllib.error.HTTPError as answer:
                if answer.code < 500:
                    return child
                last = f"{answer.code}: {answer.read(200)}"
            except OSError as error:
                last = str(error)
            time.sleep(0.1)
        state = "runs" if child.poll() is None else f"ended with {child.returncode}"
        for log in self.home.glob("*.log"):
            print(f"{log.name} ends with:", log.read_text(errors="replace")[-2000:], file=sys.stderr)
        self.end()
        sys.exit(f"{child.args[-1]} {state} and does not answer at {url}; the last answer was {last}")

    def project(self, name):
        return execute(self.home / "keystone.db", "SELECT id FROM project WHERE name = ?", name)[0][0]

    def end(self):
        for child in self.children:
            # Apache takes its processes with it when it is asked to end.
            child.send_signal(signal.SIGTERM if "apache2" in str(child.args) else signal.SIGKILL)
            child.wait()
        self.scratch.cleanup()


def execute(path, statement, *values):
    with sqlite3.connect(path) as database:
        return database.execute(statement, values).fetchall()

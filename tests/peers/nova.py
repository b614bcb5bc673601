"""A small cloud for consoles: the real Keystone and Nova's API, and Horizon if it is asked for, with databases that are
thrown away.

    nova.py [--broker PORT] [--horizon] [NAME=VALUE ...]

The values go into the environment of the dashboard. With a broker (RabbitMQ) Nova's compute side answers
`openstack console url show`. The address is that of Keystone. Commands, beside those of openstack/consoles.py, where a
project is named and not numbered:

    nova                                Nova's API, as `host:port`
    horizon                             the dashboard, the same way
    conf                                the path of nova.conf
    client USER PROJECT WORDS...        what the client `openstack` prints to these words, on one line
    credential FILE                     an application credential of nova's user: answers its id, the secret is in FILE
    password USER PASSWORD              changes a password
    end SERVICE, begin SERVICE          keystone or nova
    hang SERVICE, go SERVICE            it takes connections and does not answer
    forget                              Keystone's keys are others, so that no login of before is good
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).with_name("openstack")))

import lifeline  # noqa: E402
from copies import STATIC, Copy  # noqa: E402
from services import BIN, HERE, environment, gunicorn  # noqa: E402
from stand_ins import StandIns  # noqa: E402

# The cells, which Nova's API reads once: servers are in any of them.
CELLS = ["cell1", "cell2"]
CONSOLES = """
[keystone_authtoken]
token_cache_time = -1
[vnc]
novncproxy_base_url = https://localhost:6080/vnc_lite.html
[serial_console]
enabled = true
base_url = wss://localhost:6083/
"""


class Cloud(Copy):
    def __init__(self, arguments):
        arguments = list(arguments)
        broker = int(arguments.pop(arguments.index("--broker") + 1)) if "--broker" in arguments else 1
        settings = dict(pair.split("=", 1) for pair in arguments if "=" in pair)
        ports = {name: lifeline.free_port() for name in ("identity", "compute", "horizon")}
        self.ports = ports
        keystone = f"http://127.0.0.1:{ports['identity']}"
        stand_ins = StandIns(keystone, broker).ports
        super().__init__(broker, {"identity": ports["identity"], "compute": ports["compute"], **stand_ins})
        with (self.home / "nova.conf").open("a") as conf:
            conf.write(CONSOLES)
        self.everywhere = environment(
            self.home, TEST_KEYSTONE=f"{keystone}/v3", TEST_STATIC=str(STATIC), TEST_CACHE=str(self.home / "cache"),
            **settings)
        self.services = {}
        self.begin("keystone")
        self.compute(["--serve"] if broker != 1 else [])
        self.begin("nova")
        if "--horizon" in arguments:
            self.start(gunicorn("openstack_dashboard.wsgi", ports["horizon"], 8), self.everywhere,
                       f"http://127.0.0.1:{ports['horizon']}/auth/login/")

    def compute(self, flags):
        self.consoles = subprocess.Popen(
            [sys.executable, "-B", HERE / "consoles.py", self.home, *flags], env=self.everywhere, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.children.append(self.consoles)
        if self.consoles.stdout.readline() != "ready\n":
            sys.exit("Nova's compute side has ended")
        for name in CELLS:
            self.ask(f"cell {name}")

    def begin(self, name):
        module, port, path = {"keystone": ("keystone_app", self.ports["identity"], "v3"),
                              "nova": ("nova_app", self.ports["compute"], "")}[name]
        self.services[name] = self.start(gunicorn(module, port), self.everywhere, f"http://127.0.0.1:{port}/{path}")

    def stop(self, name):
        # gunicorn takes its workers with it; a kill would leave them.
        self.services[name].terminate()
        self.services[name].wait()
        self.children.remove(self.services.pop(name))

    def signal(self, name, number):
        master = self.services[name].pid
        children = pathlib.Path(f"/proc/{master}/task/{master}/children").read_text().split()
        for process in [master, *map(int, children)]:
            os.kill(process, number)

    def ask(self, command):
        self.consoles.stdin.write(command + "\n")
        self.consoles.stdin.flush()
        verdict, _, answer = self.consoles.stdout.readline().strip().partition(" ")
        if verdict != "ok":
            raise RuntimeError(answer)
        return answer

    def create(self, argument):
        cell, project, name = argument.split(" ")
        return self.ask(f"create {cell} {self.project(project)} {name}")

    def as_user(self, user, project, *words):
        """The output of the client, which people and scripts use."""
        env = {**os.environ, "OS_AUTH_URL": self.everywhere["TEST_KEYSTONE"], "OS_USERNAME": user,
               "OS_PASSWORD": "secret", "OS_PROJECT_NAME": project, "OS_USER_DOMAIN_ID": "default",
               "OS_PROJECT_DOMAIN_ID": "default", "OS_IDENTITY_API_VERSION": "3", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run([BIN / "openstack", *words], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return " ".join(done.stdout.split())

    def client(self, argument):
        return self.as_user(*argument.split(" "))

    def credential(self, file):
        made = self.as_user("nova", "service", "application", "credential", "create", "door", "--role", "admin", "-f",
                            "value", "-c", "id", "-c", "secret")
        key, secret = made.split(" ")
        pathlib.Path(file).write_text(secret + "\n")
        os.chmod(file, 0o600)
        return key

    def password(self, argument):
        user, password = argument.split(" ")
        self.as_user("admin", "admin", "user", "set", "--password", password, user)

    def forget(self, _):
        self.stop("keystone")
        shutil.rmtree(self.home / "fernet")
        (self.home / "fernet").mkdir(mode=0o700)
        user = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
        subprocess.run([BIN / "keystone-manage", "--config-file", self.home / "keystone.conf", "fernet_setup", *user],
                       check=True, capture_output=True)
        self.begin("keystone")

    def end(self):
        for name in self.services:
            self.signal(name, signal.SIGCONT)
        super().end()


def own(name):
    return lambda argument: cloud.ask(f"{name} {argument}")


cloud = Cloud(sys.argv[1:])
lifeline.hold(
    f"127.0.0.1:{cloud.ports['identity']}",
    {
        "nova": lambda _: f"127.0.0.1:{cloud.ports['compute']}",
        "horizon": lambda _: f"127.0.0.1:{cloud.ports['horizon']}",
        "conf": lambda _: str(cloud.home / "nova.conf"),
        "create": cloud.create,
        **{name: own(name) for name in ("console", "base", "token", "expire", "delete")},
        "client": cloud.client,
        "credential": cloud.credential,
        "password": cloud.password,
        "end": cloud.stop,
        "begin": cloud.begin,
        "hang": lambda name: cloud.signal(name, signal.SIGSTOP),
        "go": lambda name: cloud.signal(name, signal.SIGCONT),
        "forget": cloud.forget,
    },
    cloud.end,
)

"""A small cloud: the real Horizon, Keystone and Nova's API, each in a process, with databases that are thrown away.

    openstack.py PORT_OF_RABBITMQ [--horizon DIRECTORY] [--server gunicorn|mod_wsgi] [NAME=VALUE ...]

The values go into the environment of the dashboard (tests/peers/openstack/local_settings.py), which is that of the
virtual environment in DIRECTORY, else of the one that this runs in. Cinder, Glance and Neutron are stand-ins. The peer is ready when the dashboard answers. Commands, that of an administrator out of band:

    project NAME                        the id of a project
    create PROJECT NAME                 a server, which is being built; answers its id
    built, pause, resume, stop, delete ID
    make KIND PROJECT NAME              a volume, image or network; answers its id
    change KIND ID STATUS
    remove KIND ID
    answers                             what the dashboard answers to the requests of answers.py
    unknown                             paths that the stand-ins were asked for and do not have
"""

import argparse
import pathlib
import subprocess
import sys

sys.path.append(str(pathlib.Path(__file__).with_name("openstack")))

import answers  # noqa: E402
import lifeline  # noqa: E402
from copies import Copy  # noqa: E402
from services import BIN, HERE, environment, gunicorn, mod_wsgi  # noqa: E402
from stand_ins import StandIns  # noqa: E402


class Cloud(Copy):
    def __init__(self, rabbit, horizon, server, settings):
        identity, compute, self.port = (lifeline.free_port() for _ in range(3))
        keystone = f"http://127.0.0.1:{identity}"
        self.stand_ins = StandIns(keystone, rabbit)
        super().__init__(rabbit, {"identity": identity, "compute": compute, **self.stand_ins.ports})
        everywhere = environment(
            self.home, TEST_KEYSTONE=f"{keystone}/v3", TEST_STATIC=str(horizon / "static"),
            TEST_CACHE=str(self.home / "cache"), **dict(pair.split("=", 1) for pair in settings))
        # Its errors have the words of warnings that Nova has about itself; a test hears of errors by their answers.
        self.servers = subprocess.Popen(
            [sys.executable, "-B", HERE / "servers.py", self.home], env=everywhere, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.children.append(self.servers)
        if server == "gunicorn":
            command = gunicorn("openstack_dashboard.wsgi", self.port, 8, horizon / "bin" / "python")
        else:
            application = next(horizon.glob("lib/python*/site-packages/openstack_dashboard/wsgi.py"))
            command = mod_wsgi(self.home, self.port, horizon, application, horizon / "static")
        dashboard = self.spawn(command, everywhere)
        # Keystone reads where it is from its configuration; Nova needs it to be there.
        self.start(gunicorn("keystone_app", identity), everywhere, f"{keystone}/v3")
        self.start(gunicorn("nova_app", compute), everywhere, f"http://127.0.0.1:{compute}/")
        self.await_answer(dashboard, f"http://127.0.0.1:{self.port}/auth/login/")
        if self.servers.stdout.readline() != "ready\n":
            sys.exit("the servers' own process has ended")

    def ask(self, command):
        self.servers.stdin.write(command + "\n")
        self.servers.stdin.flush()
        verdict, _, answer = self.servers.stdout.readline().strip().partition(" ")
        if verdict != "ok":
            raise RuntimeError(answer)
        return answer

    def create(self, argument):
        project, name = argument.split(" ")
        return self.ask(f"create {self.project(project)} {name}")

    def make(self, argument):
        kind, project, name = argument.split(" ")
        return self.stand_ins.create(kind, self.project(project), name)

    def answers(self, _):
        own, server = self.project("kitchen"), self.create("kitchen recorded")
        self.ask(f"built {server}")
        try:
            return answers.ask(self.port, answers.form_login(self.port, "cook"), own, server)
        finally:
            self.ask(f"delete {server}")


def own(name):
    return lambda argument: cloud.ask(f"{name} {argument}")


parser = argparse.ArgumentParser()
parser.add_argument("rabbit", type=int)
parser.add_argument("--horizon", type=pathlib.Path, default=BIN.parent)
parser.add_argument("--server", choices=["gunicorn", "mod_wsgi"], default="gunicorn")
parser.add_argument("settings", nargs="*")
cloud = Cloud(**vars(parser.parse_intermixed_args()))
lifeline.hold(
    f"127.0.0.1:{cloud.port}",
    {
        "project": cloud.project,
        "create": cloud.create,
        **{name: own(name) for name in ("built", "pause", "resume", "stop", "delete")},
        "make": cloud.make,
        "change": lambda argument: cloud.stand_ins.change(*argument.split(" ")),
        "remove": lambda argument: cloud.stand_ins.delete(*argument.split(" ")),
        "answers": cloud.answers,
        "unknown": lambda _: " ".join(cloud.stand_ins.unknown),
    },
    cloud.end,
)

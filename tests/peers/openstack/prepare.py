"""Databases of a small cloud, made once: Keystone's with its projects and users, Nova's with a flavor.

    prepare.py DIRECTORY

tests/run calls it with the Python of the virtual environment that has both services. Each test begins with a copy.
The catalog names the ports below, which the copy gets replaced.
"""

import os
import pathlib
import subprocess
import sys
import time

from services import BIN, KEYSTONE_CONF, NOVA_CONF, PORTS, environment, gunicorn

PROJECTS = {"kitchen": ["cook", "waiter"], "garden": ["gardener", "waiter"]}


def call(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def keystone(home):
    for name in ("fernet", "credential"):
        (home / name).mkdir(mode=0o700)
    (home / "keystone.conf").write_text(KEYSTONE_CONF.format(home=home))
    manage = [BIN / "keystone-manage", "--config-file", home / "keystone.conf"]
    user = ["--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid())]
    call(*manage, "db_sync")
    call(*manage, "fernet_setup", *user)
    call(*manage, "credential_setup", *user)
    url = f"http://127.0.0.1:{PORTS['identity']}/v3"
    call(*manage, "bootstrap", "--bootstrap-password", "secret", "--bootstrap-region-id", "RegionOne",
         "--bootstrap-public-url", url, "--bootstrap-internal-url", url)


def nova(home):
    (home / "nova.conf").write_text(NOVA_CONF.format(home=home, rabbit=1, identity=PORTS["identity"]))
    manage = [BIN / "nova-manage", "--config-file", home / "nova.conf"]
    call(*manage, "api_db", "sync")
    call(*manage, "db", "sync", "--local_cell")
    call(*manage, "cell_v2", "map_cell0", "--database_connection", f"sqlite:///{home}/nova.db")
    call(BIN / "python", "-B", pathlib.Path(__file__).with_name("servers.py"), home, "--flavor")


def people():
    """What bootstrap leaves to the administrator: projects, users, and the services in the catalog."""
    from keystoneauth1 import session
    from keystoneauth1.identity import v3
    from keystoneclient.v3 import client

    admin = v3.Password(f"http://127.0.0.1:{PORTS['identity']}/v3", username="admin", password="secret",
                        project_name="admin", user_domain_id="default", project_domain_id="default")
    api = client.Client(session=session.Session(auth=admin))
    for _ in range(200):
        try:
            roles = {role.name: role for role in api.roles.list()}
            break
        except Exception as error:
            last = error
            time.sleep(0.1)
    else:
        sys.exit(f"Keystone does not answer: {last}")
    domain = "default"
    users = {name: api.users.create(name, domain=domain, password="secret")
             for name in sorted({name for names in PROJECTS.values() for name in names} | {"nova"})}
    projects = {name: api.projects.create(name, domain) for name in [*PROJECTS, "service"]}
    for name, names in PROJECTS.items():
        for one in names:
            api.roles.grant(roles["member"], user=users[one], project=projects[name])
    for role in ("service", "admin"):
        api.roles.grant(roles[role], user=users["nova"], project=projects["service"])
    # An administrator of another project does things to their servers, and not only in theirs.
    for kind, path in {"compute": "/v2.1", "image": "", "volumev3": "/v3/%(tenant_id)s", "network": ""}.items():
        service = api.services.create(kind, type=kind)
        api.endpoints.create(service, f"http://127.0.0.1:{PORTS[kind]}{path}", interface="public", region="RegionOne")


def main(directory):
    home = pathlib.Path(directory).resolve()
    home.mkdir(parents=True)
    keystone(home)
    nova(home)
    server = subprocess.Popen(gunicorn("keystone_app", PORTS["identity"]), env=environment(home))
    try:
        people()
    finally:
        server.terminate()
        server.wait()
    (home / "complete").touch()


main(sys.argv[1])

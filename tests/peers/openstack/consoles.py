"""Consoles of a cloud without a hypervisor: servers in cells, their tokens, and nova-compute's part in
`openstack console url show`, by Nova's own compute manager and objects.

    consoles.py DIRECTORY [--serve]

With --serve it takes the calls of Nova's API at the broker of nova.conf. One command a line, answered by one line:

    cell NAME                           another cell, with a database of its own
    create CELL PROJECT NAME            a server that runs; answers its id
    console ID KIND HOST PORT           where the console of this kind is from now on
    base KIND URL                       the beginning of the URLs of such consoles
    token ID KIND [PATH]                a token for it, with an internal_access_path; answers token and URL
    expire TOKEN                        its time is over
    delete ID
"""

import hashlib
import json
import shutil
import sys
import uuid

home, *flags = sys.argv[1:]
sys.argv = ["consoles"]

import nova.conf  # noqa: E402
import oslo_messaging  # noqa: E402
from nova import config, context, objects, rpc  # noqa: E402
from nova.compute.manager import ComputeManager  # noqa: E402
from nova.console import type as forms  # noqa: E402
from nova.db.main import api as database  # noqa: E402
from nova.db.main import models  # noqa: E402
from nova.network import model  # noqa: E402
from nova.objects.base import NovaObjectSerializer  # noqa: E402

objects.register_all()
config.parse_args(["consoles"], default_config_files=[f"{home}/nova.conf"])
CONF = nova.conf.CONF
HOST = "node1"
ADMIN = context.RequestContext("administrator", "0" * 32, is_admin=True)
# By server and kind: host, port and path.
PLACES = {}
CELLS = {}
OF_SERVER = {}


class Driver:
    """A hypervisor as far as consoles go: where they are."""

    def get_vnc_console(self, _, instance):
        return self.find(forms.ConsoleVNC, instance, "novnc")

    def get_spice_console(self, _, instance):
        host, port, path = PLACES[instance.uuid, "spice-html5"]
        return forms.ConsoleSpice(host=host, port=port, tlsPort=None, internal_access_path=path)

    def get_serial_console(self, _, instance):
        return self.find(forms.ConsoleSerial, instance, "serial")

    def find(self, form, instance, kind):
        host, port, path = PLACES[instance.uuid, kind]
        return form(host=host, port=port, internal_access_path=path)


class Compute(ComputeManager):
    def __init__(self):
        self.driver = Driver()
        self.host = HOST

    # The real one has the database of its cell in its configuration.

    def get_vnc_console(self, asking, console_type, instance):
        with at(asking, instance) as own:
            return super().get_vnc_console(own, console_type, instance)

    def get_spice_console(self, asking, console_type, instance):
        with at(asking, instance) as own:
            return super().get_spice_console(own, console_type, instance)

    def get_serial_console(self, asking, console_type, instance):
        with at(asking, instance) as own:
            return super().get_serial_console(own, console_type, instance)


def at(asking, instance):
    return context.target_cell(asking, CELLS[OF_SERVER[instance.uuid]])


def cell(name):
    path = f"{home}/{name}.db"
    shutil.copy(f"{home}/nova.db", path)
    CELLS[name] = objects.CellMapping(ADMIN, uuid=str(uuid.uuid4()), name=name, transport_url=CONF.transport_url,
                                      database_connection=f"sqlite:///{path}", disabled=False)
    CELLS[name].create()


def inside(name):
    return context.target_cell(ADMIN, CELLS[name])


def create(name, project, display):
    with inside(name) as own:
        one = objects.Instance(
            own, uuid=str(uuid.uuid4()), project_id=project, user_id="somebody", host=HOST, node=HOST, compute_id=1,
            display_name=display, hostname=display.lower(), image_ref="", metadata={}, system_metadata={},
            vm_state="active", power_state=1, memory_mb=512, vcpus=1, root_gb=1, ephemeral_gb=0, launched_on=HOST,
            locked=False, progress=0, flavor=objects.Flavor.get_by_flavor_id(ADMIN, "1"), numa_topology=None,
            pci_requests=None, root_device_name="/dev/vda", config_drive="", reservation_id="r-1", launch_index=0)
        one.info_cache = objects.InstanceInfoCache(network_info=model.NetworkInfo())
        one.create()
    objects.InstanceMapping(ADMIN, instance_uuid=one.uuid, project_id=project, user_id="somebody",
                            queued_for_delete=False, cell_mapping=CELLS[name]).create()
    OF_SERVER[one.uuid] = name
    return one.uuid


def console(key, kind, host, port):
    PLACES[key, kind] = (host, int(port), None)


BASES = {"novnc": ("novncproxy_base_url", "vnc"), "serial": ("base_url", "serial_console"),
         "spice-html5": ("html5proxy_base_url", "spice")}


def base(kind, url):
    key, section = BASES[kind]
    CONF.set_override(key, url, section)


def token(key, kind, path=None):
    host, port, _ = PLACES[key, kind]
    name, section = BASES[kind]
    beginning = CONF[section][name]
    with inside(OF_SERVER[key]) as own:
        made = objects.ConsoleAuthToken(own, console_type=kind, host=host, port=port, internal_access_path=path,
                                        instance_uuid=key, access_url_base=beginning)
        return made.authorize(CONF.consoleauth.token_ttl) + " " + made.access_url


def expire(text):
    mark = hashlib.sha256(text.encode()).hexdigest()
    for name in CELLS:
        with inside(name) as own, database.get_context_manager(own).writer.using(own):
            own.session.query(models.ConsoleAuthToken).filter_by(token_hash=mark).update({"expires": 1})


def delete(key):
    with inside(OF_SERVER[key]) as own:
        # As the compute manager does it before it destroys a server.
        objects.ConsoleAuthToken.clean_console_auths_for_instance(own, key)
        objects.Instance.get_by_uuid(own, key, expected_attrs=["flavor"]).destroy()
    objects.InstanceMapping.get_by_instance_uuid(ADMIN, key).destroy()


COMMANDS = {"cell": cell, "create": create, "console": console, "base": base, "token": token, "expire": expire,
            "delete": delete}

if "--serve" in flags:
    CONF.set_override("enabled", True, "spice")
    rpc.init(CONF)
    serializer = rpc.RequestContextSerializer(NovaObjectSerializer())
    target = oslo_messaging.Target(topic="compute", server=HOST)
    server = oslo_messaging.get_rpc_server(rpc.TRANSPORT, target, [Compute()], executor="threading",
                                           serializer=serializer)
    server.start()
print("ready", flush=True)
for line in sys.stdin:
    name, *arguments = line.split()
    try:
        print("ok", COMMANDS[name](*arguments) or "", flush=True)
    except Exception as error:
        print("error", name, json.dumps(repr(error)), flush=True)

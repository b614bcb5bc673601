"""Servers without a hypervisor: what nova-compute does to its database, and tells, by Nova's own objects and notifier.

    servers.py DIRECTORY [--flavor]

With --flavor only a flavor is made. Else one command a line: NAME and its arguments, as in COMMANDS. Each is answered
by one line. The context is an administrator's in a project of its own, as it is with the real compute service when an
administrator acts: whose server it is has to be told by the server.
"""

import sys
import uuid

home, *flags = sys.argv[1:]
sys.argv = ["servers"]

from nova import config, context, objects, rpc  # noqa: E402
from nova.compute import task_states, utils, vm_states  # noqa: E402
from nova.network import model  # noqa: E402
import nova.conf  # noqa: E402

objects.register_all()
config.parse_args(["servers"], default_config_files=[f"{home}/nova.conf"])
CONF = nova.conf.CONF
ADMIN = context.RequestContext("administrator", "0" * 32, is_admin=True)


def flavor():
    made = objects.Flavor(ADMIN, name="m1.small", flavorid="1", memory_mb=512, vcpus=1, root_gb=1, ephemeral_gb=0,
                          swap=0, rxtx_factor=1.0, is_public=True, disabled=False)
    made.create()


def load(key):
    more = ["flavor", "info_cache", "metadata", "system_metadata"]
    return objects.Instance.get_by_uuid(ADMIN, key, expected_attrs=more)


def tell(instance, action, phase):
    utils.notify_about_instance_usage(rpc.get_notifier("compute", "node1"), ADMIN, instance, f"{action}.{phase}")
    utils.notify_about_instance_action(ADMIN, instance, "node1", action=action, phase=phase)


def create(project, name):
    one = objects.Instance(
        ADMIN, uuid=str(uuid.uuid4()), project_id=project, user_id="somebody", host="node1", node="node1", compute_id=1,
        display_name=name, display_description="", hostname=name.lower(), image_ref="", metadata={}, system_metadata={},
        vm_state=vm_states.BUILDING, task_state=task_states.SPAWNING, power_state=0, memory_mb=512, vcpus=1, root_gb=1,
        ephemeral_gb=0, availability_zone="nova", launched_on="node1", locked=False, progress=0, reservation_id="r-1",
        launch_index=0, root_device_name="/dev/vda", config_drive="", key_name=None, architecture=None,
        flavor=objects.Flavor.get_by_flavor_id(ADMIN, "1"), numa_topology=None, pci_requests=None)
    one.info_cache = objects.InstanceInfoCache(network_info=model.NetworkInfo())
    one.create()
    objects.InstanceMapping(
        ADMIN, instance_uuid=one.uuid, project_id=project, user_id="somebody", queued_for_delete=False,
        cell_mapping=objects.CellMappingList.get_all(ADMIN)[0]).create()
    tell(one, "create", "start")
    return one.uuid


def built(key):
    one = load(key)
    one.vm_state, one.task_state, one.power_state = vm_states.ACTIVE, None, 1
    one.save()
    tell(one, "create", "end")


def step(action, task, state, power):
    """A change that passes through a task, with what is told before and after it."""
    def change(key):
        one = load(key)
        one.task_state = task
        one.save(expected_task_state=[None])
        tell(one, action, "start")
        one.vm_state, one.task_state, one.power_state = state, None, power
        one.save()
        tell(one, action, "end")
    return change


def delete(key):
    one = load(key)
    one.task_state = task_states.DELETING
    one.save()
    tell(one, "delete", "start")
    one.destroy()
    tell(one, "delete", "end")


COMMANDS = {
    "create": create,
    "built": built,
    "pause": step("pause", task_states.PAUSING, vm_states.PAUSED, 3),
    "resume": step("unpause", task_states.UNPAUSING, vm_states.ACTIVE, 1),
    "stop": step("power_off", task_states.POWERING_OFF, vm_states.STOPPED, 4),
    "delete": delete,
}

if "--flavor" in flags:
    flavor()
    sys.exit()
rpc.init(CONF)
print("ready", flush=True)
for line in sys.stdin:
    name, *arguments = line.split()
    try:
        print("ok", COMMANDS[name](*arguments) or "", flush=True)
    except Exception as error:
        print("error", name, repr(error), flush=True)

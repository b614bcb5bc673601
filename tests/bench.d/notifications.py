"""Notifications of OpenStack from a RabbitMQ broker: CPU of Noren for each million deliveries, into many channels and one.

    notifications.py NOREN [SECONDS]

Nova's `compute.instance.update`, 2,000 a second for so many seconds (20), each to five subscribers, WebSockets over TLS:
into 1,000 channels of a project each, with 5,000 subscribers. Beside it one channel with as many subscribers and as many
deliveries a second, out of a 1,000th of the notifications. A third run has the 2,000 notifications a second in one channel
with five subscribers, which get several with each write; no system call is saved like that where a subscriber gets two
notifications a second. Broker, publisher and subscribers share the machine; only Noren is measured. Ends with status 1 if a
message was lost, if Noren did not keep up, or if a delivery out of many channels costs more than 1.2 times one out of the
single channel with as many subscribers.

Runs with the Python of tests/.cache/venv, which has a client for the broker.
"""

import json
import multiprocessing
import os
import re
import selectors
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import uuid

MARK = b"@@mark@@"
RATE = 2000
PROGRAMS = "/usr/lib/rabbitmq/bin"
#       name                                   channels  subscribers  notifications a second
CASES = {
    "1,000 channels, 5 subscribers each": (1000, 5000, RATE),
    "one channel, 5,000 subscribers": (1, 5000, RATE * 5 // 5000),
    "one channel, 5 subscribers": (1, 5, RATE),
}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def broker(home):
    """A broker with a home and ports of its own; gives its port and what has to be ended."""
    port, names, internal = free_port(), free_port(), free_port()
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    epmd = subprocess.Popen(["epmd", "-address", "127.0.0.1", "-port", str(names)], **quiet)
    server = subprocess.Popen([f"{PROGRAMS}/rabbitmq-server"], start_new_session=True, **quiet, env={
        **os.environ, "HOME": home, "RABBITMQ_NODENAME": f"noren-{port}@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port), "RABBITMQ_DIST_PORT": str(internal), "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": f"{home}/mnesia", "RABBITMQ_LOG_BASE": f"{home}/logs",
        "RABBITMQ_LOGS": "-", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/plugins", "RABBITMQ_CONF_ENV_FILE": f"{home}/none",
        "RABBITMQ_CONFIG_FILE": f"{home}/none", "RABBITMQ_ADVANCED_CONFIG_FILE": f"{home}/none.config"})
    limit = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return port, (epmd, server)
        except OSError:
            if time.monotonic() > limit or server.poll() is not None:
                sys.exit("the broker did not start")
            time.sleep(0.2)


def body(channel, number):
    payload = {
        "tenant_id": f"project{channel}", "user_id": "8a9d2a7c1f4b4c0e9c4c0c3f9a4b7d21", "instance_id": str(uuid.uuid4()),
        "display_name": f"web-{number}", "reservation_id": "r-abcdefgh", "hostname": f"web-{number}",
        "instance_type": "m1.small", "instance_type_id": 5, "instance_flavor_id": "2", "architecture": "x86_64",
        "memory_mb": 2048, "disk_gb": 20, "vcpus": 1, "root_gb": 20, "ephemeral_gb": 0, "host": "compute-7",
        "node": "compute-7.example", "availability_zone": "nova", "cell_name": "", "created_at": "2026-11-22 02:44:09+00:00",
        "terminated_at": "", "deleted_at": "", "launched_at": "2026-11-22T02:44:21.000000",
        "image_ref_url": "http://192.0.2.7:9292/images/9b1f7e0e-1c1b-4a52-9f67-0d8ff0d7a1a1", "os_type": None,
        "kernel_id": "", "ramdisk_id": "", "state": "active", "state_description": "powering-off", "progress": "",
        "metadata": {}, "image_meta": {"min_ram": "0", "min_disk": "20", "container_format": "bare", "disk_format": "qcow2"},
        "access_ip_v4": None, "access_ip_v6": None, "old_state": "active", "new_task_state": "powering-off",
        "old_task_state": None, "audit_period_beginning": "2026-11-22T02:00:00.000000",
        "audit_period_ending": "2026-11-22T02:44:30.000000", "bandwidth": {}, "mark": MARK.decode(),
    }
    message = {
        "message_id": str(uuid.uuid4()), "publisher_id": "compute.compute-7", "event_type": "compute.instance.update",
        "priority": "INFO", "payload": payload, "timestamp": "2026-11-22 02:44:30.914663", "_unique_id": uuid.uuid4().hex,
        "_context_project_id": "0" * 32, "_context_user": "nova", "_context_roles": ["admin", "service"],
        "_context_auth_token": None, "_context_request_id": f"req-{uuid.uuid4()}",
    }
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(message)})


def publish(port, channels, rate, seconds):
    """Keeps to the rate as well as it can, and says how long it took."""
    import amqp

    with amqp.Connection(f"127.0.0.1:{port}", userid="guest", password="guest") as connection:
        channel = connection.channel()
        begun, count = time.monotonic(), int(rate * seconds)
        for number in range(count):
            ahead = number / rate - (time.monotonic() - begun)
            if ahead > 0.01:
                time.sleep(ahead)
            message = amqp.Message(
                body(number % channels, number), content_type="application/json", content_encoding="utf-8", delivery_mode=2)
            channel.basic_publish(message, "nova", "notifications.info")
        print(f"published {count} in {time.monotonic() - begun:.1f} s", file=sys.stderr)


class Crowd:
    """Subscribers in a process of their own, which only count what comes."""

    def __init__(self, port, numbers, channels):
        self.total = multiprocessing.Value("Q", 0)
        self.ready = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self.listen, args=(port, numbers, channels), daemon=True)
        self.process.start()

    def listen(self, port, numbers, channels):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        selector = selectors.DefaultSelector()
        for number in numbers:
            peer = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")
            peer.sendall((
                f"GET /events/nova.project{number % channels} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            ).encode())
            head = peer.recv(4096)
            assert b" 101 " in head, head
            peer.setblocking(False)
            selector.register(peer, selectors.EVENT_READ, [b""])
        self.ready.set()
        while True:
            for key, _ in selector.select():
                while True:
                    try:
                        data = key.fileobj.recv(1 << 16)
                    except ssl.SSLWantReadError:
                        break
                    assert data, "a subscriber was closed"
                    text = key.data[0] + data
                    with self.total.get_lock():
                        self.total.value += text.count(MARK)
                    key.data[0] = text[-(len(MARK) - 1):] if not text.endswith(MARK) else b""
                    if not key.fileobj.pending():
                        break


def start(program, directory, port):
    path = os.path.join(directory, "noren.toml")
    with open(path, "w") as file:
        file.write(
            "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'https'\n[limits]\nconnections-per-address = 0\n"
            "address-share = 100\nsession-share = 100\nrequest-rate = 0\nconnections = 12000\n[hub]\nconnect-rate = 100000\n"
            "subscribers = 12000\n[log]\naccess = false\n[[channel]]\nname = 'nova.*'\nslow = 'conflate'\n"
            f"[channel.history]\nage = '2m'\n[[channel.source]]\nsource = 'amqp'\nurl = 'amqp://127.0.0.1:{port}/%2F'\n"
            "exchange = 'nova'\nbindings = ['notifications.#', 'versioned_notifications.#']\nqueue = 'noren-nova'\n"
            "format = 'oslo'\nchannel = ['nova.{tenant}', 'nova.cloud']\n"
            "key = ['{/payload/instance_id}', '{/payload/nova_object.data/uuid}', '{/payload/nova_object.data/instance_uuid}']\n")
    noren = subprocess.Popen(
        [program, "serve", "--config", path], stderr=subprocess.PIPE, text=True, cwd=directory,
        env={**os.environ, "HOME": directory, "XDG_STATE_HOME": directory})
    address, lines = None, []
    for line in noren.stderr:
        lines.append(line)
        found = re.search(r"listening address=127\.0\.0\.1:(\d+)", line)
        address = int(found[1]) if found else address
        if address and "connected to a source" in line:
            threading.Thread(target=noren.stderr.read, daemon=True).start()
            return noren, address
    sys.exit("Noren did not start:\n" + "".join(lines))


def cpu(process):
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(program, port, case, seconds):
    channels, subscribers, rate = case
    each = subscribers // channels
    with tempfile.TemporaryDirectory() as directory:
        noren, address = start(program, directory, port)
        try:
            numbers = range(subscribers)
            crowds = [Crowd(address, numbers[part::2], channels) for part in range(2)]
            for crowd in crowds:
                if not crowd.ready.wait(300):
                    sys.exit("the subscribers cannot connect")
            publisher = multiprocessing.Process(target=publish, args=(port, channels, rate, seconds))
            before, begun = cpu(noren.pid), time.monotonic()
            publisher.start()
            wanted = int(rate * seconds) * each
            limit = begun + 10 * seconds + 60
            while sum(crowd.total.value for crowd in crowds) < wanted and time.monotonic() < limit:
                time.sleep(0.05)
            took, spent = time.monotonic() - begun, cpu(noren.pid) - before
            time.sleep(0.5)
            got = sum(crowd.total.value for crowd in crowds)
            publisher.join()
            for crowd in crowds:
                crowd.process.kill()
        finally:
            noren.terminate()
            noren.wait(60)
    return {"wanted": wanted, "got": got, "seconds": took, "cpu": spent, "notifications": int(rate * seconds)}


def main():
    program, seconds = os.path.abspath(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 20
    import amqp

    with tempfile.TemporaryDirectory() as home:
        port, children = broker(home)
        try:
            with amqp.Connection(f"127.0.0.1:{port}", userid="guest", password="guest") as connection:
                connection.channel().exchange_declare("nova", "topic", durable=False, auto_delete=False)
            results = {name: measure(program, port, case, seconds) for name, case in CASES.items()}
        finally:
            os.killpg(children[1].pid, signal.SIGKILL)
            for child in children:
                child.kill()
                child.wait()
    print("| | notifications/s | deliveries/s | lost | CPU of Noren | CPU for a million deliveries |\n|---|---|---|---|---|---|")
    cost = {}
    for name, one in results.items():
        cost[name] = one["cpu"] / one["got"] * 1e6
        print(f"| {name} | {one['notifications'] / one['seconds']:,.0f} | {one['got'] / one['seconds']:,.0f} "
              f"| {one['wanted'] - one['got']} | {one['cpu'] / one['seconds'] * 100:.0f} % | {cost[name]:.1f} s |")
    many, single, batched = cost.values()
    print(f"\nMany channels beside one with as many subscribers: {many / single:.2f}; beside one with five: {many / batched:.2f}.")
    first, *_ = results.values()
    behind = first["seconds"] > 1.1 * seconds + 1
    if behind:
        print(f"{first['notifications']} notifications took {first['seconds']:.1f} s instead of {seconds:.0f}.")
    sys.exit(any(one["got"] != one["wanted"] for one in results.values()) or many > 1.2 * single or behind)


if __name__ == "__main__":
    main()

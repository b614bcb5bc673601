"""Debian's Pushpin with a zurl of its own, in front of an app.

Arguments: host:port of the app, and the key of Grip-Sig in base64. Ready with `host:port host:port`, the addresses
for clients and for publishers.
"""

import http.client
import http.server
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import lifeline

# The host name of the app that is asked before the test.
OWN = "pushpin.localhost"

ZURL = """[General]
in_spec=ipc://{rundir}/zurl-in
in_stream_spec=ipc://{rundir}/zurl-in-stream
out_spec=ipc://{rundir}/zurl-out
in_req_spec=ipc://{rundir}/zurl-req
defpolicy=allow
max_open_requests=2000
buffer_size=200000
timeout=600
in_hwm=1000
out_hwm=1000
"""

PUSHPIN = """[global]
include={directory}/internal.conf
rundir={rundir}
ipc_prefix=pushpin-
port_offset=0
stats_connection_ttl=120
[runner]
services=condure,pushpin-proxy,pushpin-handler
http_port={clients}
logdir={directory}
log_level=2
client_buffer_size=8192
client_maxconn=6000
[proxy]
routesfile={directory}/routes
sig_iss=pushpin
sig_key=base64:{key}
[handler]
push_in_spec=ipc://{rundir}/push-in
push_in_sub_specs=ipc://{rundir}/push-in-sub
push_in_sub_connect=false
push_in_http_addr=127.0.0.1
push_in_http_port={publishers}
push_in_http_max_headers_size=10000
push_in_http_max_body_size=1000000
stats_spec=ipc://{rundir}/stats
command_spec=ipc://{rundir}/command
message_rate=250000
message_hwm=250000
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
subscription_linger=60
stats_subscription_ttl=60
stats_report_interval=10
stats_format=tnetstring
"""


def wait_for(port):
    """Wait until something listens there."""
    for _ in range(200):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens at port {port}")


class Held(http.server.BaseHTTPRequestHandler):
    """An app that holds a stream, for the time before the test."""

    def do_GET(self):
        self.send_response(200)
        for name, value in {"Grip-Hold": "stream", "Grip-Channel": "ready", "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


def wait_until_streams_are_held(port, holder):
    """Wait until a stream is held: Pushpin listens before its processes have found each other; until then it answers 500
    or nothing."""
    threading.Thread(target=holder.serve_forever, daemon=True).start()
    for _ in range(200):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            client.request("GET", "/", headers={"Host": OWN})
            status = client.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            status = error
        client.close()
        if status == 200:
            holder.shutdown()
            holder.server_close()
            return
        time.sleep(0.05)
    sys.exit(f"Pushpin does not hold a stream: {status}")


def main():
    """Start both programs, and end them with the test."""
    app, key = sys.argv[1:3]
    directory = pathlib.Path(tempfile.mkdtemp(prefix="pushpin-"))
    rundir = directory / "run"
    rundir.mkdir()
    clients, publishers = lifeline.free_port(), lifeline.free_port()
    internal = pathlib.Path("/usr/lib/pushpin/internal.conf").read_text(encoding="utf-8")
    (directory / "internal.conf").write_text(internal.replace("/var/run/zurl", str(rundir)), encoding="utf-8")
    names = {"directory": directory, "rundir": rundir, "clients": clients, "publishers": publishers, "key": key}
    (directory / "pushpin.conf").write_text(PUSHPIN.format(**names), encoding="utf-8")
    (directory / "zurl.conf").write_text(ZURL.format(**names), encoding="utf-8")
    holder = http.server.HTTPServer(("127.0.0.1", 0), Held)
    routes = f"{OWN} 127.0.0.1:{holder.server_port}\n* {app},over_http\n"
    (directory / "routes").write_text(routes, encoding="utf-8")
    log = (directory / "log").open("w", encoding="utf-8")
    children = [
        subprocess.Popen(["zurl", f"--config={directory}/zurl.conf"], stdout=log, stderr=log),
        subprocess.Popen(["pushpin", f"--config={directory}/pushpin.conf"], stdout=log, stderr=log),
    ]

    def end():
        for child in children:
            child.terminate()
        for child in children:
            child.wait(10)
        shutil.rmtree(directory, ignore_errors=True)

    wait_for(clients)
    wait_for(publishers)
    wait_until_streams_are_held(clients, holder)
    lifeline.hold(f"127.0.0.1:{clients} 127.0.0.1:{publishers}", {"processes": lambda _: children[1].pid}, end)


main()

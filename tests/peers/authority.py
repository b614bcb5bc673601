"""An authority for certificates (ACME), Let's Encrypt's own pebble: authority.py DIRECTORY HTTP-PORT TLS-PORT [SECONDS [KEY-ID KEY]] [windows]

DIRECTORY has pebble.pem and pebble.key for its own listeners. Every name leads to 127.0.0.1, where it looks at the two
ports in the place of 80 and 443. SECONDS is how long its certificates are good; with KEY-ID and KEY it knows only
accounts that show them. `root` writes root.pem, its own certificate; `issued` is how many certificates it has given.

pebble does not know RFC 9773. With `windows` its directory comes from here with a place where clients are told to renew
at once; `windows` is how often one has asked.
"""

import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import lifeline

tells_windows = sys.argv[-1] == "windows"
if tells_windows:
    sys.argv.pop()
directory, http_port, tls_port = sys.argv[1:4]
seconds = int(sys.argv[4]) if len(sys.argv) > 4 else 7776000
external = dict([sys.argv[5:7]]) if len(sys.argv) > 5 else {}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(port, path):
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", context=context) as answer:
        return answer.read()


names, names_management = free_port(), free_port()
port, management = free_port(), free_port()
config = os.path.join(directory, "pebble.json")
with open(config, "w") as file:
    own = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": os.path.join(directory, "pebble.pem"),
        "privateKey": os.path.join(directory, "pebble.key"),
        "httpPort": int(http_port),
        "tlsPort": int(tls_port),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": bool(external),
        "externalAccountMACKeys": external,
        "certificateValidityPeriod": seconds,
    }
    json.dump({"pebble": own}, file)
log = os.path.join(directory, "pebble.log")
resolver = [
    "pebble-challtestsrv", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "",
    "-dns01", f"127.0.0.1:{names}", "-management", f"127.0.0.1:{names_management}",
]
authority = ["pebble", "-config", config, "-dnsserver", f"127.0.0.1:{names}"]
children = []
with open(log, "w") as output:
    environment = dict(os.environ, PEBBLE_VA_NOSLEEP="1")
    for command in [resolver, authority]:
        children.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment))


def ready():
    end = time.monotonic() + 50
    while True:
        try:
            return get(port, "/dir")
        except OSError:
            ended = any(child.poll() is not None for child in children)
            if ended or time.monotonic() > end:
                sys.exit(f"no authority:\n{open(log).read()}")
            time.sleep(0.05)


class Windows(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        if self.path == "/dir":
            answer = json.loads(get(port, "/dir"))
            answer["renewalInfo"] = f"https://{self.headers['Host']}/window"
        else:
            Windows.asked += 1
            past = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
            answer = {"suggestedWindow": past, "explanationURL": "https://authority.test/why"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "21600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve_windows():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Windows)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own["certificate"], own["privateKey"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def root(_):
    with open(os.path.join(directory, "root.pem"), "wb") as file:
        file.write(get(management, "/roots/0"))


def issued(_):
    return open(log).read().count("Issued certificate serial")


def end():
    for child in children:
        child.kill()
        child.wait()


ready()
place = serve_windows() if tells_windows else port
commands = {"root": root, "issued": issued, "windows": lambda _: Windows.asked}
lifeline.hold(f"https://localhost:{place}/dir", commands, end)

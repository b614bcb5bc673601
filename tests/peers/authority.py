"""An authority for certificates (ACME), Let's Encrypt's own pebble: authority.py DIRECTORY HTTP-PORT TLS-PORT [SECONDS [KEY-ID KEY]]

DIRECTORY has pebble.pem and pebble.key for its own listeners. Every name leads to 127.0.0.1, where it looks at the two
ports in the place of 80 and 443. SECONDS is how long its certificates are good; with KEY-ID and KEY it knows only
accounts that show them. `root` writes root.pem, its own certificate; `issued` is how many certificates it has given.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

import lifeline

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
lifeline.hold(f"https://localhost:{port}/dir", {"root": root, "issued": issued}, end)

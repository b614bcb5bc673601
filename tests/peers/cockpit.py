"""Debian's Cockpit on a free port of loopback, with TLS by a certificate of the test. Whoever logs in gets a session:
cockpit-bridge stands in the place of the program that asks for a password.

    cockpit.py DIRECTORY CERTIFICATE KEY
"""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import lifeline


def main():
    directory, certificate, key = sys.argv[1:]
    settings = pathlib.Path(directory) / "cockpit"
    certificates = settings / "ws-certs.d"
    certificates.mkdir(parents=True)
    shutil.copy(certificate, certificates / "own.cert")
    shutil.copy(key, certificates / "own.key")
    (settings / "cockpit.conf").write_text("[Basic]\nCommand = /usr/bin/cockpit-bridge\n")
    port = lifeline.free_port()
    server = subprocess.Popen(
        ["/usr/lib/cockpit/cockpit-ws", "--address", "127.0.0.1", "--port", str(port)],
        stdin=subprocess.DEVNULL, stdout=sys.stderr, env={**os.environ, "XDG_CONFIG_DIRS": directory},
    )
    limit = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if server.poll() is not None or time.monotonic() > limit:
                sys.exit("cockpit-ws did not listen")
            time.sleep(0.05)

    def stop(_=None):
        server.terminate()
        server.wait(10)

    lifeline.hold(f"127.0.0.1:{port}", {"stop": stop}, at_end=stop)


main()

"""Debian's Redis on a free port of loopback, with a password and nothing on disk.

    redis_server.py PASSWORD
"""

import socket
import subprocess
import sys
import time

import lifeline


def main():
    port = lifeline.free_port()
    server = subprocess.Popen(
        ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--requirepass", sys.argv[1],
         "--save", "", "--appendonly", "no"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )
    limit = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if server.poll() is not None or time.monotonic() > limit:
                sys.exit("redis-server did not listen")
            time.sleep(0.05)

    def stop(_=None):
        server.terminate()
        server.wait(10)

    lifeline.hold(f"127.0.0.1:{port}", {"stop": stop}, at_end=stop)


main()

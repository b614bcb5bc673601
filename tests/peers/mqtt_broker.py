"""Debian's mosquitto on a free port of loopback: MQTT over plain TCP, and no WebSocket of its own.

    mqtt_broker.py DIRECTORY
"""

import pathlib
import socket
import subprocess
import sys
import time

import lifeline


def main():
    port = lifeline.free_port()
    settings = pathlib.Path(sys.argv[1]) / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    broker = subprocess.Popen(
        ["/usr/sbin/mosquitto", "-c", str(settings)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    limit = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if broker.poll() is not None or time.monotonic() > limit:
                sys.exit("mosquitto did not listen")
            time.sleep(0.05)

    def stop(_=None):
        broker.terminate()
        broker.wait(10)

    lifeline.hold(f"127.0.0.1:{port}", {"stop": stop}, at_end=stop)


main()

"""Does what systemd does for a .socket unit: holds the listening socket, and starts the door with it.

    socket_unit.py NOREN CONFIG

The socket is named `https`. Commands: `start`, `stop` (returns when the door has ended), `kill` (with SIGKILL).
"""

import os
import signal
import socket
import subprocess
import sys

import lifeline

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(512)
door = None


def start(_):
    global door
    assert door is None or door.poll() is not None, "it runs"
    # LISTEN_PID is the number of the process that serves, which only a shell in between knows.
    script = 'export LISTEN_PID=$$; exec "$0" serve --config "$1" 3<&"$2"'
    environment = dict(os.environ, LISTEN_FDS="1", LISTEN_FDNAMES="https")
    number = listener.fileno()
    door = subprocess.Popen(
        ["/bin/bash", "-c", script, sys.argv[1], sys.argv[2], str(number)],
        env=environment,
        pass_fds=[number],
        stdin=subprocess.DEVNULL,
    )


def end(number):
    door.send_signal(number)
    return door.wait(60)


def stop(_):
    return end(signal.SIGTERM)


def kill(_):
    return end(signal.SIGKILL)


lifeline.hold(
    "127.0.0.1:%d" % listener.getsockname()[1],
    {"start": start, "stop": stop, "kill": kill},
    lambda: door and door.poll() is None and door.kill(),
)

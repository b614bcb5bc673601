"""PHP's own server with the scripts in php/, where a path leads to a file as it does under Apache."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import lifeline

HERE = os.path.dirname(os.path.abspath(__file__))
# It takes no socket from outside, so a port that was free a moment ago must do.
port = lifeline.free_port()
state = tempfile.TemporaryDirectory(prefix="noren-php-")
server = subprocess.Popen(
    ["php", "-n", "-q", "-d", "display_errors=0", "-d", "expose_php=0", "-S", f"127.0.0.1:{port}", "-t", f"{HERE}/php"],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    env={**os.environ, "NOREN_STATE": state.name, "PHP_CLI_SERVER_WORKERS": "4"}, start_new_session=True,
)
deadline = time.monotonic() + 30
while True:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        break
    except OSError:
        if time.monotonic() > deadline or server.poll() is not None:
            sys.exit("php did not start")
        time.sleep(0.02)


def end():
    os.killpg(server.pid, signal.SIGKILL)
    state.cleanup()


lifeline.hold(f"127.0.0.1:{port}", at_end=end)

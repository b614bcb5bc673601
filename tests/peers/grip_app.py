"""An app of examples/grip as a peer.

Arguments: the file, the address where it publishes (host:port), its key in base64, its port, and perhaps a file with
the public key of the proxy, whose issuer is `noren` then.
"""

import base64
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import lifeline


def command(example, port):
    """The example's command. One of Node is copied to where its packages are."""
    if example.endswith(".php"):
        return ["php", "-S", f"127.0.0.1:{port}", example], None
    if not example.endswith(".mjs"):
        return [sys.executable, example, port], None
    packages = pathlib.Path(__file__).parent.parent / "browser" / "node_modules"
    copy = packages / f"example-{os.getpid()}.mjs"
    shutil.copy(example, copy)
    return ["node", str(copy), port], copy


def wait_for(port):
    """The server of PHP says nothing when it listens."""
    for _ in range(600):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", int(port))) == 0:
                return
        time.sleep(0.05)
    sys.exit("the app does not listen")


def main():
    """Start the example, and end it with the test."""
    example, publishers, key, port, *believed = sys.argv[1:]
    words, copy = command(example, port)
    with tempfile.TemporaryDirectory() as directory:
        url = f"http://{publishers}?iss=app&key=base64:{key}"
        for file in believed:
            public = base64.b64encode(pathlib.Path(file).read_bytes()).decode()
            url += f"&verify-iss=noren&verify-key=base64:{public}"
        database = str(pathlib.Path(directory) / "events.sqlite3")
        app = subprocess.Popen(
            words,
            env={**os.environ, "GRIP_URL": url, "DATABASE": database, "PHP_CLI_SERVER_WORKERS": "4"},
            stdout=subprocess.PIPE,
            text=True,
            # The workers of PHP do not end with their server.
            start_new_session=True,
        )
        if example.endswith(".php"):
            wait_for(port)
        else:
            port = app.stdout.readline().strip()

        def end():
            os.killpg(app.pid, signal.SIGTERM)
            app.wait(10)
            if copy:
                copy.unlink()

        lifeline.hold(f"127.0.0.1:{port}", {}, end)


main()

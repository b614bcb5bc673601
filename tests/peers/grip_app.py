"""An app of examples/grip as a peer.

Arguments: the file, the address where it publishes (host:port), its key in hexadecimal, and its port.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import lifeline


def command(example):
    """The example's command. One of Node is copied to where its packages are."""
    if not example.endswith(".mjs"):
        return [sys.executable, example], None
    packages = pathlib.Path(__file__).parent.parent / "browser" / "node_modules"
    copy = packages / f"example-{os.getpid()}.mjs"
    shutil.copy(example, copy)
    return ["node", str(copy)], copy


def main():
    """Start the example, and end it with the test."""
    example, publishers, key, port = sys.argv[1:5]
    words, copy = command(example)
    with tempfile.TemporaryDirectory() as directory:
        url = f"http://{publishers}?iss=app&key=base64:{key}"
        database = str(pathlib.Path(directory) / "events.sqlite3")
        app = subprocess.Popen(
            [*words, port],
            env={**os.environ, "GRIP_URL": url, "DATABASE": database},
            stdout=subprocess.PIPE,
            text=True,
        )
        port = app.stdout.readline().strip()

        def end():
            app.terminate()
            app.wait(10)
            if copy:
                copy.unlink()

        lifeline.hold(f"127.0.0.1:{port}", {}, end)


main()

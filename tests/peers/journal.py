"""A door beside a journal of its own: journal.py NOREN CONFIG

Run by root of a mount namespace of its own (unshare --mount, with --map-root-user if need be). Starts systemd's
journald there, then the door, makes a request that is refused, stops the door, and prints what the
journal has of it: a list of objects.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

noren, config = sys.argv[1:]
for directory in ["/run/systemd/journal", "/run/log"]:
    os.makedirs(directory, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)


def until(what, look):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    sys.exit(f"waited in vain: {what}")


def entries():
    reads = ["journalctl", "--directory=/run/log/journal", "--output=json", "SYSLOG_IDENTIFIER=noren"]
    read = subprocess.run(reads, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return [json.loads(line) for line in read.stdout.splitlines()]


def said(message):
    return next((entry for entry in entries() if entry["MESSAGE"] == message), None)


journald = subprocess.Popen(["/lib/systemd/systemd-journald"], stderr=subprocess.DEVNULL)
until("the journal", lambda: os.path.exists("/run/systemd/journal/socket"))
door = subprocess.Popen([noren, "serve", "--config", config], stderr=subprocess.PIPE)
address = until("the door", lambda: said("listening"))["NOREN_ADDRESS"]
context = ssl._create_unverified_context()
try:
    # No WebSocket, and so refused.
    urllib.request.urlopen(f"https://{address}/websockify?token=nobody", context=context)
except urllib.error.HTTPError:
    pass
# Bytes that command a terminal where they are shown as they are.
with socket.create_connection(address.rsplit(":", 1)) as plain:
    with context.wrap_socket(plain) as stream:
        stream.sendall("GET /\x9b2J\u202e HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        while stream.recv(4096):
            pass
until("the audit", lambda: said("refused"))
until("the other request", lambda: len([entry for entry in entries() if entry["MESSAGE"] == "request"]) == 2)
until("the request", lambda: said("request"))
door.terminate()
door.wait()
print(json.dumps(entries()))
sys.stderr.write(door.stderr.read().decode())
journald.kill()

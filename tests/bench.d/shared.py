"""What viewers of shared serial consoles cost: memory of idle ones, CPU of Noren for each, and the time of the guest.

    shared.py NOREN

All on loopback and without TLS. The guests are UNIX sockets of this program. First 1,000 consoles with one viewer each,
then 100 viewers of one console: idle, while the guest writes as a terminal does, and while it writes as fast as it can and
no viewer reads. Ends with status 1 if an idle console costs more than 30 KiB, or if the guest writes slower for 100
viewers than for one by more than half.
"""

import os
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time

CONSOLES = 1000
VIEWERS = 100
SECONDS = 10
# Lines of a boot, a hundred times a second: some 300 KiB/s, thirty times a serial line of 115,200 baud.
BURST = b"[    1.234567] a line of a kernel that boots, as long as they are\r\n" * 48
FLOOD = 256 << 20


class Guests:
    """Serial lines that accept one connection each."""

    def __init__(self, directory, count):
        self.paths = [os.path.join(directory, f"vm{number}") for number in range(count)]
        self.accepted = {}
        self.selector = selectors.DefaultSelector()
        for number, path in enumerate(self.paths):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(5)
            self.selector.register(listener, selectors.EVENT_READ, number)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            for key, _ in self.selector.select():
                peer, _ = key.fileobj.accept()
                assert key.data not in self.accepted, "a second connection to a guest"
                self.accepted[key.data] = peer


def connect(port, token):
    viewer = socket.create_connection(("127.0.0.1", port))
    viewer.sendall((
        f"GET /websockify?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += viewer.recv(1)
    assert b" 101 " in head, head
    return viewer


def seconds(process):
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process):
    with open(f"/proc/{process}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def start(program, directory, guests):
    targets = "".join(
        f"[[bridge.target]]\ntoken = 'vm{number}'\naddress = 'unix:{path}'\n" for number, path in enumerate(guests.paths))
    path = os.path.join(directory, "noren.toml")
    with open(path, "w") as file:
        file.write("[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n[server]\nhosts = ['localhost']\n"
                   "[limits]\nconnections-per-address = 0\naddress-share = 100\nrequest-rate = 0\n[log]\naccess = false\n"
                   "[bridge]\nheartbeat = 'off'\n[bridge.shared]\nenabled = true\n" + targets)
    noren = subprocess.Popen([program, "serve", "--config", path], stderr=subprocess.PIPE, text=True, cwd=directory)
    for line in noren.stderr:
        found = re.search(r"listening address=127\.0\.0\.1:(\d+)", line)
        if found:
            threading.Thread(target=noren.stderr.read, daemon=True).start()
            return noren, int(found[1])
    sys.exit("Noren did not start")


class Readers:
    """Viewers that read all that comes, until they are told to stop."""

    def __init__(self, viewers):
        self.got, self.stop = 0, False
        self.selector = selectors.DefaultSelector()
        for viewer in viewers:
            viewer.setblocking(False)
            self.selector.register(viewer, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while not self.stop:
            for key, _ in self.selector.select(0.2):
                self.got += len(key.fileobj.recv(1 << 16))

    def end(self):
        self.stop = True
        self.thread.join()
        return self.got


def steady(noren, guest, viewers):
    """CPU of Noren while the guest writes lines, and the longest that a write of the guest took."""
    readers, longest, before = Readers(viewers), 0, seconds(noren.pid)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        begun = time.monotonic()
        guest.sendall(BURST)
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.01)
    used = seconds(noren.pid) - before
    readers.end()
    return used / SECONDS, longest


def flood(guest):
    """Time in which the guest gets rid of its output."""
    block, begun = b"x" * 78 + b"\r\n", time.monotonic()
    block *= 800
    for _ in range(FLOOD // len(block)):
        guest.sendall(block)
    return time.monotonic() - begun


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        guests = Guests(directory, CONSOLES + 2)
        noren, port = start(program, directory, guests)
        try:
            warm = connect(port, f"vm{CONSOLES + 1}")
            before = memory(noren.pid)
            idle = [connect(port, f"vm{number}") for number in range(CONSOLES)]
            console = (memory(noren.pid) - before) / len(idle)
            first = [connect(port, f"vm{CONSOLES}")]
            guest = guests.accepted[CONSOLES]
            one = steady(noren, guest, first)
            one_flood = flood(guest)
            before = memory(noren.pid)
            more = [connect(port, f"vm{CONSOLES}") for _ in range(VIEWERS - 1)]
            viewer = (memory(noren.pid) - before) / len(more)
            # The first has slept through the flood, and catches up now.
            all_of_them = steady(noren, guest, first + more)
            all_flood = flood(guest)
            assert warm and len(guests.accepted) == CONSOLES + 2
        finally:
            noren.terminate()
            noren.wait(20)
    print(f"| | 1 viewer | {VIEWERS} viewers |\n|---|---|---|")
    print(f"| CPU at {len(BURST) * 100 >> 10} KiB/s, of one core | {one[0]:.1%} | {all_of_them[0]:.1%} |")
    print(f"| longest write of the guest meanwhile | {one[1] * 1000:.1f} ms | {all_of_them[1] * 1000:.1f} ms |")
    print(f"| {FLOOD >> 20} MiB at once, nobody reads | {one_flood:.2f} s | {all_flood:.2f} s |")
    print(f"\nAn idle console with a viewer: {console:.1f} KiB. One more viewer: {viewer:.1f} KiB.")
    sys.exit(console > 30 or all_flood > 1.5 * one_flood)


main()

"""What a console costs where Noren speaks RFB, beside one whose bytes pass untouched: CPU of Noren for each GiB down.

    rfb.py NOREN [ROUNDS]

A host that sends pictures as fast as they are taken, and a client that takes them, both on loopback and without TLS, so
that what Noren does is most of it. The ways take turns; the table has the best of the rounds. `viewer` filters what the
client sends, `clipboard` walks the host's pictures too. Last, the memory of consoles that are idle. Ends with status 1
if RFB costs more than 1.3 times the raw way, or an idle console more than 30 KiB.
"""

import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading

WAYS = {
    "raw": "",
    "rfb": "rfb = {}",
    "viewer": "rfb = { view-only = true }",
    "clipboard": "rfb = { clipboard = 'none' }",
}
GIB = 1 << 30
IDLE = 1000
VERSION = b"RFB 003.008\n"
WIDTH, HEIGHT = 1024, 256
FORMAT = bytes([32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0])
INIT = struct.pack(">HH", WIDTH, HEIGHT) + FORMAT + struct.pack(">I", 2) + b"vm"
PICTURE = struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0) + bytes(WIDTH * HEIGHT * 4)


def exactly(peer, count):
    data = b""
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def host(peer):
    """A host without security that floods whoever asks for a picture."""
    try:
        peer.sendall(VERSION)
        exactly(peer, 12)
        peer.sendall(b"\x01\x01")
        exactly(peer, 1)
        peer.sendall(bytes(4))
        exactly(peer, 1)
        peer.sendall(INIT)
        exactly(peer, 10)
        while True:
            peer.sendall(PICTURE)
    except (EOFError, OSError):
        peer.close()


def serve(listener):
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=host, args=(peer,), daemon=True).start()


def masked(payload):
    return bytes([0x82, 0x80 | len(payload)]) + bytes(4) + payload


class Client:
    """A browser's WebSocket, whose frames are only counted once pictures come."""

    def __init__(self, port, token):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall((
            f"GET /websockify?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exactly(self.socket, 1)
        assert b" 101 " in head, head
        self.payload = b""
        self.take(12)
        self.send(VERSION)
        self.take(2)
        self.send(b"\x01")
        self.take(4)
        self.send(b"\x01")
        self.take(len(INIT))

    def send(self, payload):
        self.socket.sendall(masked(payload))

    def take(self, count):
        while len(self.payload) < count:
            _, length = exactly(self.socket, 2)
            assert length < 126
            self.payload += exactly(self.socket, length)
        self.payload = self.payload[count:]

    def flood(self, count):
        self.send(struct.pack(">BBHHHH", 3, 0, 0, 0, WIDTH, HEIGHT))
        room = bytearray(1 << 20)
        while count > 0:
            count -= self.socket.recv_into(room)
        self.socket.close()


def seconds(process):
    with open(f"/proc/{process}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process):
    with open(f"/proc/{process}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1])


def start(program, directory, port):
    targets = "".join(
        f"[[bridge.target]]\ntoken = '{way}'\naddress = '127.0.0.1:{port}'\n{keys}\n" for way, keys in WAYS.items())
    path = os.path.join(directory, "noren.toml")
    with open(path, "w") as file:
        file.write("[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n[server]\nhosts = ['localhost']\n"
                   "[limits]\nconnections-per-address = 0\naddress-share = 100\nrequest-rate = 0\n[log]\naccess = false\n"
                   + targets)
    noren = subprocess.Popen([program, "serve", "--config", path], stderr=subprocess.PIPE, text=True, cwd=directory)
    for line in noren.stderr:
        found = re.search(r"listening address=127\.0\.0\.1:(\d+)", line)
        if found:
            threading.Thread(target=noren.stderr.read, daemon=True).start()
            return noren, int(found[1])
    sys.exit("Noren did not start")


def main():
    program, rounds = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        noren, port = start(program, directory, listener.getsockname()[1])
        try:
            best = dict.fromkeys(WAYS, float("inf"))
            for _ in range(rounds):
                for way in WAYS:
                    client = Client(port, way)
                    before = seconds(noren.pid)
                    client.flood(GIB)
                    best[way] = min(best[way], seconds(noren.pid) - before)
            before = memory(noren.pid)
            idle = [Client(port, "rfb") for _ in range(IDLE)]
            each = (memory(noren.pid) - before) / len(idle)
        finally:
            noren.terminate()
            noren.wait(20)
    print("| way | CPU for each GiB down | beside raw |\n|---|---|---|")
    for way, cost in best.items():
        print(f"| {way} | {cost:.3f} s | {cost / best['raw']:.2f} |")
    print(f"\nAn idle console by RFB: {each:.1f} KiB.")
    sys.exit(best["rfb"] > 1.3 * best["raw"] or each > 30)


main()

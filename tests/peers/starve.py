"""Attackers who want to starve an app of ten threads, and one well-behaved visitor who asks for a page meanwhile.

    starve.py [--visits N] [--only ATTACK,...] [--table] NAME=PORT ...

For each door (all on 127.0.0.1, with TLS, before the same kind of app: tests/peers/app.py) and each attack it
prints one JSON line: how long the visitor's page took without the attack and under it. The page takes the app
0.1 s. The attackers share one address (127.0.0.2), a herd has one for each 50 of its 2,000, and the visitor has
another. Every attack is bounded in clients and ends by itself; a page that has not come after 30 s counts as 30 s.
With --table the lines become a table in Markdown at the end.
"""

import argparse
import json
import multiprocessing
import socket
import ssl
import statistics
import struct
import sys
import threading
import time

HOST = "localhost"
PATIENCE = 30.0
PAGE = "/slow?seconds=0.1"
# No attack goes on for longer.
ATTACK = 300.0
# Visits to a door that answers none of them end after so long.
ENOUGH = 60.0


def connect(port, protocol="http/1.1", timeout=PATIENCE, address="127.0.0.1"):
    # Bare: to load the authorities of the system takes longer than all the rest. The test looks at time, and doors
    # with certificates of their own are compared.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    raw = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(address, 0))
    return context.wrap_socket(raw, server_hostname=HOST)


def get(path, more=""):
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n".encode()


def visit(port):
    """Seconds until the whole page is there, on a connection of its own."""
    begun = time.monotonic()
    try:
        with connect(port) as page:
            page.sendall(get(PAGE, "Connection: close\r\n"))
            answer = b""
            while piece := page.recv(65536):
                answer += piece
                if time.monotonic() - begun > PATIENCE:
                    break
        if not answer.startswith(b"HTTP/1.1 200") or not answer.endswith(b"slow page"):
            return PATIENCE
    except OSError:
        return PATIENCE
    return min(time.monotonic() - begun, PATIENCE)


class Attack:
    """Runs in a process of its own, so that it does not slow the visitor down by itself, until it is stopped:
    `clients` threads, each again and again."""

    clients = 0

    def __init__(self, port):
        self.port = port
        self.stop = threading.Event()

    def __enter__(self):
        self.line, far = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self.run, args=[far], daemon=True)
        self.process.start()
        # Until it bites.
        time.sleep(2)
        return self

    def __exit__(self, *_):
        self.line.send("stop")
        self.process.join(PATIENCE)
        self.process.kill()

    def run(self, line):
        for number in range(self.clients):
            threading.Thread(target=self.repeat, args=[number], daemon=True).start()
        line.poll(ATTACK)
        self.stop.set()
        # Threads that wait for a door end with the process.
        time.sleep(1)

    def repeat(self, number):
        while not self.stop.is_set():
            try:
                self.once(self.address(number))
            except OSError:
                # Turned away; an attacker comes back.
                self.stop.wait(0.2)

    def address(self, number):
        return "127.0.0.2"

    def once(self, address):
        raise NotImplementedError


class SlowPosts(Attack):
    """Uploads that come a byte a second."""

    clients = 150

    def once(self, address):
        with connect(self.port, address=address) as client:
            client.sendall(
                f"POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100000\r\n\r\n".encode()
            )
            while not self.stop.wait(1):
                client.sendall(b"x")


class SlowReads(Attack):
    """Large downloads that are read a little a second."""

    clients = 50

    def once(self, address):
        with connect(self.port, address=address) as client:
            client.sendall(get("/big?mib=30"))
            while not self.stop.wait(1):
                if not client.recv(1024):
                    return


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def text(value):
    return bytes([len(value)]) + value.encode()


def http2_get(stream, path):
    """A HEADERS frame without Huffman coding or indexing of what it says itself (RFC 7541 §6.2.2)."""
    block = bytes([0x82, 0x87]) + b"\x01" + text(HOST) + b"\x04" + text(path)
    return frame(1, 0x5, stream, block)


class ZeroWindows(Attack):
    """One HTTP/2 connection, 20 large downloads, and a window that stays shut; pings are answered."""

    clients = 1
    streams = 20

    def once(self, address):
        with connect(self.port, "h2", timeout=1, address=address) as client:
            shut = struct.pack(">HI", 4, 0)
            client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, shut))
            for stream in range(self.streams):
                client.sendall(http2_get(2 * stream + 1, "/big?mib=30"))
            buffer = b""
            while not self.stop.is_set():
                try:
                    piece = client.recv(65536)
                except TimeoutError:
                    continue
                if not piece:
                    return
                buffer = answer_frames(client, buffer + piece)


def answer_frames(client, buffer):
    """Acknowledges settings and pings, and returns what is not a whole frame yet."""
    while len(buffer) >= 9:
        length = int.from_bytes(buffer[:3], "big")
        if len(buffer) < 9 + length:
            break
        kind, flags, payload = buffer[3], buffer[4], buffer[9:9 + length]
        if kind in (4, 6) and not flags & 1:
            client.sendall(frame(kind, 1, 0, payload if kind == 6 else b""))
        buffer = buffer[9 + length:]
    return buffer


class Abandoned(Attack):
    """Pages of 4 s that nobody waits for: asked for, and left at once."""

    clients = 100

    def once(self, address):
        with connect(self.port, address=address) as client:
            client.sendall(get("/slow?seconds=4"))
            self.stop.wait(0.3)
        # A hundred at a time, as one who reloads again and again.
        self.stop.wait(2)


class Herd(Attack):
    """2,000 visitors, each with a connection, who ask for a page of 0.01 s again and again, politely."""

    clients = 40
    each = 50

    def address(self, number):
        return f"127.0.1.{number + 1}"

    def once(self, address):
        connections = []
        try:
            while len(connections) < self.each and not self.stop.is_set():
                connections.append(connect(self.port, address=address))
            while not self.stop.is_set():
                for client in connections:
                    client.sendall(get("/slow?seconds=0.01"))
                for client in connections:
                    if not client.recv(4096):
                        return
                # As people do, they read for a moment.
                self.stop.wait(5)
        finally:
            for client in connections:
                client.close()


ATTACKS = {
    "slow-posts": SlowPosts,
    "slow-reads": SlowReads,
    "zero-windows": ZeroWindows,
    "abandoned": Abandoned,
    "herd": Herd,
}


def measure(name, port, attack, visits):
    alone = statistics.median(visit(port) for _ in range(3))
    with ATTACKS[attack](port):
        under = []
        while len(under) < visits and sum(under) < ENOUGH:
            under.append(visit(port))
    # The app works off what was left behind, so that the next attack finds it as this one did.
    settle(port)
    return {
        "door": name,
        "attack": attack,
        "alone": round(alone, 3),
        "median": round(statistics.median(under), 3),
        "worst": round(max(under), 3),
        "ratio": round(statistics.median(under) / alone, 2),
    }


def settle(port):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and visit(port) > 0.5:
        time.sleep(0.5)


def table(results, doors):
    print("| attack | " + " | ".join(doors) + " |")
    print("|---|" + "---|" * len(doors))
    for attack in ATTACKS:
        cells = []
        for door in doors:
            found = [r for r in results if r["door"] == door and r["attack"] == attack]
            cells.append(
                "{median:.2f} s, at worst {worst:.2f} s (alone {alone:.2f} s)".format(**found[0]) if found else ""
            )
        if any(cells):
            print(f"| {attack} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--visits", type=int, default=10)
    parser.add_argument("--only", default=",".join(ATTACKS))
    parser.add_argument("--table", action="store_true")
    parser.add_argument("doors", nargs="+")
    options = parser.parse_args()
    doors = dict(door.split("=") for door in options.doors)
    results = []
    for attack in options.only.split(","):
        for name, port in doors.items():
            results.append(measure(name, int(port), attack, options.visits))
            print(json.dumps(results[-1]), file=sys.stderr if options.table else sys.stdout, flush=True)
    if options.table:
        table(results, list(doors))


if __name__ == "__main__":
    main()

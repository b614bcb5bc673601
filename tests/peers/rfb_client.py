"""A VNC viewer that takes one whole picture (RFC 6143) and prints its size and hash.

    rfb_client.py unix:/path                 a server, or a recording that is played
    rfb_client.py wss://host/path CA.pem     a console behind the door
    rfb_client.py wss://host/path CA.pem stay    the same, which then takes one for each `look`

Security type None, raw pixels in the server's own format.
"""

import asyncio
import hashlib
import socket
import ssl
import struct
import sys

import lifeline
import websockets


class WebSocket:
    def __init__(self, url, authority):
        self.loop = asyncio.new_event_loop()
        self.socket = self.wait(self.open(url, authority))

    async def open(self, url, authority):
        context = ssl.create_default_context(cafile=authority)
        return await websockets.connect(url, ssl=context, subprotocols=["binary"], max_size=None)

    def wait(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def send(self, data):
        self.wait(self.socket.send(data))

    def recv(self):
        return self.wait(self.socket.recv())

    def close(self):
        self.wait(self.socket.close())


class Unix:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(60)

    def send(self, data):
        self.socket.sendall(data)

    def recv(self):
        data = self.socket.recv(65536)
        if not data:
            sys.exit("the server closed the connection")
        return data

    def close(self):
        self.socket.close()


target = sys.argv[1]
wire = Unix(target[5:]) if target.startswith("unix:") else WebSocket(target, sys.argv[2])
unread = b""


def take(count):
    global unread
    while len(unread) < count:
        unread += wire.recv()
    taken, unread = unread[:count], unread[count:]
    return taken


def number(form):
    return struct.unpack(">" + form, take(struct.calcsize(form)))[0]


assert take(12) == b"RFB 003.008\n"
wire.send(b"RFB 003.008\n")
assert 1 in take(number("B")), "no security type None"
wire.send(b"\x01")
assert number("I") == 0
wire.send(b"\x01")
width, height = number("H"), number("H")
pixel = take(16)[0] // 8
take(number("I"))
wire.send(struct.pack(">BxHi", 2, 1, 0))


def look():
    wire.send(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    picture = bytearray(width * height * pixel)
    missing = width * height
    while missing > 0:
        kind = number("B")
        if kind != 0:
            sys.exit(f"a message of type {kind}")
        take(1)
        for _ in range(number("H")):
            x, y, w, h = (number("H") for _ in range(4))
            assert number("i") == 0, "not raw"
            for line in range(y, y + h):
                at = (line * width + x) * pixel
                picture[at:at + w * pixel] = take(w * pixel)
            missing -= w * h
    return f"{width}x{height} {hashlib.sha256(picture).hexdigest()}"


if sys.argv[3:] == ["stay"]:
    lifeline.hold(target, {"look": lambda _: look()}, at_end=wire.close)
print(look())
wire.close()

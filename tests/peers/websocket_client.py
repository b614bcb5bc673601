"""The `websockets` library of Python as a client of the bridge.

    websocket_client.py URL CA CASE
"""

import asyncio
import base64
import hashlib
import http.client
import http.cookies
import random
import ssl
import sys
import time
import urllib.parse

import websockets

MIB = 1 << 20


def connect(url, ca, protocol, **more):
    context = ssl.create_default_context(cafile=ca)
    offered = [protocol] if protocol else None
    return websockets.connect(
        url, ssl=context, subprotocols=offered, max_size=None, compression=None, open_timeout=60, **more
    )


def wrap(protocol, data):
    return base64.b64encode(data).decode() if protocol == "base64" else data


def unwrap(protocol, message):
    if protocol == "base64":
        assert isinstance(message, str), "a binary frame under base64"
        return base64.b64decode(message, validate=True)
    assert isinstance(message, bytes), "a text frame under binary"
    return message


async def receive(peer, protocol, size):
    """Take `size` bytes and give their hash; every frame stays within the promised 64 KiB."""
    digest, got = hashlib.sha256(), 0
    while got < size:
        data = unwrap(protocol, await peer.recv())
        assert len(data) <= 65536, f"a frame of {len(data)} bytes"
        got += len(data)
        digest.update(data)
    assert got == size, f"{got} bytes instead of {size}"
    return digest.digest()


async def full_duplex(url, ca, protocol, total, message_size):
    """Send and receive at the same time; an echo that waits for its reader must not stop the door."""
    data = random.Random(7).randbytes(total)
    async with connect(url, ca, protocol) as peer:
        assert peer.subprotocol == protocol, peer.subprotocol
        back = asyncio.create_task(receive(peer, protocol, total))
        for at in range(0, total, message_size):
            await peer.send(wrap(protocol, data[at:at + message_size]))
        assert await back == hashlib.sha256(data).digest(), "the echo differs"
    print(f"{protocol}: {total} bytes in messages of {message_size}: ok")


async def echo(url, ca):
    for protocol in ["binary", "base64", None]:
        # Whether a text is base64 is known at its end only, so the door must keep it: up to 1 MiB.
        largest = MIB // 2 if protocol == "base64" else 16 * MIB
        await full_duplex(url, ca, protocol, 16 * MIB, 65536)
        await full_duplex(url, ca, protocol, 16 * MIB, largest)
        await full_duplex(url, ca, protocol, 20_000, 1)
    await too_long(url, ca)


async def too_long(url, ca):
    """A base64 message beyond that limit is refused with the right code."""
    async with connect(url, ca, "base64") as peer:
        try:
            await peer.send(wrap("base64", bytes(2 * MIB)))
            await peer.recv()
        except websockets.ConnectionClosed:
            pass
        assert peer.close_code == 1009, peer.close_code
    print("too long: ok")


async def fragments(url, ca):
    """One message in many fragments, each of its own size."""
    for protocol in ["binary", "base64", None]:
        data = random.Random(8).randbytes(300_001)
        message = wrap(protocol, data)
        sizes = [1, 2, 3, 125, 126, 127, 65535, 65536, 1000]
        pieces, at = [], 0
        while at < len(message):
            size = sizes[len(pieces) % len(sizes)]
            pieces.append(message[at:at + size])
            at += size
        async with connect(url, ca, protocol) as peer:
            back = asyncio.create_task(receive(peer, protocol, len(data)))
            await peer.send(pieces)
            assert await back == hashlib.sha256(data).digest(), "the echo differs"
        print(f"{protocol}: {len(pieces)} fragments: ok")


async def silence(url, ca):
    """Nothing is said for much longer than any limit of that door, then both directions still work."""

    async def pause_in(protocol):
        async with connect(url, ca, protocol, ping_interval=None) as peer:
            await peer.send(wrap(protocol, b"first"))
            assert unwrap(protocol, await peer.recv()) == b"first"
            await asyncio.sleep(7)
            await peer.send(wrap(protocol, b"last"))
            assert unwrap(protocol, await peer.recv()) == b"last"

    await asyncio.gather(*(pause_in(protocol) for protocol in ["binary", "base64", None]))
    print("silence: ok")


async def subprotocols(url, ca):
    """What is offered and what must be chosen; no offer gives no header (noVNC >= 1.2)."""
    choices = [(["base64"], "base64"), (["binary", "base64"], "binary"), (["base64", "binary"], "binary")]
    for offered, chosen in [*choices, (None, None)]:
        context = ssl.create_default_context(cafile=ca)
        async with websockets.connect(url, ssl=context, subprotocols=offered) as peer:
            assert peer.subprotocol == chosen, f"{offered}: {peer.subprotocol}"
            assert "permessage-deflate" not in peer.response_headers.get("Sec-WebSocket-Extensions", "")
            await peer.send(wrap(chosen, b"hello"))
            assert unwrap(chosen, await peer.recv()) == b"hello"
    print("subprotocols: ok")


async def app(url, ca):
    """The app's own WebSocket, reached through the door."""
    async with connect(url, ca, "kitchen") as peer:
        assert peer.subprotocol == "kitchen", peer.subprotocol
        await peer.send("path")
        path = await peer.recv()
        assert path == "/ws/a%2Fb?x=1", path
        for name in ["X-Forwarded-Proto", "X-Forwarded-For", "Host"]:
            await peer.send("head " + name)
            print(name, await peer.recv())
        data = random.Random(9).randbytes(3 * MIB)
        await peer.send(data)
        assert await peer.recv() == data, "a binary message came back changed"
        await peer.send("Grüße")
        assert await peer.recv() == "Grüße"
        await (await peer.ping())
        await peer.send("bye")
        await peer.wait_closed()
        assert (peer.close_code, peer.close_reason) == (4001, "as you wish"), (peer.close_code, peer.close_reason)
    print("app: ok")


class Visitor:
    """A browser's part in a login: it keeps its cookies and sends them everywhere."""

    def __init__(self, url, ca, user):
        self.url, self.ca = url, ca
        self.cookies = http.cookies.SimpleCookie()
        if user:
            assert self.post("/login", f"user={user}&password=kitchen") == 303
        self.header = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in self.cookies.items())

    def post(self, path, body=""):
        context = ssl.create_default_context(cafile=self.ca)
        place = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPSConnection(place.hostname, place.port, context=context, timeout=60)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.cookies:
            headers["Cookie"] = self.header
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            self.cookies.load(line)
        connection.close()
        return answer.status

    def open(self, name):
        token = base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")
        cookie = {"Cookie": self.header} if self.header else {}
        return connect(f"{self.url}?token={token}", self.ca, "binary", extra_headers=cookie)

    async def is_refused(self, name, status):
        try:
            async with self.open(name):
                raise AssertionError(f"{name} was opened")
        except websockets.InvalidStatusCode as refused:
            assert refused.status_code == status, f"{name}: {refused.status_code}"


async def talk(peer):
    await peer.send(b"hello")
    assert await peer.recv() == b"hello"


async def session(url, ca):
    """Anonymous, without rights, with rights; and a logout, which must close what is open within a second."""
    anonymous, cook, guest = (Visitor(url, ca, user) for user in [None, "cook", "guest"])
    for name in ["cook-vm", "cook-vm-console", "woknotifications", "nobody"]:
        await anonymous.is_refused(name, 401)
    await guest.is_refused("cook-vm", 403)
    await guest.is_refused("cook-vm-console", 403)
    await guest.is_refused("nobody", 404)
    async with cook.open("cook-vm") as own, cook.open("cook-vm-console") as console, \
            guest.open("woknotifications") as other:
        for peer in [own, console, other]:
            await talk(peer)
        assert cook.post("/logout") == 200
        begin = time.monotonic()
        await asyncio.gather(own.wait_closed(), console.wait_closed())
        took = time.monotonic() - begin
        assert (own.close_code, console.close_code) == (4401, 4401), (own.close_code, console.close_code)
        assert took < 1, f"closed after {took} s"
        await talk(other)
    await cook.is_refused("cook-vm", 401)
    print("session: ok")


async def expiry(url, ca):
    """The app forgets the session, and nobody says so: the test does that when it reads `open`."""
    async with Visitor(url, ca, "cook").open("cook-vm") as own:
        await talk(own)
        print("open", flush=True)
        await own.wait_closed()
        assert own.close_code == 4401, own.close_code
    print("expiry: ok")


CASES = {
    "session": session,
    "expiry": expiry,
    "echo": echo,
    "fragments": fragments,
    "silence": silence,
    "subprotocols": subprotocols,
    "app": app,
}


def main():
    url, ca, case = sys.argv[1:4]
    asyncio.run(asyncio.wait_for(CASES[case](url, ca), 240))


main()

"""Very many pages of Wok's kind that listen at once, each as light as a page can be: a WebSocket without TLS, over the
UNIX socket of the door, that offers `base64`.

    crowd.py /path/of/the/door TOKEN COUNT

Commands:

    open             how many are connected
    complete N       how many have got N whole programmes of push_server.py, every message once and in its order
    leave            ends all of them
"""

import asyncio
import base64
import os
import sys
import threading

import lifeline

MARKER = b"//EOM//"
END = b"DELETE:/wok/end"
# So many handshakes at once: more would only wait in the door's queue.
AT_ONCE = 200


class Page:
    """One that listens. The numbers of the messages must follow each other, from zero in each programme."""

    def __init__(self):
        self.expected = 0
        self.programmes = 0
        self.fault = None

    def hear(self, frame):
        if not frame.endswith(MARKER):
            self.fault = f"a frame that does not end on a marker: {frame[-40:]}"
        for message in frame.split(MARKER)[:-1]:
            if message == END:
                self.expected = 0
                self.programmes += 1
            elif message.startswith(b"POST:/wok/n%d" % self.expected):
                self.expected += 1
            else:
                self.fault = f"{message[:40]} instead of number {self.expected}"


class Crowd:
    def __init__(self, path, token, count):
        self.path, self.token, self.count = path, token, count
        self.pages, self.writers, self.fault = [], set(), None
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        self.turns = asyncio.Semaphore(AT_ONCE)
        self.tasks = [self.loop.create_task(self.listen()) for _ in range(self.count)]
        self.loop.run_forever()

    async def listen(self):
        try:
            async with self.turns:
                reader, writer = await self.connect()
        except (asyncio.IncompleteReadError, OSError) as error:
            self.fault = self.fault or repr(error)
            return
        page = Page()
        self.pages.append(page)
        self.writers.add(writer)
        try:
            while await self.frame(reader, writer, page):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.writers.discard(writer)

    async def connect(self):
        """A handshake. The door lets so many in each second, and says when to come back."""
        while True:
            reader, writer = await asyncio.open_unix_connection(self.path)
            key = base64.b64encode(os.urandom(16)).decode()
            writer.write(
                f"GET /websockify?token={self.token} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                f"Sec-WebSocket-Protocol: base64\r\n\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " in head:
                return reader, writer
            writer.close()
            if b" 503 " not in head:
                self.fault = f"the door answered {head}"
                raise ConnectionError
            await asyncio.sleep(0.5)

    async def frame(self, reader, writer, page):
        """One frame of the door, unmasked and whole (RFC 6455, section 5.2)."""
        first, length = await reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8))
        payload = await reader.readexactly(length) if length else b""
        opcode = first & 0x0F
        if opcode == 1:
            page.hear(base64.b64decode(payload, validate=True))
        elif opcode == 9:
            # A mask of zeros is a mask.
            writer.write(bytes([0x8A, 0x80 | length, 0, 0, 0, 0]) + payload)
        return opcode != 8

    def connected(self):
        if self.fault:
            raise ConnectionError(self.fault)
        return len(self.writers)

    def complete(self, programmes):
        faults = [page.fault for page in self.pages if page.fault]
        if faults:
            raise ValueError(f"{len(faults)} pages have heard something wrong: {faults[0]}")
        return sum(page.programmes == programmes and page.expected == 0 for page in self.pages)

    def leave(self):
        for writer in list(self.writers):
            self.loop.call_soon_threadsafe(writer.close)
        return 0


def main():
    path, token, count = sys.argv[1:4]
    crowd = Crowd(path, token, int(count))
    lifeline.hold("crowd", {
        "open": lambda _: crowd.connected(),
        "complete": lambda programmes: crowd.complete(int(programmes)),
        "leave": lambda _: crowd.leave(),
    })


main()

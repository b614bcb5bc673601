"""Mixed load on one Noren for as long as asked, and a table at the end: what was done, what was lost, memory.

    soak.py NOREN SECONDS

Requests on new and kept connections over TLS, consoles that echo, subscribers that come back with their cursor, a
publisher, and a reload every few seconds. Everything runs in this process but Noren itself, on loopback. Ends with
status 1 if anything was lost or the memory grew by more than a quarter from the first tenth of the time to the end.
"""

import asyncio
import base64
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time

REQUESTERS = 16
CONSOLES = 100
SUBSCRIBERS = 300
RELOAD_EVERY = 3
PUBLISH_EVERY = 0.1

CONFIG = """
[[listener]]
address = "127.0.0.1:0"
[[app]]
url = "unix:{directory}/app"
workers = 8
[[bridge.target]]
token = "vm"
address = "unix:{directory}/vm"
[[channel]]
name = "news"
[admin]
socket = "{directory}/admin"
[limits]
connections-per-address = 0
address-share = 100
request-rate = 0
[log]
access = false
"""


class Soak:
    def __init__(self, program, seconds, directory):
        self.program, self.seconds, self.directory = program, seconds, directory
        self.counts = dict.fromkeys(
            ["requests", "echoes", "messages published", "messages delivered", "reloads", "came back"], 0
        )
        self.losses = dict.fromkeys(["requests", "echoes", "messages", "reloads"], 0)
        self.why = {}
        self.ending = False
        self.trusting = ssl.create_default_context()
        self.trusting.check_hostname = False
        self.trusting.verify_mode = ssl.CERT_NONE

    def lost(self, what, why):
        if not self.ending:
            self.losses[what] += 1
            self.why.setdefault(what, repr(why))

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trusting)

    # --- what is behind the door

    async def app(self, reader, writer):
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        writer.close()

    async def console(self, reader, writer):
        try:
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        except (asyncio.CancelledError, ConnectionError):
            pass
        writer.close()

    # --- what is in front of it

    async def request(self, number):
        keep = number % 2 == 0
        head = "GET / HTTP/1.1\r\nHost: localhost\r\n" + ("" if keep else "Connection: close\r\n") + "\r\n"
        stream = None
        while not self.ending:
            try:
                if stream is None:
                    stream = await self.connect()
                reader, writer = stream
                writer.write(head.encode())
                answer = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(1024)
                assert answer.startswith(b"HTTP/1.1 200 ") and body == b"x" * 1024, answer
                self.counts["requests"] += 1
            except Exception as error:
                self.lost("requests", error)
                stream = None
            if not keep and stream:
                stream[1].close()
                stream = None
            await asyncio.sleep(0.005)

    async def tunnel(self, number):
        while not self.ending:
            try:
                reader, writer = await self.connect()
                key = base64.b64encode(os.urandom(16)).decode()
                writer.write(
                    f"GET /websockify?token=vm HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                    f"Connection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
                )
                answer = await reader.readuntil(b"\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 101 "), answer
                # Half of them live on and on, half come anew every few seconds.
                end = time.monotonic() + (1e9 if number % 2 else 5 + number % 7)
                while not self.ending and time.monotonic() < end:
                    data = os.urandom(64)
                    writer.write(b"\x82\xc0\0\0\0\0" + data)
                    frame = await asyncio.wait_for(self.frame(reader, writer), 30)
                    assert frame == data, frame
                    self.counts["echoes"] += 1
                    await asyncio.sleep(0.2)
                writer.close()
            except Exception as error:
                self.lost("echoes", error)
                await asyncio.sleep(0.5)

    async def frame(self, reader, writer):
        """The payload of the next binary frame; pings are answered."""
        data = b""
        while len(data) < 64:
            kind, length = await reader.readexactly(2)
            payload = await reader.readexactly(length)
            if kind == 0x89:
                writer.write(bytes([0x8A, 0x80 | length, 0, 0, 0, 0]) + payload)
            else:
                assert kind == 0x82, kind
                data += payload
        return data

    async def subscribe(self, number):
        cursor, expected = "", None
        while not self.ending:
            try:
                reader, writer = await self.connect()
                writer.write(
                    f"GET /events/news HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{cursor}\r\n".encode()
                )
                last = data = ""
                # A third of them leaves now and then.
                end = time.monotonic() + (20 + number % 10 if number % 3 == 0 else 1e9)
                while not self.ending and time.monotonic() < end:
                    line = (await asyncio.wait_for(reader.readline(), 60)).decode()
                    if not line:
                        break
                    if line.startswith("id: "):
                        last = line[4:].strip()
                    elif line.startswith("event: reset"):
                        self.lost("messages", line)
                    elif line.startswith("data: "):
                        data = line[6:].strip()
                    elif line.strip() == "" and last:
                        # As a browser does: an event counts at its end, and its id with it.
                        cursor = f"Last-Event-ID: {last}\r\n"
                        if data.isdigit():
                            got, data = int(data), ""
                            if expected is not None and got != expected:
                                self.lost("messages", f"{got} in place of {expected}")
                            expected = got + 1
                            self.counts["messages delivered"] += 1
                writer.close()
                self.counts["came back"] += 1
            except Exception as error:
                self.lost("messages", error)
                await asyncio.sleep(0.5)

    async def order(self, path, body=b""):
        reader, writer = await asyncio.open_unix_connection(f"{self.directory}/admin")
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 20"), answer

    async def every(self, seconds, what, count, loss):
        number = 0
        while not self.ending:
            try:
                await what(number)
                self.counts[count] += 1
            except Exception as error:
                self.lost(loss, error)
            number += 1
            await asyncio.sleep(seconds)

    # --- the whole

    def memory(self):
        with open(f"/proc/{self.noren.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.noren.pid}/fd"))

    async def start(self):
        path = f"{self.directory}/noren.toml"
        with open(path, "w") as file:
            file.write(CONFIG.format(directory=self.directory))
        log = open(f"{self.directory}/log", "w")
        self.noren = subprocess.Popen(
            [self.program, "serve", "--config", path], cwd=self.directory, stderr=log, stdin=subprocess.DEVNULL
        )
        for _ in range(200):
            await asyncio.sleep(0.05)
            for line in open(f"{self.directory}/log"):
                if "protocol=https" in line:
                    self.port = int(line.split("address=")[1].split()[0].rsplit(":", 1)[1])
                    return
        raise SystemExit("noren did not start: " + open(f"{self.directory}/log").read())

    async def run(self):
        servers = [
            await asyncio.start_unix_server(self.app, f"{self.directory}/app", backlog=512),
            await asyncio.start_unix_server(self.console, f"{self.directory}/vm", backlog=512),
        ]
        await self.start()
        tasks = [asyncio.create_task(self.request(n)) for n in range(REQUESTERS)]
        tasks += [asyncio.create_task(self.tunnel(n)) for n in range(CONSOLES)]
        tasks += [asyncio.create_task(self.subscribe(n)) for n in range(SUBSCRIBERS)]
        publish = lambda number: self.order("/publish/news", str(number).encode())
        tasks.append(asyncio.create_task(self.every(PUBLISH_EVERY, publish, "messages published", "messages")))
        reload = lambda number: self.order("/reload")
        tasks.append(asyncio.create_task(self.every(RELOAD_EVERY, reload, "reloads", "reloads")))
        # What a process needs for its work it has after a while; what it needs more later is growth.
        await asyncio.sleep(self.seconds / 10)
        begin = self.memory(), self.descriptors()
        await asyncio.sleep(self.seconds * 9 / 10)
        end = self.memory(), self.descriptors()
        self.ending = True
        await asyncio.wait(tasks, timeout=5)
        for task in tasks:
            task.cancel()
        self.noren.send_signal(signal.SIGTERM)
        status = self.noren.wait(60)
        for server in servers:
            server.close()
        return self.report(begin, end, status)

    def report(self, begin, end, status):
        print(f"\n| {self.seconds:.0f} s of mixed load | done | lost |\n|---|---|---|")
        losses = {"echoes": "echoes", "requests": "requests", "messages delivered": "messages", "reloads": "reloads"}
        for name, count in self.counts.items():
            print(f"| {name} | {count:,} | {self.losses.get(losses.get(name, ''), '')} |")
        print(f"| memory at a tenth of the time, and at the end | {begin[0]:,} KiB | {end[0]:,} KiB |")
        print(f"| descriptors, the same | {begin[1]} | {end[1]} |")
        print(f"| exit status | {status} | |")
        for what, why in self.why.items():
            print(f"first lost of {what}: {why}")
        lost = sum(self.losses.values())
        grown = end[0] > begin[0] * 1.25
        if grown:
            print("the memory has grown by more than a quarter")
        return 1 if lost or grown or status else 0


def main():
    program, seconds = os.path.realpath(sys.argv[1]), float(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="noren-soak-") as directory:
        soak = Soak(program, seconds, directory)
        try:
            result = asyncio.run(soak.run())
        finally:
            if getattr(soak, "noren", None) and soak.noren.poll() is None:
                soak.noren.kill()
    sys.exit(result)


main()

"""Pushes of one channel, compressed and not: bytes on the wire and CPU of Noren for each delivery.

    compression.py NOREN RESULTS [ROUNDS [SCALE]]

Nova's `compute.instance.update`, a text of 1.7 kilobytes, 20 times a second to 1,000 subscribers without TLS: WebSockets
with and without permessage-deflate, event streams plain, in gzip and in zstd. A message is compressed once for all. SCALE
(1) makes the work smaller, to see that all works. The figures are written into RESULTS. Ends with status 1 if a message was
lost.
"""

import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import zlib

from notifications import body
from subscribers import Crowd, cpu, family, start_noren, write_result

CLIENTS, MESSAGES, RATE = 1000, 200, 20
SOCKET = (
    b"GET /events/news?format=plain HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%b\r\n"
)
# Without chunks, so that the bytes are those of the coding.
STREAM = b"GET /events/news HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nConnection: close\r\n%b\r\n"
WAYS = {
    "ws-plain": SOCKET % b"",
    "ws-deflate": SOCKET % b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    "sse-plain": STREAM % b"",
    "sse-gzip": STREAM % b"Accept-Encoding: gzip\r\n",
    "sse-zstd": STREAM % b"Accept-Encoding: zstd\r\n",
}


def frames(data):
    """Messages in frames of a WebSocket."""
    count = 0
    while data:
        assert data[0] & 0x8F in (0x81, 0x89), data[:2]
        length, at = data[1], 2
        if length > 125:
            at = 4 if length == 126 else 10
            length = int.from_bytes(data[2:at], "big")
        piece = data[at : at + length]
        if data[0] & 0x40:
            piece = zlib.decompressobj(-15).decompress(piece + b"\0\0\xff\xff")
        count += data[0] & 0x0F == 1 and piece.startswith(b"{")
        data = data[at + length :]
    return count


def chunks(data):
    """The body that was sent in chunks."""
    whole = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        whole, data = whole + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return whole


def events(data, way):
    """Messages in an event stream."""
    data = chunks(data)
    if way.endswith("gzip"):
        data = zlib.decompressobj(31).decompress(data)
    if way.endswith("zstd"):
        data = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return len(re.findall(rb"^data: \{", data, re.M))


def publish(path, count):
    """Messages on a socket for local programs, at the rate."""
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(path)
        for number in range(count):
            time.sleep(max(number / RATE - (time.monotonic() - begun), 0))
            peer.sendall(json.loads(body(1, number))["oslo.message"].encode() + b"\n")


def measure(program, way, scale):
    clients, count = CLIENTS // scale, MESSAGES // scale
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/publish.sock"
        noren, (port,) = start_noren(
            program, directory,
            "[hub]\nconnect-rate = 100000\nsubscribers = 12000\n[[channel]]\nname = 'news'\nneeds = 'nothing'\n"
            f"compress = true\n[[channel.source]]\nsource = 'listen'\naddress = 'unix:{path}'\n")  # fmt: skip
        processes = family(noren.pid)
        try:
            crowd = Crowd(port, clients, WAYS[way])
            assert crowd.until(lambda crowd: crowd.open.value == clients) is not None, "not all have subscribed"
            crowd.until_quiet()
            used, sent = cpu(processes), crowd.bytes.value
            publish(path, count)
            crowd.until_quiet()
            used, sent = cpu(processes) - used, crowd.bytes.value - sent
            # Pings and heartbeats are some bytes.
            assert max(crowd.each) - min(crowd.each) < 500, (min(crowd.each), max(crowd.each))
            witness = crowd.end()
            got = frames(witness) if way.startswith("ws") else events(witness, way)
        finally:
            noren.terminate()
            noren.wait(20)
    deliveries = clients * count
    return {
        "bytes_per_delivery": sent / deliveries,
        "server_cpu_s_per_million_deliveries": used / deliveries * 1e6,
        "lost": count - got,
    }


def main():
    program, results = str(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2]
    count, scale = (int(word) for word in [*sys.argv[3:5], *["1", "1"][len(sys.argv[3:5]):]])
    rounds = [{way: measure(program, way, scale) for way in WAYS} for _ in range(count)]
    write_result(results, "compression", rounds)
    print("| round | way | bytes of a delivery | CPU for a million deliveries | lost |\n|---|---|---|---|---|")
    for number, one in enumerate(rounds):
        for way, figures in one.items():
            each, seconds, lost = figures.values()
            print(f"| {number + 1} | {way} | {each:.0f} | {seconds:.1f} s | {lost} |")
    sys.exit(any(figures["lost"] for one in rounds for figures in one.values()))


if __name__ == "__main__":
    main()

"""The `websockets` library of Python as a subscriber with permessage-deflate, by every offer it can make.

    deflate_client.py URL CA FILE

The channel has the lines of FILE as messages. Each offer gets them all, and sends objects of growing size, compressed as the
offer permits; the answers say that they were understood: messages of many sizes in both directions, by windows of different
sizes, with and without memory between messages. The cases of the Autobahn test suite are in autobahn.py.
"""

import asyncio
import json
import random
import ssl
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Offer

SIZES = [16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072]


def offers():
    """An offer, and whether it is accepted."""
    for server in (False, True):
        for client in (False, True):
            yield Offer(server_no_context_takeover=server, client_no_context_takeover=client), True
            # This library takes no smaller window of 2^8.
            for bits in (9, 10, 12, 15, True):
                more = {"server_no_context_takeover": server, "client_no_context_takeover": client}
                yield Offer(client_max_window_bits=bits, **more), True
    for bits in (9, 14, 15):
        yield Offer(server_max_window_bits=bits), True
    yield Offer(server_max_window_bits=8), False


async def converse(url, ca, offer, accepted, lines):
    context = ssl.create_default_context(cafile=ca)
    socket = await websockets.connect(url, ssl=context, compression=None, extensions=[offer], max_size=None, open_timeout=60)
    names = [extension.name for extension in socket.extensions]
    assert names == (["permessage-deflate"] if accepted else []), (offer.__dict__, names)
    for number, line in enumerate(lines):
        heard = await asyncio.wait_for(socket.recv(), 60)
        assert heard == line, (number, len(heard), len(line))
    chance = random.Random(1)
    for size in SIZES:
        for text in ("a" * size, "".join(chance.choice("0123456789abcdef") for _ in range(size))):
            await socket.send(json.dumps({"type": "ping", "text": text}))
            heard = json.loads(await asyncio.wait_for(socket.recv(), 60))
            assert heard == {"type": "pong"}, heard
    # In three frames, of which only the first says that the message is compressed.
    await socket.send(piece for piece in ['{"type": "pi', 'ng", "text": "' + "b" * 5000, '"}'])
    assert json.loads(await asyncio.wait_for(socket.recv(), 60)) == {"type": "pong"}
    await socket.close()
    # The server answers with a close frame without a code.
    assert socket.close_code == 1005, socket.close_code


async def bomb(url, ca):
    """A message that is small on the way and too large behind it."""
    context = ssl.create_default_context(cafile=ca)
    socket = await websockets.connect(url + "&last-event-id=none", ssl=context, compression="deflate", open_timeout=60)
    await socket.send(json.dumps({"type": "ping", "text": "a" * 20_000_000}))
    try:
        while True:
            await asyncio.wait_for(socket.recv(), 60)
    except websockets.ConnectionClosed as end:
        assert end.rcvd.code == 1009, end


async def main():
    url, ca, file = sys.argv[1:4]
    with open(file, encoding="utf-8") as opened:
        lines = opened.read().splitlines()
    count = 0
    for offer, accepted in offers():
        await converse(url + "&last-event-id=earliest", ca, offer, accepted, lines)
        count += 1
    await bomb(url, ca)
    print(f"offers={count} ok")


asyncio.run(main())

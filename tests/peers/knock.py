"""Knocks with a WebSocket handshake and prints the status: knock.py URL CA [BYTES]

With BYTES, and a 101, so many bytes of binary messages follow on the next line, as text.
"""

import asyncio
import ssl
import sys

import websockets


async def main():
    url, ca = sys.argv[1:3]
    wanted = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    context = ssl.create_default_context(cafile=ca)
    try:
        peer = await websockets.connect(url, ssl=context, compression=None, open_timeout=60)
    except websockets.InvalidStatusCode as refused:
        print(refused.status_code)
        return
    print(101)
    got = b""
    while len(got) < wanted:
        got += await asyncio.wait_for(peer.recv(), 30)
    if wanted:
        print(got.decode().strip())
    await peer.close()


asyncio.run(main())

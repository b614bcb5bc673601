"""The app's own WebSocket: a second app whose upgrades the door must pass through untouched.

    websocket_app.py [CERTIFICATE KEY]

It speaks TLS where it has a certificate. It answers `path` with the path it was asked for, `head NAME` with that header, and
echoes everything else. Of the offered subprotocols it takes `kitchen`.
"""

import asyncio
import ssl
import sys
import threading

import lifeline
import websockets


async def converse(peer):
    async for message in peer:
        if message == "path":
            await peer.send(peer.path)
        elif isinstance(message, str) and message.startswith("head "):
            await peer.send(peer.request_headers.get(message.removeprefix("head "), "(none)"))
        elif message == "bye":
            await peer.close(4001, "as you wish")
        else:
            await peer.send(message)


async def main():
    context = None
    if files := sys.argv[1:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
    serving = websockets.serve(converse, "127.0.0.1", 0, ssl=context, subprotocols=["kitchen"], max_size=None)
    async with serving as server:
        where = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
        threading.Thread(target=lifeline.hold, args=(where,), daemon=True).start()
        await asyncio.Future()


asyncio.run(main())

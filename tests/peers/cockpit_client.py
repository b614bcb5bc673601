"""A browser's part in Cockpit: its login page, a login, and its WebSocket, on which a channel says what it is told.

    cockpit_client.py URL CA
"""

import asyncio
import base64
import http.client
import json
import ssl
import sys
import urllib.parse

import websockets


def get(place, context, path, **headers):
    connection = http.client.HTTPSConnection(place.hostname, place.port, context=context, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, (path, answer.status, body)
    return answer, body


def connect(place, context, cookie, **more):
    return websockets.connect(
        f"wss://{place.netloc}/cockpit/socket", ssl=context, subprotocols=["cockpit1"], open_timeout=60,
        extra_headers={"Cookie": cookie} if cookie else {}, **more,
    )


async def control(peer):
    """The next message of Cockpit about the connection or a channel."""
    message = await peer.recv()
    assert message.startswith("\n"), message
    return json.loads(message)


async def talk(place, context, cookie):
    origin = f"https://{place.netloc}"
    async with connect(place, context, None, origin=origin) as stranger:
        assert (await control(stranger))["problem"] == "no-session"
    async with connect(place, context, cookie, origin=origin) as peer:
        assert peer.subprotocol == "cockpit1", peer.subprotocol
        hello = await control(peer)
        assert hello["command"] == "init" and "problem" not in hello, hello
        await peer.send('\n{"command":"init","version":1}')
        await peer.send('\n{"command":"open","channel":"1:1","payload":"echo"}')
        await peer.send("1:1\n" + "kitchen " * 1000)
        while True:
            message = await peer.recv()
            if message.startswith("1:1\n"):
                assert message == "1:1\n" + "kitchen " * 1000
                break
    try:
        async with connect(place, context, cookie, origin="https://elsewhere.example"):
            raise AssertionError("a page of another origin has the session")
    except websockets.InvalidStatusCode as refused:
        assert refused.status_code == 403, refused.status_code


def main():
    url, ca = sys.argv[1:]
    place, context = urllib.parse.urlsplit(url), ssl.create_default_context(cafile=ca)
    page, body = get(place, context, "/")
    assert b"login" in body, body[:200]
    policy = page.headers["Content-Security-Policy"]
    assert f"wss://{place.netloc}" in policy, policy
    password = base64.b64encode(b"cook:kitchen").decode()
    login, body = get(place, context, "/cockpit/login", Authorization=f"Basic {password}")
    assert "csrf-token" in json.loads(body)
    cookie = login.headers["Set-Cookie"]
    assert "Secure" in cookie, cookie
    asyncio.run(asyncio.wait_for(talk(place, context, cookie.split(";")[0]), 120))
    print("cockpit: ok")


main()

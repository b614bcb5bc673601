#!/usr/bin/env python3
"""A WSGI app with gripcontrol behind Noren: GET /stream waits, POST /say?text=hello publishes.

GRIP_URL=http://127.0.0.1:5561?iss=app\\&key=base64:KEY ./wsgi_app.py 8010
"""

import os
import sys
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIServer, make_server

from gripcontrol import GripPubControl, HttpResponseFormat, HttpStreamFormat, parse_grip_uri, validate_sig
from pubcontrol import Item

GRIP = parse_grip_uri(os.environ["GRIP_URL"])
PUBLISHER = GripPubControl(GRIP)


def app(environ, start_response):
    """Three resources: a stream, a long poll, and the form that publishes to both."""
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain")]
    if path == "/say" and environ["REQUEST_METHOD"] == "POST":
        text = parse_qs(environ["QUERY_STRING"]).get("text", [""])[0] + "\n"
        formats = [HttpStreamFormat(text), HttpResponseFormat(body=text)]
        PUBLISHER.publish("news", Item(formats), blocking=True)
        start_response("200 OK", headers)
        return [b"said\n"]
    if path not in ("/stream", "/poll"):
        start_response("404 Not Found", headers)
        return [b"there is /stream, /poll and /say\n"]
    key, issuer = GRIP.get("verify_key", GRIP["key"]), GRIP.get("verify_iss")
    if not validate_sig(environ.get("HTTP_GRIP_SIG", ""), key, issuer):
        start_response("501 Not Implemented", headers)
        return [b"come through the front door\n"]
    hold = "stream" if path == "/stream" else "response"
    start_response("200 OK", headers + [("Grip-Hold", hold), ("Grip-Channel", "news")])
    return [b"welcome\n" if hold == "stream" else b"nothing new\n"]


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, none for each stream."""

    daemon_threads = True


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(sys.argv[1]), app, Server)
    print(server.server_port, flush=True)
    server.serve_forever()

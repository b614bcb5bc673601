"""A WSGI app without a framework, on one of the servers that speak WSGI.

    wsgi.py wsgiref | cheroot | waitress | folding

It drops empty segments of a path, takes the first of several parameters (`parse_qs`), and reads cookies with
`SimpleCookie`. `folding` is wsgiref with an app for which letter case and the kind of slash mean nothing, as for those of
Windows.
"""

import sys
from http.cookies import CookieError, SimpleCookie
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import contract

FOLDING = False


def folded(path):
    """As letters, of which more than those of ASCII have a capital or a small one within it."""
    return path.encode("latin-1").decode("utf-8", "replace").upper().casefold().replace("\\", "/")


def app(environ, start_response):
    path = environ["PATH_INFO"]
    routed = folded(path) if FOLDING else path
    page = contract.page_of([segment for segment in routed.split("/") if segment])
    try:
        cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("wok")
    except CookieError:
        cookie = None
    authorization = environ.get("HTTP_AUTHORIZATION")
    status, body = contract.answer(page, {
        "path": path,
        "method": environ["REQUEST_METHOD"],
        "target": environ.get("REQUEST_URI"),
        "channel": parse_qs(environ.get("QUERY_STRING", "")).get("channel", [None])[0],
        "told": environ.get("HTTP_NOREN_CHANNEL"),
        "session": cookie.value if cookie else None,
        "authorization": authorization,
        "user": contract.basic(authorization),
        "headers": contract.headers_of(environ),
    })
    # Read whole, or the bytes of a message would be the next request.
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response(f"{status} Answer", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class Silent(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def wsgiref():
    server = make_server("127.0.0.1", 0, app, Threads, Silent)
    return server.server_port, server.serve_forever


def cheroot():
    from cheroot.wsgi import Server

    server = Server(("127.0.0.1", 0), app, numthreads=10)
    server.prepare()
    return server.bind_addr[1], server.serve


def waitress():
    from waitress.server import create_server

    server = create_server(app, host="127.0.0.1", port=0, threads=10)
    return server.effective_port, server.run


name = sys.argv[1]
FOLDING = name == "folding"
port, serve = {"wsgiref": wsgiref, "folding": wsgiref, "cheroot": cheroot, "waitress": waitress}[name]()
contract.lifeline.hold_in_background(f"127.0.0.1:{port}")
serve()

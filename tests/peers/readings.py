"""A WSGI app that reads credentials, cookies and parameters as such apps do, and not as Noren does.

    readings.py wsgiref | cheroot

A session is a cookie `wok` as SimpleCookie finds it, or HTTP Basic with cook:wok. /tasks answers 200 to who has
one, and 401; POST /login?password=wok begins the session of the cookie that is shown, as CherryPy does; POST /logout
ends it. /private asks for the password only. /say answers with the channel it was told in the header, and with the
last one of the parameters. Commands: `admit ID` and `forget ID` begin and end a session; `questions` counts those at
/tasks, `guesses` the passwords that were looked at. `close` lets them wait for their answer, until `open`.
"""

import base64
import socketserver
import sys
import threading
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import lifeline

sessions = set()
counts = {"questions": 0, "guesses": 0}
gate = threading.Event()
gate.set()


def session_of(environ):
    try:
        cookies = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    except CookieError:
        return None
    return cookies["wok"].value if "wok" in cookies else None


def has_password(environ):
    words = environ.get("HTTP_AUTHORIZATION", "").split(None, 1)
    if len(words) != 2 or words[0].lower() != "basic":
        return False
    counts["guesses"] += 1
    gate.wait()
    try:
        return base64.b64decode(words[1]) == b"cook:wok"
    except ValueError:
        return False


def tasks(environ, parameters):
    counts["questions"] += 1
    return session_of(environ) in sessions or has_password(environ), "tasks"


def login(environ, parameters):
    good = parameters.get("password", [""])[-1] == "wok"
    if good:
        sessions.add(session_of(environ))
    return good, "hello"


def logout(environ, parameters):
    sessions.discard(session_of(environ))
    return True, "bye"


def private(environ, parameters):
    return has_password(environ), "private"


def say(environ, parameters):
    return True, f"{environ.get('HTTP_NOREN_CHANNEL')} {parameters.get('channel', [''])[-1]}"


PAGES = {"/tasks": tasks, "/login": login, "/logout": logout, "/private": private, "/say": say}


def app(environ, start_response):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)
    fields = environ.get("QUERY_STRING", "")
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        fields += "&" + body.decode()
    page = PAGES.get(environ["PATH_INFO"])
    good, text = page(environ, parse_qs(fields)) if page else (True, "nothing")
    status = "200 OK" if good else "401 Unauthorized"
    data = text.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


class Threaded(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Silent(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


def main():
    commands = {
        "admit": sessions.add,
        "forget": sessions.discard,
        "questions": lambda _: counts["questions"],
        "guesses": lambda _: counts["guesses"],
        "close": lambda _: gate.clear(),
        "open": lambda _: gate.set(),
    }
    if sys.argv[1] == "cheroot":
        from cheroot import wsgi

        server = wsgi.Server(("127.0.0.1", 0), app, numthreads=4)
        server.prepare()
        lifeline.hold_in_background(f"127.0.0.1:{server.bind_addr[1]}", commands)
        server.serve()
    else:
        server = make_server("127.0.0.1", 0, app, server_class=Threaded, handler_class=Silent)
        lifeline.hold_in_background(f"127.0.0.1:{server.server_port}", commands)
        server.serve_forever()


main()

"""A blocking web app as Wok is one: CherryPy, 10 threads, sessions, plain HTTP/1.1.

    app.py [--address 127.0.0.1:PORT | unix:/path] [--keep-alive SECONDS] [--static /prefix=/directory ...]

It trusts what the door says about the visitor, as Wok does (`tools.proxy`), and
tells at /head what it was told. It answers /tasks and /plugins/kimchi/vms/NAME as
Wok and Kimchi do: for who is logged in, and for who may see that guest; a guest
belongs to the user whose name it begins with. Commands: `event TEXT` sends one
event to the readers of /events; `readers` counts them; `expire` ends all sessions,
as a restart does; `questions` counts what /tasks was asked.
"""

import argparse
import hashlib
import os
import queue
import threading
import time

import cheroot.server
import cherrypy
from cherrypy.lib.static import serve_file

import lifeline

questions = []
readers = []
readers_lock = threading.Lock()


class App:
    @cherrypy.expose
    def index(self):
        return "<!doctype html><title>app</title><h1>The app behind the door</h1>"

    @cherrypy.expose
    def login(self, user=None, password=None):
        """Log in as Wok does: a session cookie, and two more cookies beside it."""
        if cherrypy.request.method != "POST":
            return "<!doctype html><form method=post><input name=user><input name=password><button>Log in</button></form>"
        if password != "kitchen":
            raise cherrypy.HTTPError(401, "wrong password")
        cherrypy.session["user"] = user
        cookies = cherrypy.response.cookie
        cookies["lang"] = "en"
        cookies["lang"]["path"] = "/"
        cookies["last"] = "a/b=c"
        cookies["last"]["path"] = "/"
        raise cherrypy.HTTPRedirect("/whoami", 303)

    @cherrypy.expose
    def whoami(self):
        user = cherrypy.session.get("user")
        if user is None:
            raise cherrypy.HTTPError(401, "log in first")
        cherrypy.response.headers["Content-Type"] = "text/plain"
        return f"user={user}\n" + "".join(
            f"cookie {name}={morsel.value}\n" for name, morsel in sorted(cherrypy.request.cookie.items())
        )

    @cherrypy.expose
    def redirect(self):
        raise cherrypy.HTTPRedirect("/login", 302)

    @cherrypy.expose
    def head(self, *rest, **query):
        """What the app was sent, one `Name: value` a line, in the form WSGI gives it to every app."""
        environ = cherrypy.request.wsgi_environ
        cherrypy.response.headers["Content-Type"] = "text/plain; charset=utf-8"
        lines = [f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']} {environ['ACTUAL_SERVER_PROTOCOL']}"]
        for name, value in sorted(environ.items()):
            if name.startswith("HTTP_"):
                lines.append(f"{name[5:]}: {value}")
            elif name in ("CONTENT_LENGTH", "CONTENT_TYPE"):
                lines.append(f"{name}: {value}")
        lines.append(f"REMOTE {cherrypy.request.remote.ip}")
        lines.append(f"BASE {cherrypy.request.base}")
        return "\n".join(lines) + "\n"

    @cherrypy.expose
    @cherrypy.config(**{"request.process_request_body": False})
    def upload(self, **query):
        """Read the raw body piece by piece, as a file upload does."""
        digest = hashlib.sha256()
        size = 0
        body = cherrypy.request.rfile
        while piece := body.read(1 << 18):
            digest.update(piece)
            size += len(piece)
        cherrypy.response.headers["Content-Type"] = "text/plain"
        return f"{digest.hexdigest()} {size} length={cherrypy.request.headers.get('Content-Length', 'none')}\n"

    @cherrypy.expose
    def download(self, path):
        return serve_file(path, content_type="application/octet-stream")

    @cherrypy.expose
    @cherrypy.config(**{"tools.sessions.on": False})
    def slow(self, seconds="1"):
        """A page that takes its thread so long."""
        time.sleep(min(float(seconds), 10))
        return "slow page"

    @cherrypy.expose
    @cherrypy.config(**{"response.stream": True, "tools.sessions.on": False})
    def big(self, mib="1"):
        """A download, made on the way."""
        cherrypy.response.headers["Content-Type"] = "application/octet-stream"
        cherrypy.response.headers["Content-Length"] = str(int(mib) << 20)
        return (bytes(1 << 16) for _ in range(int(mib) << 4))

    @cherrypy.expose
    def tasks(self):
        """A REST resource as Wok's are: HEAD is 405 here, and without a session it is 401."""
        if cherrypy.request.method not in ("GET", "POST"):
            raise cherrypy.HTTPError(405)
        questions.append(cherrypy.request.headers.get("Wok-Robot"))
        logged_in()
        cherrypy.response.headers["Content-Type"] = "application/json"
        return b"[]"

    @cherrypy.expose
    def plugins(self, *rest):
        """Kimchi's guests: 403 for those of others, 404 for those that nobody has."""
        if len(rest) != 3 or rest[:2] != ("kimchi", "vms"):
            raise cherrypy.HTTPError(404)
        user, name = logged_in(), rest[2]
        if not name.startswith(("cook", "guest")):
            raise cherrypy.HTTPError(404)
        if not name.startswith(user):
            raise cherrypy.HTTPError(403)
        cherrypy.response.headers["Content-Type"] = "application/json"
        return f'{{"name": "{name}"}}'.encode()

    @cherrypy.expose
    def logout(self):
        if cherrypy.request.method != "POST":
            raise cherrypy.HTTPError(405)
        cherrypy.session.clear()
        return b"{}"

    @cherrypy.expose
    @cherrypy.config(**{"response.stream": True, "tools.sessions.on": False})
    def events(self):
        """Server-sent events; each one leaves only when the test says so."""
        cherrypy.response.headers["Content-Type"] = "text/event-stream"
        events = queue.Queue()
        with readers_lock:
            readers.append(events)

        def stream():
            try:
                yield b": hello\n\n"
                while (text := events.get(timeout=120)) != "end":
                    yield f"data: {text}\n\n".encode()
            finally:
                with readers_lock:
                    readers.remove(events)

        return stream()


def logged_in():
    """The user of this session, or 401."""
    user = cherrypy.session.get("user")
    if user is None:
        raise cherrypy.HTTPError(401, "log in first")
    return user


def expire(_):
    cherrypy.lib.sessions.RamSession.cache.clear()


def tell_readers(text):
    with readers_lock:
        for events in readers:
            events.put(text)


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1:0")
    parser.add_argument("--keep-alive", type=float, default=10.0)
    parser.add_argument("--static", action="append", default=[])
    return parser.parse_args()


def main():
    options = arguments()
    cherrypy.config.update({
        "global": {
            "engine.autoreload.on": False,
            "checker.on": False,
            "log.screen": False,
            "request.show_tracebacks": True,
            "server.thread_pool": 10,
            "server.max_request_body_size": 0,
            "server.socket_timeout": options.keep_alive,
        }
    })
    if options.address.startswith("unix:"):
        cherrypy.server.socket_file = options.address.removeprefix("unix:")
    else:
        host, _, port = options.address.rpartition(":")
        cherrypy.server.socket_host = host
        cherrypy.server.socket_port = int(port)
    mounts = {"/": {"tools.proxy.on": True, "tools.sessions.on": True, "tools.sessions.secure": True}}
    for static in options.static:
        prefix, _, directory = static.partition("=")
        mounts[prefix] = {
            "tools.staticdir.on": True,
            "tools.staticdir.dir": os.path.abspath(directory),
            "tools.staticdir.content_types": {"js": "text/javascript", "html": "text/html"},
            "tools.sessions.on": False,
        }
    cherrypy.tree.mount(App(), "/", mounts)
    cherrypy.engine.signals.subscribe()
    # How often idle connections are looked at: finer than the time they are kept.
    cheroot.server.HTTPServer.expiration_interval = min(0.5, options.keep_alive / 5)
    cherrypy.engine.start()
    where = cherrypy.server.socket_file or "%s:%d" % cherrypy.server.bound_addr
    lifeline.hold_in_background(where, {
        "event": tell_readers,
        "readers": lambda _: len(readers),
        "expire": expire,
        "questions": lambda _: len(questions),
    })
    cherrypy.engine.block()


main()

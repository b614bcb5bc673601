#!/usr/bin/env python3
"""Notes with CherryPy behind Noren: whoever is logged in hears each note at once. Four threads are enough for all of them.

    cherrypy_app.py PORT SOCKET       SOCKET is that of [[channel.source]] in noren.toml
"""

import json
import pathlib
import socket
import sys

import cherrypy

PORT, SOCKET = int(sys.argv[1]), sys.argv[2]
PAGE = pathlib.Path(__file__).with_name("page.html").read_text()


def publish(event, data):
    """One line into the socket: the channel has it, and all who listen."""
    with socket.socket(socket.AF_UNIX) as noren:
        noren.connect(SOCKET)
        noren.sendall(json.dumps({"event": event, "data": data}).encode() + b"\n")


def only(method):
    if cherrypy.request.method != method:
        raise cherrypy.HTTPError(405)


class Notes:
    @cherrypy.expose
    def index(self):
        return PAGE

    @cherrypy.expose
    def login(self, name):
        # A real app asks for a password here.
        only("POST")
        cherrypy.session.regenerate()
        cherrypy.session["name"] = name
        raise cherrypy.HTTPRedirect("/", 303)

    @cherrypy.expose
    def logout(self):
        only("POST")
        cherrypy.lib.sessions.expire()
        cherrypy.session.delete()
        raise cherrypy.HTTPRedirect("/", 303)

    @cherrypy.expose
    def session(self):
        """Noren asks this with the visitor's cookies: before something is opened, and again while it is."""
        name = cherrypy.session.get("name")
        # A question is no visit: what is not loaded is not stored with a later end.
        cherrypy.session.loaded = False
        if name is None:
            raise cherrypy.HTTPError(401)
        cherrypy.response.headers["Remote-User"] = name.encode("ascii", "replace").decode()
        return ""

    @cherrypy.expose
    def notes(self, text):
        only("POST")
        name = cherrypy.session.get("name")
        if name is None:
            raise cherrypy.HTTPError(401)
        publish("note", {"author": name, "text": text})
        return ""


if __name__ == "__main__":
    cherrypy.config.update({
        "server.socket_host": "127.0.0.1", "server.socket_port": PORT, "server.thread_pool": 4,
        "engine.autoreload.on": False, "log.screen": False,
    })
    cherrypy.quickstart(Notes(), "/", {"/": {
        "tools.sessions.on": True, "tools.sessions.secure": True, "tools.sessions.httponly": True,
        # The addresses and the scheme that Noren tells.
        "tools.proxy.on": True,
    }})

#!/usr/bin/env python3
"""Notes with Flask behind Noren: whoever is logged in hears each note at once. Flask itself answers requests, and no more.

    flask_app.py PORT SOCKET          SOCKET is that of [[channel.source]] in noren.toml
"""

import json
import pathlib
import secrets
import socket
import sys

from flask import Flask, abort, redirect, request, session

PORT, SOCKET = int(sys.argv[1]), sys.argv[2]
PAGE = pathlib.Path(__file__).with_name("page.html").read_text()

app = Flask(__name__)
app.secret_key = secrets.token_bytes()
# Noren ends TLS. The cookie goes with no request that another site makes a visitor send.
app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Lax")


def publish(event, data):
    """One line into the socket: the channel has it, and all who listen."""
    with socket.socket(socket.AF_UNIX) as noren:
        noren.connect(SOCKET)
        noren.sendall(json.dumps({"event": event, "data": data}).encode() + b"\n")


@app.get("/")
def page():
    return PAGE


@app.post("/login")
def login():
    # A real app asks for a password here.
    session["name"] = request.form["name"]
    return redirect("/", 303)


@app.post("/logout")
def logout():
    session.clear()
    return redirect("/", 303)


@app.get("/session")
def question():
    """Noren asks this with the visitor's cookies: before something is opened, and again while it is."""
    if "name" not in session:
        abort(401)
    return "", 204, {"Remote-User": session["name"].encode("ascii", "replace").decode()}


@app.post("/notes")
def say():
    if "name" not in session:
        abort(401)
    publish("note", {"author": session["name"], "text": request.form["text"]})
    return "", 204


if __name__ == "__main__":
    app.run("127.0.0.1", PORT, threaded=True)

#!/usr/bin/env python3
"""Notes with Django behind Noren: whoever is logged in hears each note at once, and no page keeps its login alive.

    django_app.py PORT SOCKET         SOCKET is that of [[channel.source]] in noren.toml
"""

import json
import pathlib
import secrets
import socket
import sys
import tempfile
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect

PORT, SOCKET = int(sys.argv[1]), sys.argv[2]
PAGE = pathlib.Path(__file__).with_name("page.html").read_text()
SESSIONS = tempfile.mkdtemp()

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY=secrets.token_urlsafe(),
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", f"{__name__}.QuestionsAreNoVisits"],
    SESSION_ENGINE="django.contrib.sessions.backends.file",
    SESSION_FILE_PATH=SESSIONS,
    # Each visit begins the half hour anew.
    SESSION_SAVE_EVERY_REQUEST=True,
    SESSION_COOKIE_AGE=1800,
    SESSION_COOKIE_SECURE=True,
    # Noren sets it, whatever a client sends.
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
)

# These read the settings.
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402


class QuestionsAreNoVisits:
    """What Noren asks by itself stores nothing in the session, and so does not extend it."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if "Noren-Question" in request.headers:
            request.session.save = lambda *args, **kwargs: None
        return self.get_response(request)


def publish(event, data):
    """One line into the socket: the channel has it, and all who listen."""
    with socket.socket(socket.AF_UNIX) as noren:
        noren.connect(SOCKET)
        noren.sendall(json.dumps({"event": event, "data": data}).encode() + b"\n")


def page(request):
    return HttpResponse(PAGE)


@require_POST
def login(request):
    # A real app has django.contrib.auth, and the middleware against forged forms.
    request.session.cycle_key()
    request.session["name"] = request.POST["name"]
    response = HttpResponseRedirect("/")
    response.status_code = 303
    return response


@require_POST
def logout(request):
    request.session.flush()
    response = HttpResponseRedirect("/")
    response.status_code = 303
    return response


def question(request):
    """Noren asks this with the visitor's cookies: before something is opened, and again while it is."""
    name = request.session.get("name")
    if name is None:
        return HttpResponse(status=401)
    return HttpResponse(status=204, headers={"Remote-User": name.encode("ascii", "replace").decode()})


@require_POST
def say(request):
    name = request.session.get("name")
    if name is None:
        return HttpResponse(status=401)
    publish("note", {"author": name, "text": request.POST["text"]})
    return HttpResponse(status=204)


urlpatterns = [
    path("", page), path("login", login), path("logout", logout), path("session", question), path("notes", say),
]


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, none for each page that is open."""

    daemon_threads = True


if __name__ == "__main__":
    # The middleware is named by this module, which was not imported by name.
    sys.modules.setdefault("django_app", sys.modules[__name__])
    make_server("127.0.0.1", PORT, get_wsgi_application(), Server).serve_forever()

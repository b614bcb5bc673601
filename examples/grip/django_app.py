#!/usr/bin/env python3
"""A Django app of one file with django-grip and django-eventstream behind Noren.

GRIP_URL=http://127.0.0.1:5561?iss=app\\&key=base64:KEY ./django_app.py 8010

/updates/ is an event stream, /stream/ and /poll/ wait for the channel "room", /chat/ is a WebSocket;
/send/?text=hello sends to the first, /tell/?text=hello to the others. The paths below /events belong to Noren's own
channels, where it has any.
"""

import os
import sys
import tempfile
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "an example needs none that is secret, only one that is long"),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django_eventstream"],
    MIDDLEWARE=["django_grip.GripMiddleware"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("DATABASE", os.path.join(tempfile.gettempdir(), "grip-example.sqlite3")),
            "OPTIONS": {"timeout": 20},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    EVENTSTREAM_STORAGE_CLASS="django_eventstream.storage.DjangoModelStorage",
    GRIP_URL=os.environ["GRIP_URL"],
    GRIP_PROXY_REQUIRED=True,
)
django.setup()

# Django wants its settings before these.
import django_eventstream.urls  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django_eventstream import send_event  # noqa: E402
from django_grip import publish, set_hold_longpoll, set_hold_stream, websocket_only  # noqa: E402
from gripcontrol import HttpResponseFormat, HttpStreamFormat, WebSocketMessageFormat  # noqa: E402

REQUESTS = []


def send(request):
    """Send an event, kept in the database too."""
    for text in request.GET.getlist("text"):
        send_event("time", "message", {"text": text})
    return HttpResponse("sent\n", content_type="text/plain")


def stream(request):
    """A response without an end."""
    set_hold_stream(request, "room", keep_alive_data="\n", keep_alive_timeout=20)
    return HttpResponse("welcome\n", content_type="text/plain")


def poll(request):
    """A response that waits."""
    set_hold_longpoll(request, "room", timeout=20)
    return HttpResponse("nothing new\n", content_type="text/plain")


def tell(request):
    """Publish to all that wait for the room."""
    text = request.GET["text"]
    body = text + "\n"
    formats = [HttpStreamFormat(body), HttpResponseFormat(body=body), WebSocketMessageFormat(text)]
    publish("room", formats, blocking=True)
    return HttpResponse("told\n", content_type="text/plain")


@websocket_only
def chat(request):
    """A WebSocket: each message comes as a request, and the answer is what the client gets."""
    socket = request.wscontext
    if socket.is_opening():
        socket.accept()
        socket.subscribe("room")
    while socket.can_recv():
        message = socket.recv()
        if message is None:
            socket.close()
            break
        socket.send("you said " + message)


def requests(_request):
    """The requests that the app has seen, for those who count."""
    return HttpResponse("".join(line + "\n" for line in REQUESTS), content_type="text/plain")


urlpatterns = [
    path("updates/", include(django_eventstream.urls), {"channels": ["time"]}),
    path("send/", send),
    path("stream/", stream),
    path("poll/", poll),
    path("tell/", tell),
    path("chat/", chat),
    path("requests/", requests),
]


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, none for each stream."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Keeps connections open, and a list instead of a log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        """Remember the request line."""
        REQUESTS.append(self.requestline)


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    server = make_server("127.0.0.1", int(sys.argv[1]), get_wsgi_application(), Server, Handler)
    print(server.server_port, flush=True)
    server.serve_forever()

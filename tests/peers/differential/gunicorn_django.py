"""Django on gunicorn, one process of ten threads."""

import logging
import os
import signal

import contract
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import re_path
from gunicorn.app.base import BaseApplication


def page(name):
    def view(request, **_):
        authorization = request.headers.get("Authorization")
        status, body = contract.answer(name, {
            "path": request.path_info,
            "method": request.method,
            "target": request.META.get("RAW_URI"),
            "channel": request.GET.get("channel"),
            "told": request.headers.get("Noren-Channel"),
            "session": request.COOKIES.get("wok"),
            "authorization": authorization,
            "user": contract.basic(authorization),
            "headers": contract.headers_of(request.META),
        })
        return HttpResponse(body, status=status, content_type="application/json")

    return view


urlpatterns = [
    re_path(r"^(?:wok/)?admin(?:/|$)", page("GUARDED")),
    re_path(r"^(?:wok/)?login/?$", page("login")),
    re_path(r"^basic/?$", page("basic")),
    re_path(r"^session/?$", page("session")),
    re_path(r"^logout/?$", page("logout")),
    re_path(r"^receive/?$", page("receive")),
    re_path(r"", page("other")),
]


class Gunicorn(BaseApplication):
    def load_config(self):
        for key, value in {
            "bind": "127.0.0.1:0",
            "worker_class": "gthread",
            "threads": 10,
            "keepalive": 15,
            "loglevel": "critical",
            "graceful_timeout": 1,
            "when_ready": ready,
        }.items():
            self.cfg.set(key, value)

    def load(self):
        return get_wsgi_application()


def ready(arbiter):
    port = arbiter.LISTENERS[0].sock.getsockname()[1]
    contract.threading.Thread(
        target=contract.lifeline.hold,
        args=(f"127.0.0.1:{port}", None, lambda: os.killpg(0, signal.SIGTERM)),
        daemon=True,
    ).start()


logging.disable(logging.CRITICAL)
# A group of its own, so that its workers end with it.
os.setpgid(0, 0)
settings.configure(DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of no use", MIDDLEWARE=[], LOGGING_CONFIG=None)
django.setup()
Gunicorn().run()

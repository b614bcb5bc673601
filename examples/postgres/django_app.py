#!/usr/bin/env python3
"""A Django app of one file whose changes reach every browser: it writes into Noren's outbox in its own transactions.

PGHOST=/run/postgresql PGDATABASE=app PGUSER=app ./django_app.py 8010

POST /order/17/sent changes an order and says so in one transaction; POST /order/17/lost does the same and fails before the
commit, and nobody hears of it. The outbox is there already: src/guide/postgres.md has the statements, for a migration of
yours (migrations.RunSQL), and the user of the app needs INSERT on it.
"""

import os
import sys
import uuid
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

settings.configure(
    SECRET_KEY=os.environ.get("SECRET_KEY", "an example needs none that is secret, only one that is long"),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": os.environ.get("PGHOST", ""),
            "PORT": os.environ.get("PGPORT", ""),
            "NAME": os.environ.get("PGDATABASE", "app"),
            "USER": os.environ.get("PGUSER", "app"),
            "PASSWORD": os.environ.get("PGPASSWORD", ""),
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

# Django wants its settings before these.
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models, transaction  # noqa: E402
from django.http import JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.views.decorators.http import require_POST  # noqa: E402


class Order(models.Model):
    """An order of the shop."""

    number = models.BigIntegerField(primary_key=True)
    state = models.TextField()

    class Meta:
        app_label = "shop"


class Outbox(models.Model):
    """What Noren publishes when the transaction commits."""

    message_id = models.TextField(default=uuid.uuid4)
    channel = models.TextField(null=True)
    event = models.TextField(null=True)
    key = models.TextField(null=True)
    data = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)
    refused = models.TextField(null=True)

    class Meta:
        app_label = "shop"
        db_table = "noren_outbox"
        managed = False


@require_POST
def change(request, number, state):
    """Change an order, and say so to whoever listens to the channel "orders"."""
    with transaction.atomic():
        order, _ = Order.objects.update_or_create(number=number, defaults={"state": state})
        Outbox.objects.create(channel="orders", event=state, key=str(number), data={"number": number, "state": state})
        if state == "lost":
            raise ValueError("the order is lost, and so is what was said of it")
    return JsonResponse({"number": order.number, "state": order.state})


urlpatterns = [path("order/<int:number>/<str:state>", change)]


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """A thread for each request, as any WSGI server has."""

    daemon_threads = True


def main():
    """Make the table of the shop, and serve."""
    if Order._meta.db_table not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Order)
    connection.close()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8010
    server = make_server("127.0.0.1", port, get_wsgi_application(), ThreadingServer, WSGIRequestHandler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

"""The rules of the plugin, in the environment of a Horizon: who may listen, and that a question is no visit."""

import importlib.util
import os
import pathlib
import sys
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import django  # noqa: E402
from django.conf import settings  # noqa: E402

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["testserver"],
    INSTALLED_APPS=["django.contrib.sessions", "noren_horizon"],
    MIDDLEWARE=("django.middleware.common.CommonMiddleware", SESSIONS, "test_plugin.EachRequestIsAVisit"),
    ROOT_URLCONF="openstack_dashboard.api.rest.urls",
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
)
sys.modules.setdefault("test_plugin", sys.modules[__name__])
if importlib.util.find_spec("openstack_dashboard") is None:
    sys.exit("these tests need the environment of a Horizon")
# The API of Horizon loads every client of every service; of it the plugin uses this module alone.
api = types.ModuleType("openstack_dashboard.api")
api.__path__ = [os.path.join(importlib.util.find_spec("openstack_dashboard").submodule_search_locations[0], "api")]
rest = types.ModuleType("openstack_dashboard.api.rest")
rest.__path__ = [os.path.join(api.__path__[0], "rest")]
sys.modules.update({api.__name__: api, rest.__name__: rest})
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.test import Client  # noqa: E402
from noren_horizon import apps  # noqa: E402

KITCHEN, GARDEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "a" * 32


class EachRequestIsAVisit:
    """What Horizon does with SESSION_REFRESH, and a visitor as its authentication finds one."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        name = request.session.get("user")
        request.user = types.SimpleNamespace(
            is_authenticated=bool(name), username=name, project_id=None if name == "nobody" else KITCHEN, is_superuser=name == "admin",
            user_domain_name=None, user_domain_id="default")
        if name:
            request.session["visits"] = request.session.get("visits", 0) + 1
            request.session.set_expiry(1000)
        return self.get_response(request)


def visitor(name):
    session = SessionStore()
    session["user"] = name
    session.save()
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
    return client, lambda: SessionStore(session.session_key).load().get("visits", 0)


class Plugin(unittest.TestCase):
    def test_a_visitor_listens_to_the_project_of_the_session_and_to_no_other(self):
        client, _ = visitor("cook")
        for channel, status in {
            f"nova.{KITCHEN}": 200, f"neutron.{KITCHEN}": 200, f"nova.{GARDEN}": 403, "nova.cloud": 403, "nova": 403,
            "nova.": 403, f"nova.{KITCHEN}.x": 403, f"{KITCHEN}": 403,
        }.items():
            self.assertEqual(client.get(f"/noren/channel/{channel}").status_code, status, channel)

    def test_an_administrator_listens_to_what_belongs_to_no_project_as_well(self):
        client, _ = visitor("admin")
        self.assertEqual(client.get("/noren/channel/nova.cloud").status_code, 200)
        self.assertEqual(client.get(f"/noren/channel/nova.{GARDEN}").status_code, 403)

    def test_a_stranger_is_told_nothing(self):
        for path in ("/noren/session/", f"/noren/channel/nova.{KITCHEN}"):
            answer = Client().get(path)
            self.assertEqual((answer.status_code, answer.content), (401, b""))

    def test_a_page_learns_its_channels_and_noren_the_visitor(self):
        client, _ = visitor("chéf d")
        answer = client.get("/noren/session/")
        self.assertEqual(answer["Remote-User"], "ch%C3%A9f d@default")
        self.assertEqual(answer.json()["channels"]["instances"], f"nova.{KITCHEN}")
        self.assertEqual(answer.json()["channels"]["networks"], f"neutron.{KITCHEN}")

    def test_one_answer_names_the_channels_that_the_other_view_permits(self):
        for name, expected in {"cook": f"*.{KITCHEN}", "admin": f"*.{KITCHEN}, *.cloud"}.items():
            client, _ = visitor(name)
            self.assertEqual(client.get("/noren/session/")["Noren-Channels"], expected)
        # Without a project there is no channel, and the header says so.
        client, _ = visitor("nobody")
        self.assertEqual(client.get("/noren/session/")["Noren-Channels"], "")
        self.assertEqual(client.get("/noren/channel/nova.None").status_code, 403)

    def test_a_question_is_no_visit_and_sets_no_cookie(self):
        client, visits = visitor("cook")
        for headers in ({"HTTP_NOREN_QUESTION": "session"}, {"HTTP_X_LIVE_TABLES": "1"}, {}):
            answer = client.get("/noren/session/", **headers)
            self.assertEqual((answer.status_code, visits()), (200, 0))
            self.assertNotIn(settings.SESSION_COOKIE_NAME, answer.cookies)

    def test_a_look_at_a_row_is_no_visit_and_a_page_is_one(self):
        client, visits = visitor("cook")
        client.get("/project/instances/", HTTP_X_LIVE_TABLES="1")
        self.assertEqual(visits(), 0)
        client.get("/project/instances/")
        self.assertEqual(visits(), 1)

    def test_the_middleware_stands_behind_that_of_sessions_once(self):
        self.assertEqual(settings.MIDDLEWARE[1:3], [SESSIONS, apps.OWN])
        self.assertEqual(apps.with_own(settings.MIDDLEWARE), settings.MIDDLEWARE)


if __name__ == "__main__":
    unittest.main()

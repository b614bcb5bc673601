"""The plugin as Django loads it: its views join those below /api/, its middleware stands behind that of sessions."""

from django.apps import AppConfig
from django.conf import settings

SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
OWN = "noren_horizon.middleware.QuestionsAreNoVisits"


def with_own(middleware):
    """The list with the plugin's middleware right behind that of sessions; who has it there keeps the order."""
    names = list(middleware)
    if OWN not in names:
        names.insert(names.index(SESSIONS) + 1, OWN)
    return names


class NorenHorizon(AppConfig):
    name = "noren_horizon"

    def ready(self):
        # Horizon's way for plugins to have an API; a middleware it has no way for. Django reads this list when it
        # makes the application, which is after this.
        from . import api  # noqa: F401

        settings.MIDDLEWARE = with_own(settings.MIDDLEWARE)

# The settings of the dashboard of the tests: what an administrator writes into openstack_dashboard/local, and what
# differs from test to test from the environment.

import os

WEBROOT = "/"
DEBUG = False
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "only-for-tests"
OPENSTACK_KEYSTONE_URL = os.environ.get("TEST_KEYSTONE", "http://127.0.0.1:1/v3")
OPENSTACK_KEYSTONE_DEFAULT_ROLE = "member"
# Nova's API 2.1 has what the tables need; without Glance and Cinder of one's own the tests have stand-ins.
OPENSTACK_API_VERSIONS = {"identity": 3, "image": 2, "volume": 3, "compute": 2}
STATIC_ROOT = os.environ.get("TEST_STATIC", "/nonexistent")
# Whoever the dashboard runs as, it writes no static files.
COMPRESS_OFFLINE = True
SESSION_ENGINE = "django.contrib.sessions.backends." + os.environ.get("TEST_SESSIONS", "cache")
SESSION_TIMEOUT = int(os.environ.get("TEST_TIMEOUT", "3600"))
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
        "LOCATION": os.environ.get("TEST_CACHE", "/nonexistent"),
        # Beyond 300 it would throw away sessions with the rest.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
# Noren ends TLS: the dashboard has to know that its visitors came by https.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler", "level": "ERROR"}},
    "root": {"handlers": ["console"], "level": "ERROR"},
    "loggers": {"django": {"handlers": [], "propagate": True, "level": "ERROR"}},
}

if os.environ.get("TEST_NOREN"):
    import json

    NOREN = json.loads(os.environ["TEST_NOREN"])

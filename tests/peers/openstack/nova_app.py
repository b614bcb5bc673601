"""Nova's API for gunicorn. Its own entry point reads the arguments of whatever has loaded it."""

import sys

sys.argv = ["nova-api"]

from nova.wsgi.osapi_compute import application  # noqa: E402, F401

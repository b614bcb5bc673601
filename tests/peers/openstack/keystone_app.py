"""Keystone for gunicorn. Its own entry point reads the arguments of whatever has loaded it."""

import sys

sys.argv = ["keystone"]

from keystone.wsgi.api import application  # noqa: E402, F401

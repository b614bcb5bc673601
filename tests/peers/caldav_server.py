"""A calendar server: Radicale under cheroot. It believes whatever name a client gives.

    caldav_server.py DIRECTORY
"""

import logging
import sys

from cheroot.wsgi import Server
from radicale import config
from radicale.app import Application

import lifeline


def main():
    logging.disable(logging.WARNING)
    settings = config.load()
    settings.update({
        "auth": {"type": "none"},
        "storage": {"filesystem_folder": sys.argv[1]},
        "web": {"type": "none"},
    }, "the test")
    server = Server(("127.0.0.1", 0), Application(settings), numthreads=10)
    server.prepare()
    lifeline.hold_in_background("%s:%d" % server.bind_addr[:2])
    server.serve()


main()

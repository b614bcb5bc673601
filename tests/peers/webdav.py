"""A WebDAV app: wsgidav under cheroot, which keeps files in a directory and lets everybody write.

    webdav.py DIRECTORY

It believes what the door says of the scheme, as an app behind a proxy does: the `Destination` of a COPY or MOVE names it.
"""

import logging
import sys

from cheroot.wsgi import Server
from wsgidav.wsgidav_app import WsgiDAVApp

import lifeline


class BehindProxy:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        environ["wsgi.url_scheme"] = environ.get("HTTP_X_FORWARDED_PROTO", "http")
        return self.app(environ, start_response)


def main():
    logging.disable(logging.WARNING)
    app = WsgiDAVApp({
        "provider_mapping": {"/": sys.argv[1]},
        "simple_dc": {"user_mapping": {"*": True}},
        "lock_storage": True,
        "property_manager": True,
        "verbose": 0,
        "logging": {"enable": False},
    })
    server = Server(("127.0.0.1", 0), BehindProxy(app), numthreads=10)
    server.prepare()
    lifeline.hold_in_background("%s:%d" % server.bind_addr[:2])
    server.serve()


main()

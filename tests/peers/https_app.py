"""An app that speaks TLS only: cheroot with Python's OpenSSL. It says what it was asked for.

    https_app.py CERTIFICATE KEY [CLIENTS.pem]

With CLIENTS.pem it talks to nobody without a certificate that one of these has signed.
"""

import ssl
import sys

from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

import lifeline


def app(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    said = "%s %s %d %s" % (
        environ["REQUEST_METHOD"], environ["PATH_INFO"], len(body), environ.get("SSL_CLIENT_S_DN_CN", "-"),
    )
    answer = said.encode()
    if environ["PATH_INFO"].endswith("/large"):
        answer = b"x" * 3_000_000
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def main():
    certificate, key, *clients = sys.argv[1:]
    server = Server(("127.0.0.1", 0), app, numthreads=10)
    server.ssl_adapter = BuiltinSSLAdapter(certificate, key)
    for file in clients:
        server.ssl_adapter.context.load_verify_locations(file)
        server.ssl_adapter.context.verify_mode = ssl.CERT_REQUIRED
    server.prepare()
    lifeline.hold_in_background("%s:%d" % server.bind_addr[:2])
    server.serve()


main()

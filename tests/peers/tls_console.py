"""A real VNC server behind OpenSSL, as stunnel puts it there; it wants a client certificate.

    tls_console.py CERTIFICATE KEY CLIENTS.pem
"""

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import lifeline


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # Either side may leave; the next console is served all the same.


def serve(peer, context, path):
    try:
        peer = context.wrap_socket(peer, server_side=True)
    except (ssl.SSLError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return
    console = socket.socket(socket.AF_UNIX)
    console.connect(path)
    threading.Thread(target=copy, args=(peer, console), daemon=True).start()
    copy(console, peer)


def main():
    certificate, key, clients = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_REQUIRED
    directory = tempfile.TemporaryDirectory()
    path = os.path.join(directory.name, "vnc")
    server = subprocess.Popen(
        ["Xtigervnc", "-displayfd", "1", "-geometry", "64x64", "-SecurityTypes", "None",
         "-rfbunixpath", path, "-rfbport", "-1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )
    server.stdout.readline()
    limit = time.monotonic() + 30
    while not os.path.exists(path):
        if time.monotonic() > limit:
            sys.exit("Xtigervnc did not listen")
        time.sleep(0.05)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=serve, args=(peer, context, path), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()

    def stop():
        server.terminate()
        server.wait(10)
        directory.cleanup()

    lifeline.hold("127.0.0.1:%d" % listener.getsockname()[1], at_end=stop)


main()

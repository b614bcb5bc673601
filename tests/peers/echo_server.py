"""A target that gives back what it gets, and remembers how much that was.

    echo_server.py unix:/path      or     echo_server.py tcp

It reads only after its write went through, as a simple echo does. A bridge in
front of it must therefore keep reading in one direction while the other one
is full: websockify hangs here at 4 MiB.

Commands: `received` gives the number of bytes that ever arrived, `connections`
how often somebody connected.
"""

import socket
import sys
import threading

import lifeline

received = 0
connections = 0
count = threading.Lock()


def echo(peer):
    global received
    with peer:
        try:
            while data := peer.recv(65536):
                with count:
                    received += len(data)
                peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # A client may leave in the middle; the next one is served all the same.


def accept(listener):
    global connections
    while True:
        peer, _ = listener.accept()
        with count:
            connections += 1
        threading.Thread(target=echo, args=(peer,), daemon=True).start()


def main():
    where = sys.argv[1]
    if where == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        where = "127.0.0.1:%d" % listener.getsockname()[1]
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(where.removeprefix("unix:"))
        listener.listen(64)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    lifeline.hold(where, {"received": lambda _: received, "connections": lambda _: connections})


main()

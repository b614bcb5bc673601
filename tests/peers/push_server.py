"""Wok's notification server: a UNIX socket that broadcasts `<METHOD>:/<path>//EOM//` to every connection.

    push_server.py /path/of/socket

What clients send is read and counted, nothing answers it. Commands:

    clients          how many are connected
    heard TEXT       how often TEXT arrived, from all clients together
    broadcast        the whole programme below; answers with the number of messages sent

The programme sends numbered messages, so that the page can tell a lost, doubled
or torn one. TCP and UNIX streams keep no boundaries: a door sees these bytes
split at every place, and several messages in one piece.
"""

import os
import socket
import sys
import threading
import time

import lifeline

MARKER = b"//EOM//"
clients = []
heard = bytearray()
lock = threading.Lock()


def listen_to(client):
    try:
        while data := client.recv(4096):
            with lock:
                heard.extend(data)
    except OSError:
        pass
    with lock:
        clients.remove(client)


def accept(listener):
    while True:
        client, _ = listener.accept()
        with lock:
            clients.append(client)
        threading.Thread(target=listen_to, args=(client,), daemon=True).start()


def send(data):
    with lock:
        everybody = list(clients)
    for client in everybody:
        client.sendall(data)


def send_in_pieces(pieces):
    """A breath between the pieces, so that the door reads them one by one."""
    for piece in pieces:
        send(piece)
        time.sleep(0.003)


def cut(message, offset):
    return [message[:offset], message[offset:]]


class Programme:
    """One broadcast: every message carries the next number."""

    def __init__(self):
        self.number = 0

    def message(self, filling=""):
        text = f"POST:/wok/n{self.number}{filling}".encode() + MARKER
        self.number += 1
        return text

    def split_at_every_offset(self):
        for offset in range(1, len(b"POST:/wok/n0" + MARKER)):
            send_in_pieces(cut(self.message(), offset))

    def byte_by_byte(self):
        message = self.message()
        send_in_pieces([message[at:at + 1] for at in range(len(message))])

    def coalesced(self):
        """Many in one piece, then some with the last marker torn at every place."""
        send(b"".join(self.message() for _ in range(50)))
        for torn in range(1, len(MARKER) + 1):
            three = b"".join(self.message() for _ in range(3))
            send_in_pieces(cut(three, -torn))

    def nearly_markers(self):
        """Content that begins or ends like a marker, whole and torn."""
        for filling in ["?/", "?//", "?//EO", "?//EOM-", "?//EOM/-", "?EOM//x", "?//eom//", "?////EOM/"]:
            send(self.message(filling + "."))
            send_in_pieces(cut(self.message(filling + "."), -len(MARKER)))
        send(self.message("?ends with slashes//"))

    def large(self):
        """Longer than most read buffers, with a small one right behind it."""
        send(self.message("?" + "x" * 40_000) + self.message())

    def run(self):
        self.split_at_every_offset()
        self.byte_by_byte()
        self.coalesced()
        self.nearly_markers()
        self.large()
        send(b"DELETE:/wok/end" + MARKER)
        return self.number


def main():
    path = sys.argv[1]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o755)
    listener.listen(64)
    threading.Thread(target=accept, args=(listener,), daemon=True).start()
    lifeline.hold(path, {
        "clients": lambda _: len(clients),
        "heard": lambda text: bytes(heard).count(text.encode()),
        "broadcast": lambda _: Programme().run(),
    })


main()

"""A serial console as Kimchi serves it: accepts exactly one connection, then unlinks its socket.

    serial_console.py /path/of/socket

A second connection attempt, be it a probe or a retry of the door, therefore
fails, and a door that probes before it connects never shows a console at all.
The console greets, and answers each line with what a small shell would say.
"""

import os
import socket
import sys
import threading

import lifeline

accepted = 0


def converse(peer):
    """Echo every key at once; answer when the line is complete."""
    peer.sendall(b"Linux 6.1 ttyS0\r\n\r\nguest login: ")
    line = b""
    while data := peer.recv(4096):
        for byte in data:
            if byte not in b"\r\n":
                line += bytes([byte])
                peer.sendall(bytes([byte]))
                continue
            peer.sendall(b"\r\nyou typed <" + line + b">\r\n# ")
            line = b""
    peer.close()


def serve(listener, path):
    global accepted
    peer, _ = listener.accept()
    accepted += 1
    listener.close()
    os.unlink(path)
    converse(peer)


def main():
    path = sys.argv[1]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(5)
    threading.Thread(target=serve, args=(listener, path), daemon=True).start()
    lifeline.hold(path, {"accepted": lambda _: accepted})


main()

"""How a test and a peer talk: the life of a peer hangs on its standard input.

A peer prints `ready <where>` once it can be used. After that the test may write
one command a line and gets one line back: `ok <answer>` or `error <reason>`.
The peer ends when its standard input ends, so that nothing is left behind
even when a test is killed.
"""

import os
import random
import socket
import sys
import threading


def say(line):
    """Write one whole line to the test at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _obey(commands, at_end):
    for line in sys.stdin:
        name, _, argument = line.strip().partition(" ")
        try:
            answer = commands[name](argument)
            say(f"ok {'' if answer is None else answer}".rstrip())
        except Exception as error:  # The test shows the reason; the peer lives on.
            say(f"error {name}: {error!r}")
    if at_end:
        at_end()
    os._exit(0)


def hold(where, commands=None, at_end=None):
    """Say that the peer is ready, then obey until standard input ends; `at_end` ends the peer's own children."""
    say(f"ready {where}")
    _obey(commands or {}, at_end)


def hold_in_background(where, commands=None):
    """The same for a peer whose main thread is busy serving."""
    say(f"ready {where}")
    threading.Thread(target=_obey, args=(commands or {}, None), daemon=True).start()


def free_port():
    """A port for a server that opens it some time later: outside of the range from which the kernel takes the ports of
    connections, one of which could get it in between."""
    for port in random.sample(range(10_000, 20_000), 1_000):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    sys.exit("no port is free")

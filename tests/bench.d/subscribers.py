"""Subscribers of the benches of pushes, and the cost of the server that they are connected to: CPU and memory of a process
and of all that it has started.
"""

import json
import multiprocessing
import os
import pathlib
import re
import selectors
import socket
import statistics
import subprocess
import threading
import time

# A text that stands once in each message.
MARK = b"@@mark@@"


class Crowd:
    """Clients in a process of their own. They send one request each, and count what comes.

    `ahead` is how many may wait for their answer; all, unless it is said. A refused client fails the bench, or asks again
    after half a second, if `again` is true.
    """

    def __init__(self, port, count, request, ahead=None, again=False):
        self.open, self.marks, self.bytes, self.refused = (multiprocessing.Value("Q", 0, lock=False) for _ in range(4))
        self.ahead, self.again = ahead or count, again
        # Bytes of each, to see that all got the same; and all that the first one got.
        self.each = multiprocessing.Array("Q", count, lock=False)
        ours, theirs = multiprocessing.Pipe(duplex=False)
        self.first = ours
        arguments = (port, count, request, theirs)
        self.stop = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self.listen, args=arguments, daemon=True)
        self.process.start()

    def listen(self, port, count, request, first):
        self.port, self.request, self.selector = port, request, selectors.DefaultSelector()
        self.later, witness, begun = [], bytearray(), 0
        while not self.stop.is_set():
            while begun < count and begun - self.open.value < self.ahead:
                self.ask(begun)
                begun += 1
            while self.later and self.later[0][0] < time.monotonic():
                self.ask(self.later.pop(0)[1])
            for key, _ in self.selector.select(0.05):
                self.take(key, witness)
        first.send(bytes(witness))

    def ask(self, number):
        peer = socket.create_connection(("127.0.0.1", self.port))
        peer.sendall(self.request)
        peer.setblocking(False)
        self.selector.register(peer, selectors.EVENT_READ, [number, b"", False])

    def take(self, key, witness):
        """Reads what one client has got."""
        number, rest, is_open = key.data
        data = key.fileobj.recv(1 << 18)
        if not is_open:
            is_refused = not data or not (rest + data).startswith(b"HTTP/1.1 200"[: len(rest + data)])
            if self.again and is_refused:
                self.refused.value += 1
                self.later.append((time.monotonic() + 0.5, number))
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
                return
            assert data, "a client was closed before its answer"
            head, end, data = (rest + data).partition(b"\r\n\r\n")
            if not end:
                key.data[1] = head
                return
            assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101")), head
            self.open.value += 1
            key.data[1], key.data[2], rest = b"", True, b""
        else:
            assert data, "a subscriber was closed"
        self.bytes.value += len(data)
        self.each[number] += len(data)
        if number == 0:
            witness += data
        text = rest + data
        self.marks.value += text.count(MARK)
        key.data[1] = b"" if text.endswith(MARK) else text[-(len(MARK) - 1) :]

    def until(self, what, limit=120):
        """Waits for this of the crowd, and says how long it took."""
        begun = time.monotonic()
        while not what(self):
            if time.monotonic() - begun > limit or not self.process.is_alive():
                return None
            time.sleep(0.005)
        return time.monotonic() - begun

    def until_quiet(self):
        """Waits until nothing has come for a second."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 1:
            if self.bytes.value != seen:
                seen, since = self.bytes.value, time.monotonic()
            time.sleep(0.02)

    def end(self):
        """Ends the crowd; all that its first client got."""
        self.stop.set()
        witness = self.first.recv()
        self.process.join()
        return witness


def family(process):
    """A process, and all that it has started."""
    parents = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += parents.get(one, [])
    return found


def cpu(processes):
    """CPU time that they have used, in seconds."""
    ticks = 0
    for process in processes:
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(processes):
    """Their proportional set size in KiB."""
    found = [pathlib.Path(f"/proc/{process}/smaps_rollup").read_text() for process in processes]
    return sum(int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1]) for text in found)


def start_noren(program, directory, tables, listeners=1):
    """Noren with these tables, and the ports of its listeners."""
    path = pathlib.Path(directory, "noren.toml")
    path.write_text(
        "[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'http'\n[server]\nhosts = ['localhost', '127.0.0.1']\n"
        "[limits]\nconnections-per-address = 0\naddress-share = 100\nsession-share = 100\nrequest-rate = 0\n"
        "connections = 12000\n[log]\naccess = false\n" + tables
    )
    noren = subprocess.Popen(
        [program, "serve", "--config", path], stderr=subprocess.PIPE, text=True, cwd=directory,
        env={**os.environ, "HOME": directory, "XDG_STATE_HOME": directory})  # fmt: skip
    ports, lines = [], []
    for line in noren.stderr:
        lines.append(line)
        ports += re.findall(r"listening address=127\.0\.0\.1:(\d+)", line)
        if len(ports) == listeners:
            threading.Thread(target=noren.stderr.read, daemon=True).start()
            return noren, [int(port) for port in ports]
    raise SystemExit("Noren did not start:\n" + "".join(lines))


def write_result(directory, name, rounds):
    """Writes figures as the load generator does, for figures.py; `rounds` has a dictionary of sides for each round."""
    sides = {}
    for side in rounds[0]:
        sides[side] = {}
        for field in rounds[0][side]:
            values = [one[side][field] for one in rounds if field in one[side]]
            sides[side][field] = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    result = {"label": name, "rounds": len(rounds), "sides": sides}
    for peer in sides:
        result[f"ratio_to_{peer}"] = {
            side: {
                field: {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
                for field in sides[side]
                if (ratios := [one[side][field] / one[peer][field] for one in rounds if field in one[side] and one[peer].get(field)])
            }
            for side in sides
            if side != peer
        }
    pathlib.Path(directory, f"{name}.json").write_text(json.dumps(result, indent=1))

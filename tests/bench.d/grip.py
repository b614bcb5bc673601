"""GRIP beside Debian's Pushpin on the same work: CPU of deliveries, memory of subscribers, and clients that come back.

    grip.py NOREN RESULTS [ROUNDS [SCALE]]

First an app that holds 1,000 streams: memory of each, then messages at ten a second, then as fast as they are taken. Then
the example in Django with `django-eventstream`: 2,000 clients drop at once and come back for the message that they have
missed; who is refused asks again half a second later. All without TLS, in turns, on the same cores. Pushpin's figure is
that of all its processes, with zurl. SCALE (1) makes the work smaller, to see that all works. The figures are written into
RESULTS; a side whose clients do not all come back within two minutes has none for them.

Needs Debian's pushpin and zurl, and the Python of `tests/run python` for Django.
"""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

from subscribers import MARK, Crowd, cpu, family, memory, start_noren, write_result

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PYTHON = ROOT / "tests/.cache/venv/bin/python"
KEY = "6b6579206f6620746865206170702c206f66207468697274792d74776f206279"
CLIENTS, BACK, SLOW, FAST = 1000, 2000, 100, 500
# How many clients wait for the app at once before the measured part: Pushpin answers 502 to some of a thousand.
AHEAD = 16
# Seconds until clients that come back are given up.
LONGEST = 120
GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%b\r\n"
CPU, BURST, MEMORY = "server_cpu_s_per_million_deliveries", "server_cpu_s_per_million_at_once", "pss_kib_per_subscriber"
RETURN, ASKED, REFUSED, APP, LOST = "all_back_s", "requests_to_the_app", "refused", "app_cpu_s", "lost"


class Holder(http.server.BaseHTTPRequestHandler):
    """An app that holds every request as a stream."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        for name, value in {"Content-Type": "text/plain", "Grip-Hold": "stream", "Grip-Channel": "news"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024


class Peer:
    """A script of tests/peers, which lives until its standard input ends."""

    def __init__(self, python, script, *arguments):
        command = [python, ROOT / "tests/peers" / script, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("ready "), line
        self.address = line.split()[1:]

    def end(self):
        self.process.stdin.close()
        # A crowd that was given up has its standard input, too.
        for crowd in multiprocessing.active_children():
            crowd.kill()
        self.process.wait(20)


class Noren:
    """Noren in front of an app."""

    def __init__(self, program, app):
        self.directory = tempfile.TemporaryDirectory()
        key = pathlib.Path(self.directory.name, "grip.key")
        key.write_text(KEY)
        key.chmod(0o600)
        self.process, ports = start_noren(
            program, self.directory.name,
            f"[hub]\nconnect-rate = 100000\nsubscribers = 12000\n[[listener]]\naddress = '127.0.0.1:0'\nprotocol = 'grip'\n"
            f"[[app]]\nname = 'app'\nurl = 'http://{app}'\nworkers = 16\nqueue = 4000\n[app.grip]\nkeys = ['{key}']\n"
            "resume = '1m'\n", 2)  # fmt: skip
        self.clients, self.publish = ports
        self.processes = family(self.process.pid)

    def end(self):
        self.process.terminate()
        self.process.wait(20)
        self.directory.cleanup()


class Pushpin:
    """Debian's Pushpin with its zurl in front of an app."""

    def __init__(self, app):
        self.peer = Peer(sys.executable, "pushpin.py", app, KEY)
        self.clients, self.publish = (int(address.rpartition(":")[2]) for address in self.peer.address)
        # Without the Python that holds them.
        self.processes = family(self.peer.process.pid)[1:]

    def end(self):
        self.peer.end()


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token():
    claims = json.dumps({"iss": "app", "exp": int(time.time()) + 3600}).encode()
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(claims)
    key = base64.b64decode(KEY)
    return (signed + b"." + part(hmac.new(key, signed, hashlib.sha256).digest())).decode()


def publish(port, count, rate):
    """Publishes so many messages, at a rate or one after another."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Authorization": f"Bearer {token()}", "Content-Type": "application/json"}
    begun = time.monotonic()
    for number in range(count):
        ahead = number / rate - (time.monotonic() - begun) if rate else 0
        time.sleep(max(ahead, 0))
        text = f"{number:06} {MARK.decode()} {'x' * 100}\n"
        body = json.dumps({"items": [{"channel": "news", "http-stream": {"content": text}}]})
        connection.request("POST", "/publish/", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200, (answer.status, answer.read())
        answer.read()


def deliveries(server, crowd, count, rate):
    """CPU for a million deliveries, and how many did not come."""
    before, marks = cpu(server.processes), crowd.marks.value
    publish(server.publish, count, rate)
    wanted = count * len(crowd.each)
    crowd.until(lambda crowd: crowd.marks.value - marks >= wanted, 20)
    crowd.until_quiet()
    got = crowd.marks.value - marks
    return (cpu(server.processes) - before) / got * 1e6, wanted - got


def held(server, scale):
    """The figures of held streams."""
    # What is allocated for the first clients is not theirs.
    few = Crowd(server.clients, 10, GET % (b"/stream", b""))
    few.until(lambda crowd: crowd.open.value == 10)
    before = memory(server.processes)
    count = CLIENTS // scale
    crowd = Crowd(server.clients, count, GET % (b"/stream", b""), ahead=AHEAD)
    assert crowd.until(lambda crowd: crowd.open.value == count) is not None, "not all are held"
    crowd.until_quiet()
    each = (memory(server.processes) - before) / count
    slow, lost = deliveries(server, crowd, SLOW // scale, 10)
    fast, lost_too = deliveries(server, crowd, FAST // scale, 0)
    few.end()
    crowd.end()
    return {MEMORY: each, CPU: slow, BURST: fast, LOST: lost + lost_too}


def get(address, path):
    connection = http.client.HTTPConnection(address, timeout=LONGEST)
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def back(server, app, scale):
    """The figures of clients that drop and come back."""
    count, address = BACK // scale, app.address[0]
    crowd = Crowd(server.clients, count, GET % (b"/updates/", b""), ahead=AHEAD, again=True)
    assert crowd.until(lambda crowd: crowd.open.value == count) is not None, "not all are held"
    get(address, f"/send/?text={MARK.decode()}")
    assert crowd.until(lambda crowd: crowd.marks.value == count) is not None, "not all have the first message"
    crowd.end()
    get(address, f"/send/?text={MARK.decode()}")
    asked = get(address, "/requests/").count("GET /updates/")
    processes = family(app.process.pid)
    used, server_used = cpu(processes), cpu(server.processes)
    crowd = Crowd(server.clients, count, GET % (b"/updates/", b"Last-Event-ID: time:1\r\n"), again=True)
    took = crowd.until(lambda crowd: crowd.marks.value >= count, LONGEST)
    assert took is not None, f"{crowd.marks.value} of {count} got what they had missed"
    crowd.until_quiet()
    used, server_used = cpu(processes) - used, cpu(server.processes) - server_used
    assert crowd.marks.value == count, "a message came twice"
    refused = crowd.refused.value
    crowd.end()
    asked = get(address, "/requests/").count("GET /updates/") - asked
    return {RETURN: took, ASKED: asked, REFUSED: refused, APP: used, "server_cpu_s": server_used}


def measure(start, scale):
    """One server with both apps, one after the other."""
    holder = Server(("127.0.0.1", 0), Holder)
    threading.Thread(target=holder.serve_forever, daemon=True).start()
    server = start(f"127.0.0.1:{holder.server_port}")
    try:
        figures = held(server, scale)
    finally:
        server.end()
        holder.shutdown()
    port = free_port()
    server = start(f"127.0.0.1:{port}")
    example = ROOT / "examples/grip/django_app.py"
    app = Peer(PYTHON, "grip_app.py", example, f"127.0.0.1:{server.publish}", KEY, str(port))
    try:
        return {**figures, **back(server, app, scale)}
    except (AssertionError, OSError) as error:
        print(f"{type(server).__name__}, clients that come back: {error or type(error).__name__}", file=sys.stderr)
        return figures
    finally:
        app.end()
        server.end()


def free_port():
    sys.path.append(str(ROOT / "tests/peers"))
    import lifeline

    return lifeline.free_port()


def main():
    program, results = str(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2]
    count, scale = (int(word) for word in [*sys.argv[3:5], *["1", "1"][len(sys.argv[3:5]):]])
    sides = {"noren": lambda app: Noren(program, app), "pushpin": Pushpin}
    rounds = [{side: measure(start, scale) for side, start in sides.items()} for _ in range(count)]
    write_result(results, "grip", rounds)
    print("| round | side | " + " | ".join(rounds[0]["noren"]) + " |\n|---|---|" + "---|" * len(rounds[0]["noren"]))
    for number, one in enumerate(rounds):
        for side, figures in one.items():
            cells = (f"{figures[name]:.2f}" if name in figures else "-" for name in rounds[0]["noren"])
            print(f"| {number + 1} | {side} | " + " | ".join(cells) + " |")
    sys.exit(any(one["noren"][LOST] for one in rounds))


if __name__ == "__main__":
    main()

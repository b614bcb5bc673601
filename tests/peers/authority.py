"""An authority for certificates (ACME), Let's Encrypt's own pebble: authority.py DIRECTORY HTTP-PORT TLS-PORT [SECONDS [KEY-ID KEY]] [windows|hasty]

DIRECTORY has pebble.pem and pebble.key for its own listeners. Every name leads to 127.0.0.1, where it looks at the two
ports in the place of 80 and 443. SECONDS is how long its certificates are good; with KEY-ID and KEY it knows only
accounts that show them. `root` writes root.pem, its own certificate; `issued` is how many certificates it has given.

pebble does not know RFC 9773. With `windows` its directory comes from here with a place where clients are told to renew
at once; `windows` is how often one has asked.

pebble may have looked at a challenge before it has answered that it will, and then says in that answer what it has not
seen. With `hasty` all goes through here, and that answer waits until it is so.
"""

import http.client
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import lifeline

front = sys.argv.pop() if sys.argv[-1] in ("windows", "hasty") else None
directory, http_port, tls_port = sys.argv[1:4]
seconds = int(sys.argv[4]) if len(sys.argv) > 4 else 7776000
external = dict([sys.argv[5:7]]) if len(sys.argv) > 5 else {}


def get(port, path):
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(f"https://127.0.0.1:{port}{path}", context=context) as answer:
        return answer.read()


names, names_management = lifeline.free_port(), lifeline.free_port()
port, management = lifeline.free_port(), lifeline.free_port()
config = os.path.join(directory, "pebble.json")
with open(config, "w") as file:
    own = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": os.path.join(directory, "pebble.pem"),
        "privateKey": os.path.join(directory, "pebble.key"),
        "httpPort": int(http_port),
        "tlsPort": int(tls_port),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": bool(external),
        "externalAccountMACKeys": external,
        "certificateValidityPeriod": seconds,
    }
    json.dump({"pebble": own}, file)
log = os.path.join(directory, "pebble.log")
resolver = [
    "pebble-challtestsrv", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "",
    "-dns01", f"127.0.0.1:{names}", "-management", f"127.0.0.1:{names_management}",
]
authority = ["pebble", "-config", config, "-dnsserver", f"127.0.0.1:{names}"]
children = []
with open(log, "w") as output:
    # Of its own accord it turns one request in twenty away, for clients to show that they ask again. They do so twice,
    # and of all the requests of the tests one has no luck three times, once in some hundred runs.
    environment = dict(os.environ, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0")
    for command in [resolver, authority]:
        children.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment))


def ready():
    end = time.monotonic() + 50
    while True:
        try:
            return get(port, "/dir")
        except OSError:
            ended = any(child.poll() is not None for child in children)
            if ended or time.monotonic() > end:
                sys.exit(f"no authority:\n{open(log).read()}")
            time.sleep(0.05)


class Front(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Windows(Front):
    asked = 0

    def do_GET(self):
        if self.path == "/dir":
            answer = json.loads(get(port, "/dir"))
            answer["renewalInfo"] = f"https://{self.headers['Host']}/window"
        else:
            Windows.asked += 1
            past = {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}
            answer = {"suggestedWindow": past, "explanationURL": "https://authority.test/why"}
        self.answer(200, {"Retry-After": "21600"}, json.dumps(answer).encode())


class Hasty(Front):
    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pebble = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context())
        # With the Host that it was asked for, of which pebble makes its URLs.
        pebble.request(self.command, self.path, body, dict(self.headers))
        answer = pebble.getresponse()
        body = answer.read()
        pebble.close()
        if self.path.startswith("/chalZ/") and answer.status == 200:
            body = self.looked(json.loads(body))
        kept = ("Replay-Nonce", "Location", "Link", "Content-Type", "Retry-After")
        self.answer(answer.status, {name: answer.headers[name] for name in kept if name in answer.headers}, body)

    do_GET = do_HEAD = do_POST = pass_on

    def looked(self, challenge):
        while "set INVALID by completed challenge" not in open(log).read():
            time.sleep(0.05)
        error = {"type": "urn:ietf:params:acme:error:connection", "detail": "connection refused", "status": 400}
        return json.dumps({**challenge, "status": "invalid", "error": error}).encode()


def serve(handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own["certificate"], own["privateKey"])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def root(_):
    with open(os.path.join(directory, "root.pem"), "wb") as file:
        file.write(get(management, "/roots/0"))


def issued(_):
    return open(log).read().count("Issued certificate serial")


def end():
    for child in children:
        child.kill()
        child.wait()


ready()
place = serve({"windows": Windows, "hasty": Hasty}[front]) if front else port
commands = {"root": root, "issued": issued, "windows": lambda _: Windows.asked}
lifeline.hold(f"https://localhost:{place}/dir", commands, end)

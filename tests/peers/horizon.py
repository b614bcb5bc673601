"""A dashboard as OpenStack's Horizon is one: blocking, with a session in a cookie and a table of instances.

    horizon.py PORT_OF_RABBITMQ --static /prefix=/directory ...

/auth/login/?project=ID logs in; /api/noren/session/ says whether somebody is; and /api/noren/channel/CHANNEL says
whether the project of the session is the channel's. What it answers is held to tests/peers/answers.txt, the answers of
the real one. /project/instances/ is the table, whose
rows it gives one by one to a page that asks with ?action=row_update, as Horizon does. /test/change/ plays Nova: it
changes an instance, and notifies with oslo.messaging's own notifier.
"""

import argparse
import html
import http.cookies
import http.server
import json
import mimetypes
import os
import threading
import urllib.parse

import answers
import lifeline
from rabbit import notify

PROJECTS = {"0f1e2d3c": "kitchen", "aaaabbbb": "garden"}
instances = {}
asked = []
lock = threading.Lock()

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Instances - OpenStack Dashboard</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/pages/horizon.css">
<script src="/events/-/noren.js" defer></script><script src="/lib/sockjs.min.js" defer></script>
<script src="/pages/horizon.js" defer></script></head>
<body data-project="{project}"><header><b>openstack.</b> <span>{name}</span></header>
<main><h1>Instances</h1><p id="state" role="status">connecting</p>
<table id="instances"><thead><tr><th>Instance Name<th>ID<th>Status</thead><tbody>{rows}</tbody></table>
</main></body></html>"""


def row(key):
    _, name, status = instances[key]
    name, key, status = (html.escape(text) for text in (name, key, status))
    update = f"?action=row_update&amp;table=instances&amp;obj_id={key}"
    return (f'<tr id="instances__row__{key}" data-object-id="{key}" data-update-url="/project/instances/{update}" '
            f'data-status="{status}">'
            f"<td>{name}<td>{key}<td>{status}</tr>")


class Dashboard(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body="", kind="text/html; charset=utf-8", **headers):
        body = body if isinstance(body, bytes) else body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def project(self):
        cookies = http.cookies.SimpleCookie(self.headers.get("Cookie", ""))
        session = cookies.get("sessionid")
        return session.value if session and session.value in PROJECTS else None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        query = dict(urllib.parse.parse_qsl(query))
        if path == "/auth/login/":
            cookie = f"sessionid={query['project']}; Path=/; HttpOnly; Secure"
            return self.answer(302, Location="/project/instances/?" + query.get("next", ""), Set_Cookie=cookie)
        for prefix, directory in files.items():
            if path.startswith(prefix + "/"):
                return self.file(os.path.join(directory, os.path.basename(path)))
        project = self.project()
        if project is None:
            if path.startswith("/api/noren/"):
                return self.answer(401)
            return self.answer(302, Location=f"/auth/login/?next={path}")
        if path.startswith("/api/noren/"):
            with lock:
                asked.append(path)
        if path == "/api/noren/session/":
            return self.answer(200, "{}", "application/json", Noren_Channels=f"*.{project}")
        if path.startswith("/api/noren/channel/"):
            return self.answer(200 if path.endswith(f".{project}") else 403)
        if path == "/test/change/":
            return self.change(query)
        if path == "/project/instances/":
            with lock:
                own = {key: one for key, one in sorted(instances.items()) if one[0] == project}
                if query.get("action") == "row_update":
                    key = query["obj_id"]
                    return self.answer(200, row(key)) if key in own else self.answer(404)
                rows = "".join(map(row, own))
            return self.answer(200, PAGE.format(project=project, name=PROJECTS[project], rows=rows))
        return self.answer(404)

    def change(self, query):
        with lock:
            instances[query["id"]] = (query["project"], query["name"], query["status"])
        payload = {"instance_id": query["id"], "display_name": query["name"], "state": query["status"],
                   "tenant_id": query["project"]}
        notify(f"nova compute.instance.update {json.dumps({'project': query['project'], 'payload': payload})}")
        self.answer(200)

    def file(self, path):
        with open(path, "rb") as source:
            self.answer(200, source.read(), mimetypes.guess_type(path)[0] or "application/octet-stream")


parser = argparse.ArgumentParser()
parser.add_argument("port")
parser.add_argument("--static", action="append", default=[])
arguments = parser.parse_args()
files = dict(pair.split("=", 1) for pair in arguments.static)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)


def recorded(_):
    """Its answers to the requests that the real one was asked as well."""
    own, *_ = PROJECTS
    instances["recorded"] = (own, "recorded", "BUILD")
    try:
        return answers.ask(server.server_port, f"sessionid={own}", own, "recorded")
    finally:
        del instances["recorded"]


commands = {"asked": lambda _: len(asked), "answers": recorded}
lifeline.hold_in_background(f"127.0.0.1:{server.server_port}", commands)
server.serve_forever()

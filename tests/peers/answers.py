"""Requests that a dashboard is asked, the real one and its stand-in alike, and what of the answers counts.

tests/peers/answers.txt has the answers of the real one; both are held to it.
"""

import http.client
import http.cookies
import json
import re
import urllib.parse

# Noren stands before it: the visitor came by https.
SECURE = {"X-Forwarded-Proto": "https", "Host": "localhost"}


def request(port, method, path, cookie="", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=50)
    try:
        connection.request(method, path, body, {**SECURE, "Cookie": cookie, **headers})
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def cookies(answer, known=""):
    jar = http.cookies.SimpleCookie(known)
    for line in answer.headers.get_all("Set-Cookie") or []:
        jar.load(line)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())


def form_login(port, user):
    """Logs in by the form of the real one; gives the value of the header Cookie."""
    answer, text = request(port, "GET", "/auth/login/")
    jar = cookies(answer)
    token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', text).group(1)
    form = {"csrfmiddlewaretoken": token, "username": user, "password": "secret", "region": "default"}
    answer, text = request(
        port, "POST", "/auth/login/", jar, urllib.parse.urlencode(form), Referer="https://localhost/auth/login/",
        **{"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 302, text
    return cookies(answer, jar)


def ask(port, cookie, project, server):
    """Answers, in one line of JSON, without what differs from one run to the next."""
    update = "/project/instances/?action=row_update&table=instances&obj_id="
    told = []
    for who, path, headers in [
        ("stranger", "/api/noren/session/", {}),
        ("stranger", f"/api/noren/channel/nova.{project}", {}),
        ("stranger", "/project/instances/", {}),
        ("member", "/api/noren/session/", {}),
        ("member", f"/api/noren/channel/nova.{project}", {}),
        ("member", "/api/noren/channel/nova.other", {}),
        ("member", "/api/noren/channel/nova.cloud", {}),
        ("member", "/project/instances/", {}),
        ("member", update + server, {"X-Requested-With": "XMLHttpRequest"}),
        ("member", update + "00000000-0000-0000-0000-000000000000", {"X-Requested-With": "XMLHttpRequest"}),
    ]:
        answer, text = request(port, "GET", path, cookie if who == "member" else "", **headers)
        row = re.search("<tr[^>]*__row__[^>]*>", text)
        said = [who, path, answer.status]
        if answer.status == 200:
            said.append(answer.headers.get_content_type())
        if "Noren-Channels" in answer.headers:
            said.append(answer.headers["Noren-Channels"])
        if "Location" in answer.headers:
            said.append(urllib.parse.urlsplit(answer.headers["Location"]).path)
        if row:
            said += sorted(re.findall(r'\b(id|data-object-id|data-update-url)="([^"]*)"', row.group()))
        told.append(said)
    return json.dumps(told).replace(server, "SERVER").replace(project, "PROJECT")

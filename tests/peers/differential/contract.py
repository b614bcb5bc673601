"""What all Python apps of the differential tests share: the pages of README.md, and the answer. How a request is read is
left to each app, since that is what is compared."""

import base64
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
import lifeline  # noqa: E402,F401  (for the apps)

PAGES = {"admin": "GUARDED", "login": "login", "basic": "basic", "session": "session", "logout": "logout", "receive": "receive"}
_logged_out = set()
_lock = threading.Lock()


def page_of(segments):
    """The page of a path that was divided at its slashes."""
    if segments[:1] == ["wok"] and segments[1:2] in (["admin"], ["login"]):
        segments = segments[1:]
    return PAGES.get(segments[0] if segments else "", "other")


def basic(authorization):
    """`name:password` as most Basic parsers read it: any white space separates, any letter case will do."""
    scheme, *rest = (authorization or "").split(None, 1)  or [""]
    if scheme.lower() != "basic" or not rest:
        return None
    try:
        return base64.b64decode(rest[0].strip()).decode("utf-8", "replace")
    except ValueError:
        return None


def answer(page, seen):
    """The status and the body for a page and what was read."""
    session, user, authorization = seen.get("session"), seen.get("user"), seen.get("authorization") or ""
    scheme, _, token = authorization.partition(" ")
    with _lock:
        if page == "logout" and session:
            _logged_out.add(session)
        known = bool(session) and session.startswith("good") and session not in _logged_out
    known = known or (user or "").partition(":")[2].startswith("good")
    known = known or (scheme.lower() == "bearer" and token.strip().startswith("good"))
    status = 200
    if page in ("login", "basic") or (page == "session" and not known):
        status = 401
    body = json.dumps({"page": page, **seen}, default=str).encode("utf-8", "replace")
    return status, body


def headers_of(environ):
    """What of a WSGI environment was a header line, or could be taken for one."""
    keys = ("HTTP_", "REMOTE_USER", "CONTENT_")
    return {key: value for key, value in environ.items() if key.startswith(keys)}

#!/usr/bin/env python3
"""Publishes one message: publish.py https://HOST/events/CHANNEL TEXT

The token comes from the environment, NOREN_TOKEN. The message is sent again while the server is away or has no room; the
id makes that harmless.
"""

import http.client
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

TRIES = 10


def publish(url: str, token: str, text: str) -> None:
    """Returns when the message was taken, and raises urllib.error.HTTPError when the server refuses it."""
    request = urllib.request.Request(
        url,
        data=text.encode(),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "text/plain; charset=utf-8",
            "Idempotency-Key": f'"{uuid.uuid4()}"',
        },
    )
    for tries_left in reversed(range(TRIES)):
        wait = 1.0
        try:
            with urllib.request.urlopen(request, timeout=30):
                return
        except urllib.error.HTTPError as refusal:
            if refusal.code not in (429, 503) or tries_left == 0:
                raise
            wait = float(refusal.headers.get("Retry-After", wait))
        except (OSError, http.client.HTTPException):
            # Nothing is known of the message: it may have been taken.
            if tries_left == 0:
                raise
        time.sleep(wait)


if __name__ == "__main__":
    if len(sys.argv) != 3 or "NOREN_TOKEN" not in os.environ:
        sys.exit(__doc__)
    try:
        publish(sys.argv[1], os.environ["NOREN_TOKEN"], sys.argv[2])
    except urllib.error.HTTPError as refusal:
        sys.exit(f"{refusal.code}: {refusal.read().decode(errors='replace')}")
    except (OSError, http.client.HTTPException) as fault:
        sys.exit(f"cannot reach {sys.argv[1]}: {fault}")

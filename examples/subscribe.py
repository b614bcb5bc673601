#!/usr/bin/env python3
"""Prints the messages of a channel as "event data": subscribe.py https://HOST/events/CHANNEL [FROM]

FROM is the id of the last message seen, or "earliest"; without it, what comes from now on. It ends when the server says no
(a status of 4xx but 429), and comes back in every other case.
"""

import http.client
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

# An idle stream has a comment every 15 seconds; a silence of three times that is a dead connection.
SILENCE = 45


class Event(NamedTuple):
    id: str
    name: str
    data: str


def events(url: str, last: str = "") -> Iterator[Event]:
    """All events of a channel after the one with this id, over as many connections as it takes."""
    retry = 2.0
    while True:
        request = urllib.request.Request(
            url, headers={"Accept": "text/event-stream", "Last-Event-ID": last}
        )
        try:
            with urllib.request.urlopen(request, timeout=SILENCE) as stream:
                name, data = "message", []
                for line in stream:
                    field, _, value = line.decode().rstrip("\r\n").partition(":")
                    value = value.removeprefix(" ")
                    if field == "id":
                        last = value
                    elif field == "event":
                        name = value
                    elif field == "data":
                        data.append(value)
                    elif field == "retry":
                        retry = int(value) / 1000
                    elif not field and not value:
                        if data:
                            yield Event(last, name, "\n".join(data))
                        name, data = "message", []
        except urllib.error.HTTPError as refusal:
            if 400 <= refusal.code < 500 and refusal.code != 429:
                raise
            retry = float(refusal.headers.get("Retry-After", retry))
        except (OSError, http.client.HTTPException):
            # The connection is lost; the next one goes on where this one ended.
            pass
        # Not all clients at once, if the server was away.
        time.sleep(retry * random.uniform(0.5, 1.0))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    try:
        for event in events(*sys.argv[1:]):
            if event.name == "reset":
                print("(messages are missing here)", file=sys.stderr)
            else:
                print(event.name, event.data, flush=True)
    except urllib.error.HTTPError as refusal:
        sys.exit(f"{refusal.code}: {refusal.read().decode(errors='replace')}")
    except KeyboardInterrupt:
        pass

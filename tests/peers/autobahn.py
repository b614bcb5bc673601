"""The cases of the Autobahn test suite against a WebSocket server that sends each message back.

    autobahn.py URL MESSAGES GROUP...

kosoku runs the suite's own cases, whose program needs Python 2. Each case of compression sends MESSAGES messages, 1,000 in
the original. Prints how many cases there were and how each kind ended; fails if one did not pass.
"""

import asyncio
import collections
import importlib
import sys

import kosoku
from kosoku import _caseindex


def in_bytes(on_message):
    """kosoku gives a case a character for each byte of a message that was not compressed, where the original gives bytes."""
    return lambda case, message, binary: on_message(
        case, message.encode("latin-1") if isinstance(message, str) else message, binary
    )


def shorten(messages):
    """Lets the cases of groups 12 and 13 send so many messages."""
    _caseindex.initialize_shims()
    cases = importlib.import_module("case12_x_x")
    for case in [*cases.Case12_X_X, *cases.Case13_X_X]:
        case.COUNT = messages
        case.onMessage = in_bytes(case.onMessage)


async def main():
    url, messages, *groups = sys.argv[1:]
    shorten(int(messages))
    try:
        results = await kosoku.run_fuzzingclient(url, [f"{group}.*" for group in groups])
    except kosoku.FailureError as failure:
        results = failure.results
    bad = [result for result in results if not result.passed]
    for result in bad[:20]:
        ended = f"{result.behavior.value}, {result.behavior_close.value}"
        print(f"{result.case_id}: {ended}: {result.result} {result.result_close}", file=sys.stderr)
    ends = collections.Counter(result.behavior.value for result in results)
    print(f"cases={len(results)} " + " ".join(f"{name}={count}" for name, count in sorted(ends.items())))
    sys.exit(bool(bad))


asyncio.run(main())

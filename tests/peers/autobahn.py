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


async def outcomes(url, patterns):
    """The results of the cases that these patterns are true of."""
    try:
        return await kosoku.run_fuzzingclient(url, patterns)
    except kosoku.FailureError as failure:
        return failure.results


async def main():
    url, messages, *groups = sys.argv[1:]
    shorten(int(messages))
    results = await outcomes(url, [f"{group}.*" for group in groups])
    late = [result.case_id for result in results if not result.passed]
    if late:
        # A case has limits of a second or two, which a busy machine passes; what is wrong is so again.
        print("again:", *late, file=sys.stderr)
        results = [result for result in results if result.passed] + list(await outcomes(url, late))
    bad = [result for result in results if not result.passed]
    for result in bad[:20]:
        ended = f"{result.behavior.value}, {result.behavior_close.value}"
        print(f"{result.case_id}: {ended}: {result.result} {result.result_close}", file=sys.stderr)
    ends = collections.Counter(result.behavior.value for result in results)
    print(f"cases={len(results)} " + " ".join(f"{name}={count}" for name, count in sorted(ends.items())))
    sys.exit(bool(bad))


asyncio.run(main())

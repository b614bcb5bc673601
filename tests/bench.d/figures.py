#!/usr/bin/env python3
"""The figures of the documents: one file, figures.json, and the tables that are written from it.

    figures.py take DIRECTORY   takes the figures of a run of tests/bench into the file; what it has not measured stays
    figures.py write            puts the figures of the file into README.md, src/guide/figures.md and capacity.md
    figures.py check            fails where one of them says another number

A row of a table is found by its first cell; rows of one text follow each other in the order below.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FILE = pathlib.Path(__file__).resolve().with_name("figures.json")
CPU, GIB, DELIVERY = "server_cpu_s_per_100k_requests", "server_cpu_s_per_gib", "server_cpu_s_per_million_deliveries"


class Comparison:
    """A row of two sides. Figures are multiplied by `scale` to be in `unit`, and shown with so many decimals."""

    def __init__(self, text, key, peer, label, field, unit, decimals, aim=None, scale=1, side="noren", ratio=2, value=None):
        self.text, self.key, self.peer, self.label, self.field = text, key, peer, label, field
        self.unit, self.decimals, self.aim, self.scale, self.side = unit, decimals, aim, scale, side
        # Decimals of the ratio, and the aim of a row that is judged by its own figure.
        self.ratio, self.value = ratio, value

    @property
    def name(self):
        return f"{self.key}: {self.field}, {self.side} and {self.peer}"

    def taken(self, results):
        """The figures of a run, as `gauge ab` writes them; None if this was not measured."""
        file = results / f"{self.key}.json"
        result = json.loads(file.read_text()) if file.exists() and file.stat().st_size else {}
        ours, theirs = (result.get("sides", {}).get(side, {}).get(self.field) for side in (self.side, self.peer))
        if not ours or not theirs:
            return None
        ratio = result.get(f"ratio_to_{self.peer}", {}).get(self.side, {}).get(self.field)
        turned = result.get(f"ratio_to_{self.side}", {}).get(self.peer, {}).get(self.field)
        if not ratio and turned:
            ratio = {"median": 1 / turned["median"], "min": 1 / turned["max"], "max": 1 / turned["min"]}
        figures = {"ours": round(ours["median"] * self.scale, 4), "theirs": round(theirs["median"] * self.scale, 4)}
        if ratio:
            figures["ratio"] = [round(ratio[name], 4) for name in ("median", "min", "max")]
        return figures

    def figure(self, number):
        decimals = 0 if number >= 1000 else self.decimals
        return f"{number:,.{decimals}f} {self.unit}"

    def cells(self, figures, columns):
        """The cells after the first, of a table with these columns."""
        median, *span = figures.get("ratio", [figures["ours"] / figures["theirs"]])
        ratio = f"{median:.{self.ratio}f}"
        if span and self.ratio == 2:
            ratio += f" ({span[0]:.2f}–{span[1]:.2f})"
        judged = figures["ours"] / self.value if self.value else median / (self.aim or median or 1)
        aim = f"{self.value} {self.unit}" if self.value else "" if self.aim is None else f"{self.aim}"
        if "nchan" in columns:
            aim = aim if self.value else "nchan's"
            judged = judged if self.value else figures["ours"] / figures["theirs"]
        aim += ": not reached" if judged > 1.005 else ""
        theirs = f"{self.label} {self.figure(figures['theirs'])}".strip()
        every = {"Noren": self.figure(figures["ours"]), "peer": theirs, "nchan": theirs, "ratio": ratio, "aim": aim}
        return [every[column] for column in columns]


def requests(text, key, peer, label, aim=1):
    return Comparison(text, key, peer, label, CPU, "s", 2, aim)


HTTP1, HTTP2 = "100,000 requests of 1 KiB, HTTP/1.1", "100,000 requests of 1 KiB, HTTP/2"
KEPT, WOK = "nginx with upstream keep-alive", "the same beside Wok's own nginx settings"
HANDSHAKE = Comparison("full handshake, ECDSA P-256", "handshake-ecdsa", "nginx", "nginx", CPU, "µs", 0, 1, 10)
DOWN = Comparison("bridge, 1 GiB down", "bridge-down", "websockify", "websockify", GIB, "s", 2, 0.5)
IDLE = Comparison(
    "memory of an idle bridged connection, of 5,000", "idle", "websockify", "websockify, of 200:", "pss_kib_per_connection",
    "KiB", 1, ratio=3, value=24,
)  # fmt: skip
TUNNELS = [
    requests(HTTP1, "http", "nginx", KEPT),
    requests("the same beside haproxy", "http", "haproxy", "haproxy"),
    requests(WOK, "http", "nginx-plain", "nginx", None),
    requests(HTTP2, "h2", "haproxy", "haproxy"),
    requests("the same beside nginx", "h2", "nginx", KEPT),
    requests(WOK, "h2", "nginx-plain", "nginx", None),
    HANDSHAKE,
    Comparison("full handshake, RSA 2048", "handshake-rsa", "nginx", "nginx", CPU, "µs", 0, 1, 10),
    DOWN,
    Comparison("bridge, 1 GiB up", "bridge-up", "websockify", "websockify", GIB, "s", 2, 0.25),
    Comparison("bridge, 64 bytes there and back", "bridge-rtt", "websockify", "websockify", "rtt_p50_ms", "µs", 0, 1, 1000),
    Comparison("`base64`, 1 GiB down", "base64-down", "binary", "our `binary`", GIB, "s", 2, 1.5, side="base64"),
    Comparison("`base64`, 1 GiB up", "base64-up", "binary", "our `binary`", GIB, "s", 2, 1.4, side="base64"),
    IDLE,
]


def hub(text, key, field, unit, decimals, scale=1, value=None):
    return Comparison(text, key, "nchan", "", field, unit, decimals, scale=scale, value=value)


def fanout(count, kind, load):
    """CPU of a delivery, and the time until the last subscriber has a message."""
    names = {"few": "1,000", "many": "5,000", "ws": "WebSockets", "sse": "event streams"}
    loads = {"rate": "10 messages/s", "full": "as fast as it goes"}
    text, key = f"{names[count]} {names[kind]}, {loads[load]}", f"fanout-{count}-{load}-{kind}"
    return [
        hub(f"{text}: CPU for a million deliveries", key, DELIVERY, "s", 1),
        hub("the same: until the last has it, 99th percentile", key, "complete_p99_ms", "ms", 0),
    ]


MEMORY = [
    hub(f"memory of an idle subscriber, of 5,000, {text}", f"subscribers-{kind}", "pss_kib_per_subscriber", "KiB", 1, 1, 24)
    for kind, text in (("ws", "WebSocket"), ("sse", "event stream"))
]
CHANNELS = [
    *fanout("few", "ws", "rate"), *fanout("few", "ws", "full"), *fanout("many", "ws", "rate"), *fanout("many", "ws", "full"),
    *fanout("few", "sse", "rate"), *fanout("many", "sse", "rate"), *fanout("many", "sse", "full"),
    *MEMORY,
    hub("1,000 WebSockets at once, until all have subscribed", "storm-ws", "all_subscribed_s", "ms", 0, 1000),
    hub("1,000 event streams at once, until all have subscribed", "storm-sse", "all_subscribed_s", "ms", 0, 1000),
    hub("5,000 WebSockets dropped at once and back", "storm-back-ws", "all_subscribed_s", "s", 1, 1, 10),
    hub("5,000 event streams dropped at once and back", "storm-back-sse", "all_subscribed_s", "s", 1, 1, 10),
]  # fmt: skip


def grip(text, field, unit, decimals, aim=0.5):
    return Comparison(text, "grip", "pushpin", "", field, unit, decimals, aim)


GRIP = [
    grip("1,000 held streams, 10 messages/s: CPU for a million deliveries", DELIVERY, "s", 1),
    grip("the same, one message after another", "server_cpu_s_per_million_at_once", "s", 1),
    grip("memory of a held stream, of 1,000", "pss_kib_per_subscriber", "KiB", 1),
]


def compressed(text, side, field, unit, decimals):
    plain = f"{side.partition('-')[0]}-plain"
    return Comparison(text, "compression", plain, "", field, unit, decimals, side=side)


CODINGS = {"ws-deflate": "WebSocket, `permessage-deflate`", "sse-zstd": "event stream, `zstd`", "sse-gzip": "event stream, `gzip`"}
COMPRESSION = [
    row
    for side, text in CODINGS.items()
    for row in (
        compressed(f"{text}: bytes of a delivery", side, "bytes_per_delivery", "bytes", 0),
        compressed("the same: CPU for a million deliveries", side, DELIVERY, "s", 1),
    )
]
# The attacks of tests/bench starve, by the names in its results.
ATTACKS = {
    "slow-posts": "150 uploads of a byte a second",
    "slow-reads": "answers that are read very slowly",
    "zero-windows": "HTTP/2 windows that stay shut",
    "abandoned": "slow pages asked for and abandoned",
    "herd": "a herd of 2,000 visitors",
}
DOORS = ["Noren", "nginx", "haproxy"]


def take(directory, figures):
    """The figures of the file with those of a run in their places."""
    for row in TUNNELS + CHANNELS + GRIP + COMPRESSION:
        taken = row.taken(directory)
        if taken:
            figures["comparisons"][row.name] = taken
    hold = directory / "hold.json"
    if hold.exists():
        held = json.loads(hold.read_text())
        figures["held"] = [held["held"]["alive_after_hold"], held["asked"]["connections"] if held["asked"]["errors"] == 0 else 0]
    starve = directory / "starve.jsonl"
    lines = starve.read_text().splitlines() if starve.exists() else []
    for visit in map(json.loads, (line for line in lines if line.startswith("{"))):
        figures["starve"].setdefault(visit["attack"], {})[visit["door"]] = [visit["median"], visit["worst"]]
    return figures


# --- the tables


def seconds(number):
    """As in the table of attacks: two decimals below a second, one up to ten, none above."""
    return f"{number:.{2 if number < 1 else 1 if number < 10 else 0}f} s"


def figures_page(figures):
    rows = [(row.text, row.cells(figures["comparisons"][row.name], ["Noren", "peer", "ratio", "aim"])) for row in TUNNELS]
    idle, served = figures["held"]
    text = f"{idle + served:,} ({idle:,} idle tunnels, {served:,} served meanwhile)"
    rows.append(("connections held at once", [text, "", "", "10,000" + ("" if idle + served >= 10_000 else ": not reached")]))
    rows += [(row.text, row.cells(figures["comparisons"][row.name], ["Noren", "nchan", "aim"])) for row in CHANNELS]
    for those, columns in ((GRIP, ["Noren", "peer", "ratio", "aim"]), (COMPRESSION, ["Noren", "peer", "ratio"])):
        for row in those:
            measured = figures["comparisons"].get(row.name)
            missing = ["not measured yet", *[""] * (len(columns) - 1)]
            rows.append((row.text, row.cells(measured, columns) if measured else missing))
    for attack, text in ATTACKS.items():
        rows.append((text, [", ".join(map(seconds, figures["starve"][attack][door])) for door in DOORS]))
    return rows


def readme(figures):
    of = {row.text: row for row in TUNNELS if not row.text.startswith("the same")}
    texts = [HTTP1, HTTP2, HANDSHAKE.text, DOWN.text, IDLE.text]
    rows = [(text, of[text].cells(figures["comparisons"][of[text].name], ["Noren", "peer", "ratio"])) for text in texts]
    fast = fanout("few", "ws", "full")[0]
    ours, theirs = (figures["comparisons"][fast.name][side] for side in ("ours", "theirs"))
    cells = [fast.figure(ours), f"nchan {fast.figure(theirs)}", f"{ours / theirs:.2f}"]
    return [*rows, ("1,000 WebSockets, CPU for a million deliveries", cells)]


def capacity(figures):
    """What the page on capacity takes from the figures, and its arithmetic with them."""
    ours = lambda row: figures["comparisons"][row.name]["ours"]  # noqa: E731
    memory = [ours(row) for row in MEMORY]

    def span(kind, load):
        found = [ours(row) for row in CHANNELS if row.field == DELIVERY and row.key.endswith(f"{load}-{kind}")]
        low, high = f"{min(found):.1f}", f"{max(found):.1f}"
        return f"{low} µs" if low == high else f"{low} to {high} µs"

    rows = [("memory, idle, TLS included", [f"{kib:.1f} KiB" for kib in memory])]
    for text, load in (("at 10 messages a second", "rate"), ("as fast as it goes", "full")):
        rows.append((f"CPU of one delivery, {text}", [span(kind, load) for kind in ("ws", "sse")]))
    rows.append(("CPU of a new connection (ECDSA handshake)", [HANDSHAKE.figure(ours(HANDSHAKE))] * 2))
    careful = max(ours(row) for row in CHANNELS if row.field == DELIVERY) * 1e-6
    for browsers in (10_000, 50_000, 100_000):
        cores = [browsers * rate * careful / 0.5 for rate in (1, 10)]
        shown = [f"{core:.{1 if core < 10 else 0}f} cores" for core in cores]
        rows.append((f"{browsers:,}", [f"{browsers * max(memory) / 2**20:.1f} GiB", *shown, f"{browsers / 4000:g} s"]))
    return rows


def sentences(figures):
    """Numbers in the text of the page on capacity."""
    ours = lambda row: figures["comparisons"][row.name]["ours"]  # noqa: E731
    careful = max(ours(row) for row in CHANNELS if row.field == DELIVERY)
    websockets, streams = (int(2**20 / ours(row)) // 1000 for row in MEMORY)
    return [
        f"{careful:.0f} µs is the careful figure",
        f"one core makes {int(0.5e6 / careful) // 1000},000 deliveries a",
        f"1 GiB holds {streams},000 event streams or {websockets},000 WebSockets",
    ]


PAGES = {"README.md": readme, "src/guide/figures.md": figures_page, "src/guide/capacity.md": capacity}


def written(text, rows):
    """The document with these rows in their places; fails if one is not there."""
    lines, at = text.split("\n"), 0
    for first, cells in rows:
        begins = f"| {first} |"
        found = next((number for number in range(at, len(lines)) if lines[number].startswith(begins)), None)
        if found is None:
            sys.exit(f"there is no row {first!r} in its place")
        lines[found] = re.sub(r"  +", " ", begins + "".join(f" {cell} |" for cell in cells))
        at = found + 1
    return "\n".join(lines)


def main():
    figures = json.loads(FILE.read_text(encoding="utf-8"))
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "take":
        figures = take(pathlib.Path(sys.argv[2]), figures)
        FILE.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    if command not in ("write", "check"):
        sys.exit(__doc__)
    faults = []
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        new = written(text, page(figures))
        if command == "write":
            (ROOT / name).write_text(new, encoding="utf-8")
        pairs = zip(text.split("\n"), new.split("\n"), strict=True)
        faults += [f"{name}: {old}\n    figures.json: {now}" for old, now in pairs if old != now and command == "check"]
    page = " ".join((ROOT / "src/guide/capacity.md").read_text(encoding="utf-8").replace("*", "").split())
    faults += [f"src/guide/capacity.md does not say: {text}" for text in sentences(figures) if text not in page]
    if faults:
        sys.exit("\n".join(faults))


main()

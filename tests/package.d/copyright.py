#!/usr/bin/env python3
"""Writes debian/copyright of the package, in Debian's machine-readable form (DEP-5).

    tests/package.d/copyright.py LICENSE VIEWERS FILE

Noren's own files are under the licence in LICENSE; the viewers in the directory VIEWERS, which `tests/package --viewers`
fills, have their own, whose texts are read there. A viewer without a stanza here, or a stanza without its files, is an
error.
"""

import pathlib
import re
import sys

VIEWERS = "usr/share/noren/viewers"
# Files, copyright, licence, and the file that has its text; the first line of a text is the name of the licence.
STANZAS = [
    ("novnc/*", "2022 The noVNC authors (novnc/AUTHORS)", "MPL-2.0", "novnc/docs/LICENSE.MPL-2.0"),
    ("novnc/core/crypto/des.js", None, "DES", "novnc/core/crypto/des.js"),
    ("novnc/vendor/pako/*", None, "Expat", "novnc/vendor/pako/LICENSE"),
    ("xterm/xterm/*", None, "Expat", "xterm/xterm/LICENSE"),
    ("xterm/addon-fit/*", None, "Expat", "xterm/addon-fit/LICENSE"),
]


def field(name, first, lines):
    """A field whose further lines are indented, and whose empty ones have a full stop."""
    rest = [f" {line}".rstrip() if line.strip() else " ." for line in lines]
    return "\n".join([f"{name}: {first}".rstrip(), *rest])


def stanza(files, owners, licence, text):
    return "\n".join([f"Files: {files}", field("Copyright", owners[0], owners[1:]), field("License", licence, text)])


def owners(text):
    """The lines of a text that say who has the copyright."""
    lines = (line.strip(" */") for line in text.splitlines())
    return [line for line in lines if re.match(r"copyright \(c\) \d", line, re.IGNORECASE)]


def of_viewer(directory, files, owner, licence, source):
    if not list(directory.glob(files)):
        sys.exit(f"there are no viewers {files} in {directory}")
    text = (directory / source).read_text()
    if source.endswith(".js"):
        # The comment at the beginning.
        text = "\n".join(line.strip().lstrip("*").removeprefix(" ") for line in text[2:text.index("*/")].splitlines())
    found = [owner] if owner else owners(text)
    if not found:
        sys.exit(f"{source} does not say who has the copyright")
    return stanza(f"{VIEWERS}/{files}", found, licence, text.strip().splitlines())


def main():
    own, directory, into = map(pathlib.Path, sys.argv[1:4])
    known = {files.split("/")[0] for files, *_ in STANZAS}
    for entry in directory.iterdir():
        if entry.is_dir() and entry.name not in known:
            sys.exit(f"{entry} has no stanza")
    stanzas = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: noren\n"
        + field("Comment", "noVNC and xterm.js are the unmodified files of npm, which are their own source:",
                (directory / "SOURCES").read_text().strip().splitlines()),
        stanza("*", ["The Noren developers"], "Apache-2.0", own.read_text().strip("\n").splitlines()),
    ]
    stanzas += [of_viewer(directory, *one) for one in STANZAS]
    into.write_text("\n\n".join(stanzas) + "\n")


main()

"""The commands of the documents: the shell blocks, and what commands.toml says of each.

It reads files and runs nothing.
"""

import pathlib
import re
import tomllib

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
FENCED = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", flags=re.MULTILINE | re.DOTALL)


def blocks(document, language="sh"):
    """Returns the blocks of one language, as they are written but for the indentation of a list."""
    text = (PROJECT / document).read_text(encoding="utf-8")
    return [
        re.sub(f"^{indent}", "", found, flags=re.MULTILINE)
        for indent, kind, found in FENCED.findall(text)
        if kind == language
    ]


def block(document, begins, language="sh"):
    """Returns the one block that begins so."""
    found = [text for text in blocks(document, language) if text.startswith(begins)]
    if len(found) != 1:
        raise LookupError(f"{document} has {len(found)} blocks that begin with {begins!r}")
    return found[0]


def commands(text):
    """The lines of a block without comments; what a backslash continues is one line."""
    joined = text.replace("\\\n", " ")
    lines = [re.sub(r"\s+#.*$", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


class Book:
    """Hands out blocks that commands.toml gives to a step, and knows which of them no step has asked for."""

    def __init__(self):
        entries = tomllib.loads((PROJECT / "tests/boot.d/commands.toml").read_text(encoding="utf-8"))["block"]
        self.left = {(entry["document"], entry["begins"]): entry["step"] for entry in entries if "step" in entry}

    def take(self, step, document):
        """Returns the blocks of a document that this step has to run, in their order."""
        mine = [key for key, name in self.left.items() if name == step and key[0] == document]
        if not mine:
            raise LookupError(f"commands.toml gives no block of {document} to {step}")
        for key in mine:
            del self.left[key]
        return [block(*key) for key in mine]

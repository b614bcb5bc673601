"""Clients that break RFC 6455: each is closed with the right code, and no byte of the offence reaches the target.

    hostile_client.py PORT CA TOKEN CASE

The test asks the target itself afterwards what arrived there.
"""

import base64
import sys

from frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, Raw, close, frame

# name: (subprotocol, the offending bytes, accepted close codes)
OFFENCES = {
    "unmasked frame": ("binary", frame(BINARY, b"secret", masked=False), [1002]),
    "reserved bit": ("binary", frame(BINARY, b"secret", rsv=4), [1002]),
    "other reserved bits": ("binary", frame(BINARY, b"secret", rsv=1), [1002]),
    "reserved data opcode": ("binary", frame(3, b"secret"), [1002]),
    "reserved control opcode": ("binary", frame(11, b"secret"), [1002]),
    "fragmented ping": ("binary", frame(PING, b"secret", fin=False), [1002]),
    "oversized ping": ("binary", frame(PING, b"s" * 126), [1002]),
    "continuation of nothing": ("binary", frame(CONTINUATION, b"secret"), [1002]),
    "close code 1005": ("binary", close(1005), [1002]),
    "close code 999": ("binary", close(999), [1002]),
    "close of one byte": ("binary", frame(CLOSE, b"\x03"), [1002]),
    "close reason not UTF-8": ("binary", close(1000, b"\xff\xfe"), [1002, 1007]),
    "text to binary": ("binary", frame(TEXT, b"secret"), [1003]),
    "text without a subprotocol": (None, frame(TEXT, b"secret"), [1003]),
    "text that is not base64": ("base64", frame(TEXT, b"not base64!"), [1007]),
    "base64 without padding": ("base64", frame(TEXT, b"c2VjcmV0cw"), [1007]),
    "base64 of the URL alphabet": ("base64", frame(TEXT, b"-_-_"), [1007]),
    "base64 with a line end": ("base64", frame(TEXT, b"c2Vj\ncmV0"), [1007]),
    "text that is not UTF-8": ("base64", frame(TEXT, b"\xff\xff\xff\xff"), [1007]),
    "binary to base64": ("base64", frame(BINARY, b"secret"), [1003]),
}


def offend(port, ca, token, name):
    protocol, offence, codes = OFFENCES[name]
    raw = Raw(port, ca).open(f"/websockify?token={token}", protocol)
    raw.send(offence)
    code = raw.close_code()
    assert code in codes, f"{name}: closed with {code}, not {codes}"
    assert raw.ended(), f"{name}: no close_notify behind the close frame"
    print(f"{name}: {code}")


def second_message_inside_a_first(port, ca, token):
    raw = Raw(port, ca).open(f"/websockify?token={token}", "binary")
    raw.send(frame(BINARY, b"", fin=False) + frame(BINARY, b"secret"))
    code = raw.close_code()
    assert code == 1002, f"a message inside a message: closed with {code}, not 1002"


def honest(port, ca, token):
    """What looks odd and is right: the echo must come back, whole."""
    # A frame right behind the handshake, in the same packet.
    raw = Raw(port, ca).open(f"/websockify?token={token}", "binary", behind=frame(BINARY, b"early bird"))
    assert gather(raw, 10) == b"early bird"
    # Fragments with a ping between them, byte by byte.
    pieces = frame(BINARY, b"one ", fin=False) + frame(PING, b"there?") + frame(CONTINUATION, b"two", fin=True)
    for at in range(len(pieces)):
        raw.send(pieces[at:at + 1])
    assert gather(raw, 7, pongs=(pongs := [])) == b"one two"
    assert pongs == [b"there?"], pongs
    # Empty frames are no end.
    raw.send(frame(BINARY) + frame(BINARY, b"x"))
    assert gather(raw, 1) == b"x"
    raw.send(close(1000, b"done"))
    assert raw.close_code() == 1000
    assert raw.ended(), "no close_notify after an orderly close"
    # base64: fragments of one text message are one base64 string together.
    raw = Raw(port, ca).open(
        f"/websockify?token={token}", "base64", behind=frame(TEXT, base64.b64encode(b"early too"))
    )
    assert base64.b64decode(gather(raw, 12, opcode=TEXT), validate=True) == b"early too"
    text = base64.b64encode(b"in two parts")
    raw.send(frame(TEXT, text[:5], fin=False) + frame(CONTINUATION, text[5:]))
    assert base64.b64decode(gather(raw, 16, opcode=TEXT), validate=True) == b"in two parts"
    print("honest: ok")


def gather(raw, size, opcode=BINARY, pongs=None):
    """Data frames until `size` bytes are there."""
    data = b""
    while len(data) < size:
        kind, payload, _ = raw.frame()
        if kind == 10 and pongs is not None:
            pongs.append(payload)
        elif kind == PING:
            raw.send(frame(10, payload))
        else:
            assert kind in (opcode, CONTINUATION), (kind, payload[:80])
            data += payload
    return data


def main():
    port, ca, token, case = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
    if case == "honest":
        honest(port, ca, token)
        return
    for name in OFFENCES:
        offend(port, ca, token, name)
    second_message_inside_a_first(port, ca, token)


main()

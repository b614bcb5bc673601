"""WebSocket frames written by hand over TLS, for what no well-behaved library will send (RFC 6455 section 5)."""

import base64
import os
import socket
import ssl
import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
# No read waits longer than this: long enough for a busy machine, short enough to fail a test.
PATIENCE = 30


def frame(opcode, payload=b"", fin=True, rsv=0, masked=True, length=None):
    """One frame; `length` lies about the size of the payload."""
    size = len(payload) if length is None else length
    data = bytearray([(0x80 if fin else 0) | (rsv << 4) | opcode])
    mask_bit = 0x80 if masked else 0
    if size < 126:
        data.append(mask_bit | size)
    elif size < 65536:
        data += struct.pack(">BH", mask_bit | 126, size)
    else:
        data += struct.pack(">BQ", mask_bit | 127, size)
    if masked:
        mask = os.urandom(4)
        data += mask
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes(data) + payload


def close(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


class Raw:
    """One TLS connection (HTTP/1.1) on which the test decides about every byte."""

    def __init__(self, port, ca):
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["http/1.1"])
        self.port = port
        self.tls = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), PATIENCE), server_hostname="localhost"
        )
        self.tls.settimeout(PATIENCE)
        self.kept = b""

    def send(self, data):
        self.tls.sendall(data)

    def request(self, path, protocol=None, key=None, lines=()):
        """The bytes of a handshake."""
        head = [
            f"GET {path} HTTP/1.1",
            f"Host: localhost:{self.port}",
            "Connection: keep-alive, Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key or base64.b64encode(os.urandom(16)).decode()}",
        ]
        if protocol:
            head.append(f"Sec-WebSocket-Protocol: {protocol}")
        return ("\r\n".join([*head, *lines]) + "\r\n\r\n").encode()

    def _more(self):
        data = self.tls.recv(65536)
        if not data:
            raise EOFError(f"closed after {self.kept!r}")
        self.kept += data

    def take(self, size):
        while len(self.kept) < size:
            self._more()
        data, self.kept = self.kept[:size], self.kept[size:]
        return data

    def head(self):
        """The head of the answer: status and lower-case headers."""
        while b"\r\n\r\n" not in self.kept:
            self._more()
        text, _, self.kept = self.kept.partition(b"\r\n\r\n")
        first, *lines = text.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(first.split()[1]), headers

    def open(self, path, protocol=None, behind=b""):
        """Handshake, with `behind` in the same packet as the request."""
        self.send(self.request(path, protocol) + behind)
        status, headers = self.head()
        assert status == 101, f"handshake answered {status} {headers} {self.kept!r}"
        assert headers.get("sec-websocket-protocol") == protocol, headers
        return self

    def frame(self):
        """The next frame: opcode, payload, final."""
        first, second = self.take(2)
        assert first & 0x70 == 0, "the door set a reserved bit"
        assert second & 0x80 == 0, "the door masked a frame"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self.take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.take(8))
        return first & 0x0F, self.take(size), bool(first & 0x80)

    def close_code(self):
        """Read on to the close frame, past pings; no data may come before it."""
        while True:
            opcode, payload, _ = self.frame()
            if opcode == CLOSE:
                return struct.unpack(">H", payload[:2])[0] if payload else 1005
            assert opcode in (PING, PONG), f"data before the close: {opcode} {payload[:80]!r}"

    def ended(self):
        """After the close frame the door ends TLS properly, with close_notify."""
        try:
            while self.tls.recv(65536):
                pass
            return True
        except ssl.SSLEOFError:
            return False

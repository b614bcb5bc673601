"""A server that reads nothing into a request: it answers with the request line and the header lines as they came."""

import json
import socketserver

import contract


class Recorder(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.head():
            line, *lines = head
            fields = [tuple(part.strip() for part in field.split(":", 1)) for field in lines if ":" in field]
            length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
            self.rfile.read(length)
            headers = {}
            for name, value in fields:
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            body = json.dumps({"page": "other", "line": line, "headers": headers}).encode()
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def head(self):
        head = []
        while (line := self.rfile.readline().decode("latin-1").rstrip("\r\n")) != "":
            head.append(line)
        return head


class Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


server = Threads(("127.0.0.1", 0), Recorder)
contract.lifeline.hold_in_background("127.0.0.1:%d" % server.server_address[1])
server.serve_forever()

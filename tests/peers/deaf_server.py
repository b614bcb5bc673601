"""A target that never finishes a connection: a full queue that nobody accepts from.

Linux drops the next SYN when the accept queue of a listener is full, so that a
connection attempt to this port neither succeeds nor is refused.
"""

import socket

import lifeline

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(0)
address = listener.getsockname()
# One connection fills the queue of length zero; the further ones make sure of it.
fillers = []
for _ in range(8):
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(address)
    fillers.append(filler)
lifeline.hold("127.0.0.1:%d" % address[1])

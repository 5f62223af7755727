"""Thousands of idle agents in one process: each a link of its own (TLS, yamux, hello, pings; PROTOCOL §2 to §4).

    fleet.py PORT NAME COUNT IDENTITY TOKEN

registers NAME-0, NAME-1, …, prints a JSON line, answers pings until its input ends, and prints how many are left.

adit's agent would do, but 5,000 processes of it would not. A loop over sockets that do not block, because asyncio keeps
256 KiB of buffers for each TLS connection.
"""
import json
import pathlib
import selectors
import socket
import ssl
import struct
import sys
import time

HOST = "127.0.0.1"
UNDER_WAY = 64  # handshakes at a time: enough to keep a relay busy, and far below its deadline for each
HEADER = struct.Struct(">BBHII")  # version, type, flags, stream, length
DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)
SYN, ACK = 1, 2
CONTROL_STREAM = 1


class Agent:
    """One link, from the TCP connection to the welcome and on."""

    def __init__(self, port, agent_id, context, token):
        hello = json.dumps({"agent_id": agent_id, "role": "agent", "software": "bench", "token": token,
                            "version": 1}).encode()
        message = struct.pack(">H", len(hello)) + hello
        self.hello = (HEADER.pack(0, WINDOW_UPDATE, SYN, CONTROL_STREAM, 0)
                      + HEADER.pack(0, DATA, 0, CONTROL_STREAM, len(message)) + message)
        self.socket = context.wrap_socket(socket.create_connection((HOST, port), 10), do_handshake_on_connect=False,
                                          server_hostname=None)
        self.socket.setblocking(False)
        self.received, self.registered, self.shaken = b"", False, False

    def advance(self):
        """Goes as far as what has been received allows. Raises OSError when the link has ended."""
        try:
            if not self.shaken:
                self.socket.do_handshake()
                self.shaken = True
                self.socket.sendall(self.hello)
            while True:
                part = self.socket.recv(16384)
                if not part:
                    raise ConnectionError("the relay ended the link")
                self.received += part
                self.take_frames()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass

    def take_frames(self):
        while len(self.received) >= HEADER.size:
            _, kind, flags, _, length = HEADER.unpack_from(self.received)
            end = HEADER.size + (length if kind == DATA else 0)
            if len(self.received) < end:
                return
            payload, self.received = self.received[HEADER.size:end], self.received[end:]
            if kind == DATA:
                if b'"accepted"' not in payload:
                    raise ConnectionError(payload[2:].decode(errors="replace"))
                self.registered = True
            elif kind == PING and flags == SYN:
                self.socket.sendall(HEADER.pack(0, PING, ACK, 0, length))
            elif kind == GO_AWAY:
                raise ConnectionError("the relay said go-away")


def register(port, name, count, context, token, ready):
    """How many are registered once all are; an OSError when one is refused or the relay does not answer for 10 s."""
    begun, pending = 0, set()
    while begun < count or pending:
        while begun < count and len(pending) < UNDER_WAY:
            agent = Agent(port, f"{name}-{begun}", context, token)
            ready.register(agent.socket, selectors.EVENT_READ, agent)
            begun += 1
            agent.advance()
            if not agent.registered:
                pending.add(agent)
        if not pending:
            continue
        answered = ready.select(10)
        if not answered:
            raise TimeoutError("the relay does not answer")
        for key, _ in answered:
            key.data.advance()
            if key.data.registered:
                pending.discard(key.data)
    return count


def main(port, name, count, identity, token):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the relay is the benchmark's own, on loopback
    context.set_alpn_protocols(["adit/1"])
    context.load_cert_chain(identity)
    token, ready = pathlib.Path(token).read_text().strip(), selectors.DefaultSelector()
    begun = time.monotonic()
    alive = register(int(port), name, int(count), context, token, ready)
    print(json.dumps({"registered": alive, "seconds": time.monotonic() - begun}), flush=True)
    ready.register(sys.stdin, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.data is None:
                print(json.dumps({"alive": alive}), flush=True)
                return
            try:
                key.data.advance()
            except OSError:
                ready.unregister(key.fileobj)
                alive -= 1


if __name__ == "__main__":
    main(*sys.argv[1:])

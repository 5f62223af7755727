"""A service that swallows, pours or answers, and the client that keeps it busy. Run as a program of its own:

    pump.py serve                                      prints "listening on PORT"; serves until killed
    pump.py bulk up|down SECONDS PORT[*COUNT]...       keeps connections to these ports busy; prints a JSON line

The first byte of a connection says what it is: `u` swallows until the end of input and answers with the count (8 bytes,
big-endian), `d` pours until the connection breaks, `r` answers each request of 64 bytes with 1,024.
One loop serves the bulk; a connection of requests gets a process, so that the loop's turns are not taken for the
tunnel's.
"""
import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time

HOST = "127.0.0.1"
REQUEST, ANSWER = b"q" * 64, b"a" * 1024
CHUNK = bytes(256 * 1024)
WARM_UP = 0.3  # seconds of a pouring that do not count, at least: all connections are to pour
PATIENCE = 30  # seconds for that
PR_SET_PDEATHSIG = 1


def receive_exactly(connection, count):
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise ConnectionError("closed before its end")
        parts += part
    return parts


class Service:
    """One loop over all connections; each is in one of the three states that its first byte chooses, or before it."""

    def __init__(self):
        self.ready = selectors.DefaultSelector()
        self.swallowed = {}  # connection -> bytes
        self.scratch = memoryview(bytearray(len(CHUNK)))
        self.listener = socket.create_server((HOST, 0), backlog=4096)
        self.listener.setblocking(False)
        self.ready.register(self.listener, selectors.EVENT_READ)

    def serve(self):
        print("listening on", self.listener.getsockname()[1], flush=True)
        while True:
            for key, events in self.ready.select():
                if key.fileobj is self.listener:
                    self.accept()
                else:
                    self.advance(key.fileobj, events)

    def accept(self):
        """All that wait: with one in each turn of the loop, a thousand would wait for a thousand turns."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.setblocking(False)
                self.ready.register(connection, selectors.EVENT_READ)

    def advance(self, connection, events):
        try:
            if events & selectors.EVENT_WRITE:
                connection.send(CHUNK)
            elif connection in self.swallowed:
                self.swallow(connection)
            else:
                self.begin(connection)
        except BlockingIOError:
            pass
        except OSError:
            self.end(connection)

    def begin(self, connection):
        kind = connection.recv(1)
        if kind == b"u":
            self.swallowed[connection] = 0
        elif kind == b"d":
            self.ready.modify(connection, selectors.EVENT_WRITE)
        else:
            if kind == b"r" and os.fork() == 0:
                answer(connection)
            self.end(connection)

    def swallow(self, connection):
        count = connection.recv_into(self.scratch)
        self.swallowed[connection] += count
        if count == 0:
            connection.setblocking(True)
            connection.sendall(struct.pack(">Q", self.swallowed[connection]))
            self.end(connection)

    def end(self, connection):
        self.ready.unregister(connection)
        self.swallowed.pop(connection, None)
        connection.close()


def serve():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    Service().serve()


def answer(connection):
    """In a process of its own, which ends with its connection, and with the service."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    connection.setblocking(True)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        while True:
            receive_exactly(connection, len(REQUEST))
            connection.sendall(ANSWER)
    os._exit(0)


def connections(ports, kind):
    opened = []
    for port in ports:
        connection = socket.create_connection((HOST, port), 10)
        connection.sendall(kind)
        opened.append(connection)
    return opened


def pour_down(ports, seconds):
    ready, scratch = selectors.DefaultSelector(), memoryview(bytearray(len(CHUNK)))
    silent = set(connections(ports, b"d"))
    for connection in silent:
        connection.setblocking(False)
        ready.register(connection, selectors.EVENT_READ)
    carried, uncounted, begun = 0, 0, None
    start = time.monotonic()
    while True:
        now = time.monotonic()
        if begun is None and now >= start + WARM_UP and not silent:
            begun, uncounted = now, carried
        if begun is None and now >= start + PATIENCE:
            raise TimeoutError(f"{len(silent)} of {len(ports)} connections have brought nothing")
        if begun is not None and now >= begun + seconds:
            return carried - uncounted, now - begun, carried
        for key, _ in ready.select(0.1):
            with contextlib.suppress(BlockingIOError):
                received = key.fileobj.recv_into(scratch)
                if received == 0:
                    raise ConnectionError("closed while it poured")
                silent.discard(key.fileobj)
                carried += received


def push_up(ports, seconds):
    """What counts has arrived: the time ends when the last byte's receipt is confirmed."""
    ready, opened = selectors.DefaultSelector(), connections(ports, b"u")
    for connection in opened:
        connection.setblocking(False)
        ready.register(connection, selectors.EVENT_WRITE)
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        for key, _ in ready.select(0.1):
            with contextlib.suppress(BlockingIOError):
                key.fileobj.send(CHUNK)
    for connection in opened:
        connection.settimeout(30)
        connection.shutdown(socket.SHUT_WR)
    count = sum(struct.unpack(">Q", receive_exactly(connection, 8))[0] for connection in opened)
    return count, time.monotonic() - begun, count


def bulk(direction, seconds, *specifications):
    ports = []
    for specification in specifications:
        port, _, count = specification.partition("*")
        ports += [int(port)] * int(count or 1)
    count, took, carried = (pour_down if direction == "down" else push_up)(ports, float(seconds))
    print(json.dumps({"bytes": count, "seconds": took, "carried": carried}), flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else bulk(*sys.argv[2:])

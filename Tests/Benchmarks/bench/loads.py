"""The loads that are put on an entrance, and what each of them measures. Up is from client to service."""
import contextlib
import json
import math
import socket
import statistics
import subprocess
import time

from . import pump
from .processes import HOST

# wrk's own report is for people and rounds its figures; this prints them whole, in one line of JSON.
WRK_REPORT = """
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format('\\n{"requests": %d, "seconds": %.6f, "p50_us": %.1f, "p99_us": %.1f, "errors": %d}\\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""
REQUEST_INTERVAL = 0.005  # seconds, of small requests
GET = b"GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n"


class LoadFailure(Exception):
    """A load could not be put on, or did not come to its end."""


def run(argv, limit):
    try:
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise LoadFailure(f"{argv[0]} was not done after {limit:.0f} s") from None
    return done.stdout, done.stderr


def last_json(text, error):
    for line in reversed(text.splitlines()):
        with contextlib.suppress(ValueError):
            if isinstance(found := json.loads(line), dict):
                return found
    raise LoadFailure((error or text)[-300:].strip() or "no result")


def iperf(port, seconds, streams, direction, host=HOST, prefix=(), omit=0):
    """Bytes that arrived, and Gbit/s as the receiver saw them, the first `omit` seconds left out.

    `prefix` goes before the command.
    """
    argv = [*prefix, "iperf3", "-c", host, "-p", port, "-t", seconds, "-P", streams, "-J", "--connect-timeout", 5000]
    if omit:
        argv += ["-O", omit]
    for attempt in range(4):
        if attempt:
            time.sleep(1)  # a server that is not over its last client yet says that it is busy
        output, error = run(argv + (["-R"] if direction == "down" else []), (seconds + omit) * 2 + 20)
        try:
            report = json.loads(output)
            if "error" not in report:
                received = report["end"]["sum_received"]
                return {"bytes": received["bytes"], "carried": received["bytes"], "gbps": received["bits_per_second"] / 1e9}
            error = report["error"]
        except (ValueError, KeyError):
            error = error or output[-300:]
    raise LoadFailure(f"iperf3: {error.strip()}")


def wrk(port, seconds, connections, script, close=False):
    """Requests of the 1 KiB file over so many connections; with `close`, a new one for each request."""
    argv = ["wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", "--timeout", "5s", "-s", script]
    if close:
        argv += ["-H", "Connection: close"]
    result = last_json(*run([*argv, f"http://{HOST}:{port}/1k"], seconds * 2 + 20))
    if not result["requests"]:
        raise LoadFailure("wrk: no request was answered")
    result["per_s"] = result["requests"] / result["seconds"]
    return result


@contextlib.contextmanager
def bulk(command, ports, direction, seconds):
    """A bulk transfer beside what the block does. Yields a function that waits for its end and returns Gbit/s."""
    client = subprocess.Popen([*command, "bulk", direction, str(seconds), *map(str, ports)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result():
        try:
            output, error = client.communicate(timeout=seconds * 2 + 45)
        except subprocess.TimeoutExpired:
            raise LoadFailure("the bulk transfer did not come to its end") from None
        found = last_json(output, error)
        return found | {"gbps": found["bytes"] * 8 / found["seconds"] / 1e9}

    try:
        yield result
    finally:
        client.kill()
        client.wait()


def small_requests(port, seconds):
    """One request at a time on one connection to the pump: the median and 99th percentile in microseconds.

    They are spread evenly over the time. One right behind the other would be most where they are quick, and so tell
    nothing of a tunnel that stops for a while.
    """
    took, due = [], time.monotonic()
    with socket.create_connection((HOST, port), 5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"r")
        end = due + seconds
        try:
            while due < end:
                time.sleep(max(0, due - time.monotonic()))
                begun = time.monotonic()
                due = max(due + REQUEST_INTERVAL, begun)
                connection.sendall(pump.REQUEST)
                pump.receive_exactly(connection, len(pump.ANSWER))
                took.append((time.monotonic() - begun) * 1e6)
        except OSError as error:
            raise LoadFailure(f"a small request: {error}") from None
    took.sort()
    return {"p50_us": statistics.median(took), "p99_us": took[math.ceil(len(took) * 0.99) - 1], "requests": len(took)}


def get(connection):
    """One request on an open connection, to the last byte of its answer."""
    connection.sendall(GET)
    answer = connection.recv(65536)
    while answer and not answer.endswith(b"x" * 1024):
        answer += connection.recv(65536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError("no answer")


def first_byte(port, deadline):
    """Asks until there is an answer, and returns when there is."""
    while True:
        try:
            with socket.create_connection((HOST, port), 2) as connection:
                return get(connection)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LoadFailure(f"no answer on port {port}: {error}") from None
        time.sleep(0.002)


@contextlib.contextmanager
def held(port, count):
    """Connections that have had one answer each and then idle. Yields them; they are closed behind the block."""
    connections = []
    try:
        for _ in range(count):
            connections.append(socket.create_connection((HOST, port), 10))
            get(connections[-1])
        yield connections
    except OSError as error:
        raise LoadFailure(f"connection {len(connections)} of {count}: {error}") from None
    finally:
        for connection in connections:
            connection.close()

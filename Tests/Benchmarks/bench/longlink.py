"""The long fat link: two emulated hops of 1 Gbit/s and 40 ms round trip with the relay between them, and the kernel's
own socket buffers. What adit gets over both is held against plain TCP over one; both are counted from the fourth second
on, by which time windows have grown. Needs root, for Tests/Emulator makes network namespaces.
"""
import contextlib
import os
import pathlib
import subprocess

from . import chains, loads
from .processes import HOST, StartFailure

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "Emulator" / "two-links.sh"
LINK = ["rate=1000", "delay=20", "queue=5000000"]  # each way; the queue is one round trip's worth at that rate
LOSS = "0.001"
RELAY = "10.77.1.1"  # as the client sees it
RELAY_OF_AGENT = "10.77.2.1"
GROWTH = 3  # seconds that do not count
PORT = 5201  # in namespaces of our own, no port is taken


def script(folder, *arguments):
    try:
        done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=60,
                              env=os.environ | {"TMPDIR": str(folder)})
    except (OSError, subprocess.SubprocessError) as error:
        raise StartFailure(f"{SCRIPT.name} {arguments[0]}: {error}") from None
    if done.returncode:
        raise StartFailure(f"{SCRIPT.name} {arguments[0]}: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


@contextlib.contextmanager
def two_links(folder):
    """The name of a pair of links; they are taken down behind the block."""
    if os.geteuid() != 0:
        raise StartFailure("network namespaces need root")
    name = f"adit-bench-{os.getpid()}"
    try:
        script(folder, "up", name, *LINK)
        yield name
    finally:
        script(folder, "down", name)


def inside(name, place):
    """What to put before a command so that it runs there."""
    return ["ip", "netns", "exec", f"{name}-{place}"]


def long_link(bench):
    with two_links(bench.folder) as name, bench.processes() as processes:
        for place in ("relay", "agent"):
            processes.start(f"iperf3-{place}", [*inside(name, place), "iperf3", "-s", "-p", PORT])
        adit = chains.Adit(bench.options.adit, processes, relay_hosts={"agent": RELAY_OF_AGENT, "connect": RELAY},
                           places={role: inside(name, place) for role, place in
                                   (("relay", "relay"), ("agent", "agent"), ("connect", "client"))})
        adit.start_relay()
        adit.start_agents({"far": PORT})
        entrance = adit.start_connects({"near": "far"})["near"]
        hop = chains.Chain("one hop", {"host": RELAY, "iperf": PORT}, {})
        through = chains.Chain("adit", {"host": HOST, "iperf": entrance}, adit.roles)

        def measure(direction, suffix):
            def one(chain):
                found = loads.iperf(chain.entrances["iperf"], max(bench.options.seconds, 3), 1, direction,
                                    host=chain.entrances["host"], prefix=inside(name, "client"), omit=GROWTH)
                return {f"{direction}{suffix} Gbit/s": found["gbps"]}
            return one

        bench.rounds([hop, through], {way: measure(way, "") for way in ("up", "down")})
        script(bench.folder, "tell", name, "client", "loss", LOSS)
        bench.rounds([hop, through], {way: measure(way, " with loss") for way in ("up", "down")})

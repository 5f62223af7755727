"""What adit is to reach, and whether it did: each goal is a value, at times beside a reference, and a bound."""
from dataclasses import dataclass

from .scenarios import counted

END_TO_END, RELAY_READS = "openssh-e2e", "openssh"


@dataclass
class Goal:
    """`kind`: "at least" or "at most" the bound. With a reference the bound is on the ratio of the two."""

    what: str
    scenario: str
    figure: str
    kind: str
    bound: float
    reference: tuple | None = None  # (chain, figure)
    chain: str = "adit"

    def judge(self, results):
        """(value, reference, what is held to the bound, passed); None for what was not measured."""
        value = results.median(self.scenario, self.chain, self.figure)
        other = results.median(self.scenario, *self.reference) if self.reference else None
        judged = value
        if self.reference:
            judged = value / other if value is not None and other else None
        if judged is None:
            return value, other, None, None
        return value, other, judged, judged >= self.bound if self.kind == "at least" else judged <= self.bound

    @property
    def demand(self):
        return f"{'≥' if self.kind == 'at least' else '≤'} {self.bound:g}{'×' if self.reference else ''}"


def against(chain, what, scenario, figure, kind, bound):
    return Goal(f"{what}, against {chain}", scenario, figure, kind, bound, (chain, figure))


def goals(tunnels):
    """tunnels: the counts that the scenario `many` was run with, beside one."""
    for streams, label, relation in ((1, "one stream", 1.7), (8, "eight streams", 1.5)):
        for way in ("up", "down"):
            figure = f"{way}{streams} Gbit/s"
            yield against(END_TO_END, f"{label} {way}", "throughput", figure, "at least", relation)
            if streams == 1:
                yield against(RELAY_READS, f"{label} {way}", "throughput", figure, "at least", 1.15)
    for way in ("up", "down"):
        for role, relation in (("relay", 0.55), ("all roles", 0.7)):
            figure = f"{way}1 {role} CPU-s/GB"
            yield against(END_TO_END, f"CPU of {role}, {way}", "throughput", figure, "at most", relation)
    yield against(END_TO_END, "one request at a time, p50", "latency", "c1 p50 µs", "at most", 0.6)
    yield against(END_TO_END, "64 connections, requests /s", "latency", "c64 requests /s", "at least", 1.6)
    yield against(END_TO_END, "64 connections, p99", "latency", "c64 p99 µs", "at most", 1)
    yield against(END_TO_END, "new connections /s", "latency", "new connections /s", "at least", 1.4)
    for way in ("down", "up"):
        yield Goal(f"small request beside bulk {way}, p50 µs", "mixed", f"{way} p50 µs", "at most", 1500)
        yield Goal(f"bulk {way} beside small requests, of its lone speed", "mixed", f"{way} bulk beside/alone",
                   "at least", 0.8)
    for role, memory, connection in (("relay", 12, 1024), ("agent", 10, 6144), ("connect", 10, 6144)):
        yield Goal(f"idle {role}, MB", "idle", f"{role} MB", "at most", memory)
        yield Goal(f"{role}, B per held connection", "idle", f"{role} B per held connection", "at most", connection)
    yield Goal("relay, KiB per idle agent", "fleet", "relay KiB per idle agent", "at most", 24)
    registrations = "registrations per CPU-s of the relay"
    yield Goal(registrations, "fleet", registrations, "at least", 2500)
    yield Goal("start to first byte, s", "start", "first byte s", "at most", 0.15)
    for count in tunnels:
        for chain, what in (("adit", "tunnels, each end a process"), ("adit-crowd", "tunnels, their ends two processes"),
                            ("adit-session", "connections of one session")):
            for way in ("down", "up"):
                yield Goal(f"{count} {what}, {way}, of the speed of one", "many", f"{way} {counted(count)} Gbit/s",
                           "at least", 0.8, (chain, f"{way} {counted(1)} Gbit/s"), chain)
    for way in ("up", "down"):
        yield Goal(f"long link {way}, of plain TCP over one hop", "long-link", f"{way} Gbit/s", "at least", 0.9,
                   ("one hop", f"{way} Gbit/s"))
        yield Goal(f"long link with loss {way}, of plain TCP over that hop", "long-link", f"{way} with loss Gbit/s",
                   "at least", 0.85, ("one hop", f"{way} with loss Gbit/s"))

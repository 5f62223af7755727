"""The scenarios: what is started, which loads are put on, and which figures come of it.

Where rounds are taken, each load goes over all chains in turn within a round, and the order rotates, so that what the
machine does meanwhile meets all alike.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from . import chains, fleet, handshakes, loads, longlink, services
from .processes import Processes, StartFailure, cpu_seconds, free_port, memory_bytes

FLEET, HANDSHAKES = pathlib.Path(fleet.__file__), pathlib.Path(handshakes.__file__)


class Bench:
    """One run of the program: its options, its results, and the services that all scenarios share."""

    def __init__(self, options, results, folder, say, descriptors):
        self.options, self.results, self.folder, self.say = options, results, pathlib.Path(folder), say
        self.descriptors = descriptors
        self.services, self.scenario = {}, None
        self.wrk_script = self.folder / "report.lua"
        self.wrk_script.write_text(loads.WRK_REPORT)

    def processes(self):
        return Processes(tempfile.mkdtemp(dir=self.folder))

    def pump_client(self):
        return [*services.PYTHON, services.PUMP]

    def add(self, chain, figure, value):
        self.results.add(self.scenario, chain, figure, value)

    def failed(self, what, error):
        self.say(f"{self.scenario}, {what}: {error}")
        self.results.failed(f"{self.scenario}, {what}: {error}")

    @contextlib.contextmanager
    def chains(self, names):
        """Fresh chains to these services, the direct one first. A chain that does not start is left out, and noted."""
        reached = {name: self.services[name] for name in names}
        starters = {"adit": lambda p, s: chains.adit(self.options.adit, p, s)}
        if has_openssh():
            starters |= {"openssh": chains.openssh, "openssh-e2e": chains.openssh_end_to_end}
        with contextlib.ExitStack() as stack:
            started = [chains.Chain("direct", reached, {})]
            for name, start in starters.items():
                try:
                    started.append(start(stack.enter_context(self.processes()), reached))
                except (StartFailure, loads.LoadFailure, OSError, subprocess.SubprocessError) as error:
                    self.failed(f"start of {name}", error)
            yield started

    def rounds(self, started, measurements):
        """measurements: name -> function of a chain that returns figures."""
        for number in range(self.options.rounds):
            for name, measure in measurements.items():
                for place in range(len(started)):
                    chain = started[(number + place) % len(started)]
                    try:
                        figures = measure(chain)
                    except (loads.LoadFailure, OSError) as error:
                        self.failed(f"{name} {chain.name}", error)
                        continue
                    self.say(f"{self.scenario} {number + 1}/{self.options.rounds} {chain.name}: "
                             + ", ".join(f"{figure} {value:.4g}" for figure, value in figures.items()))
                    for figure, value in figures.items():
                        self.add(chain.name, figure, value)


def has_openssh():
    return bool(shutil.which("ssh") and shutil.which("ssh-keygen")
                and (shutil.which("sshd") or os.path.exists("/usr/sbin/sshd")))


def with_cpu(chain, label, load):
    """The load's result, and the CPU seconds of each role per GB that it moved, as figures."""
    before = cpu_seconds(chain.roles)
    result = load()
    after = cpu_seconds(chain.roles)
    used = {role: (after[role] - before[role]) / (result["carried"] / 1e9) for role in chain.roles}
    figures = {f"{label} {role} CPU-s/GB": value for role, value in used.items()}
    if used:
        figures[f"{label} all roles CPU-s/GB"] = sum(used.values())
    return result, figures


# ------------------------------------------------------------------------------------- throughput, latency, mixed

def throughput(bench):
    def measure(streams, direction):
        def one(chain):
            label = f"{direction}{streams}"
            result, figures = with_cpu(
                chain, label, lambda: loads.iperf(chain.entrances["iperf"], bench.options.seconds, streams, direction))
            return {f"{label} Gbit/s": result["gbps"]} | figures
        return one

    with bench.chains(["iperf", "http"]) as started:
        bench.rounds(started, {f"{direction}{streams}": measure(streams, direction)
                               for streams in (1, 8) for direction in ("up", "down")})


def latency(bench):
    def measure(connections, close=False):
        def one(chain):
            found = loads.wrk(chain.entrances["http"], bench.options.seconds, connections, bench.wrk_script, close)
            if found["errors"]:
                bench.failed(f"c{connections} {chain.name}", f"{found['errors']} errors")
            if close:
                return {"new connections /s": found["per_s"]}
            label = f"c{connections}"
            return {f"{label} p50 µs": found["p50_us"], f"{label} p99 µs": found["p99_us"],
                    f"{label} requests /s": found["per_s"]}
        return one

    with bench.chains(["http"]) as started:
        bench.rounds(started, {"c1": measure(1), "c64": measure(64), "close": measure(16, close=True)})


def mixed(bench):
    """The bulk and the small requests have one entrance, so at adit they share a session."""
    seconds, growth = bench.options.seconds, 0.7

    def transfer(chain, direction):
        return loads.bulk(bench.pump_client(), [chain.entrances["pump"]], direction, seconds + 1)

    def measure(direction):
        def one(chain):
            with transfer(chain, direction) as result:
                alone = result()["gbps"]
            with transfer(chain, direction) as result:
                time.sleep(growth)  # it begins, and windows grow
                small = loads.small_requests(chain.entrances["pump"], seconds)
                beside = result()["gbps"]
            idle = loads.small_requests(chain.entrances["pump"], min(1, seconds))
            return {f"{direction} idle p50 µs": idle["p50_us"],
                    f"{direction} p50 µs": small["p50_us"], f"{direction} p99 µs": small["p99_us"],
                    f"{direction} bulk alone Gbit/s": alone, f"{direction} bulk beside Gbit/s": beside,
                    f"{direction} bulk beside/alone": beside / alone}
        return one

    with bench.chains(["pump", "http"]) as started:
        bench.rounds(started, {direction: measure(direction) for direction in ("down", "up")})


# ----------------------------------------------------------------------------------------------- memory, and starts

def idle(bench):
    """Resident memory of each role when nothing happens, and what a held connection adds. One service, one tunnel.

    A connection adds what no file backs. Pages of the program come and go for all of them together.
    """
    settle, count = 4.0, 200 if bench.options.quick else 1000
    with bench.chains(["http"]) as started:
        for chain in started[1:]:
            try:
                loads.first_byte(chain.entrances["http"], time.monotonic() + 5)
                time.sleep(settle)
                before, anonymous = memory_bytes(chain.roles), memory_bytes(chain.roles, "Anonymous")
                with loads.held(chain.entrances["http"], count) as connections:
                    time.sleep(settle)
                    during = memory_bytes(chain.roles, "Anonymous")
                    for connection in connections:
                        loads.get(connection)  # what was measured is connections that work
            except (loads.LoadFailure, OSError) as error:
                bench.failed(chain.name, error)
                continue
            for role in chain.roles:
                bench.add(chain.name, f"{role} MB", before[role] / 1e6)
                bench.add(chain.name, f"{role} anonymous MB", anonymous[role] / 1e6)
                bench.add(chain.name, f"{role} B per held connection", (during[role] - anonymous[role]) / count)


def fleet_of_agents(bench):
    """Registered agents at a relay that is confined to one CPU.

    The fleet, in Python, is slower than the relay: what one CPU of the relay's can do is told by the CPU time it used.
    """
    count = min(bench.options.agents, bench.descriptors - 200)
    if count < bench.options.agents:
        bench.say(f"{count} agents, for the limit of open files is {bench.descriptors}")
    with bench.processes() as processes:
        cpus = os.sched_getaffinity(0)
        relay_cpu = {max(cpus)}
        adit = chains.Adit(bench.options.adit, processes)
        adit.start_relay(cpus=relay_cpu)
        relay = {"relay": adit.roles["relay"]}
        adit.run("key", "generate", "--state-dir", adit.folder / "fleet")
        with contextlib.ExitStack() as fleets:
            # What the first ones need is nobody's share.
            first = fleets.enter_context(fleet_process(adit, "first", 100, cpus - relay_cpu or cpus))
            loads.last_json(first.stdout.readline() or first.stderr.read(), "")
            time.sleep(1)
            memory, cpu = memory_bytes(relay, "Anonymous")["relay"], cpu_seconds(relay)["relay"]
            agents = fleets.enter_context(fleet_process(adit, "bench", count, cpus - relay_cpu or cpus))
            registered = loads.last_json(agents.stdout.readline() or agents.stderr.read(), "")
            used = cpu_seconds(relay)["relay"] - cpu
            time.sleep(2)
            bench.add("adit", "relay KiB per idle agent", (memory_bytes(relay, "Anonymous")["relay"] - memory) / count / 1024)
            bench.add("adit", "registrations /s", count / registered["seconds"])
            bench.add("adit", "registrations per CPU-s of the relay", count / used)
            # Longer than a silent link lives: those that are still there answered their pings.
            time.sleep(0 if bench.options.quick else 25)
            alive = loads.last_json(*agents.communicate(timeout=20))["alive"]
        bench.add("adit", "agents alive after the hold", alive)
        if alive != count:
            bench.failed("hold", f"{count - alive} of {count} links ended")
    bench.add("openssl", "TLS handshakes per CPU-s, the server's part", handshakes_alone(bench, relay_cpu))


OPENSSL_CONF = """
openssl_conf = openssl
[openssl]
ssl_conf = ssl
[ssl]
system_default = link
[link]
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
"""


def handshakes_alone(bench, cpus):
    """How many OpenSSL does in a second of CPU time when there is no relay behind it.

    Another CPU is busy with the same, as it is with the fleet while that registers: two may share a core.
    """
    with bench.processes() as processes, contextlib.ExitStack() as running:
        settings, adit = processes.folder / "openssl.cnf", chains.Adit(bench.options.adit, processes)
        settings.write_text(OPENSSL_CONF)
        adit.run("key", "generate", "--state-dir", processes.folder / "peer")
        identity, env = processes.folder / "peer" / "identity.pem", os.environ | {"OPENSSL_CONF": str(settings)}
        others = [{cpu} for cpu in os.sched_getaffinity(0) - cpus]
        measured, *_ = [running.enter_context(confined(where, HANDSHAKES, identity, 1000, env=env))
                        for where in (cpus, *others[:1])]
        answer = loads.last_json(*measured.communicate(timeout=120))
    if answer["suite"] not in OPENSSL_CONF:
        raise loads.LoadFailure(f"OpenSSL does not take its settings: {answer['suite']}")
    return answer["handshakes"] / answer["seconds"]


def fleet_process(adit, name, count, cpus):
    """`count` agents NAME-0, NAME-1 … in one process, which tells when they are registered."""
    identity = adit.folder / "fleet" / "identity.pem"
    return confined(cpus, FLEET, adit.relay_port, name, count, identity, adit.tokens["agent"])


@contextlib.contextmanager
def confined(cpus, program, *words, env=None):
    """A program of the benchmark's own, on these CPUs, and ended in any case."""
    process = subprocess.Popen([str(word) for word in (*services.PYTHON, program, *words)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        os.sched_setaffinity(process.pid, cpus)
        yield process
    finally:
        process.kill()
        process.communicate()


def start(bench):
    """From the start of all three roles at once, with nothing on disk but secret and tokens, to the first answer."""
    # Whoever comes before the relay listens tries again a moment later, so single runs differ by more than noise.
    for _ in range(max(bench.options.rounds, 3 if bench.options.quick else 15)):
        with bench.processes() as processes:
            adit = chains.Adit(bench.options.adit, processes)
            adit.relay_port, entrance = free_port(), free_port()
            begun = time.monotonic()
            adit.spawn_relay(adit.relay_port)
            adit.spawn_agent("db", bench.services["http"])
            adit.spawn_connect("db", "db", entrance)
            loads.first_byte(entrance, begun + 30)
            bench.add("adit", "first byte s", time.monotonic() - begun)


# ----------------------------------------------------------------------------------------------------- many tunnels

def counted(count):
    return f"{count} connection{'s' if count > 1 else ''}"


def many(bench):
    """N connections, all busy, in three ways. `adit`: each has a tunnel, and each connect and agent is a process, with ten
    tunnels to an agent. `adit-crowd`: the same, but all connects are one process, and all agents another.
    `adit-session`: all go through one tunnel.
    """
    pump, counts = bench.services["pump"], (1, *bench.options.tunnels)
    straight = chains.Chain("direct", {count: [f"{pump}*{count}"] for count in counts}, {})

    def measure(direction, count):
        def one(chain):
            label = f"{direction} {counted(count)}"

            def load():
                with loads.bulk(bench.pump_client(), chain.entrances[count], direction, bench.options.seconds) as result:
                    return result()

            found, figures = with_cpu(chain, label, load)
            return {f"{label} Gbit/s": found["gbps"]} | figures
        return one

    def measure_all(name, entrances, roles):
        bench.rounds([straight, chains.Chain(name, entrances, roles)],
                     {f"{direction} {count}": measure(direction, count)
                      for direction in ("down", "up") for count in entrances})

    def processes(adit, count, agents):
        adit.start_agents({f"agent-{n}": pump for n in range(agents)})
        tunnels = adit.start_connects({f"tunnel-{n}": f"agent-{n % agents}" for n in range(count)})
        return {count: tunnels.values()}

    def crowd(adit, count, agents):
        return {count: adit.start_crowd(bench.options.crowd, pump, count, agents)}

    def session(adit, *_):
        adit.start_agents({"agent": pump})
        port = adit.start_connects({"tunnel": "agent"})["tunnel"]
        return {count: [f"{port}*{count}"] for count in counts}

    ways = [way for count in counts for way in (("adit", processes, count), ("adit-crowd", crowd, count))]
    for name, start, count in (*ways, ("adit-session", session, 1)):
        try:
            with bench.processes() as started:
                adit = chains.Adit(bench.options.adit, started)
                adit.deadline += count * 0.2
                adit.start_relay()
                measure_all(name, start(adit, count, (count + 9) // 10), adit.roles)
        except (StartFailure, OSError, subprocess.SubprocessError) as error:
            bench.failed(f"start of {name} for {counted(count)}", error)


SCENARIOS = {  # name: (function, seconds that it may take beside its loads, whether it is run unasked)
    "throughput": (throughput, 60, True),
    "latency": (latency, 60, True),
    "mixed": (mixed, 60, True),
    "idle": (idle, 120, True),
    "fleet": (fleet_of_agents, 180, True),
    "start": (start, 120, True),
    "many": (many, 300, True),
    "long-link": (longlink.long_link, 300, False),
}

"""What a run starts and ends: processes, their descendants, their CPU time and memory. All from /proc; Linux only."""
import contextlib
import ctypes
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

HOST = "127.0.0.1"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


class StartFailure(Exception):
    """Something that a scenario needs did not come up."""


class Process:
    """A process of ours, and where its output goes: `log` has its standard output and error in order."""

    def __init__(self, name, popen, log):
        self.name, self.popen, self.log = name, popen, log
        self.pid = popen.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, marker, deadline):
        """The rest of the first line of output that holds `marker`."""
        while True:
            lines = self.output().split("\n")[:-1]  # the last is not complete
            for line in lines:
                if marker in line:
                    return line.split(marker, 1)[1].strip()
            if self.popen.poll() is not None:
                raise StartFailure(f"{self.name} ended: {self.output()[-400:].strip()}")
            if time.monotonic() > deadline:
                raise StartFailure(f"{self.name} did not say {marker!r}: {self.output()[-400:].strip()}")
            time.sleep(0.005)


class Processes:
    """A set of processes that live and end together, in a folder of their own. Use it in a `with`."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.started = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, name, argv, cpus=None, stdin=subprocess.DEVNULL):
        """Starts a program; `cpus` confines it to these. It dies with this one, however that comes about."""

        def prepare():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if cpus:
                os.sched_setaffinity(0, cpus)

        environment = {key: value for key, value in os.environ.items() if not key.startswith("ADIT_")}
        log = self.folder / f"{name}.log"
        with open(log, "wb") as output:
            popen = subprocess.Popen([str(a) for a in argv], stdin=stdin, stdout=output, stderr=output, env=environment,
                                     preexec_fn=prepare)
        process = Process(name, popen, log)
        self.started.append(process)
        return process

    def stop(self):
        """Ends everything that was started and all that came of it: politely, and after 3 s for certain."""
        running = [p for p in self.started if p.popen.poll() is None]
        family = {pid: started_at(pid) for p in running for pid in descendants([p.pid])}
        for number, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
            for pid, birth in family.items():
                if birth is not None and started_at(pid) == birth:  # the pid may be somebody else's by now
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                for p in running:
                    p.popen.poll()
                family = {pid: birth for pid, birth in family.items() if started_at(pid) == birth}
                if not family:
                    break
                time.sleep(0.01)
        self.started = []


def stat_fields(pid):
    """The fields of /proc/PID/stat from the third on, or None; zombies count as gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def started_at(pid):
    fields = stat_fields(pid)
    return fields and fields[19]


def descendants(roots):
    """`roots` and all processes that descend from them, roots first."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat_fields(name)):
            children.setdefault(int(fields[1]), []).append(int(name))
    found = list(roots)
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(roles):
    """role -> CPU seconds of its processes so far, those of children that have ended included."""
    return {role: sum(sum(int(n) for n in fields[11:15]) for pid in descendants(pids)
                      if (fields := stat_fields(pid))) / TICKS_PER_SECOND for role, pids in roles.items()}


def memory_bytes(roles, kind="Rss"):
    """role -> bytes of its processes: `Rss`, what is resident (shared pages count for each); `Anonymous`, without what
    files back.
    """
    return {role: sum(process_memory(pid, kind) for pid in descendants(pids)) for role, pids in roles.items()}


def process_memory(pid, kind):
    # Not VmRSS of /proc/PID/status: the kernel keeps that per CPU, and it may be some hundred KiB behind.
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith(f"{kind}:"):
                    return int(line.split()[1]) * 1024
    return 0


def free_port():
    """A random port that nothing listens on, below those that the kernel gives to outgoing connections."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first_ephemeral = int(file.read().split()[0])
    for _ in range(1000):
        port = random.randrange(10_000, max(first_ephemeral, 11_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise StartFailure("no port is free")


def wait_for_port(port, deadline):
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), 1).close()
            return
        if time.monotonic() > deadline:
            raise StartFailure(f"nothing listens on port {port}")
        time.sleep(0.005)

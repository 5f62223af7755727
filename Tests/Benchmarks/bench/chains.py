"""The ways from client to service that are measured beside each other: direct, adit, and OpenSSH twice.

A chain is started for a set of services (name -> port) and has an entrance for each (name -> port), and the processes
of each of its roles. All are on loopback.
"""
import getpass
import os
import pathlib
import secrets
import shutil
import subprocess
import time

from . import loads
from .processes import HOST, StartFailure, free_port, wait_for_port

ROLES = ("relay", "agent", "connect")


class Chain:
    """`entrances`: service -> port, or what else the load of a scenario goes by. `roles`: role -> pids of its processes,
    without their descendants.
    """

    def __init__(self, name, entrances, roles):
        self.name, self.entrances, self.roles = name, entrances, roles


class Adit:
    """Starts adit's roles, each with state and tokens of its own, in the folder of `processes`.

    `places`: role -> what to put before its command; `relay_hosts`: role -> where it finds the relay. Both are for
    roles that live in network namespaces.
    """

    def __init__(self, binary, processes, places=None, relay_hosts=None):
        self.binary, self.processes, self.folder = binary, processes, processes.folder
        self.places, self.relay_hosts = places or {}, relay_hosts or {}
        self.deadline = time.monotonic() + 60
        self.roles = {role: [] for role in ROLES}
        self.secret = self.folder / "secret"
        self.secret.write_text(secrets.token_hex(32))
        self.tokens = {}
        for role in ("agent", "client"):
            self.tokens[role] = self.folder / f"{role}.token"
            self.tokens[role].write_text(self.run("generate-token", "--secret-file", self.secret, "--token-only",
                                                  "--role", role, "--sub", "bench", "--agent", "*"))
        self.agent_keys, self.relay_key, self.relay_port = {}, None, None

    def run(self, *arguments):
        done = subprocess.run([str(a) for a in (self.binary, *arguments)], capture_output=True, text=True, timeout=10)
        if done.returncode:
            raise StartFailure(f"adit {arguments[0]}: exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout.strip()

    def spawn(self, role, name, *arguments, cpus=None):
        state = ["--state-dir", self.folder / f"{name}.state"]
        process = self.processes.start(name, [*self.places.get(role, []), self.binary, *arguments, *state], cpus=cpus)
        self.roles[role].append(process.pid)
        return process

    def relay_address(self, role):
        return f"{self.relay_hosts.get(role, HOST)}:{self.relay_port}"

    def spawn_relay(self, port=0, cpus=None):
        host = "0.0.0.0" if self.relay_hosts else HOST
        return self.spawn("relay", "relay", "relay", "tcp", "--listen", f"{host}:{port}",
                          "--jwt-secret-file", self.secret, cpus=cpus)

    def spawn_agent(self, agent, service, *trust):
        return self.spawn("agent", f"agent-{agent}", "agent", "--relay", self.relay_address("agent"),
                          "--agent-id", agent, "--target-address", f"{HOST}:{service}",
                          "--token-file", self.tokens["agent"], *trust)

    def spawn_connect(self, name, agent, port, *trust):
        return self.spawn("connect", f"connect-{name}", "connect", "--relay", self.relay_address("connect"),
                          "--agent-id", agent, "--local-address", f"{HOST}:{port}",
                          "--token-file", self.tokens["client"], *trust)

    def start_relay(self, cpus=None):
        relay = self.spawn_relay(cpus=cpus)
        self.relay_port = int(relay.wait_for("Relay listening on", self.deadline).rpartition(":")[2])
        self.relay_key = relay.wait_for("Relay key:", self.deadline)

    def start_agents(self, services):
        """agent ID -> the port of its service."""
        agents = {agent: self.spawn_agent(agent, port, "--relay-key", self.relay_key)
                  for agent, port in services.items()}
        for agent, process in agents.items():
            self.agent_keys[agent] = process.wait_for("Agent key:", self.deadline)
            process.wait_for("Waiting for client connections", self.deadline)

    def start_connects(self, tunnels):
        """name -> agent ID. Returns name -> the port that leads to the agent's service."""
        connects = {name: self.spawn_connect(name, agent, 0, "--relay-key", self.relay_key,
                                             "--agent-key", self.agent_keys[agent])
                    for name, agent in tunnels.items()}
        ready = {name: process.wait_for("Tunnel ready:", self.deadline) for name, process in connects.items()}
        return {name: int(line.split()[0].rpartition(":")[2]) for name, line in ready.items()}

    def start_crowd(self, program, service, tunnels, agents):
        """`tunnels` to one service, by turns to each of `agents`. All agents are one process, and all connects another:
        `program` is the crowd. Returns the ports of the tunnels.
        """
        def spawn(role, kind, count, *arguments):
            process = self.processes.start(kind, [program, kind, "--count", count, "--relay", self.relay_address(role),
                                                  "--relay-key", self.relay_key, *arguments])
            self.roles[role].append(process.pid)
            return process

        tokens = {role: file.read_text() for role, file in self.tokens.items()}
        ends = spawn("agent", "agents", agents, "--token", tokens["agent"], "--target-address", f"{HOST}:{service}")
        key = ends.wait_for("Agent key:", self.deadline)
        ends.wait_for("Agents registered:", self.deadline)
        entrances = spawn("connect", "connects", tunnels, "--token", tokens["client"], "--agents", agents,
                          "--agent-key", key)
        return entrances.wait_for("Tunnels ready:", self.deadline).split()


def adit(binary, processes, services):
    """One relay, and for each service an agent and a connect: each service has a session of its own."""
    parts = Adit(binary, processes)
    parts.start_relay()
    parts.start_agents(services)
    return Chain("adit", parts.start_connects({service: service for service in services}), parts.roles)


class OpenSSH:
    """Keys, configuration and processes of one OpenSSH chain.

    Each client runs `cat` on the far side: while a session is open, sshd sets TCP_NODELAY on its connection. `ssh -N`
    would leave Nagle's algorithm on, and be no peer to measure against. Its input stays open as long as this program
    lives, so that nothing is left at the far side if this one is killed.
    """

    CIPHER = "aes128-gcm@openssh.com"  # its fastest, where the CPU has AES

    def __init__(self, processes):
        self.processes, self.folder = processes, processes.folder
        self.deadline = time.monotonic() + 20
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # sshd does not start without
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", self.folder / key],
                           check=True, timeout=10)
        host_key = (self.folder / "host.pub").read_text().strip()
        (self.folder / "known").write_text(f"* {host_key}\n")
        (self.folder / "ssh.conf").write_text(f"""
HostName {HOST}
User {getpass.getuser()}
IdentityFile {self.folder}/user
IdentitiesOnly yes
IdentityAgent none
UserKnownHostsFile {self.folder}/known
GlobalKnownHostsFile none
StrictHostKeyChecking yes
BatchMode yes
ExitOnForwardFailure yes
Compression no
Ciphers {self.CIPHER}
""")

    def server(self, name):
        """An sshd; returns its pid and port."""
        port, configuration = free_port(), self.folder / f"{name}.conf"
        configuration.write_text(f"""
ListenAddress {HOST}:{port}
PidFile none
HostKey {self.folder}/host
AuthorizedKeysFile {self.folder}/user.pub
StrictModes no
UsePAM no
UseDNS no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
Compression no
Ciphers {self.CIPHER}
""")
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        process = self.processes.start(name, [sshd, "-D", "-e", "-f", configuration])
        wait_for_port(port, self.deadline)
        return process.pid, port

    def client(self, name, port, forwards):
        process = self.processes.start(name, ["ssh", "-T", "-F", self.folder / "ssh.conf", "-p", port, *forwards,
                                              "far-side", "exec cat"], stdin=subprocess.PIPE)
        return process.pid


def forwards(option, pairs):
    """pairs: (port to listen on, port to reach)."""
    return [word for listen, reach in pairs for word in (option, f"{HOST}:{listen}:{HOST}:{reach}")]


def openssh(processes, services):
    """ssh -R from the agent's side, ssh -L from the client's, both to the relay's sshd: the relay reads the bytes."""
    parts = OpenSSH(processes)
    inner, entrances = {s: free_port() for s in services}, {s: free_port() for s in services}
    relay, port = parts.server("relay")
    agent = parts.client("agent", port, forwards("-R", [(inner[s], services[s]) for s in services]))
    connect = parts.client("connect", port, forwards("-L", [(entrances[s], inner[s]) for s in services]))
    loads.first_byte(entrances["http"], parts.deadline)
    return Chain("openssh", entrances, {"relay": [relay], "agent": [agent], "connect": [connect]})


def openssh_end_to_end(processes, services):
    """ssh -R publishes a second sshd, the agent's; the client's ssh goes through another ssh to that one."""
    parts = OpenSSH(processes)
    published, passage = free_port(), free_port()
    entrances = {s: free_port() for s in services}
    relay, relay_port = parts.server("relay")
    agent, agent_port = parts.server("agent-sshd")
    publisher = parts.client("agent", relay_port, forwards("-R", [(published, agent_port)]))
    wait_for_port(published, parts.deadline)
    outer = parts.client("connect-outer", relay_port, forwards("-L", [(passage, published)]))
    wait_for_port(passage, parts.deadline)
    connect = parts.client("connect", passage, forwards("-L", [(entrances[s], services[s]) for s in services]))
    loads.first_byte(entrances["http"], parts.deadline)
    return Chain("openssh-e2e", entrances,
                 {"relay": [relay], "agent": [agent, publisher], "connect": [outer, connect]})

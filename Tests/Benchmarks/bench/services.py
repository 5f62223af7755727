"""The services at the far end of every tunnel: iperf3, nginx with a file of 1 KiB, and the pump."""
import os
import pathlib
import shutil
import sys
import time

from . import loads
from .processes import HOST, free_port, wait_for_port

PUMP = pathlib.Path(__file__).with_name("pump.py")
PYTHON = [sys.executable, "-B"]

NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
{user}
events {{ worker_connections {descriptors}; }}
http {{
    access_log off;
    default_type application/octet-stream;
    open_file_cache max=4;
    sendfile on;
    keepalive_timeout 1h;
    keepalive_requests 1000000000;
    client_header_timeout 1h;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{ listen {host}:{port} backlog=4096; root {folder}/www; }}
}}
"""


def start(processes, descriptors):
    """name -> port, for the three; all answer when this returns."""
    folder, ports = processes.folder, {"iperf": free_port(), "http": free_port()}
    os.chmod(folder, 0o755)  # nginx's worker may be another user
    (folder / "www").mkdir()
    (folder / "www" / "1k").write_bytes(b"x" * 1024)
    (folder / "nginx.conf").write_text(NGINX.format(
        folder=folder, host=HOST, port=ports["http"], descriptors=descriptors,
        user="user root;" if os.geteuid() == 0 else ""))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    processes.start("nginx", [nginx, "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "nginx-error.log"])
    processes.start("iperf3", ["iperf3", "-s", "-B", HOST, "-p", ports["iperf"]])
    pump = processes.start("pump", [*PYTHON, PUMP, "serve"])
    deadline = time.monotonic() + 10
    ports["pump"] = int(pump.wait_for("listening on", deadline))
    wait_for_port(ports["iperf"], deadline)
    loads.first_byte(ports["http"], deadline)
    return ports

"""Ports of embedded servers: free ones, and the same again after a restart."""

import json
import random
import socket
from collections.abc import Collection
from pathlib import Path

HOST = "127.0.0.1"
RANGE = range(20_000, 32_768)
"""Below Linux's ephemeral ports: there, while a server is down, another program's outgoing connection
may take its port, and a client that keeps trying can even get connected to itself."""


def keep_ports(file: Path, names: tuple[str, ...]) -> dict[str, int]:
    """A free port for each name; those noted in `file` by the last call where they are still free."""
    noted: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    ports: dict[str, int] = {}
    for name in names:
        last = noted.get(name)
        ports[name] = last if last and is_free(last) else free_port(exclude=ports.values())
    file.write_text(json.dumps(ports))
    return ports


def free_port(exclude: Collection[int] = ()) -> int:
    """A port that nobody listens on."""
    while True:
        port = random.choice(RANGE)  # noqa: S311 - not a secret
        if port not in exclude and is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on it now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True

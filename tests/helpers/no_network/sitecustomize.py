"""A Python that is cut off: whoever reaches for another machine fails, and is written down.

Named in NO_NETWORK_LOG; put this folder on PYTHONPATH and every Python process obeys, workers too.
"""

import os
import socket
from pathlib import Path

_connect, _look_up = socket.socket.connect, socket.getaddrinfo


def _is_here(host):
    """Tell whether an address is this machine's: then a socket can be bound to it."""
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, 0))
            except (OSError, TypeError):
                continue
            return True
    return False


def _refuse(what):
    with Path(os.environ["NO_NETWORK_LOG"]).open("a") as log:
        log.write(f"{what}\n")
    raise OSError(f"no network: {what}")


def connect(self, address):
    # a datagram socket that is connected sends nothing: Ray learns its own address that way
    if (
        self.family != socket.AF_UNIX
        and self.type & socket.SOCK_STREAM
        and not _is_here(address[0])
    ):
        _refuse(f"connect {address}")
    return _connect(self, address)


def connect_ex(self, address):
    try:
        connect(self, address)
    except OSError as error:
        return error.errno or 101
    return 0


def getaddrinfo(host, *rest, **more):
    name = host.decode() if isinstance(host, bytes) else host
    if not _is_here(name):
        _refuse(f"look up {name}")
    return _look_up(host, *rest, **more)


if "NO_NETWORK_LOG" in os.environ:
    socket.socket.connect = connect
    socket.socket.connect_ex = connect_ex
    socket.getaddrinfo = getaddrinfo

"""Bitcoin Core's ZMQ notifications: they wake the follower, and are never believed."""

import asyncio

import zmq
import zmq.asyncio

from app.errors import ConfigurationError

TOPIC = b"hashblock"
MAX_MESSAGE_BYTES = 1_000
"""A hash has 32. ZMQ ends the connection to a publisher that sends more, for good: hence `SILENCE_S`."""
SILENCE_S = 3600.0
"""After so long without a message the connection is made anew."""


async def wake_on_blocks(endpoint: str, wake: asyncio.Event) -> None:
    """Set `wake` at each `hashblock` for ever; a publisher that is away is connected to when it comes.

    Messages may be lost (ZMQ drops them for a slow reader, and while not connected): whoever waits must
    look by itself now and then. Raises ConfigurationError for an address that can't be one.
    """
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.SUB)
    try:
        socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        socket.setsockopt(zmq.SUBSCRIBE, TOPIC)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        _connect(socket, endpoint)
        while True:
            if await socket.poll(SILENCE_S * 1000):
                await socket.recv_multipart()
                wake.set()
            else:
                socket.disconnect(endpoint)
                _connect(socket, endpoint)
    finally:
        socket.close(linger=0)
        context.term()


def _connect(socket: zmq.asyncio.Socket, endpoint: str) -> None:
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise ConfigurationError(
            f"--zmq {endpoint!r} is no address ({error}): write what the node has as -zmqpubhashblock, "
            "tcp://host:port"
        ) from None

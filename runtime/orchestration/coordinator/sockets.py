"""Frames over sockets of one machine: a length in four bytes, then that much JSON."""

from __future__ import annotations

import socket
import struct

from .errors import BadMessageError, CoordinationError
from .wire import MAX_FRAME

_HEADER = struct.Struct(">I")
_MAX_UNSENT = 32 << 20  # bytes that wait for a slow peer; what comes then gets lost
_CHUNK = 1 << 18

Address = tuple[str, int] | str


def parse_address(text: str) -> Address:
    """``unix:PATH``, or ``127.0.0.1:PORT`` or another address of this machine's loopback.

    Raises:
        CoordinationError: it is neither.
    """
    if text.startswith("unix:") and len(text) > 5:
        return text[5:]
    host, _, port = text.rpartition(":")
    if host not in ("127.0.0.1", "localhost") or not port.isdecimal():
        raise CoordinationError(
            f"replicas talk over unix:PATH or 127.0.0.1:PORT, not {text!r}",
            hint="between machines they would need TLS, which they have not: use a tunnel",
        )
    return "127.0.0.1", int(port)


def new_socket(address: Address) -> socket.socket:
    """A socket of an address's family."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    if family == socket.AF_INET:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


class Connection:
    """A socket that does not block, with what came and what is still to go."""

    def __init__(self, made: socket.socket) -> None:
        self.socket = made
        self._in = bytearray()
        self._out = bytearray()

    @property
    def unsent(self) -> bool:
        """Whether something is still to go."""
        return bool(self._out)

    def put(self, frame: bytes) -> bool:
        """Have a frame sent; whether there was room for it."""
        if len(self._out) + len(frame) > _MAX_UNSENT:
            return False
        self._out += _HEADER.pack(len(frame)) + frame
        return True

    def flush(self) -> None:
        """Send what can be sent. Raises OSError if the connection is gone."""
        while self._out:
            try:
                sent = self.socket.send(memoryview(self._out)[:_CHUNK])
            except (BlockingIOError, InterruptedError):
                return
            del self._out[:sent]

    def read(self) -> list[bytes]:
        """The frames that have come.

        Raises:
            OSError: the connection is gone.
            BadMessageError: it sends something else, or too much.
        """
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionResetError("closed by the other side")
        self._in += data
        frames = []
        while len(self._in) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._in)
            if length > MAX_FRAME:
                raise BadMessageError(f"a frame of {length} bytes")
            end = _HEADER.size + length
            if len(self._in) < end:
                break
            frames.append(bytes(self._in[_HEADER.size : end]))
            del self._in[:end]
        return frames


def call(address: Address, frame: bytes, timeout: float) -> bytes:
    """Send a frame and give the frame that is answered. Raises OSError, BadMessageError."""
    with new_socket(address) as made:
        made.settimeout(timeout)
        made.connect(address)
        made.sendall(_HEADER.pack(len(frame)) + frame)
        (length,) = _HEADER.unpack(_receive(made, _HEADER.size))
        if length > MAX_FRAME:
            raise BadMessageError(f"a frame of {length} bytes")
        return _receive(made, length)


def _receive(made: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        more = made.recv(min(length - len(data), _CHUNK))
        if not more:
            raise ConnectionResetError("closed by the other side")
        data += more
    return bytes(data)

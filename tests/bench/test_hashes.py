"""scrypt, PBKDF2 and BLAKE3 give what their specifications' test vectors say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from .machines import Machine

Make = Callable[[str], Machine]

# RFC 7914, section 11.
PBKDF2_VECTORS = [
    (b"passwd", b"salt", 1,
     "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
     "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"),
    (b"Password", b"NaCl", 80000,
     "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
     "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"),
]

# RFC 7914, section 12.
SCRYPT_VECTORS = [
    (b"", b"", (16, 1, 1),
     "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
     "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"),
    (b"password", b"NaCl", (1024, 8, 16),
     "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
     "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"),
]

# The first 32 bytes of the test vectors published with BLAKE3's reference implementation.
BLAKE3_VECTORS = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    2049: "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
    4097: "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995",
    7168: "61da957ec2499a95d6b8023e2b0e604ec7f6b50e80a9678b89d2628e99ada77a",
    31744: "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
    102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
}


def derive(guest: Machine, password: bytes, salt: bytes, size: int, *cost: int) -> bytes:
    address = guest.call("buffer")
    guest.write(address, password + salt)
    guest.call("derive", len(password), len(salt), *cost, size)
    return guest.read(address, size)


def test_pbkdf2(machine: Make) -> None:
    guest = machine("pbkdf2")
    for password, salt, iterations, key in PBKDF2_VECTORS:
        assert derive(guest, password, salt, 64, iterations).hex() == key
    for password, salt, iterations, size in (
        (b"p" * 64, b"s" * 55, 2, 32), (b"p" * 65, b"s" * 56, 3, 33), (b"", b"", 1, 1),
        (b"p" * 200, b"s" * 130, 2, 100), (b"p" * 63, b"s" * 119, 1, 64),
    ):  # fmt: skip
        expected = hashlib.pbkdf2_hmac("sha256", password, salt, iterations, size)
        assert derive(guest, password, salt, size, iterations) == expected


def test_scrypt(machine: Make) -> None:
    guest = machine("scrypt")
    for password, salt, cost, key in SCRYPT_VECTORS:
        assert derive(guest, password, salt, 64, *cost).hex() == key
    for n, r, p in ((2, 1, 1), (64, 8, 1), (128, 3, 2)):
        expected = hashlib.scrypt(b"swarm", salt=b"agents", n=n, r=r, p=p, dklen=45)
        assert derive(guest, b"swarm", b"agents", 45, n, r, p) == expected


def test_blake3(machine: Make) -> None:
    guest = machine("blake3")
    data = (bytes(range(251)) * 408)[:102400]
    guest.write(guest.call("buffer"), data)
    for size, digest in BLAKE3_VECTORS.items():
        assert guest.read(guest.call("hash", size), 32).hex() == digest, size

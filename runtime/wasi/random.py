"""random_get: a stream of bytes for each agent that depends on seed and agent id alone.

The stream is splitmix64 (Steele, Lea and Flood, OOPSLA 2014). With 64-bit arithmetic and

    mix(z):  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;  z = (z ^ z >> 27) * 0x94D049BB133111EB;
             return z ^ z >> 31
    G   = 0x9E3779B97F4A7C15
    key = mix(seed + G) ^ mix(agent * G + 1)

word number ``n`` of an agent, from 0 in every dispatch, is ``mix(mix(key) + (n + 1) * G)``. A call
takes whole words, little endian; what it does not need of its last word is lost. This is not
cryptography: anybody who knows the seed knows the stream.
"""

from __future__ import annotations

from ...targets.layout import Ctx, Job
from ..guest import (
    argument,
    device,
    guest_check,
    guest_store8,
    guest_store64,
    job_load,
    set_result,
    state_load,
    state_store,
)
from .errno import SUCCESS


def _signed(value: int) -> int:
    return value - (1 << 64)


# The accessors' integers are signed; multiplication does not care.
_G = _signed(0x9E3779B97F4A7C15)
_M1 = _signed(0xBF58476D1CE4E5B9)
_M2 = _signed(0x94D049BB133111EB)


@device
def _mix(z: int) -> int:
    # Masks make the arithmetic shifts logical.
    z = (z ^ ((z >> 30) & 0x3FFFFFFFF)) * _M1
    z = (z ^ ((z >> 27) & 0x1FFFFFFFFF)) * _M2
    return z ^ ((z >> 31) & 0x1FFFFFFFF)


def random_get(ctx: int, slots: int) -> int:
    """(buffer, length)"""
    address, length = argument(slots, 0), argument(slots, 1)
    if length:
        trap = guest_check(ctx, address, length, 1)
        if trap:
            return trap
    key = _mix(_mix(job_load(ctx, Job.SEED) + _G) ^ _mix(state_load(ctx, Ctx.AGENT) * _G + 1))
    word = state_load(ctx, Ctx.RANDOM_READS)
    for offset in range(0, length, 8):
        word += 1
        value = _mix(key + word * _G)
        if length - offset >= 8:
            guest_store64(ctx, address + offset, value)
        else:
            for byte in range(length - offset):
                guest_store8(ctx, address + offset + byte, value >> (8 * byte))
    state_store(ctx, Ctx.RANDOM_READS, word)
    set_result(slots, 0, SUCCESS)
    return 0

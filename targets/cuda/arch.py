"""Compute capabilities: what PTX they take, and what a multiprocessor of theirs holds.

Limits are those of the CUDA Programming Guide, "Compute Capabilities" (table of technical
specifications), and of ``cuda/__device/arch_traits.h`` in NVIDIA's CCCL. All have 65,536
registers a multiprocessor in four parts, give them to warps by 256, and at most 255 to a thread.
How many warps that leaves room for is computed as ``cuda_occupancy.h`` of the CUDA Toolkit does,
for kernels without shared memory, which ours are.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import TargetError

WARP = 32
_REGISTERS = 65_536
_PARTS = 4  # of a multiprocessor, with their own registers and warps
_REGISTER_UNIT = 256


@dataclass(frozen=True, slots=True)
class Arch:
    """A compute capability.

    Attributes:
        name: e.g. ``sm_90``.
        ptx_version: of the PTX language that is written for it, times ten: the oldest that knows
            it, and not older than CUDA 12.0's, so that as many assemblers and drivers as possible
            take it.
        threads, blocks: most of each that a multiprocessor holds at a time.
    """

    name: str
    ptx_version: int
    threads: int
    blocks: int

    @property
    def cuda(self) -> str:
        """The oldest version of CUDA whose drivers and assemblers take its PTX."""
        major, minor = divmod(self.ptx_version, 10)
        # 8.0 to 8.5 came with 12.0 to 12.5, 8.6 only with 12.7; 9.0 with 13.0.
        return f"{major + 4}.{minor + (major == 8 and minor > 5)}"

    def __str__(self) -> str:
        return self.name

    def resident_warps(self, registers: int, block: int) -> int:
        """Warps of a kernel that a multiprocessor holds at a time.

        Args:
            registers: of a thread. block: threads in a block.
        """
        warps = -(-block // WARP)
        of_warp = -(-max(registers, 1) * WARP // _REGISTER_UNIT) * _REGISTER_UNIT
        room = _REGISTERS // _PARTS // of_warp * _PARTS
        blocks = min(self.blocks, self.threads // WARP // warps, room // warps)
        return blocks * warps

    def occupancy(self, registers: int, block: int) -> float:
        """Share of the warps that a multiprocessor could hold, 0.0 to 1.0."""
        return self.resident_warps(registers, block) * WARP / self.threads


ARCHES: dict[str, Arch] = {
    arch.name: arch
    for arch in (
        Arch("sm_75", 80, 1024, 16),
        Arch("sm_80", 80, 2048, 32),
        Arch("sm_86", 80, 1536, 16),
        Arch("sm_87", 80, 1536, 16),
        Arch("sm_88", 90, 1536, 16),
        Arch("sm_89", 80, 1536, 24),
        Arch("sm_90", 80, 2048, 32),
        Arch("sm_100", 86, 2048, 32),
        Arch("sm_103", 88, 2048, 32),
        Arch("sm_110", 90, 1536, 24),
        Arch("sm_120", 87, 1536, 24),
        Arch("sm_121", 88, 1536, 24),
    )
}

DEFAULT_ARCH = "sm_90"


def find_arch(name: str) -> Arch:
    """The architecture of that name.

    Raises:
        TargetError: there is none, or it is too old.
    """
    found = ARCHES.get(name)
    if found is None:
        raise TargetError(
            f"no architecture {name!r}", hint=f"the architectures are: {', '.join(ARCHES)}"
        )
    return found


def arch_for(capability: str) -> Arch:
    """The newest architecture whose PTX a device runs.

    Args:
        capability: the device's own, e.g. ``sm_90``; it need not be one of ours.

    Raises:
        TargetError: the device is too old.
    """
    number = int(capability.removeprefix("sm_"))
    older = [arch for arch in ARCHES.values() if int(arch.name.removeprefix("sm_")) <= number]
    if not older:
        oldest = next(iter(ARCHES))
        raise TargetError(f"the GPU is an {capability}, and swarmc needs {oldest} or newer")
    return older[-1]

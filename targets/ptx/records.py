"""Records that translated PTX and the device share: byte offsets of 64-bit fields."""

from __future__ import annotations

import enum


class Launch(enum.IntEnum):
    """One launch. The device fills it; the code writes the fields from ERROR on."""

    ENTRY = 0  # code of the kernel
    ARGS = 8  # its parameters
    THREADS = 16  # how many there are
    BLOCK = 24  # threads of a block: %ntid.x
    GRID = 32  # blocks: %nctaid.x
    REGIONS = 40  # Region[REGION_COUNT]
    REGION_COUNT = 48
    SLOTS = 56  # int64[SLOT_COUNT]: slot of the agent that a thread runs
    SLOT_COUNT = 64
    LOCAL = 72  # local memory of the running thread
    LOCAL_SIZE = 80
    LIVE = 88  # a byte for each byte of local memory: 1 where an array lies
    STACK_TOP = 96  # machine stack of the running thread
    STACK_LIMIT = 104
    ERROR = 112  # a Violation
    LINE = 120  # PTX line of the instruction
    ADDRESS = 128
    SIZE = 136
    THREAD = 144  # which thread it was
    REGION = 152  # number of the region concerned, or -1
    END = 160


class Thread(enum.IntEnum):
    """The running thread, which is what all translated functions get first."""

    SAVED_SP = 0
    STACK_LIMIT = 8
    LAUNCH = 16
    INDEX = 24
    SLOT = 32  # of its agent, or -1
    TID = 40
    BLOCK_INDEX = 48
    LOCAL_SP = 56  # end of the arrays in local memory
    END = 64


class Region(enum.IntEnum):
    """A range of device memory and who may do what there, see Rule and Rights."""

    BASE = 0
    SIZE = 8
    RULE = 16
    RIGHTS = 24
    STRIDE = 32  # bytes of a slice; those of a group if it is interleaved
    CELL = 40
    STATE = 48  # WRITE or CONSTANT, whichever was done in this launch, where it matters
    END = 56


class Rule(enum.IntEnum):
    """Which part of a region a thread may touch."""

    ALL = 0
    INDEX_ROW = 1  # row number INDEX of STRIDE bytes
    SLOT_ROW = 2  # row number SLOT
    SLOT_CELLS = 3  # its cells of CELL bytes in a group of STRIDE bytes, of 32 slots


class Rights(enum.IntEnum):
    """What may be done in a region."""

    READ = 0  # it stays as it is during the launch
    WRITE = 1
    EITHER = 2  # as long as it is written in no launch that also reads it as constant


class Violation(enum.IntEnum):
    """Why a launch was ended."""

    NONE = 0
    MISALIGNED = 1
    OUTSIDE = 2  # in no region
    FOREIGN = 3  # in a region, but not in the thread's part of it
    READ_ONLY = 4
    NOT_CONSTANT = 5  # read as constant (.nc, .const) where someone writes
    DEAD_LOCAL = 6  # local memory where no array lies
    WRONG_SPACE = 7  # a local address where a global one must stand
    CALL_TARGET = 8
    LOCAL_EXHAUSTED = 9
    STACK_EXHAUSTED = 10
    TRAP = 11
    RAN_OUT = 12  # past the end of a function
    BRANCH_INDEX = 13


#: Flags of an access.
WRITE = 1
CONSTANT = 2
GLOBAL = 4  # the instruction names the global space

#: Local addresses begin here, so that a small number is none.
LOCAL_START = 256
#: Bytes between two arrays in local memory.
LOCAL_GAP = 64
#: Alignment of arrays in local memory, the largest that there is.
LOCAL_ALIGN = 64
#: Code addresses that PTX sees are these, so that none is an address of anything else.
CODE_BASE = 0x00C0_DE00_0000_0000
CODE_STEP = 64

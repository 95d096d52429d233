"""The proposals that a module may use, by version of the specification.

A proposal beyond WebAssembly 2.0 that is outside a :class:`FeatureSet` is refused by name, where
the module first uses it. Everything of 2.0 is in every set.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ArgumentError, UnsupportedFeatureError

MVP = "mvp"
SIGN_EXTENSION = "sign-extension"
SATURATING = "nontrapping-float-to-int"
BULK_MEMORY = "bulk-memory"
REFERENCE_TYPES = "reference-types"
MULTI_VALUE = "multi-value"
MUTABLE_GLOBALS = "mutable-globals"
SIMD = "simd"

EXTENDED_CONST = "extended-const"
TAIL_CALL = "tail-call"
EXCEPTIONS = "exception-handling"
LEGACY_EXCEPTIONS = "legacy-exception-handling"  # what browsers had before the standard
MULTI_MEMORY = "multi-memory"
MEMORY64 = "memory64"
RELAXED_SIMD = "relaxed-simd"
FUNCTION_REFERENCES = "function-references"
GC = "gc"

#: In the order of their arrival.
WEBASSEMBLY_2 = (MVP, MUTABLE_GLOBALS, SIGN_EXTENSION, SATURATING, MULTI_VALUE, BULK_MEMORY,
                 REFERENCE_TYPES, SIMD)
WEBASSEMBLY_3 = (*WEBASSEMBLY_2, EXTENDED_CONST, TAIL_CALL, EXCEPTIONS, MULTI_MEMORY, MEMORY64,
                 RELAXED_SIMD, FUNCTION_REFERENCES, GC)

#: Those of 3.0 that swarmc has.
_DONE = frozenset((EXTENDED_CONST, TAIL_CALL, EXCEPTIONS, MULTI_MEMORY, MEMORY64, RELAXED_SIMD,
                   FUNCTION_REFERENCES, GC))


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """What a module may use: WebAssembly 2.0, and some proposals that came later.

    Attributes:
        name: for messages: the version of the specification, or whatever sets the limit.
        later: the proposals beyond WebAssembly 2.0.

    Raises:
        ArgumentError: swarmc does not have one of the proposals.
    """

    name: str
    later: frozenset[str]

    def __post_init__(self) -> None:
        missing = sorted(self.later - _DONE)
        if missing:
            raise ArgumentError(f"swarmc does not have these proposals: {', '.join(missing)}")

    def __contains__(self, proposal: str) -> bool:
        return proposal in self.later or proposal in WEBASSEMBLY_2

    def refusal(self, proposal: str, what: str, offset: int | None) -> UnsupportedFeatureError:
        """The error that names a proposal, and what in the module belongs to it.

        Args:
            what: begins with what the specification of a version without the proposal says.
        """
        why = f"not part of {self.name}" if proposal in _DONE else "not supported"
        return UnsupportedFeatureError(f"{what}: the {proposal} proposal is {why}",
                                       feature=proposal, offset=offset)

    def require(self, proposal: str, what: str, offset: int | None) -> None:
        """Refuse a proposal that is not in the set.

        Raises:
            UnsupportedFeatureError: see :meth:`refusal`.
        """
        if proposal not in self:
            raise self.refusal(proposal, what, offset)


V2 = FeatureSet("WebAssembly 2.0", frozenset())
V3 = FeatureSet("WebAssembly 3.0", _DONE.intersection(WEBASSEMBLY_3))
#: Everything that swarmc has: what is meant where nothing else is said.
SUPPORTED = FeatureSet("what swarmc supports", _DONE)

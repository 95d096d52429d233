"""Feature sets: what a version of the specification lacks is refused by name, in its words."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.feature_report import module_features
from swarmc.compiler.wasm.features import SUPPORTED, V2, V3, WEBASSEMBLY_2, FeatureSet
from swarmc.compiler.wasm.opcodes import OPCODES
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import UnsupportedFeatureError
from swarmc.runtime.tools.spec import features_of

#: By proposal: the fields of a module that uses it, and what 2.0 says of it.
USES = [
    ("extended-const", "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
     "constant expression required"),
    ("multi-memory", "(memory 1) (memory 1)", "multiple memories"),
    ("relaxed-simd", "(func (param v128) (result v128) local.get 0 local.get 0 "
     "i8x16.relaxed_swizzle)", "illegal opcode fd 100"),
    ("memory64", "(memory i64 1)", "integer too large"),
    ("memory64", "(table i64 1 funcref)", "integer too large"),
    ("tail-call", "(func return_call 0)", "illegal opcode 12"),
    ("exception-handling", "(tag)", "malformed section id"),
    ("exception-handling", '(import "a" "b" (tag))', "malformed import kind"),
    ("exception-handling", "(func (param exnref))", "malformed value type"),
    ("exception-handling", "(func try_table end)", "illegal opcode 1f"),
    ("exception-handling", "(func unreachable throw_ref)", "illegal opcode 0a"),
    ("tail-call", "(table 1 funcref) (func i32.const 0 return_call_indirect (type 0))",
     "illegal opcode 13"),
    ("function-references", "(func (param (ref extern)))", "malformed value type"),
    ("function-references", "(global funcref (ref.null 0)) (type (func))",
     "malformed reference type"),
    ("function-references", "(table 1 funcref (ref.null func))", "malformed reference type"),
    ("function-references", "(func unreachable ref.as_non_null drop)", "illegal opcode d4"),
    ("function-references", "(type (func)) (func unreachable call_ref 0)", "illegal opcode 14"),
    ("gc", "(type (struct))", "malformed type"),
    ("gc", "(rec (type (func)) (type (func)))", "malformed type"),
    ("gc", "(type (sub (func)))", "malformed type"),
    ("gc", "(func (param i31ref))", "malformed value type"),
    ("gc", "(func (block (result eqref) unreachable) drop)", "malformed block type"),
    ("gc", "(func unreachable (select (result (ref null any))) drop)", "malformed value type"),
    ("gc", "(func unreachable ref.test (ref null func) drop)", "illegal opcode fb 15"),
    ("gc", "(func ref.null none drop)", "malformed reference type"),
    ("gc", "(func unreachable ref.eq drop)", "illegal opcode d3"),
    ("gc", "(global i32 (i32.const 1)) (global i32 (global.get 0))", "unknown global 0"),
]


@pytest.mark.parametrize(("proposal", "fields", "message"), USES)
def test_later_proposals_are_refused_by_name(proposal: str, fields: str, message: str) -> None:
    data = bytes(wasmtime.wat2wasm(f"(module {fields})"))
    with pytest.raises(UnsupportedFeatureError) as caught:
        validate(decode(data, V2))
    assert caught.value.feature == proposal
    assert caught.value.message.startswith(message)
    assert f"the {proposal} proposal is not part of WebAssembly 2.0" in caught.value.message
    assert caught.value.offset is not None
    for features in (V3, SUPPORTED, FeatureSet("a test", frozenset((proposal,)))):
        module = decode(data, features)
        validate(module)
        assert module.features is features
        assert proposal in module_features(module)


def test_every_later_proposal_is_tried() -> None:
    assert {proposal for proposal, _, _ in USES} == SUPPORTED.later


def test_every_row_is_of_a_proposal_that_is_supported() -> None:
    assert {row.proposal for row in OPCODES} <= {*WEBASSEMBLY_2, *SUPPORTED.later}


def test_what_no_set_has_is_said_to_be_unsupported() -> None:
    error = V2.refusal("threads", "illegal opcode fe", 7)
    assert str(error) == ("illegal opcode fe: the threads proposal is not supported "
                          "(at byte 0x7)")


@pytest.mark.parametrize(("path", "features"), [
    ("suite/2.0/simd/a.wast", V2), ("suite/3.0/a.wast", V3), ("a.wast", V3),
])
def test_scripts_run_under_the_features_of_their_version(path: str, features: FeatureSet) -> None:
    assert features_of(Path(path)) is features

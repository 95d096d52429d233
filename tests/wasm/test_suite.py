"""The specification's suite: every binary is accepted or refused as it says, in its words."""

from __future__ import annotations

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.features import V2
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import DecodeError, SwarmcError, UnsupportedFeatureError, ValidationError

_Suite = list[tuple[str, str, bytes, str]]


def _verdict(data: bytes) -> SwarmcError | None:
    try:
        validate(decode(data, V2))
    except SwarmcError as error:
        return error
    return None


def test_accepts_valid_modules(suite: _Suite) -> None:
    refused = [(where, str(error)) for where, kind, data, _ in suite
               if kind == "module" and (error := _verdict(data)) is not None]
    assert refused == []
    assert sum(kind == "module" for _, kind, _, _ in suite) > 1000


def test_refuses_malformed_and_invalid_modules(suite: _Suite) -> None:
    kinds = {"assert_malformed": DecodeError, "assert_invalid": ValidationError}
    wrong = []
    for where, kind, data, message in suite:
        if kind in kinds:
            error = _verdict(data)
            # What a later proposal made valid is refused in its name, in the old words.
            if not isinstance(error, (kinds[kind], UnsupportedFeatureError)) \
                    or not error.message.startswith(message):
                wrong.append((where, message, str(error)))
    assert wrong == []
    assert sum(kind in kinds for _, kind, _, _ in suite) > 2000


def test_names_the_proposal_behind_what_became_valid_later(suite: _Suite) -> None:
    features = {error.feature for _, kind, data, _ in suite if kind != "module"
                and isinstance(error := _verdict(data), UnsupportedFeatureError)}
    assert features == {"multi-memory", "gc"}

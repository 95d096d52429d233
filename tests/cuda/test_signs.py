"""Signs of floats are changed by the bits, whoever had the idea to change them."""

from __future__ import annotations

import pytest

from swarmc.errors import TargetError
from swarmc.targets.cuda.signs import signs_by_bits


def test_negation_and_absolute_value() -> None:
    text = (
        "\tneg.f32 \t%r2, %r1;\n\tabs.f32 \t%r3, %r2;\n\tneg.f64 \t%rd2, %rd1;\n"
        "\t@%p1 abs.f64 \t%rd3, %rd2;\n\tneg.s32 \t%r4, %r3;\n\tabs.s64 \t%rd4, %rd3;\n"
    )
    assert signs_by_bits(text) == (
        "\txor.b32 \t%r2, %r1, -2147483648;\n\tand.b32 \t%r3, %r2, 2147483647;\n"
        "\txor.b64 \t%rd2, %rd1, -9223372036854775808;\n"
        "\t@%p1 and.b64 \t%rd3, %rd2, 9223372036854775807;\n"
        "\tneg.s32 \t%r4, %r3;\n\tabs.s64 \t%rd4, %rd3;\n"
    )


@pytest.mark.parametrize("line", ["neg.ftz.f32 %r1, %r2;", "abs.f16x2 %r1, %r2;",
                                  "neg.f32 %r1, 0f3F800000;"])  # fmt: skip
def test_forms_that_are_not_known_are_refused(line: str) -> None:
    with pytest.raises(TargetError, match="sign cannot be changed"):
        signs_by_bits(f"\t{line}\n")

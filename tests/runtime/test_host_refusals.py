"""What no host function can be is refused where it stands; what changed is compiled again."""

from __future__ import annotations

import enum
import inspect
import math
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wasmtime import wat2wasm

import swarmc
from swarmc.errors import HostFunctionError
from swarmc.ir.types import FuncType, Type
from swarmc.runtime import SwarmManager
from swarmc.runtime.cache import Cache
from swarmc.runtime.function_digest import function_digest
from swarmc.runtime.host_api import HostFunction, parse_signature

WASM = bytes(wat2wasm("""(module
    (import "env" "f" (func $f (param i32) (result i32)))
    (func (export "go") (param i32) (result i32) (call $f (local.get 0))))"""))


def load(function: HostFunction, cache: bool | Path = False) -> SwarmManager:
    return SwarmManager.from_wasm(WASM, cache=cache, host_functions=[function])


def call(function: HostFunction, x: int, cache: bool | Path = False) -> Any:
    with load(function, cache) as swarm:
        agent = swarm.spawn_agent("go", args=[x])
        return swarm.dispatch().agent_results.get(agent)


f = swarmc.host_function("env", "f", "i32(i32)")


@pytest.mark.parametrize(
    ("text", "params", "results"),
    [
        ("f32(i32, i32)", [Type.I32, Type.I32], [Type.F32]),
        ("(i64)", [Type.I64], []),
        ("void()", [], []),
        ("()()", [], []),
        (" ( i32 , f64 ) ( i32 ) ", [Type.I32], [Type.I32, Type.F64]),
        ("i64 ()", [], [Type.I64]),
    ],
)
def test_signatures(text: str, params: list[Type], results: list[Type]) -> None:
    assert parse_signature(text, "env.f") == FuncType(tuple(params), tuple(results))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("i32", "'i32' is no signature"),
        ("i32(i32", "is no signature"),
        ("i32(i32) -> i32", "is no signature"),
        ("int(i32)", "'int' in 'int(i32)' is no type that host functions take; the types are:"
         " i32, i64, f32, f64"),
        ("v128(i32)", "'v128'"),
        ("i32(i32,)", "''"),
        ("i32, i32(i32)", "need parentheses; write '(i32, i32)(i32)'"),
        (None, "None is no signature"),
    ],
)  # fmt: skip
def test_signatures_that_are_none(text: Any, complaint: str) -> None:
    with pytest.raises(HostFunctionError) as caught:
        swarmc.host_function("env", "f", text)
    assert "env.f" in str(caught.value) and complaint in str(caught.value)


def raises(x: Any) -> Any:
    if x:
        raise ValueError
    return x


def asserts(x: Any) -> Any:
    assert x
    return x


def tries(x: Any) -> Any:
    try:
        return 1 // x
    except ZeroDivisionError:
        return 0


def imports(x: Any) -> Any:
    import math

    return math.floor(x)


def yields(x: Any) -> Any:
    yield x


@pytest.mark.parametrize(
    ("function", "line", "complaint"),
    [
        (raises, 2, "cannot raise"),
        (asserts, 1, "cannot raise"),
        (tries, 2, "cannot use try"),
        (imports, 1, "cannot import"),
        (yields, 1, "cannot be a generator"),
    ],
)
def test_refused_when_it_is_decorated(
    function: Callable[..., Any], line: int, complaint: str
) -> None:
    with pytest.raises(HostFunctionError, match=complaint) as caught:
        f(function)
    first = inspect.getsourcelines(function)[1]
    assert caught.value.path == __file__ and caught.value.line == first + line
    assert str(caught.value).startswith(f"{__file__}:{first + line}: host function env.f")


def test_what_it_calls_is_refused_when_it_is_compiled() -> None:
    function = f(lambda x: raises(x))
    with pytest.raises(HostFunctionError, match="cannot raise") as caught:
        load(function)
    assert caught.value.function == "raises"


@pytest.mark.parametrize(
    "function", [lambda: 1, lambda a, b, c: 1, lambda *a: 1, lambda a=1: 1, len, 3]
)
def test_parameters_must_be_those_of_the_signature(function: Any) -> None:
    with pytest.raises(HostFunctionError, match=r"env\.f"):
        f(function)


def unknown_name(x: Any) -> Any:
    return x + nowhere  # type: ignore[name-defined]  # noqa: F821


def floats(x: Any) -> Any:
    return x * 0.5


def nothing(x: Any) -> None:
    pass


def sometimes(x: Any) -> Any:
    if x:
        return 1
    return None


def pair(x: Any) -> Any:
    return x, x


def no_such_method(agent: Any, x: Any) -> Any:
    return agent.load_i33(x)


def allocates(x: Any) -> Any:
    return np.zeros(x)[0] > 1


def prints(x: Any) -> Any:
    print(x)
    return x


def bad_trap(x: Any) -> Any:
    swarmc.trap(1.5)  # type: ignore[arg-type]
    return x


PROCESS = [1, 2, 3]


class Thing:
    pass


THING = Thing()


def refers(x: Any) -> Any:
    return THING


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (unknown_name, "nowhere"),
        (floats, "env.f returns float64; its signature says i32"),
        (nothing, "env.f returns nothing; its signature says i32"),
        (sometimes, "nothing on another path; its signature says i32"),
        (pair, "env.f returns int32, int32; its signature says i32"),
        (no_such_method, "load_i33"),
        (allocates, "makes an array"),
        (prints, "Python interpreter"),
        (bad_trap, "swarmc.trap takes an integer, not float64"),
        (refers, "THING"),
    ],
)
def test_what_numba_cannot_compile(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(HostFunctionError) as caught:
        load(f(function))
    text = str(caught.value)
    assert complaint in text and "env.f" in text
    assert caught.value.path == __file__
    first = inspect.getsourcelines(function)[1]
    assert first <= (caught.value.line or 0) < first + 4
    if complaint in ("load_i33", "THING"):
        assert caught.value.line == first + 1
    assert "\n" not in text and len(text) < 500


def test_lists_of_functions_are_checked() -> None:
    one, other = f(lambda x: x), f(lambda x: 2 * x)
    for wrong in (one, [lambda x: x], "env", None):
        with pytest.raises(HostFunctionError, match=r"no host function|a list of them"):
            SwarmManager(host_functions=wrong)  # type: ignore[arg-type]
    with pytest.raises(HostFunctionError, match=r"two host functions are called env\.f"):
        SwarmManager(host_functions=[one, other])
    assert call(one, 4) == 4 and call(other, 4) == 8  # nothing is known beyond a swarm


def test_it_stays_callable_from_python() -> None:
    double = f(lambda x: 2 * x)
    assert double(21) == 42
    assert repr(double) == "<HostFunction env.f: (i32) -> (i32)>"
    with pytest.raises(RuntimeError, match=r"swarmc\.trap\(3\) outside"):
        swarmc.trap(3)


def scaled(factor: int) -> HostFunction:
    return f(lambda x: x * factor)


def test_a_changed_function_is_compiled_again(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    assert call(scaled(3), 5, directory) == 15
    files = {entry.path for entry in Cache(directory).entries()}
    assert call(scaled(3), 5, directory) == 15
    assert {entry.path for entry in Cache(directory).entries()} == files
    assert call(scaled(4), 5, directory) == 20
    assert len({entry.path for entry in Cache(directory).entries()} - files) == 1


def test_programs_do_not_depend_on_what_host_functions_do(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    for function in (scaled(1001), scaled(1002)):
        load(function, directory).close()
    kinds = sorted(entry.path.suffix for entry in Cache(directory).entries())
    assert kinds == [".o", ".o", ".swarmc"]


def test_digests_tell_functions_apart() -> None:
    table = np.arange(3)

    def using(value: Any) -> Callable[..., Any]:
        return lambda x: x + value

    values = [1, 2, 1.0, table, table + 1, (1, 2), None, True, math.sin, math.cos, using(1),
              using(2)]  # fmt: skip
    inner: list[Callable[..., Any]] = [lambda x: x, lambda x: -x, lambda x, y: x]
    inner = [*map(using, values), *inner]
    digests = [function_digest(one) for one in inner]
    assert None not in digests and len(set(digests)) == len(inner)
    assert function_digest(using(1)) == digests[0] != digests[2]
    assert function_digest(using(THING)) is None


def test_values_of_other_modules_and_of_enumerations_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("settings")
    module.FACTOR = 2  # type: ignore[attr-defined]
    made: list[Any] = [enum.IntEnum("kinds", {"ONE": number}) for number in (1, 2)]
    kinds = made[0]
    through_module = lambda x: x * module.FACTOR  # noqa: E731
    through_enum = lambda x: x * kinds.ONE  # noqa: E731
    before = function_digest(through_module), function_digest(through_enum)
    assert None not in before
    module.FACTOR = 3  # type: ignore[attr-defined]
    kinds = made[1]
    assert function_digest(through_module) != before[0]
    assert function_digest(through_enum) != before[1]


def test_recursion_and_missing_closures_have_a_digest() -> None:
    def even(x: int) -> bool:
        return x == 0 or odd(x - 1)

    def odd(x: int) -> bool:
        return x != 0 and even(x - 1)

    assert function_digest(even) and function_digest(even) != function_digest(odd)


def test_what_cannot_be_named_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarmc.runtime.function_digest.function_digest", lambda function: None)
    directory = tmp_path / "cache"
    assert [call(scaled(factor), 1, directory) for factor in (2, 3)] == [2, 3]
    assert [entry.path.suffix for entry in Cache(directory).entries()] == [".swarmc"]


def test_a_digest_holds_what_every_function_takes_of_a_module() -> None:
    def digest(number: int) -> str | None:
        module = types.ModuleType("settings")
        module.A, module.B = 1, number  # type: ignore[attr-defined]
        space: dict[str, Any] = {"settings": module}
        exec("def z(x):\n    return x + settings.B\n"
             "def host(x):\n    return z(x) + settings.A\n", space)  # fmt: skip
        return function_digest(space["host"])

    assert digest(10) is not None
    assert digest(10) == digest(10) != digest(1000)

"""Runs one script of the specification's suite on a target: all its modules are one program.

Every module of the script becomes an instance of one linked program, with the suite's host module
``spectest`` as the first. It is compiled once; one agent then does what the script says, in its
order: instances are instantiated, functions called, globals read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ...compiler.frontend.link import Instance, Linker
from ...compiler.pipeline import optimise
from ...compiler.wasm.decoder import decode
from ...compiler.wasm.features import SUPPORTED, WEBASSEMBLY_3, FeatureSet
from ...compiler.wasm.module import Module
from ...compiler.wasm.validator import validate
from ...errors import (
    DecodeError,
    LinkError,
    SwarmcError,
    UnsupportedFeatureError,
    ValidationError,
)
from ...ir.types import FuncType, Trap, Type
from ...targets.base import Target
from .spec_agent import Agent, options_for
from .wast import (
    Command,
    Form,
    Get,
    InstanceOf,
    Invoke,
    Kind,
    ModuleText,
    Register,
    TextError,
)

SPECTEST = b"""(module
  (func (export "print")) (func (export "print_i32") (param i32))
  (func (export "print_i64") (param i64)) (func (export "print_f32") (param f32))
  (func (export "print_f64") (param f64)) (func (export "print_i32_f32") (param i32 f32))
  (func (export "print_f64_f64") (param f64 f64))
  (global (export "global_i32") i32 (i32.const 666))
  (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6))
  (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref) (table (export "table64") i64 10 20 funcref)
  (memory (export "memory") 1 2))"""


class State(Enum):
    """How a command ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # it needs a feature that swarmc does not have


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a command."""

    command: Command
    state: State
    reason: str = ""


class _Unmet(Exception):
    """A command did not do what it should."""

    state = State.FAILED


class _Skipped(_Unmet):
    state = State.SKIPPED


@dataclass(frozen=True, slots=True)
class _Loaded:
    """An instance, or why there is none. ``namespaces`` is what it imports from.

    ``line`` is that of the module's command, 0 if no command is it.
    """

    line: int
    module: Module | None = None
    instance: Instance | None = None
    namespaces: dict[str, Instance] | None = None
    problem: _Unmet | None = None

    def get(self, line: int) -> Instance:
        """The instance, for the command of a line.

        Raises:
            _Unmet: there is none.
        """
        if self.instance is None:
            assert self.problem is not None
            where = "" if self.line in (0, line) else f"module of line {self.line}: "
            raise type(self.problem)(f"{where}{self.problem}")
        return self.instance


_Check = Callable[[], None]


def run_script(
    commands: list[Command], target: Target, *, features: FeatureSet = SUPPORTED, opt_level: int = 0
) -> list[Verdict]:
    """Run a script.

    Args:
        features: those of the specification's version that it is from.
        opt_level: of the target's compiler. Our own passes run at any level.

    Raises:
        TargetError: wasmtime, which translates text, is not installed.
    """
    run = _Script(target, features)
    checks = [run.plan(command) for command in commands]
    run.compile(opt_level)
    try:
        return [_judge(command, check) for command, check in zip(commands, checks, strict=True)]
    finally:
        run.close()


def _judge(command: Command, check: _Check) -> Verdict:
    try:
        check()
    except _Unmet as unmet:
        return Verdict(command, unmet.state, str(unmet))
    return Verdict(command, State.PASSED)


def load(text: ModuleText, features: FeatureSet) -> Module:
    """Decode and validate a module of a script, which may use some features.

    Raises:
        SwarmcError: it is malformed, invalid, or needs a feature that is not there.
    """
    module = decode(text.binary(), features)
    validate(module)
    return module


class _Script:
    """A script under way. What can be known before it runs is found out by :meth:`plan`."""

    def __init__(self, target: Target, features: FeatureSet) -> None:
        self._target, self._features = target, features
        self._linker = Linker(_no_host)
        spectest = load(ModuleText(None, Form.TEXT, SPECTEST), SUPPORTED)
        self._spectest = self._linker.add(spectest, {})
        self._registered = {"spectest": _Loaded(0, instance=self._spectest)}
        self._names: dict[str | None, _Loaded] = {}
        self._definitions: dict[str | None, ModuleText] = {}
        self._agent: Agent | None = None
        self._problem = ""

    # Planning: each command becomes a check, with all names in it resolved.

    def plan(self, command: Command) -> _Check:
        """What to do for a command when its turn comes; it raises :class:`_Unmet`."""
        match command.body:
            case ModuleText() as text:
                return self._plan_module(command, text)
            case InstanceOf(name, definition):
                found = self._definitions.get(definition)
                if found is None:
                    return lambda: _fail(f"no definition {definition or ''}")
                return self._plan_instance(command, found, name)
            case Register(name, module):
                return self._plan_register(command.line, name, self._named(module))
            case action:
                loaded = self._named(action.module)
                return lambda: self._act(command, action, loaded)

    def _plan_module(self, command: Command, text: ModuleText) -> _Check:
        match command.kind:
            case Kind.MALFORMED:
                return lambda: self._refused(text, (DecodeError, TextError), command.message)
            case Kind.INVALID:
                return lambda: self._refused(text, (ValidationError,), command.message)
            case Kind.UNLINKABLE:
                registered = dict(self._registered)
                return lambda: self._unlinkable(command, text, registered)
        if text.definition:
            self._definitions |= {None: text, text.name: text}
            return lambda: self._accepted(text)
        return self._plan_instance(command, text, text.name)

    def _plan_instance(self, command: Command, text: ModuleText, name: str | None) -> _Check:
        loaded = self._load(text, command.line)
        if command.kind is Kind.MODULE:
            self._names |= {None: loaded, name: loaded}
        return lambda: self._instantiate(loaded, command)

    def _load(self, text: ModuleText, line: int) -> _Loaded:
        try:
            module = load(text, self._features)
            namespaces = _providers(module, self._registered, line)
            instance = self._linker.add(module, namespaces)
        except _Unmet as unmet:
            return _Loaded(line, problem=unmet)
        except UnsupportedFeatureError as error:
            return _Loaded(line, problem=_Skipped(f"no {error.feature}"))
        except SwarmcError as error:
            return _Loaded(line, problem=_Unmet(str(error)))
        return _Loaded(line, module, instance, namespaces)

    def _named(self, name: str | None) -> _Loaded:
        missing = _Loaded(0, problem=_Unmet(f"no module {name or ''}"))
        return self._names.get(name, missing)

    def _plan_register(self, line: int, name: str, loaded: _Loaded) -> _Check:
        self._registered[name] = loaded
        return lambda: _ignore(loaded.get(line))

    def compile(self, opt_level: int) -> None:
        """Make the program of all modules, and an agent."""
        program, target = self._linker.program, self._target
        try:
            optimise(program, align=options_for(target, opt_level).tests_alignment)
            self._agent = Agent(target, program, opt_level)
            self._agent.call(self._spectest.instantiate, ())
        except SwarmcError as error:
            self._problem = f"the script's program: {error}"

    def close(self) -> None:
        """Give the agent's memory back."""
        if self._agent is not None:
            self._agent.close()

    # Running.

    def _running(self) -> Agent:
        if self._agent is None:
            raise _Unmet(self._problem)
        return self._agent

    def _instantiate(self, loaded: _Loaded, command: Command) -> None:
        instance, agent = loaded.get(command.line), self._running()
        assert loaded.module is not None and loaded.namespaces is not None
        try:
            self._linker.resolve(loaded.module, loaded.namespaces, agent.size_of)
        except LinkError as error:
            raise _Unmet(str(error)) from error
        self._compare(command, (), agent.call(instance.instantiate, ()))

    def _refused(
        self, text: ModuleText, errors: tuple[type[SwarmcError], ...], message: str
    ) -> None:
        """Check that a module is refused, and why.

        Where text is malformed, the message is about the text, which swarmc does not read.
        """
        try:
            load(text, self._features)
        except errors as error:
            if TextError not in errors or text.form is Form.BINARY:
                _check_message(message, error.message)
        except UnsupportedFeatureError as error:
            # What a later proposal made valid is refused in its name, in the old words. Text of a
            # proposal that is in no version of the specification may be malformed in any words.
            known = text.form is Form.BINARY or error.feature in WEBASSEMBLY_3
            if known and not error.message.startswith(message):
                raise _Skipped(f"no {error.feature}") from error
        except SwarmcError as error:
            raise _Unmet(f"refused otherwise: {error}") from error
        else:
            raise _Unmet("it is accepted")

    def _accepted(self, text: ModuleText) -> None:
        """Check that a module is valid."""
        try:
            load(text, self._features)
        except UnsupportedFeatureError as error:
            raise _Skipped(f"no {error.feature}") from error
        except SwarmcError as error:
            raise _Unmet(str(error)) from error

    def _unlinkable(
        self, command: Command, text: ModuleText, registered: dict[str, _Loaded]
    ) -> None:
        try:
            module = load(text, self._features)
            namespaces = _providers(module, registered, command.line)
            self._linker.resolve(module, namespaces, self._running().size_of)
        except LinkError as error:
            _check_message(command.message, error.message)
        except UnsupportedFeatureError as error:
            raise _Skipped(f"no {error.feature}") from error
        except SwarmcError as error:
            raise _Unmet(f"refused otherwise: {error}") from error
        else:
            raise _Unmet("it is linked")

    def _act(self, command: Command, action: Invoke | Get, loaded: _Loaded) -> None:
        instance, agent = loaded.get(command.line), self._running()
        export = instance.exports.get(action.name)
        kind = "global" if isinstance(action, Get) else "func"
        if export is None or export.kind != kind:
            raise _Unmet(f"no {kind} {action.name!r} is exported")
        name = f"{instance.number}/{action.name}"
        if isinstance(action, Get):
            self._compare(command, *agent.read(name))
            return
        type_ = agent.type_of(name)
        fits = len(action.args) == len(type_.params) and all(
            arg.type in (param, None) for arg, param in zip(action.args, type_.params, strict=True)
        )
        if not fits:
            raise _Unmet(f"{action.name!r} is of type {type_}")
        outcome = agent.call(name, tuple([arg.bits for arg in action.args]))
        self._compare(command, type_.results, outcome)

    def _compare(
        self, command: Command, types: tuple[Type, ...], outcome: tuple[int, ...] | Trap
    ) -> None:
        """Compare what happened with what the command wants."""
        wants_trap = command.kind in (Kind.TRAP, Kind.EXHAUSTION)
        if outcome is Trap.UNCAUGHT_EXCEPTION and command.kind is Kind.EXCEPTION:
            return
        if isinstance(outcome, Trap):
            if not wants_trap:
                raise _Unmet(f"trap: {outcome.message}")
            _check_message(command.message, outcome.message)
            return
        if wants_trap:
            raise _Unmet(f"no trap, but {_show(types, outcome)}")
        if command.kind is Kind.EXCEPTION:
            raise _Unmet(f"no exception, but {_show(types, outcome)}")
        if command.kind is not Kind.RETURN:
            return
        expected = command.expected
        right = len(types) == len(expected) and all(
            pattern.matches(type_, value)
            for pattern, type_, value in zip(expected, types, outcome, strict=True)
        )
        if not right:
            wanted = ", ".join(map(str, expected))
            raise _Unmet(f"{_show(types, outcome)} instead of ({wanted})")


def _fail(reason: str) -> None:
    raise _Unmet(reason)


def _check_message(wanted: str, message: str) -> None:
    """Compare messages: one may begin like the other, for some name an index besides."""
    if not (message.startswith(wanted) or wanted.startswith(message)):
        raise _Unmet(f"{message!r} instead of {wanted!r}")


def _show(types: tuple[Type, ...], values: tuple[int, ...]) -> str:
    pairs = zip(types, values, strict=True)
    return "(" + ", ".join([f"{type_.value} {value:#x}" for type_, value in pairs]) + ")"


def _providers(
    module: Module, registered: dict[str, _Loaded], line: int
) -> dict[str, Instance]:
    """The instances that a module of some line imports from.

    Raises:
        _Unmet: one is not there.
    """
    names = {item.module for item in module.imports} & registered.keys()
    return {name: registered[name].get(line) for name in sorted(names)}


def _no_host(module: str, name: str, type_: FuncType) -> bool:
    return False


def _ignore(instance: Instance) -> None:
    """Nothing is left to do once there is an instance."""

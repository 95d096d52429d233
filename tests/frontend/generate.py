"""Random programs whose point is their control flow and their locals."""

from __future__ import annotations

import random

LOCALS = 6  # the first two are parameters
BINARY = ("i32.add", "i32.sub", "i32.xor", "i32.and", "i32.lt_s", "i32.mul", "i32.shl")


class Program:
    """One module in text format: ``f`` takes and returns two numbers; it may run for ever."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.out: list[str] = []
        self.labels: list[int] = []  # values that a branch to each open label takes
        self.budget = self.random.randint(10, 150)

    def text(self) -> str:
        """The module."""
        self.labels = [2]
        self.statements(0)
        self.expression(3)
        self.expression(3)
        code = "\n".join(self.out)
        locals_ = " ".join(["i32"] * (LOCALS - 2))
        return f"""(module (memory (export "m") 1) (global $g (export "g") (mut i32) (i32.const 0))
            (func $h (param i32) (result i32) (global.set $g (i32.add (global.get $g)
                (local.get 0))) (i32.div_u (i32.const 1000) (i32.sub (local.get 0) (i32.const 13))))
            (func (export "f") (param i32 i32) (result i32 i32) (local {locals_})
            {code}))"""

    def local(self) -> int:
        return self.random.randrange(LOCALS)

    def expression(self, depth: int) -> None:
        """Code that pushes one number."""
        choice = self.random.random()
        if depth == 0 or choice < 0.4:
            if self.random.random() < 0.7:
                self.out.append(f"local.get {self.local()}")
            else:
                self.out.append(f"i32.const {self.random.randint(-3, 9)}")
        elif choice < 0.8:
            self.expression(depth - 1)
            self.expression(depth - 1)
            self.out.append(self.random.choice(BINARY))
        elif choice < 0.85:
            self.expression(depth - 1)
            self.out.append(f"local.tee {self.local()}")
        elif choice < 0.9:
            self.expression(depth - 1)
            self.out.append("call $h")
        else:
            self.construct(1)

    def expressions(self, count: int) -> None:
        for _ in range(count):
            self.expression(1)

    def statements(self, depth: int) -> None:
        for _ in range(self.random.randint(1, 7)):
            if self.budget <= 0:
                return
            self.budget -= 1
            self.statement(depth)

    def statement(self, depth: int) -> None:
        choice = self.random.random()
        if choice < 0.35:
            self.expression(2)
            self.out.append(f"local.set {self.local()}")
        elif choice < 0.7 and depth < 6:
            results = self.random.choice((0, 0, 0, 1, 2))
            self.construct(results, depth)
            self.out += [f"local.set {self.local()}" for _ in range(results)]
        elif choice < 0.75:
            self.expression(1)
            self.out += ["i32.const 31", "i32.and", "i32.const 4", "i32.mul", "local.get 3",
                         "i32.store"]
        elif choice < 0.78:
            self.out.append("(memory.fill (i32.const 100) (local.get 2) (i32.and (local.get 3) "
                            "(i32.const 15)))")
        else:
            self.branch()

    def construct(self, results: int, depth: int = 5) -> None:
        """A block, loop or if with this number of results, and up to two parameters."""
        kind = self.random.choice(("block", "block", "loop", "if", "if"))
        params = self.random.choice((0, 0, 1, 2))
        self.expressions(params)
        if kind == "if":
            self.expression(1)
        self.out.append(f"{kind}{' (param' + ' i32' * params + ')' if params else ''}"
                        f"{' (result' + ' i32' * results + ')' if results else ''}")
        self.labels.append(params if kind == "loop" else results)
        self.arm(params, results, depth)
        if kind == "if" and (params != results or self.random.random() < 0.5):
            self.out.append("else")
            self.arm(params, results, depth)
        self.out.append("end")
        self.labels.pop()

    def arm(self, params: int, results: int, depth: int) -> None:
        """From ``params`` numbers on the stack to ``results``, sometimes leaving them there."""
        kept = min(params, results) if self.random.random() < 0.3 else 0
        self.out += [f"local.set {self.local()}" for _ in range(params - kept)]
        self.statements(depth + 1)
        self.expressions(results - kept)

    def branch(self) -> None:
        """A branch of any kind to any label; what follows it may be dead."""
        kind = self.random.choice(("br", "br_if", "br_if", "br_if", "br_table", "return"))
        depth = self.random.randrange(len(self.labels))
        arity = self.labels[-1 - depth]
        if kind == "return":
            self.expressions(2)
            self.out.append("return")
        elif kind == "br":
            self.expressions(arity)
            self.out.append(f"br {depth}")
        elif kind == "br_if":
            self.expressions(arity)
            self.expression(2)
            self.out.append(f"br_if {depth}")
            self.out += [f"local.set {self.local()}" for _ in range(arity)]
        else:
            same = [label for label in range(len(self.labels)) if self.labels[-1 - label] == arity]
            labels = [self.random.choice(same) for _ in range(self.random.randint(1, 5))]
            self.expressions(arity)
            self.expression(2)
            self.out.append(f"br_table {' '.join(map(str, labels))}")

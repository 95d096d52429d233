"""Dead functions: those that the entry points do not reach.

Before, with ``run`` as the only entry point::

    elem 0.0 active 0.0 offset=0 funcref [func 0.2]
    export "run" func 0.0
    function 0.0 ... { call func=0.1 ... }
    function 0.1 ... { ... }
    function 0.2 ... { ... }

after, where no function reads table 0.0::

    function 0.0 ... { call func=0.1 ... }
    function 0.1 ... { ... }

A function is reached by a call, by ``ref_func``, or as an item of a table, segment or global that
is itself reached: read by a function that is reached, or exported; memory always is. Functions
that are gone keep their numbers (``Module.removed``): references to them stay in tables as handles
that nothing reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .. import ops as o
from ..function import Function
from ..module import ElemSegment, FuncInit, Module
from ..ops import Attr, Op
from ..types import EntityId

#: What is reached: (kind of the attribute, id).
_Item = tuple[Attr, EntityId]

#: Kinds of immediates that make what they name reached, for each op that has one.
_NAMES: dict[Op, tuple[tuple[int, Attr], ...]] = {
    o.REF_FUNC: ((0, Attr.FUNC),),
    o.CALL: ((0, Attr.FUNC),),
    o.RETURN_CALL: ((0, Attr.FUNC),),
    o.TRY_CALL: ((0, Attr.FUNC),),
    o.GLOBAL_GET: ((0, Attr.GLOBAL),),
    o.TABLE_GET: ((0, Attr.TABLE),),
    o.TABLE_COPY: ((1, Attr.TABLE),),  # a table that is only written needs nothing
    o.TABLE_INIT: ((1, Attr.ELEM),),
    o.MEMORY_INIT: ((1, Attr.DATA),),
}

_EXPORT_KINDS = {"func": Attr.FUNC, "global": Attr.GLOBAL, "table": Attr.TABLE}


def dead_functions(module: Module, roots: Iterable[EntityId] | None = None) -> bool:
    """Remove functions from the program.

    Args:
        roots: the functions that may be called from outside, besides the start functions. By
            default all exports count, those of tables and globals too.
    """
    if roots is None:
        work = [(_EXPORT_KINDS[export.kind], export.id) for export in module.exports
                if export.kind in _EXPORT_KINDS]
    else:
        work = [(Attr.FUNC, id_) for id_ in roots]
    work += [(Attr.FUNC, id_) for id_ in module.starts]
    work += [(Attr.DATA, data.id) for data in module.data.values() if data.active]
    segments = _active_segments(module)
    reached: set[_Item] = set()
    while work:
        item = work.pop()
        if item not in reached:
            reached.add(item)
            work.extend(_needs(module, segments, item))
    dead = [id_ for id_ in module.functions if (Attr.FUNC, id_) not in reached]
    for id_ in dead:
        module.removed[id_] = module.functions.pop(id_).sig
    module.removed = dict(sorted(module.removed.items()))
    module.exports = [export for export in module.exports
                      if export.kind != "func" or export.id not in module.removed]
    return bool(dead)


def _active_segments(module: Module) -> dict[EntityId, list[ElemSegment]]:
    segments: dict[EntityId, list[ElemSegment]] = {}
    for segment in module.elems.values():
        if segment.table is not None:
            segments.setdefault(segment.table, []).append(segment)
    return segments


def _needs(
    module: Module, segments: dict[EntityId, list[ElemSegment]], item: _Item
) -> Iterator[_Item]:
    """What one item reaches directly."""
    kind, id_ = item
    if kind is Attr.FUNC:
        function = module.functions.get(id_)
        if function is not None:
            yield from _named(function)
    elif kind is Attr.GLOBAL:
        yield from _functions(module.globals[id_].init)
    elif kind is Attr.DATA:
        yield from ((Attr.FUNC, function) for _, function in module.data[id_].references)
    elif kind is Attr.ELEM:
        yield from _functions(*module.elems[id_].items)
    else:
        yield from _functions(module.tables[id_].init)
        for segment in segments.get(id_, ()):
            yield from _functions(*segment.items)


def _named(function: Function) -> Iterator[_Item]:
    names = _NAMES
    for block in function.blocks:
        for inst in block.insts:
            if inst.op in names:
                for place, kind in names[inst.op]:
                    yield kind, inst.attrs[place]


def _functions(*inits: int | FuncInit) -> Iterator[_Item]:
    return ((Attr.FUNC, init.id) for init in inits if isinstance(init, FuncInit))

"""What is wrong with the connections of a manifest, whatever else is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..documents.document import DocumentPath
from ..graph import find_cycles, suggestion
from .models import DEFAULT_PORT

#: A message and the path to what it is about.
Complaint = tuple[str, DocumentPath]


def check_connections(value: Mapping[str, Any]) -> list[Complaint]:
    """Nodes with one id, connections from or to nothing, ports, cycles.

    Args:
        value: a manifest that may be malformed in any way: what is no node or connection at all is
            passed over.
    """
    nodes: dict[str, tuple[int, dict[str, Any]]] = {}
    found: list[Complaint] = []
    for index, node in enumerate(_objects(value.get("nodes"))):
        if node is None or not isinstance(node.get("id"), str):
            continue
        first = nodes.setdefault(node["id"], (index, node))[0]
        if first != index:
            message = f"there are two nodes with id {node['id']!r}: nodes[{first}] is the other"
            found.append((message, ("nodes", index, "id")))
    wires = []
    for index, one in enumerate(_objects(value.get("connections"))):
        if one is None:
            continue
        found += _dangling(one, index, nodes)
        if one.get("from") in nodes and one.get("to") in nodes:
            wires.append((index, one))
    found += _cycles(wires, list(nodes))
    ports: dict[str, dict[str, int]] = {name: {} for name in nodes}
    for index, one in wires:
        found += _port(one, index, nodes[one["to"]][1], ports[one["to"]])
    for name, (index, node) in nodes.items():
        found += _values(node, index, ports[name])
    return found


def _objects(items: object) -> Iterator[dict[str, Any] | None]:
    for item in items if isinstance(items, list) else ():
        yield item if isinstance(item, dict) else None


def _dangling(
    one: Mapping[str, Any], index: int, nodes: Mapping[str, Any]
) -> Iterator[Complaint]:
    for key in ("from", "to"):
        name = one.get(key)
        if isinstance(name, str) and name not in nodes:
            message = f"there is no node {name!r}{suggestion(name, nodes)}"
            yield message, ("connections", index, key)


def _cycles(wires: list[tuple[int, dict[str, Any]]], names: list[str]) -> Iterator[Complaint]:
    edges: dict[str, list[str]] = {name: [] for name in names}
    places: dict[tuple[str, str], int] = {}
    for index, one in wires:
        source, target = one["from"], one["to"]
        places.setdefault((source, target), index)
        if source == target:
            yield f"node {source!r} is connected to itself", ("connections", index)
        elif target not in edges[source]:
            edges[source].append(target)
    for cycle in find_cycles(edges):
        shown = " -> ".join(cycle)
        index = places[cycle[-2], cycle[-1]]
        yield f"nodes are connected in a cycle: {shown}", ("connections", index)


def _declared(node: Mapping[str, Any]) -> list[str] | None:
    """Names of the inputs that a node declares; None: it declares none, or not well."""
    inputs = node.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        return None
    names = [port.get("name") if isinstance(port, dict) else port for port in inputs]
    return [name for name in names if isinstance(name, str)]


def _port(
    one: Mapping[str, Any], index: int, node: Mapping[str, Any], taken: dict[str, int]
) -> Iterator[Complaint]:
    """Complaints about the port that a connection leads to; notes it in ``taken``."""
    declared = _declared(node)
    named = one.get("to_port")
    if named is not None and not isinstance(named, str):
        return
    port = named or (declared[0] if declared else DEFAULT_PORT)
    path: DocumentPath = ("connections", index, "to_port") if named else ("connections", index)
    if declared is not None and port not in declared:
        close = suggestion(port, declared) or f": it has {', '.join(declared)}"
        yield f"node {node['id']!r} has no input {port!r}{close}", path
    elif port in taken:
        message = f"connections[{taken[port]}] leads to input {port!r} of {node['id']!r} already"
        yield f"{message}: name the inputs with to_port", path
    taken.setdefault(port, index)


def _values(node: Mapping[str, Any], index: int, taken: Mapping[str, int]) -> Iterator[Complaint]:
    """Complaints about what fills the inputs of a node."""
    params = node.get("params", {})
    if not isinstance(params, dict):
        return
    here: DocumentPath = ("nodes", index)
    for name in params:
        if name in taken:
            message = f"connections[{taken[name]}] gives {name!r} of {node['id']!r} already"
            yield message, (*here, "params", name)
    declared = _declared(node)
    known = {*(declared or ()), *taken, *params, *(() if declared else (DEFAULT_PORT,))}
    swarm = node.get("swarm")
    for place, name in enumerate(swarm if isinstance(swarm, list) else ()):
        if isinstance(name, str) and name not in known:
            close = suggestion(name, known)
            yield f"node {node['id']!r} has no input {name!r}{close}", (*here, "swarm", place)
    if node.get("node_type") != "wasm":
        return
    if declared is None:
        if len(taken) + len(params) > 1:
            yield "several inputs: list them in 'inputs', in the order of the parameters", here
        return
    for name in params:
        if name not in declared:
            close = suggestion(name, declared) or f": it has {', '.join(declared)}"
            yield f"node {node['id']!r} has no input {name!r}{close}", (*here, "params", name)
    missing = [name for name in declared if name not in taken and name not in params]
    if taken and missing:
        yield f"inputs without a value: {', '.join(missing)}", (*here, "inputs")

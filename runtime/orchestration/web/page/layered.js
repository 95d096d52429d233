// Where to draw the tasks of a graph: in layers, each behind all that it depends on. Lines over
// several layers get places of their own in those between, so that none runs through a task.

const SWEEPS = 8; // over all layers, there and back, for the order and again for the places

/**
 * `tasks`: `{id, dependencies: [id]}`; dependencies that are not among them are left out.
 * `size`: `along` and `across` of a task, `gap` between layers, `space` between tasks of one.
 * Places are of the upper left corner, along and across; `points` of an edge are those that it
 * runs through: `[along, across]`.
 */
export function layered(tasks, size) {
  const layers = inLayers(tasks);
  const nodes = nodesOf(tasks, layers, size);
  order(nodes);
  place(nodes, size.space);
  const step = size.along + size.gap;
  const places = new Map();
  for (const node of nodes.flat()) {
    if (node.id === null) continue;
    const across = node.centre - size.across / 2;
    places.set(node.id, { layer: node.layer, index: node.index, along: node.layer * step, across });
  }
  return {
    places,
    edges: edgesOf(nodes, size, step),
    layers: nodes.length,
    along: Math.max(0, nodes.length * step - size.gap),
    across: nodes.flat().reduce((most, node) => Math.max(most, node.centre + node.extent / 2), 0),
  };
}

/** The layer of each task: behind the last one of what it depends on. */
export function inLayers(tasks) {
  const layers = new Map(tasks.map(({ id }) => [id, 0]));
  const waits = new Map();
  const behind = new Map(tasks.map(({ id }) => [id, []]));
  for (const { id, dependencies } of tasks) {
    const known = new Set(dependencies.filter((one) => layers.has(one) && one !== id));
    waits.set(id, known.size);
    for (const one of known) behind.get(one).push(id);
  }
  const ready = tasks.map(({ id }) => id).filter((id) => waits.get(id) === 0);
  while (ready.length) {
    const id = ready.pop();
    for (const next of behind.get(id)) {
      layers.set(next, Math.max(layers.get(next), layers.get(id) + 1));
      waits.set(next, waits.get(next) - 1);
      if (waits.get(next) === 0) ready.push(next);
    }
  }
  return layers; // what is left waiting would wait for itself, which routers do not accept
}

/** Nodes by layer: tasks, and what lines run through (`id` is null). */
function nodesOf(tasks, layers, size) {
  const nodes = [];
  const make = (id, layer, extent) => {
    while (nodes.length <= layer) nodes.push([]);
    const node = { id, layer, extent, before: [], behind: [], index: nodes[layer].length, centre: 0 };
    nodes[layer].push(node);
    return node;
  };
  const join = (from, to) => {
    from.behind.push(to);
    to.before.push(from);
    return to;
  };
  const made = new Map(tasks.map(({ id }) => [id, make(id, layers.get(id), size.across)]));
  for (const { id, dependencies } of tasks) {
    for (const one of new Set(dependencies)) {
      const to = made.get(id);
      let from = made.get(one);
      if (!from || from.layer >= to.layer) continue;
      while (from.layer + 1 < to.layer) from = join(from, make(null, from.layer + 1, 0));
      join(from, to);
    }
  }
  return nodes;
}

/** Put each layer in the order of what its nodes are joined to, back and forth. */
function order(nodes) {
  const mean = (joined, otherwise) =>
    joined.length ? joined.reduce((sum, { index }) => sum + index, 0) / joined.length : otherwise;
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const back = sweep % 2 === 1;
    for (const layer of back ? [...nodes].reverse() : nodes) {
      for (const node of layer) node.wish = mean(back ? node.behind : node.before, node.index);
      layer.sort((a, b) => a.wish - b.wish || a.index - b.index);
      layer.forEach((node, index) => (node.index = index));
    }
  }
}

/** Put nodes as near to the middle of what they are joined to as there is room. */
function place(nodes, space) {
  for (const layer of nodes) spread(layer, layer.map(() => 0), space);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const back = sweep % 2 === 1;
    for (const layer of back ? [...nodes].reverse() : nodes) {
      const wishes = layer.map((node) => {
        const joined = sweep < SWEEPS - 2 ? (back ? node.behind : node.before)
          : [...node.before, ...node.behind];
        if (joined.length === 0) return node.centre;
        return joined.reduce((sum, { centre }) => sum + centre, 0) / joined.length;
      });
      spread(layer, wishes, space);
    }
  }
  const all = nodes.flat();
  const first = all.reduce((least, { centre, extent }) => Math.min(least, centre - extent / 2), Infinity);
  for (const node of all) node.centre -= first;
}

/**
 * Centres nearest to those wished for, by least squares, that keep order and room: neighbours that
 * would overlap become a block, which goes where its nodes wish on average.
 */
function spread(layer, wishes, space) {
  let room = 0;
  const blocks = [];
  layer.forEach((node, index) => {
    if (index > 0) room += (layer[index - 1].extent + node.extent) / 2 + space;
    node.room = room;
    blocks.push({ sum: wishes[index] - room, count: 1 });
    while (blocks.length > 1) {
      const last = blocks.at(-1);
      const previous = blocks.at(-2);
      if (previous.sum / previous.count <= last.sum / last.count) break;
      previous.sum += last.sum;
      previous.count += last.count;
      blocks.pop();
    }
  });
  let index = 0;
  for (const { sum, count } of blocks) {
    for (const end = index + count; index < end; index += 1) {
      layer[index].centre = sum / count + layer[index].room;
    }
  }
}

/** Lines from task to task, with the points that they run through. */
function edgesOf(nodes, size, step) {
  const edges = [];
  for (const from of nodes.flat()) {
    if (from.id === null) continue;
    for (const next of from.behind) {
      const points = [[from.layer * step + size.along, from.centre]];
      let node = next;
      for (; node.id === null; node = node.behind[0]) {
        points.push([node.layer * step, node.centre], [node.layer * step + size.along, node.centre]);
      }
      points.push([node.layer * step, node.centre]);
      edges.push({ from: from.id, to: node.id, points });
    }
  }
  return edges;
}

"""The roofline of a network: the time below which no GPU of given ceilings can bring a layer.

A kernel takes the longer of its operations at the peak rate and its bytes at the bandwidth of memory. The list of
kernels is that of an engine with a static plan: a convolution takes bias, activation and the sum of a [shortcut]
along; in training it takes the statistics of batch norm along, and batch norm is one pass forward and two
backward. No cache carries anything from one kernel to the next.
"""
import dataclasses
import json

import networks


@dataclasses.dataclass
class Ceilings:
    """TFLOP/s by precision, and TB/s. The defaults: one H200, matrix products and copies as PyTorch measured them."""
    bf16: float = 790
    tf32: float = 395
    fp32: float = 67
    bandwidth: float = 4.3

    @staticmethod
    def parse(text):
        """Those that `text` names (bf16=790,bandwidth=4.3) instead of the defaults."""
        given = dict(part.split("=", 1) for part in text.split(",") if part)
        return Ceilings(**{name: float(value) for name, value in given.items()})


@dataclasses.dataclass
class Cost:
    """Of a layer and one image."""
    operations: float = 0
    bytes: float = 0
    seconds: float = 0
    memory_seconds: float = 0  # the part of kernels that wait for memory

    def add(self, operations, size, precision, ceilings):
        arithmetic = operations / (getattr(ceilings, precision) * 1e12)
        memory = size / (ceilings.bandwidth * 1e12)
        self.operations += operations
        self.bytes += size
        self.seconds += max(arithmetic, memory)
        self.memory_seconds += memory if memory > arithmetic else 0


def product(layer, following, size, out_size, batch, training):
    """(operations, bytes) of the kernels of a [convolutional] or [connected] layer."""
    i, o, w = size * layer.input_size, out_size * layer.c * layer.h * layer.w, size * layer.weights / batch
    sum_too = o if following == "shortcut" else 0
    if not training:
        yield layer.flops, i + o + w + sum_too
        return
    yield layer.flops, i + o + w + (0 if layer.normalized else sum_too)
    if layer.normalized:
        yield 0, 2 * o + sum_too  # normalises what the product left, with activation and sum
        yield 0, 2 * o            # backward: sums over dy and y
        yield 0, 3 * o            # and from these the gradient
    elif layer.keys.get("activation", "linear") != "linear":
        yield 0, 3 * o
    if layer.index > 0:
        yield layer.flops, o + i + w                      # gradient of the input
    yield layer.flops, o + i + 4 * layer.weights / batch  # of the weights, in float


def kernels(layer, layers, size, batch, training):
    """(operations, bytes) of what a layer runs for one image of a batch, forward first."""
    following = layers[layer.index + 1].name if layer.index + 1 < len(layers) else ""
    out = layer.c * layer.h * layer.w
    if layer.weights:
        out_size = 4 if following in networks.HEADS else size  # heads read float
        yield from product(layer, following, size, out_size, batch, training)
    elif layer.name == "route":
        if len(layer.sources) > 1 or layer.number("groups", 1) > 1:  # else it is a name for what is there
            yield from [(0, 2 * size * out)] * (2 if training else 1)
    elif layer.name == "shortcut":
        if training:
            yield 0, size * out  # its gradient is added to in place: one more reading
    elif layer.name in networks.HEADS:
        yield from [(0, 8 * out)] * (2 if training else 1)
    else:
        yield from [(0, size * (layer.input_size + out))] * (2 if training else 1)


def costs(layers, precision, batch, training, ceilings):
    """A Cost for each layer, and one for the update of the parameters at the end (zero in inference)."""
    size = 2 if precision == "bf16" else 4
    result = [Cost() for _ in range(len(layers) + 1)]
    for layer, cost in zip(layers, result):
        for operations, count in kernels(layer, layers, size, batch, training):
            cost.add(operations, count, precision, ceilings)
    if training:
        # Reads value, gradient and momentum, writes value and momentum; and the copy in bf16.
        per_weight = 22 if precision == "bf16" else 20
        result[-1].add(0, per_weight * sum(layer.weights for layer in layers) / batch, precision, ceilings)
    return result


def total(costs_of_layers):
    return Cost(*(sum(getattr(c, f.name) for c in costs_of_layers) for f in dataclasses.fields(Cost)))


def describe(ceilings):
    return (f"bf16 {ceilings.bf16:g}, tf32 {ceilings.tf32:g}, fp32 {ceilings.fp32:g} TFLOP/s, "
            f"memory {ceilings.bandwidth:g} TB/s")


def summary_table(cases, precisions, batches, ceilings):
    """Markdown: images per second at the roof of each network, given as (name, layers)."""
    rows = ["| network | precision | batch | inference: MB an image | images/s at the roof | waiting for memory "
            "| training: MB an image | images/s at the roof | waiting for memory |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    for name, layers in cases:
        for precision in precisions:
            for batch in batches:
                cells = []
                for training in (False, True):
                    c = total(costs(layers, precision, batch, training, ceilings))
                    cells.append(f"{c.bytes / 1e6:,.0f} | {1 / c.seconds:,.0f} | "
                                 f"{100 * c.memory_seconds / c.seconds:.0f}%")
                rows.append(f"| {name} | {precision} | {batch} | {cells[0]} | {cells[1]} |")
    return "\n".join(rows)


def layer_table(layers, precision, batch, training, ceilings, measured=None):
    """Markdown: each layer's least time for a batch; with `measured` (milliseconds by layer) how near it is."""
    every = costs(layers, precision, batch, training, ceilings)
    whole = total(every)
    head = ["layer", "type", "output", "GFLOP", "MB", "roof ms", "bound by", "share"]
    head += ["measured ms", "of the roof"] if measured is not None else []
    rows = ["| " + " | ".join(head) + " |", "|---:|---|---|" + "---:|" * 3 + "---|" + "---:|" * (len(head) - 7)]

    def row(index, name, output, cost, ms):
        roof = 1000 * batch * cost.seconds
        cells = [index, name, output, f"{batch * cost.operations / 1e9:.2f}", f"{batch * cost.bytes / 1e6:.1f}",
                 f"{roof:.4f}", "memory" if 2 * cost.memory_seconds > cost.seconds else "arithmetic",
                 f"{100 * cost.seconds / whole.seconds:.1f}%"]
        if measured is not None:
            cells += [f"{ms:.4f}", f"{100 * roof / ms:.0f}%"] if ms else ["", ""]
        rows.append("| " + " | ".join(str(c) for c in cells) + " |")

    for layer, cost in zip(layers, every):
        if cost.bytes:
            ms = measured.get(layer.index) if measured else None
            row(layer.index, layer.name, f"{layer.w} x {layer.h} x {layer.c}", cost, ms)
    if training:
        row("", "update", "", every[-1], None)
    row("", "all", "", whole, sum(measured.values()) if measured else None)
    return "\n".join(rows)


def measured_layers(text):
    """{layer: milliseconds} from what `osprey bench --layers` prints, but for layers that take no time."""
    layers = json.loads(text.splitlines()[0])["layers"]
    return {layer["layer"]: layer["milliseconds"] for layer in layers if layer["milliseconds"] > 0}

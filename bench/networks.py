"""Darknet's .cfg files as the peers need them: sections, shapes, and random .weights of the right layout."""
import math

import numpy as np


def read_cfg(path):
    """The sections in order, as (name, {key: text})."""
    sections = []
    with open(path) as file:
        for line in file:
            line = line.split("#")[0].replace(" ", "").strip()
            if line.startswith("["):
                sections.append((line.strip("[]"), {}))
            elif line:
                key, value = line.split("=", 1)
                sections[-1][1][key] = value
    return sections


class Layer:
    """One section with its numbers: `sources` are indexes of layers, -1 is the network's input."""

    def __init__(self, name, keys, index):
        self.name, self.keys, self.index = name, keys, index
        self.sources = [index - 1]
        self.c = self.h = self.w = 0  # of the output
        self.inputs = 0               # channels of the input
        self.flops = 0.0              # of a convolution, a multiply-add counted as two

    def number(self, key, otherwise=0):
        return int(self.keys.get(key, otherwise))

    @property
    def normalized(self):
        return self.number("batch_normalize") != 0


def layers_of(path, route_groups=True):
    """All layers with their shapes. Without `route_groups` as a Darknet from before they existed reads them:
    such a [route] passes all channels on, so later convolutions do more work."""
    sections = read_cfg(path)
    net = {k: int(sections[0][1][k]) for k in ("width", "height", "channels")}
    layers = []
    for index, (name, keys) in enumerate(sections[1:]):
        layer = Layer(name, keys, index)
        if name == "route":
            given = [int(i) for i in keys["layers"].split(",")]
            layer.sources = [i if i >= 0 else index + i for i in given]
        first = layers[layer.sources[0]] if layer.sources[0] >= 0 else None
        c, h, w = (first.c, first.h, first.w) if first else (net["channels"], net["height"], net["width"])
        layer.inputs = c
        if name == "convolutional":
            size, stride = layer.number("size", 1), layer.number("stride", 1)
            pad = size // 2 if layer.number("pad") else 0
            h, w = (h + 2 * pad - size) // stride + 1, (w + 2 * pad - size) // stride + 1
            layer.flops = 2.0 * layer.number("filters") * c * size * size * h * w
            c = layer.number("filters")
        elif name == "maxpool":
            stride = layer.number("stride", 1)
            h, w = (h - 1) // stride + 1, (w - 1) // stride + 1
        elif name == "route":
            groups = layer.number("groups", 1) if route_groups else 1
            c = sum(layers[i].c for i in layer.sources) // groups
        elif name == "upsample":
            h, w = h * layer.number("stride", 2), w * layer.number("stride", 2)
        elif name != "yolo":
            raise ValueError(f"{path}: [{name}] is not known to the benchmark's peers")
        layer.c, layer.h, layer.w = c, h, w
        layers.append(layer)
    return net, layers


def heads_of(layers):
    """Indexes of the layers that feed a [yolo]."""
    return [layer.index - 1 for layer in layers if layer.name == "yolo"]


def gigaflops(layers):
    return sum(layer.flops for layer in layers) / 1e9


def write_weights(path, layers, seed=1):
    """Random numbers that keep activations near 1 from layer to layer, so that nothing runs on zeros,
    denormals or infinities. Variances are 1: engines that differ in epsilon then agree closely."""
    random = np.random.default_rng(seed)
    with open(path, "wb") as file:
        np.array([0, 2, 0, 0, 0], np.int32).tofile(file)  # version 0.2.0, 8 bytes of images seen
        for layer in layers:
            if layer.name != "convolutional":
                continue
            size, n = layer.number("size", 1), layer.c
            arrays = []
            if layer.normalized:
                arrays = [random.normal(0, 0.1, n), random.uniform(0.8, 1.2, n),
                          random.normal(0, 0.1, n), np.ones(n)]
            else:
                arrays = [np.full(n, -3.0)]  # a head: few scores above the threshold, as in real pictures
            fan_in = layer.inputs * size * size
            gain = 2 if layer.normalized else 1  # leaky halves the variance
            arrays.append(random.normal(0, math.sqrt(gain / fan_in), n * fan_in))
            for values in arrays:
                values.astype(np.float32).tofile(file)

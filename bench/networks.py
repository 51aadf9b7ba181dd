"""Darknet's .cfg files as the peers need them: sections, shapes, and random .weights of the right layout."""
import array
import math
import os
import random
import re

HEADS = ("yolo", "softmax", "retina", "rpn")
ON_ROIS = ("roi_sampler", "roi_align", "rcnn")  # the second stage: what it sees depends on what was proposed


def resized(path, folder, width, height):
    """A copy of the .cfg for another size of the input."""
    with open(path) as file:
        text = re.sub(r"(?m)^width=.*", f"width={width}", file.read())
    copy = os.path.join(folder, os.path.basename(path))
    with open(copy, "w") as file:
        file.write(re.sub(r"(?m)^height=.*", f"height={height}", text))
    return copy


def without_colours(path, folder):
    """A copy of the .cfg whose [net] has neither mean nor deviation: the peers take images as they are."""
    with open(path) as file:
        text = re.sub(r"(?m)^(mean|deviation)=.*\n", "", file.read())
    copy = os.path.join(folder, os.path.basename(path))
    with open(copy, "w") as file:
        file.write(text)
    return copy


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
        self.input_size = 0           # values of the input
        self.flops = 0.0              # of a product, a multiply-add counted as two
        self.weights = 0              # of a product, without biases and batch norm; if shared, the owner's
        self.per_image = 1            # how often it is computed for an image: 1, or for each RoI

    def number(self, key, otherwise=0):
        return int(self.keys.get(key, otherwise))

    @property
    def normalized(self):
        return self.number("batch_normalize") != 0


def source(text, layers):
    """The index of an earlier layer: given by its name=, or by a number, from here backwards if negative."""
    for layer in layers:
        if layer.keys.get("name") == text:
            return layer.index
    return int(text) if int(text) >= 0 else len(layers) + int(text)


def layers_of(path, route_groups=True):
    """All layers with their shapes. Without `route_groups` as a Darknet from before they existed reads them:
    such a [route] passes all channels on, so later convolutions do more work."""
    sections = read_cfg(path)
    net = {k: int(sections[0][1][k]) for k in ("width", "height", "channels")}
    for key, neutral in (("mean", 0), ("deviation", 1)):
        given = sections[0][1].get(key)
        net[key] = [float(number) for number in given.split(",")] if given else [neutral] * net["channels"]
    layers = []
    for index, (name, keys) in enumerate(sections[1:]):
        layer = Layer(name, keys, index)
        if name == "route":
            layer.sources = [source(i, layers) for i in keys["layers"].split(",")]
        elif "from" in keys and name != "shortcut":
            layer.sources = [source(i, layers) for i in keys["from"].split(",")]
        first = layers[layer.sources[0]] if layer.sources[0] >= 0 else None
        c, h, w = (first.c, first.h, first.w) if first else (net["channels"], net["height"], net["width"])
        layer.inputs, layer.input_size = c, c * h * w
        layer.per_image = first.per_image if first else 1
        if name == "convolutional":
            size, stride = layer.number("size", 1), layer.number("stride", 1)
            pad = size // 2 if layer.number("pad") else 0
            h, w = (h + 2 * pad - size) // stride + 1, (w + 2 * pad - size) // stride + 1
            weights = layer.number("filters") * c // layer.number("groups", 1) * size * size
            layer.weights = 0 if "share" in keys else weights
            layer.flops = 2.0 * weights * h * w
            c = layer.number("filters")
        elif name == "connected":
            layer.weights = layer.input_size * layer.number("output")
            layer.flops = 2.0 * layer.weights * layer.per_image
            c, h, w = layer.number("output"), 1, 1
        elif name == "maxpool":
            stride = layer.number("stride", 1)
            h, w = (h - 1) // stride + 1, (w - 1) // stride + 1
        elif name == "avgpool":
            h, w = 1, 1
        elif name == "shortcut":
            layer.sources = [index - 1, source(keys["from"], layers)]
        elif name == "route":
            groups = layer.number("groups", 1) if route_groups else 1
            c = sum(layers[i].c for i in layer.sources) // groups
        elif name == "upsample" and len(layer.sources) == 2:
            h, w = layers[layer.sources[1]].h, layers[layer.sources[1]].w
        elif name == "upsample":
            h, w = h * layer.number("stride", 2), w * layer.number("stride", 2)
        elif name == "roi_align":
            h, w, c = layer.number("size", 7), layer.number("size", 7), layers[layer.sources[1]].c
            layer.per_image = 1000  # the default of [rpn]
        elif name not in HEADS and name not in ON_ROIS and name not in ("activation", "dropout"):
            raise ValueError(f"{path}: [{name}] is not known to the benchmark's peers")
        layer.c, layer.h, layer.w = c, h, w
        layers.append(layer)
    return net, layers


def pool_padding(layer, layers):
    """Darknet's of a [maxpool], in pixels: left, right, top, bottom. It is size - 1 in all, the smaller half before, and
    never wins."""
    seen = layers[layer.sources[0]]
    size, stride = layer.number("size", 2), layer.number("stride", 2)
    before = (size - 1) // 2
    right, bottom = (max(0, (out - 1) * stride + size - before - side)
                     for out, side in ((layer.w, seen.w), (layer.h, seen.h)))
    return before, right, before, bottom


def follows(layer, layers):
    """The name of the section that sees this layer next, but for [dropout]."""
    return next((after.name for after in layers[layer.index + 1:] if after.name != "dropout"), "")


def heads_of(layers):
    """Indexes of the layers that feed a head, but for those that see RoIs."""
    return [i for layer in layers if layer.name in HEADS for i in layer.sources]


def detects_like_torchvision(layers):
    """RetinaNet and two stages: their peers are torchvision's models, and an inference goes on to the boxes."""
    return layers[-1].name in ("retina", "rcnn")


def gigaflops(layers):
    return sum(layer.flops for layer in layers) / 1e9


def write_weights(path, layers, seed=1):
    """Random numbers that keep activations near 1 from layer to layer, so that nothing runs on zeros,
    denormals or infinities. Variances are 1: engines that differ in epsilon then agree closely."""
    draw = random.Random(seed).random
    judges = {i for layer in layers if layer.name in (*HEADS, "rcnn") for i in layer.sources}

    def write(file, count, deviation, mean=0.0):
        """Evenly distributed numbers. They repeat after a prime number of them, to save time: no two filters
        become equal."""
        low, width = mean - math.sqrt(3) * deviation, 2 * math.sqrt(3) * deviation
        drawn = array.array("f", [low + width * draw() for _ in range(min(count, 262147))])
        (drawn * math.ceil(count / len(drawn)))[:count].tofile(file)

    with open(path, "wb") as file:
        array.array("i", [0, 2, 0, 0, 0]).tofile(file)  # version 0.2.0, 8 bytes of images seen
        for layer in layers:
            if not layer.weights:
                continue
            if layer.normalized:
                # The last convolution before a sum adds little, or a residual network would grow at each block.
                before_sum = follows(layer, layers) == "shortcut"
                write(file, layer.c, 0.1)
                write(file, layer.c, 0.05, 0.1 if before_sum else 1)
                write(file, layer.c, 0.1)
                write(file, layer.c, 0, 1)
            else:
                write(file, layer.c, 0, bias_of(layer, judges))
            # leaky and relu halve the variance. Boxes stay near their anchors.
            gain = 2 if layer.normalized or layer.keys.get("activation") == "relu" else 1
            if layer.index in judges and layer.keys.get("name", "").startswith(("boxes", "deltas")):
                gain = 0.01
            write(file, layer.weights, math.sqrt(gain * layer.c / layer.weights))


def bias_of(layer, judges):
    """Few scores are above the threshold, as in real pictures."""
    if layer.name != "convolutional" or layer.index not in judges:
        return 0
    name = layer.keys.get("name", "")
    return -5 if name.startswith("classes") else 0 if name.startswith(("boxes", "deltas", "objectness")) else -3

"""A .cfg and its .weights as ncnn's two files: layers as text, a line each, and their numbers. Batch norm is folded into
convolutions, and activations go with the layer before, as ncnn's own converters do it.

The layers before the heads are blobs that layer_name() names. Heads of boxes become one layer at the end, which is
computed only for who asks for "detections": rows of class, score and the box's corners in 0..1.
"""
import numpy as np

import networks

MAGIC = 7767517
# Of a convolution or an inner product: parameter 9 names the kind, 10 is its list of numbers.
WITHIN = {"linear": [], "relu": ["9=1"], "leaky": ["9=2", "-23310=1,0.1"]}
# Of other layers: the slope below zero of a layer of its own.
SLOPES = {"relu": 0, "leaky": 0.1}


def layer_name(index):
    return f"layer{index}"


class Converter:
    def __init__(self, net, layers, weights, model):
        """`weights` is read from behind its header; numbers go to `model`, both open files."""
        self.layers, self.weights, self.model = layers, weights, model
        self.lines = []      # (type, name, inputs, outputs, parameters)
        self.blobs = {-1: "images"}  # what each of our layers made
        self.add("Input", "images", [], f"0={net['width']} 1={net['height']} 2={net['channels']}".split())
        for layer in layers:
            if layer.name not in networks.HEADS:
                self.blobs[layer.index] = self.convert(layer, [self.blobs[i] for i in layer.sources])

    def add(self, kind, name, inputs, parameters):
        """A layer with one output of the same name, which is returned."""
        self.lines.append((kind, name, inputs, [name], parameters))
        return name

    def numbers(self, count):
        values = np.fromfile(self.weights, np.float32, count)
        if len(values) != count:
            raise ValueError(f"{self.weights.name} is too short")
        return values

    def convert(self, layer, inputs):
        """Adds what computes the layer, and returns the blob that it makes."""
        name = layer_name(layer.index)
        if layer.name == "convolutional":
            return self.convolution(layer, name, inputs)
        if layer.name == "connected":
            biases = self.numbers(layer.c)
            self.write(self.numbers(layer.weights), biases)
            return self.add("InnerProduct", name, inputs,
                            [f"0={layer.c}", "1=1", f"2={layer.weights}", *self.activation(layer, WITHIN)])
        if layer.name == "maxpool":
            left, right, top, bottom = networks.pool_padding(layer, self.layers)
            return self.add("Pooling", name, inputs,
                            ["0=0", f"1={layer.number('size', 2)}", f"2={layer.number('stride', 2)}", f"3={left}", "5=1",
                             f"13={top}", f"14={right}", f"15={bottom}"])
        if layer.name == "avgpool":
            return self.add("Pooling", name, inputs, ["0=1", "4=1"])
        if layer.name == "upsample":
            stride = layer.number("stride", 2)
            return self.add("Interp", name, inputs, ["0=1", f"1={stride}.0", f"2={stride}.0"])
        if layer.name == "shortcut":
            return self.activated(layer, self.add("BinaryOp", name, inputs, ["0=0"]))
        if layer.name == "dropout":
            return inputs[0]
        if layer.name == "route":
            return self.route(layer, name, inputs)
        raise ValueError(f"[{layer.name}] is not known to the benchmark's ncnn")

    def convolution(self, layer, name, inputs):
        size, stride, groups = layer.number("size", 1), layer.number("stride", 1), layer.number("groups", 1)
        pad = size // 2 if layer.number("pad") else 0
        biases = self.numbers(layer.c)
        if layer.normalized:
            scales, means, variances = (self.numbers(layer.c) for _ in range(3))
            scales = scales / np.sqrt(variances + np.float32(1e-5))
            biases = biases - means * scales
        weights = self.numbers(layer.weights)
        if layer.normalized:
            weights = (weights.reshape(layer.c, -1) * scales[:, None]).ravel()
        self.write(weights, biases)
        parameters = [f"0={layer.c}", f"1={size}", f"3={stride}", f"4={pad}", "5=1", f"6={layer.weights}"]
        parameters += self.activation(layer, WITHIN)
        if groups > 1:  # of any number: it chooses by itself
            return self.add("ConvolutionDepthWise", name, inputs, [*parameters, f"7={groups}"])
        return self.add("Convolution", name, inputs, parameters)

    def write(self, weights, biases):
        """A zero tells that the weights are floats; biases always are."""
        np.zeros(1, np.uint32).tofile(self.model)
        weights.astype(np.float32).tofile(self.model)
        biases.astype(np.float32).tofile(self.model)

    @staticmethod
    def activation(layer, known):
        name = layer.keys.get("activation", "linear")
        if name not in known:
            raise ValueError(f"activation={name} is not known to the benchmark's ncnn")
        return known[name]

    def activated(self, layer, blob):
        if layer.keys.get("activation", "linear") == "linear":
            return blob
        return self.add("ReLU", blob + "_activation", [blob], [f"0={self.activation(layer, SLOPES)}"])

    def route(self, layer, name, inputs):
        groups = layer.number("groups", 1)
        if groups > 1:
            parts = []
            for i, blob in zip(layer.sources, inputs):
                count = self.layers[i].c // groups
                parts.append(self.add("Crop", f"{name}_part{i}", [blob],
                                      [f"2={count * layer.number('group_id')}", f"3={self.layers[i].w}",
                                       f"4={self.layers[i].h}", f"5={count}"]))
            inputs = parts
        return inputs[0] if len(inputs) == 1 else self.add("Concat", name, inputs, ["0=0"])

    def detections(self, net):
        """All [yolo] of the network at once."""
        heads = [layer for layer in self.layers if layer.name == "yolo"]
        if not heads:
            return
        keys = heads[0].keys

        def listed(number, values):
            return f"-233{number:02}={len(values)}," + ",".join(f"{float(v):.6f}" for v in values)

        masks = [m for head in heads for m in head.keys["mask"].split(",")]
        self.add("Yolov3DetectionOutput", "detections", [self.blobs[head.sources[0]] for head in heads],
                 [f"0={keys['classes']}", f"1={len(heads[0].keys['mask'].split(','))}", "2=0.25", "3=0.45",
                  listed(4, keys["anchors"].split(",")), listed(5, masks),
                  listed(6, [net["width"] / head.w for head in heads])])

    def text(self):
        """A blob goes to one layer alone: where more read it, a layer makes copies, which cost nothing."""
        readers = {}
        for _, _, inputs, _, _ in self.lines:
            for blob in inputs:
                readers[blob] = readers.get(blob, 0) + 1
        rows, taken = [], {}
        blobs = 0
        for kind, name, inputs, outputs, parameters in self.lines:
            given = []
            for blob in inputs:
                taken[blob] = taken.get(blob, 0) + 1
                given.append(f"{blob}_{taken[blob]}" if readers[blob] > 1 else blob)
            rows.append(" ".join([kind, name, str(len(given)), str(len(outputs)), *given, *outputs, *parameters]))
            blobs += len(outputs)
            for blob in outputs:
                count = readers.get(blob, 0)
                if count > 1:
                    copies = [f"{blob}_{k + 1}" for k in range(count)]
                    rows.append(" ".join(["Split", f"{blob}_split", "1", str(count), blob, *copies]))
                    blobs += count
        return "\n".join([str(MAGIC), f"{len(rows)} {blobs}", *rows]) + "\n"


def write(cfg, weights, stem):
    """STEM.param and STEM.bin."""
    net, layers = networks.layers_of(cfg)
    with open(weights, "rb") as numbers, open(stem + ".bin", "wb") as model:
        numbers.seek(20)
        converter = Converter(net, layers, numbers, model)
        if numbers.read(1):
            raise ValueError(f"{weights} is longer than {cfg} says")
    converter.detections(net)
    with open(stem + ".param", "w") as file:
        file.write(converter.text())

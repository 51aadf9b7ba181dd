"""A PyTorch module from a .cfg and its .weights: convolutions, pooling, routes, sums and upsampling as PyTorch
users write them. Its outputs are the layers before the heads."""
import array

import torch
import torch.nn.functional as F
from torch import nn

import networks


def activation_of(layer):
    """The activation as a list of no or one module."""
    name = layer.keys.get("activation", "linear")
    if name == "leaky":
        return [nn.LeakyReLU(0.1, inplace=True)]
    if name == "relu":
        return [nn.ReLU(inplace=True)]
    if name != "linear":
        raise ValueError(f"activation={name} is not known to the benchmark's peers")
    return []


def fill(tensor, file):
    """From the next floats of a .weights file."""
    values = array.array("f")
    values.fromfile(file, tensor.numel())
    tensor.data.copy_(torch.tensor(memoryview(values)).view(tensor.shape))


class Convolution(nn.Sequential):
    def __init__(self, layer):
        size = layer.number("size", 1)
        pad = size // 2 if layer.number("pad") else 0
        super().__init__(nn.Conv2d(layer.inputs, layer.c, size, layer.number("stride", 1), pad,
                                   groups=layer.number("groups", 1), bias=not layer.normalized))
        if layer.normalized:
            self.append(nn.BatchNorm2d(layer.c, eps=1e-5, momentum=0.01))
        self.extend(activation_of(layer))

    def load(self, file):
        """In the order of a .weights file."""
        if len(self) > 1 and isinstance(self[1], nn.BatchNorm2d):
            for tensor in (self[1].bias, self[1].weight, self[1].running_mean, self[1].running_var):
                fill(tensor, file)
        else:
            fill(self[0].bias, file)
        fill(self[0].weight, file)


class Connected(nn.Sequential):
    def __init__(self, layer):
        super().__init__(nn.Flatten(), nn.Linear(layer.input_size, layer.c), *activation_of(layer),
                         nn.Unflatten(1, (layer.c, 1, 1)))

    def load(self, file):
        fill(self[1].bias, file)
        fill(self[1].weight, file)


class MaxPool(nn.Module):
    def __init__(self, layer, layers):
        super().__init__()
        self.size, self.stride = layer.number("size", 2), layer.number("stride", 2)
        self.pad = networks.pool_padding(layer, layers)

    def forward(self, x):
        if any(self.pad):
            x = F.pad(x, self.pad, value=float("-inf"))
        return F.max_pool2d(x, self.size, self.stride)


class Network(nn.Module):
    def __init__(self, cfg, weights):
        super().__init__()
        self.net, self.layers = networks.layers_of(cfg)
        self.heads = networks.heads_of(self.layers)
        used_later = {i for layer in self.layers if layer.name in ("route", "shortcut") for i in layer.sources}
        self.kept = used_later | set(self.heads)
        self.steps = nn.ModuleList(self.step(layer) for layer in self.layers)
        with open(weights, "rb") as file:
            file.seek(20)
            for step in self.steps:
                if isinstance(step, (Convolution, Connected)):
                    step.load(file)

    def step(self, layer):
        if layer.name == "convolutional":
            return Convolution(layer)
        if layer.name == "maxpool":
            return MaxPool(layer, self.layers)
        if layer.name == "connected":
            return Connected(layer)
        if layer.name == "avgpool":
            return nn.AdaptiveAvgPool2d(1)
        if layer.name == "dropout":
            return nn.Dropout(float(layer.keys.get("probability", ".5")))
        if layer.name == "shortcut":
            return nn.Sequential(*activation_of(layer))
        if layer.name == "upsample":
            return nn.Upsample(scale_factor=layer.number("stride", 2), mode="nearest")
        return nn.Identity()  # [route] is done in forward; the heads are left out

    def forward(self, x):
        kept = {}
        for layer, step in zip(self.layers, self.steps):
            if layer.name == "route":
                x = self.route(layer, [kept[i] for i in layer.sources])
            elif layer.name == "shortcut":
                x = step(x + kept[layer.sources[1]])
            else:
                x = step(x)
            if layer.index in self.kept:
                kept[layer.index] = x
        return tuple(kept[i] for i in self.heads)

    @staticmethod
    def route(layer, sources):
        groups = layer.number("groups", 1)
        if groups > 1:
            sources = [x.chunk(groups, 1)[layer.number("group_id")] for x in sources]
        return sources[0] if len(sources) == 1 else torch.cat(sources, 1)

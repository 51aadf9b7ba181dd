"""What follows the layers before the heads, written with tensor operations of fixed shapes, as careful PyTorch users do:
nothing waits for the GPU, and torch.compile can make one graph of it."""
import torch
import torch.nn.functional as F
from torch import nn


class YoloHead(nn.Module):
    """One [yolo]: boxes from numbers, and YOLOv3's loss."""

    def __init__(self, layer, net):
        super().__init__()
        anchors = torch.tensor([float(v) for v in layer.keys["anchors"].split(",")]).view(-1, 2)
        self.mask = [int(v) for v in layer.keys["mask"].split(",")]
        self.numbers = 5 + layer.number("classes")
        self.ignore = float(layer.keys.get("ignore_thresh", ".5"))
        size = torch.tensor([float(net["width"]), float(net["height"])])
        column, row = torch.arange(layer.w).float(), torch.arange(layer.h).float()
        cells = torch.stack([column.repeat(layer.h), row.repeat_interleave(layer.w)], 1)
        self.register_buffer("all_anchors", anchors / size)               # in units of the input, as are truths
        self.register_buffer("anchors", self.all_anchors[self.mask].view(1, -1, 1, 2))
        self.register_buffer("cells", cells.view(1, 1, -1, 2))
        self.register_buffer("grid", torch.tensor([float(layer.w), float(layer.h)]))

    def rows(self, y):
        """[N, A * numbers, H, W] -> [N, A, H * W, numbers] in float."""
        return y.float().view(y.shape[0], len(self.mask), self.numbers, -1).transpose(2, 3)

    def boxes(self, p):
        """Centre and size in units of the input, [N, A, H * W, 4]."""
        centre = (p[..., :2].sigmoid() + self.cells) / self.grid
        return torch.cat([centre, p[..., 2:4].exp() * self.anchors], -1)

    def decoded(self, y):
        """What inference ends with: boxes, and the scores of objects and classes."""
        p = self.rows(y)
        return torch.cat([self.boxes(p), p[..., 4:].sigmoid()], -1)

    def loss(self, y, truths, classes):
        """truths: [N, T, 4] like boxes; classes: [N, T]. Squares for boxes, cross entropy for the rest."""
        p = self.rows(y)
        n, a, cells, _ = p.shape
        with torch.no_grad():
            best = overlap(self.boxes(p).view(n, -1, 1, 4), truths.view(n, 1, -1, 4)).amax(2)
            wanted = (best <= self.ignore).float().view(-1)  # boxes that look right are no negatives

            sizes = torch.minimum(truths[:, :, None, 2:], self.all_anchors).prod(-1)
            shapes = sizes / (truths[:, :, 2:].prod(-1, keepdim=True) + self.all_anchors.prod(-1) - sizes)
            anchor = shapes.argmax(2) - self.mask[0]  # the heads' masks are consecutive
            here = (anchor >= 0) & (anchor < a)
            cell = (truths[..., :2] * self.grid).floor()
            place = anchor.clamp(0, a - 1) * cells + (cell[..., 1] * self.grid[0] + cell[..., 0]).long()
            place = (place + torch.arange(n, device=place.device)[:, None] * (a * cells)).view(-1)
            weight = here.float().view(-1)

            size = self.anchors.view(-1, 2)[anchor.clamp(0, a - 1)]
            target = torch.cat([truths[..., :2] * self.grid - cell, (truths[..., 2:] / size).log()], -1)
            target = target.view(-1, 4)
            scale = weight * (2 - truths[..., 2:].prod(-1).view(-1))
            one_hot = F.one_hot(classes, self.numbers - 5).float().view(-1, self.numbers - 5)
            # The last place takes what belongs to other heads.
            spare = torch.where(here.view(-1), place, torch.full_like(place, n * a * cells))
            objects = torch.zeros(n * a * cells + 1, device=y.device).scatter(0, spare, 1.0)[:-1]
            wanted = torch.maximum(wanted, objects)

        q = p.reshape(-1, self.numbers)[place]
        box = torch.cat([q[:, :2].sigmoid(), q[:, 2:4]], 1)
        loss = ((box - target).square().sum(1) * scale).sum()
        loss = loss + (F.binary_cross_entropy_with_logits(q[:, 5:], one_hot, reduction="none").sum(1) * weight).sum()
        objectness = F.binary_cross_entropy_with_logits(p[..., 4].reshape(-1), objects, reduction="none")
        return loss + (objectness * wanted).sum()


def overlap(a, b):
    """IoU of boxes given as centre and size."""
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    both = (high - low).clamp(min=0).prod(-1)
    return both / (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - both)


class Detection(nn.Module):
    """The network with its [yolo] heads."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.heads = nn.ModuleList(YoloHead(network.layers[i + 1], network.net) for i in network.heads)

    def forward(self, x):
        return [head.decoded(y) for head, y in zip(self.heads, self.network(x))]

    def loss(self, x, truths, classes):
        return sum(head.loss(y, truths, classes) for head, y in zip(self.heads, self.network(x)))

    def targets(self, batch, device):
        """Eight boxes of several sizes in every image, as `osprey bench` has them."""
        random = torch.Generator().manual_seed(2)
        centres = torch.rand(batch, 8, 2, generator=random) * 0.6 + 0.2
        sizes = torch.rand(batch, 8, 2, generator=random) * 0.37 + 0.03
        classes = torch.randint(0, self.heads[0].numbers - 5, (batch, 8), generator=random)
        return torch.cat([centres, sizes], 2).to(device), classes.to(device)


class Classification(nn.Module):
    """The network with its [softmax]."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return [self.network(x)[0].float().flatten(1).softmax(1)]

    def loss(self, x, classes):
        return F.cross_entropy(self.network(x)[0].float().flatten(1), classes, reduction="sum")

    def targets(self, batch, device):
        random = torch.Generator().manual_seed(2)
        return (torch.randint(0, self.network.layers[-1].c, (batch,), generator=random).to(device),)


def task(network):
    """The network with what its last section asks for."""
    return (Classification if network.layers[-1].name == "softmax" else Detection)(network)

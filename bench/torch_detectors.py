"""torchvision's RetinaNet and Faster R-CNN with ResNet-50 and a feature pyramid, with the weights of a .cfg of the same
network. Batch norm is frozen, and the stem and the first stage are not trained, on both sides."""
import re

import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7
from torchvision.ops.misc import FrozenBatchNorm2d

import networks
from torch_network import fill

# Layers of the cfg by their names: the path to torchvision's module.
PATHS = {r"lateral(\d)": "backbone.fpn.inner_blocks.{level}.0", r"p([2-5])": "backbone.fpn.layer_blocks.{level}.0",
         r"p([67])": "backbone.fpn.extra_blocks.p{0}",
         r"classes(\d)_p3": "head.classification_head.conv.{tower}.0", r"classes_p3": "head.classification_head.cls_logits",
         r"boxes(\d)_p3": "head.regression_head.conv.{tower}.0", r"boxes_p3": "head.regression_head.bbox_reg",
         r"proposing_p2": "rpn.head.conv.0.0", r"objectness_p2": "rpn.head.cls_logits", r"deltas_p2": "rpn.head.bbox_pred",
         r"features": "roi_heads.box_head.fc7", r"classes": "roi_heads.box_predictor.cls_score",
         r"boxes": "roi_heads.box_predictor.bbox_pred"}


def model_of(two_stages, net):
    """The network as torchvision's own constructors make it; it normalises images as the .cfg's [net] and keeps their size."""
    size = net["height"], net["width"]
    kept = {"min_size": min(size), "max_size": max(size), "image_mean": net["mean"], "image_std": net["deviation"]}
    parts = {"backbone_name": "resnet50", "weights": None, "norm_layer": FrozenBatchNorm2d, "trainable_layers": 3}
    if two_stages:
        return FasterRCNN(resnet_fpn_backbone(**parts), 91, **kept)
    pyramid = {"returned_layers": [2, 3, 4], "extra_blocks": LastLevelP6P7(256, 256)}
    return RetinaNet(resnet_fpn_backbone(**parts, **pyramid), 91, detections_per_img=100, **kept)  # as Faster R-CNN


def backbone_modules(body):
    """Convolutions with their batch norms in the order of the cfg: what came in follows the block that it is added to."""
    yield body.conv1, body.bn1
    for stage in (body.layer1, body.layer2, body.layer3, body.layer4):
        for block in stage:
            yield block.conv1, block.bn1
            yield block.conv2, block.bn2
            yield block.conv3, block.bn3
            if block.downsample is not None:
                yield block.downsample[0], block.downsample[1]


class Detector(nn.Module):
    def __init__(self, cfg, weights):
        super().__init__()
        self.net, self.layers = networks.layers_of(cfg)
        self.height, self.width = self.net["height"], self.net["width"]
        self.heads = networks.heads_of(self.layers)
        self.two_stages = self.layers[-1].name == "rcnn"
        self.model = model_of(self.two_stages, self.net)
        backbone = backbone_modules(self.model.backbone.body)
        with open(weights, "rb") as file:
            file.seek(20)
            for layer in (layer for layer in self.layers if layer.weights):
                module, norm = next(backbone) if layer.normalized else (self.module_of(layer), None)
                for tensor in [norm.bias, norm.weight, norm.running_mean, norm.running_var] if norm else [module.bias]:
                    fill(tensor, file)
                if module.weight.numel() != layer.weights:
                    raise ValueError(f"layer {layer.index} of {cfg} has {layer.weights} weights, and torchvision's "
                                     f"{module.weight.numel()}")
                fill(module.weight, file)

    def module_of(self, layer):
        name = layer.keys.get("name", "")
        if layer.name == "connected" and not name:
            return self.model.roi_heads.box_head.fc6
        for pattern, path in PATHS.items():
            found = re.fullmatch(pattern, name)
            if found:
                number = int(found[1]) if found.groups() else 0
                first_level = 2 if self.two_stages else 3
                return self.model.get_submodule(path.format(number, level=number - first_level, tower=number - 1))
        raise ValueError(f"[{layer.name}] {name} is not known to the benchmark's peers")

    def before_heads(self, x):
        """The maps that become anchors' scores and boxes: of all levels the scores, then of all levels the boxes."""
        maps = list(self.model.backbone(self.normalised(x)).values())
        if self.two_stages:
            scores, boxes = self.model.rpn.head(maps)
            return scores + boxes
        head = self.model.head
        return ([head.classification_head.cls_logits(head.classification_head.conv(m)) for m in maps] +
                [head.regression_head.bbox_reg(head.regression_head.conv(m)) for m in maps])

    def normalised(self, x):
        return torch.stack([self.model.transform.normalize(image) for image in x])

    def forward(self, x):
        """Boxes without duplicates of [N,3,H,W]."""
        return self.model(list(x))

    def loss(self, x, *targets):
        boxes, labels = targets
        return sum(self.model(list(x), [{"boxes": b, "labels": c} for b, c in zip(boxes, labels)]).values())

    def targets(self, batch, device):
        """Eight boxes of several sizes in every image, as `osprey bench` has them, by their corners."""
        random = torch.Generator().manual_seed(2)
        centres = torch.rand(batch, 8, 2, generator=random) * 0.6 + 0.2
        sizes = torch.rand(batch, 8, 2, generator=random) * 0.37 + 0.03
        corners = torch.cat([centres - sizes / 2, centres + sizes / 2], 2).clamp(0, 1)
        boxes = corners * torch.tensor([self.width, self.height] * 2)
        labels = torch.randint(1, 91, (batch, 8), generator=random)
        return boxes.to(device), labels.to(device)

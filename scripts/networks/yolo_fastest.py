"""YOLO-Fastest (dog-qiuqiu, github.com/dog-qiuqiu/Yolo-Fastest): a MobileNetV2 made thin. Versions 1.0 and 1.1 have the
same backbone."""

from .darknet import Darknet


class Fastest(Darknet):
    def depthwise(self, filters, size=3, stride=1):
        """A convolution of each channel by itself."""
        return self.conv(filters, size, stride, groups=filters)

    def bottleneck(self, wide, narrow, stride=1):
        """1x1 to `wide`, each channel by itself, 1x1 to `narrow` without activation. Sandler et al., "MobileNetV2", CVPR
        2018."""
        first = self.conv(wide, 1)
        self.depthwise(wide, 3, stride)
        self.conv(narrow, 1, activation="linear")
        return first

    def residuals(self, wide, narrow, blocks):
        for _ in range(blocks):
            self.bottleneck(wide, narrow)
            self.cfg.add("dropout", probability=0.15)
            self.shortcut(-5)

    def separable(self, filters, size):
        """Each channel by itself over `size` x `size`, then 1x1."""
        self.conv(filters, size, groups=filters)
        return self.conv(filters, 1, activation="linear")


def backbone(cfg):
    """Returns the layers at stride 8, 16 and 32 that heads see."""
    parts = Fastest(cfg)
    cfg.comment("YOLO-Fastest's backbone")
    parts.conv(8, 3, 2)
    parts.bottleneck(8, 4)
    parts.residuals(8, 4, 1)
    parts.bottleneck(24, 8, 2)
    parts.residuals(32, 8, 2)
    parts.bottleneck(32, 8, 2)
    parts.residuals(48, 8, 2)
    parts.bottleneck(48, 16)
    parts.residuals(96, 16, 4)
    c3 = parts.bottleneck(96, 24, 2)
    parts.residuals(136, 24, 4)
    c4 = parts.bottleneck(136, 48, 2)
    parts.residuals(224, 48, 5)
    return c3, c4, cfg.count - 1


HEAD = dict(jitter=0.15, ignore_thresh=0.5, truth_thresh=1, random=0, scale_x_y=1, iou_thresh=0.213, cls_normalizer=1,
            iou_normalizer=0.07, iou_loss="ciou", nms_kind="greedynms", beta_nms=0.6)


def three_heads(cfg, ends, classes, anchors, **head):
    """A head at each stride, coarse to fine, each of which sees what the coarser one saw."""
    parts = Fastest(cfg)
    coarser = None
    for level, (end, filters) in reversed(list(enumerate(zip(ends, (64, 96, 96))))):
        cfg.comment("Head at stride %d" % (8 << level))
        if coarser:
            parts.route(coarser)
            parts.upsample()
            parts.route(-1, end)
        coarser = parts.conv(filters, 1)
        for _ in range(2):
            parts.separable(filters, 5)
        parts.predict(3 * (5 + classes))
        cfg.add("yolo", mask=",".join(str(3 * level + k) for k in range(3)), anchors=anchors, classes=classes,
                num=9, **dict(HEAD, **head))


ANCHORS = "12,18, 37,49, 52,132, 115,73, 119,199, 242,238"


def version_1_1(cfg):
    """Two heads of two 5x5 convolutions each, behind maxima of three windows."""
    parts = Fastest(cfg)
    _, c4, _ = backbone(cfg)
    cfg.comment("Head at stride 32")
    parts.spp((3, 5, 9))
    coarse = parts.conv(96, 1)
    for mask, filters in (("3,4,5", 96), ("0,1,2", 120)):
        if filters == 120:
            cfg.comment("Head at stride 16")
            parts.route(coarse)
            parts.upsample()
            parts.route(-1, c4 - 1)  # what that stage makes, before it is widened for the next
        for _ in range(2):
            parts.separable(filters, 5)
        parts.predict(3 * (5 + 80))
        cfg.add("yolo", mask=mask, anchors=ANCHORS, classes=80, num=6, **HEAD)

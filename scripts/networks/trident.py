"""ResNet-152 with three branches that have the same weights and differ in dilation, each for objects of another size. Li et
al., "Scale-Aware Trident Networks for Object Detection", ICCV 2019."""

from .darknet import Darknet

SMALL_AND_MEDIUM = "8,8, 10,13, 16,30, 33,23,  32,32, 30,61, 62,45, 64,64,  59,119, 116,90, 156,198, 373,326"
LARGE = "8,8, 10,13, 16,30, 33,23,  32,32, 30,61, 62,45, 59,119,  80,80, 116,90, 156,198, 373,326"


class Trident(Darknet):
    """shared: how far back the layers are whose weights a branch takes, None where it has its own."""

    shared = None

    def conv(self, *arguments, **keys):
        if self.shared is not None:
            keys["share_index"] = self.cfg.count - self.shared
        return super().conv(*arguments, **keys)

    def bottlenecks(self, filters, blocks, first_stride=1, dilation=1):
        """Where a stage halves the image, what is added is the block's 3x3 convolution. Returns the index of the first
        block's sum."""
        first = self.cfg.count + 3
        for block in range(blocks):
            stride = 1 if block else first_stride
            self.conv(filters, 1)
            self.conv(filters, 3, stride, dilation=dilation if dilation > 1 else None)
            self.conv(4 * filters, 1, activation="linear")
            self.shortcut(-2 if stride > 1 else -4, "leaky")
        return first

    def branch(self, dilation, first=None):
        """first: the index of the first layer whose weights it takes."""
        self.shared = None if first is None else self.cfg.count - first
        self.bottlenecks(256, 6, dilation=dilation)
        self.bottlenecks(512, 3, 2, dilation)
        self.shared = None


def resnet152_trident(cfg):
    parts = Trident(cfg)
    parts.conv(64, 7, 2)
    parts.maxpool()
    cfg.comment("What the branches share")
    parts.bottlenecks(64, 3)
    c3 = parts.bottlenecks(128, 8, 2)
    c4 = parts.bottlenecks(256, 30, 2)
    trunk = cfg.count - 1
    for name, dilation, filters, own, mask, anchors in (("Large", 3, 2048, None, "8,9,10,11", LARGE),
                                                        ("Medium", 2, 1024, c4, "4,5,6,7", SMALL_AND_MEDIUM),
                                                        ("Small", 1, 512, c3, "0,1,2,3", SMALL_AND_MEDIUM)):
        cfg.comment(name + " objects")
        if own is None:
            parts.branch(dilation)
        else:
            parts.route(trunk)
            parts.branch(dilation, trunk + 1)
            parts.conv(filters, 1)
            cfg.add("upsample", stride=2048 // filters)
            parts.route(-1, own)
        parts.conv(filters, 1)
        parts.predict(4 * (5 + 1))
        cfg.add("yolo", mask=mask, anchors=anchors, classes=1, num=12, jitter=0.3, ignore_thresh=0.7, truth_thresh=1)

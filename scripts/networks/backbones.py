"""Backbones: what turns the image into feature maps."""

from .text import flag

# Blocks in each stage, and whether a block is a bottleneck. He, Zhang, Ren and Sun, "Deep Residual Learning for
# Image Recognition", CVPR 2016.
RESNETS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True),
           101: ((3, 4, 23, 3), True)}


class ResNet:
    """Stem and four stages. The last section of each stage is named c2 .. c5, if `names`.

    frozen: every batch norm is frozen. frozen_stages: so many of stem, stage 1, ... are not trained at all.
    caffe_stride: the stride of a bottleneck is in its first 1x1 convolution (v1), not in the 3x3 (v1.5).
    """

    def __init__(self, cfg, depth, frozen=False, frozen_stages=0, names=False, caffe_stride=False, stages=4):
        self.cfg, self.frozen, self.caffe_stride = cfg, frozen, caffe_stride
        self.frozen_stages, self.names = frozen_stages, names
        blocks, bottleneck = RESNETS[depth]
        self.outputs = {"c%d" % (stage + 2): 64 * 2 ** stage * (4 if bottleneck else 1) for stage in range(stages)}
        self.blocks, self.block = blocks, self.bottleneck if bottleneck else self.basic
        cfg.comment("Stem")
        self.conv(64, 7, 2)
        cfg.add("maxpool", stopbackward=flag(frozen_stages == 1), size=3, stride=2)
        cfg.comment(*(BOTTLENECKS if bottleneck else BASIC_BLOCKS))
        self.channels = 64
        for stage in range(stages):
            cfg.comment("Stage %d" % (stage + 1))
            self.stage(stage)

    def stage(self, stage):
        """The blocks of a stage, on the layer before; stages count from 0."""
        for block in range(self.blocks[stage]):
            self.block(64 * 2 ** stage, 2 if stage and not block else 1,
                       stage if block + 1 == self.blocks[stage] else None)

    def conv(self, filters, size, stride=1, activation="relu"):
        self.cfg.add("convolutional", batch_normalize=1, frozen=flag(self.frozen), filters=filters, size=size,
                     stride=stride, pad=1, activation=activation)

    def sum(self, filters, stride, layers, stage):
        """What came in, `layers` sections ago, is added; first brought to the same shape where it has another."""
        distance = layers + 1
        if stride != 1 or self.channels != filters:
            self.cfg.add("route", layers=-layers - 1)
            self.conv(filters, 1, stride, "linear")
            distance = 3
        ends = stage is not None
        self.cfg.add("shortcut", name="c%d" % (stage + 2) if ends and self.names else None,
                     stopbackward=flag(ends and stage + 2 == self.frozen_stages), from_=-distance, activation="relu")
        self.channels = filters

    def basic(self, filters, stride, stage):
        self.conv(filters, 3, stride)
        self.conv(filters, 3, 1, "linear")
        self.sum(filters, stride, 2, stage)

    def bottleneck(self, filters, stride, stage):
        self.conv(filters, 1, stride if self.caffe_stride else 1)
        self.conv(filters, 3, 1 if self.caffe_stride else stride)
        self.conv(4 * filters, 1, 1, "linear")
        self.sum(4 * filters, stride, 3, stage)


BOTTLENECKS = (
    "Bottlenecks: 1x1 to few channels, 3x3, 1x1 to four times as many, plus what came in. The first of a stage",
    "changes the shape, so what came in passes a 1x1 convolution, too: [route] goes back to the block's input.")
BASIC_BLOCKS = (
    "Basic blocks: two 3x3 convolutions, plus what came in. Where the shape changes, that passes a 1x1 convolution",
    "of stride 2, too: [route] goes back to the block's input.")


def vgg16(cfg, names=False, frozen_blocks=0, pools=5):
    """Thirteen 3x3 convolutions, with a pool of stride 2 after the 2nd, 4th, 7th, 10th and 13th: the first `pools`
    of these. The last convolutions before the pools are named conv1 .. conv5, if `names`. frozen_blocks: so many
    are not trained."""
    for block, (convolutions, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))):
        cfg.comment("Block %d" % (block + 1))
        for convolution in range(convolutions):
            last = convolution + 1 == convolutions
            cfg.add("convolutional", name="conv%d" % (block + 1) if last and names else None, init="he",
                    filters=filters, size=3, stride=1, pad=1, activation="relu")
        if block < pools:
            cfg.add("maxpool", stopbackward=flag(block + 1 == frozen_blocks), size=2, stride=2)


class Yolox:
    """What YOLOX is built of: convolutions with batch norm and swish, and blocks of cross stage partial connections.
    Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430. YOLOX-s: depth 1/3 and width 1/2."""

    def __init__(self, cfg):
        self.cfg = cfg

    def conv(self, filters, size, stride=1, name=None, from_=None):
        self.cfg.add("convolutional", name=name, from_=from_, init="he", batch_normalize=1, filters=filters, size=size,
                     stride=stride, pad=1, activation="swish")

    def csp(self, filters, blocks, name, shortcut=True):
        """Half of the channels goes through `blocks` bottlenecks, the other half past them."""
        self.conv(filters // 2, 1, name=name + "_past")
        self.cfg.add("route", layers=-2)
        self.conv(filters // 2, 1)
        for _ in range(blocks):
            self.conv(filters // 2, 1)
            self.conv(filters // 2, 3)
            if shortcut:
                self.cfg.add("shortcut", from_=-3, activation="linear")
        self.cfg.add("route", layers="-1,%s_past" % name)
        self.conv(filters, 1, name=name)

    def backbone(self):
        """CSPDarknet. Returns the names of the maps at strides 8, 16 and 32."""
        self.cfg.comment("CSPDarknet. The stem, 6x6 of stride 2, is YOLOX' \"focus\" and 3x3 in one: the same function.")
        self.cfg.add("convolutional", init="he", batch_normalize=1, filters=32, size=6, stride=2, padding=2,
                     activation="swish")
        for stage, (filters, blocks) in enumerate(((64, 1), (128, 3), (256, 3))):
            self.cfg.comment("Stage %d" % (stage + 2))
            self.conv(filters, 3, 2)
            self.csp(filters, blocks, "c%d" % (stage + 2))
        self.cfg.comment("Stage 5, with pools of 5, 9 and 13 pixels before it")
        self.conv(512, 3, 2)
        self.conv(256, 1, name="spp")
        for size in (5, 9, 13):
            self.cfg.add("maxpool", name="spp%d" % size, from_="spp", size=size, stride=1)
        self.cfg.add("route", layers="spp,spp5,spp9,spp13")
        self.conv(512, 1)
        self.csp(512, 1, "c5", shortcut=False)
        return ["c3", "c4", "c5"]

    def pan(self):
        """A pyramid down from c5 to c3, and up again. Returns its maps, fine to coarse."""
        self.cfg.comment("Pyramid: down, then up again")
        self.conv(256, 1, name="down5")
        self.cfg.add("upsample", stride=2)
        self.cfg.add("route", layers="-1,c4")
        self.csp(256, 1, "mixed4", shortcut=False)
        self.conv(128, 1, name="down4")
        self.cfg.add("upsample", stride=2)
        self.cfg.add("route", layers="-1,c3")
        self.csp(128, 1, "p3", shortcut=False)
        self.conv(128, 3, 2)
        self.cfg.add("route", layers="-1,down4")
        self.csp(256, 1, "p4", shortcut=False)
        self.conv(256, 3, 2)
        self.cfg.add("route", layers="-1,down5")
        self.csp(512, 1, "p5", shortcut=False)
        return ["p3", "p4", "p5"]


def resnet_cifar(cfg, depth):
    """ResNet for images of 32x32: three stages of (depth - 2) / 6 basic blocks with 16, 32 and 64 channels. Where
    the shape changes, every second pixel of what came in is taken, between channels of zeros ("option A")."""
    def conv(filters, stride=1, activation="relu"):
        cfg.add("convolutional", init="he", batch_normalize=1, filters=filters, size=3, stride=stride, pad=1,
                activation=activation)

    cfg.comment("Stem")
    conv(16)
    for stage, filters in enumerate((16, 32, 64)):
        cfg.comment("Stage %d" % (stage + 1))
        for block in range((depth - 2) // 6):
            if stage and not block:
                taken, zeros = "taken%d" % (stage + 1), "zeros%d" % (stage + 1)
                cfg.add("maxpool", name=taken, size=1, stride=2)
                cfg.add("route", layers=-1, groups=2, group_id=0)
                cfg.add("upsample", name=zeros, stride=1, scale=0)
                padded = cfg.add("route", layers="%s,%s,%s" % (zeros, taken, zeros))
                cfg.add("route", layers=-5)
                conv(filters, 2)
                conv(filters, 1, "linear")
                cfg.add("shortcut", from_=padded - cfg.count, activation="relu")
            else:
                conv(filters)
                conv(filters, 1, "linear")
                cfg.add("shortcut", from_=-3, activation="relu")


def small(cfg):
    """A stem to stride 4, then c3 and c4 of stride 8 and 16; each stage ends in a residual block. Returns the names of
    the stages."""
    def conv(filters, size, stride=1):
        cfg.add("convolutional", batch_normalize=1, filters=filters, size=size, stride=stride, pad=1,
                activation="leaky")

    cfg.comment("Backbone")
    conv(16, 3, 2)
    for level, filters in ((2, 32), (3, 64), (4, 96)):
        conv(filters, 3, 2)
        conv(filters // 2, 1)
        conv(filters, 3)
        cfg.add("shortcut", name="c%d" % level, from_=-3, activation="linear")
    return ["c2", "c3", "c4"]

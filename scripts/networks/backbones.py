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
        cfg.comment("Stem")
        self.conv(64, 7, 2)
        cfg.add("maxpool", stopbackward=flag(frozen_stages == 1), size=3, stride=2)
        cfg.comment(*(BOTTLENECKS if bottleneck else BASIC_BLOCKS))
        self.channels = 64
        for stage in range(stages):
            cfg.comment("Stage %d" % (stage + 1))
            for block in range(blocks[stage]):
                last = block + 1 == blocks[stage]
                (self.bottleneck if bottleneck else self.basic)(64 * 2 ** stage, 2 if stage and not block else 1,
                                                                stage if last else None)

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


def vgg16(cfg, names=False):
    """Thirteen 3x3 convolutions, with a pool of stride 2 after the 2nd, 4th, 7th, 10th and 13th. The last
    convolutions before the pools are named conv1 .. conv5, if `names`."""
    for block, (convolutions, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))):
        cfg.comment("Block %d" % (block + 1))
        for convolution in range(convolutions):
            last = convolution + 1 == convolutions
            cfg.add("convolutional", name="conv%d" % (block + 1) if last and names else None, init="he",
                    filters=filters, size=3, stride=1, pad=1, activation="relu")
        cfg.add("maxpool", size=2, stride=2)


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

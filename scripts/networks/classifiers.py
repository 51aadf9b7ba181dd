"""Darknet's classifiers of ImageNet."""

from . import backbones
from .darknet import Darknet, darknet19, darknet53, efficientnet_b0, extraction
from .yolov4 import Csp, csp_darknet53


def last_layers(cfg, classes=1000, activation="linear", pool_first=False):
    """A convolution for the classes and the mean over the image, in this order or the other, and softmax."""
    if pool_first:
        cfg.add("avgpool")
    Darknet(cfg).predict(classes, activation)
    if not pool_first:
        cfg.add("avgpool")
    cfg.add("softmax", groups=1)


def of_darknet19(cfg):
    darknet19(cfg)
    last_layers(cfg)


def darknet9000(cfg):
    """Darknet-19 for a tree of classes."""
    darknet19(cfg)
    Darknet(cfg).predict(9418)
    cfg.add("avgpool")
    cfg.add("softmax", groups=1, tree="9k.tree")
    cfg.add("cost", type="masked")


def of_csp_darknet53(cfg):
    csp_darknet53(Csp(cfg, "mish"))
    last_layers(cfg, pool_first=True)


def of_darknet53(cfg):
    darknet53(cfg)
    last_layers(cfg, pool_first=True)


def of_extraction(cfg):
    extraction(cfg)
    last_layers(cfg, activation="leaky")


def of_efficientnet_b0(cfg):
    efficientnet_b0(cfg)
    cfg.comment("Classifier")
    cfg.add("avgpool")
    cfg.add("dropout", probability=0.2)
    Darknet(cfg).predict(1000)
    cfg.add("softmax", groups=1)


# Of each block: channels inside, size, stride, channels of the output, how often.
EFFICIENTNET_LITE3 = (
    (40, 3, 1, 16, 2), (112, 3, 2, 32, 1), (176, 3, 1, 32, 2), (176, 5, 2, 48, 1), (232, 5, 1, 48, 2), (232, 3, 1, 96, 1),
    (464, 3, 1, 96, 4), (464, 5, 2, 136, 1), (688, 5, 1, 136, 4), (688, 5, 2, 232, 1), (1152, 5, 1, 232, 5),
    (1152, 3, 1, 384, 1))


def efficientnet_lite3(cfg):
    """Inverted residuals without squeeze and excitation, in AlexeyAB's widths."""
    parts = Darknet(cfg, "relu6")
    parts.conv(40, 3, 2)
    channels = 40
    for inside, size, stride, out, times in EFFICIENTNET_LITE3:
        for _ in range(times):
            parts.conv(inside, 1)
            parts.conv(inside, size, stride, groups=inside)
            parts.conv(out, 1, activation="linear")
            if channels == out:
                cfg.add("dropout", probability=0.3)
                parts.shortcut(-5)
            channels = out
    parts.conv(1536, 1)
    cfg.comment("Classifier")
    cfg.add("avgpool")
    cfg.add("dropout", probability=0.3)
    parts.predict(1000)
    cfg.add("softmax", groups=1)


def cifar(cfg):
    parts = Darknet(cfg)
    for filters in (128, 256, 512):
        for _ in range(3):
            parts.conv(filters)
        if filters < 512:
            parts.maxpool()
        cfg.add("dropout", probability=0.5)
    last_layers(cfg, 10, "leaky")


def reference(cfg):
    """As accurate as AlexNet, with half of a hundredth of its weights."""
    parts = Darknet(cfg)
    for filters in (16, 32, 64, 128, 256, 512):
        parts.conv(filters)
        parts.maxpool()
    parts.conv(1024)
    last_layers(cfg, pool_first=True)


def tiny(cfg):
    parts = Darknet(cfg)
    parts.conv(16)
    parts.maxpool()
    parts.conv(32)
    for narrow in (16, 32, 64):
        parts.maxpool()
        for _ in range(2):
            parts.conv(narrow, 1)
            parts.conv(8 * narrow)
    parts.conv(128, 1)
    last_layers(cfg)


def dense(cfg):
    """Two layers of 4096, and the classes."""
    for _ in range(2):
        cfg.add("connected", output=4096, activation="relu")
        cfg.add("dropout", probability=0.5)
    cfg.add("connected", output=1000, activation="linear")
    cfg.add("softmax", groups=1)


def alexnet(cfg):
    """Without the two halves that two GPUs once made of it."""
    def conv(filters, size, stride=1, pad=1):
        cfg.add("convolutional", filters=filters, size=size, stride=stride, pad=pad, activation="relu")

    def pool():
        cfg.add("maxpool", size=3, stride=2, padding=0)

    conv(96, 11, 4, 0)
    pool()
    conv(256, 5)
    pool()
    conv(384, 3)
    conv(384, 3)
    conv(256, 3)
    pool()
    dense(cfg)


def vgg16(cfg):
    cfg.add("crop", crop_height=224, crop_width=224, flip=1, angle=0, saturation=1, exposure=1)
    backbones.vgg16(cfg)
    cfg.comment("Classifier")
    dense(cfg)


def resnet(cfg, blocks, bottleneck=True, groups=None, widen=1, expand=4, pool_first=True):
    """ResNet, and with `groups` ResNeXt. Where a stage halves the image nothing projects what came in: [shortcut] takes
    every second pixel of it, and adds it to the first channels, as pjreddie's Darknet does."""
    parts = Darknet(cfg)
    parts.conv(64, 7, 2)
    parts.maxpool()
    for stage, count in enumerate(blocks):
        cfg.comment("Stage %d" % (stage + 1))
        filters = 64 << stage
        for block in range(count):
            stride = 2 if stage and not block else 1
            if bottleneck:
                parts.conv(widen * filters, 1)
                parts.conv(widen * filters, 3, stride, groups=groups)
                parts.conv(expand * filters, 1, activation="linear")
                parts.shortcut(-4, "leaky")
            else:
                parts.conv(filters, 3, stride)
                parts.conv(filters, 3, activation="linear")
                parts.shortcut(-3, "leaky")
    cfg.comment("Classifier")
    last_layers(cfg, pool_first=pool_first)


def densenet201(cfg):
    """Every convolution sees all before it of its block."""
    parts = Darknet(cfg)
    parts.conv(64, 7, 2)
    parts.maxpool()
    for block, layers in enumerate((6, 12, 48, 32)):
        cfg.comment("Block %d" % (block + 1))
        for _ in range(layers):
            parts.conv(128, 1)
            parts.conv(32)
            parts.route(-1, -3)
        if block < 3:
            parts.conv(128 << block, 1)
            parts.maxpool()
    cfg.comment("Classifier")
    last_layers(cfg)

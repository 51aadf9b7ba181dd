"""What Darknet's own networks share. Layers stand in the order of its .weights files, so that published weights load."""


class Darknet:
    """Sections with what Darknet's files have in common; `activation` is that of convolutions."""

    def __init__(self, cfg, activation="leaky"):
        self.cfg, self.activation = cfg, activation

    def conv(self, filters, size=3, stride=1, activation=None, batch_normalize=1, groups=None, **keys):
        return self.cfg.add("convolutional", batch_normalize=batch_normalize or None, filters=filters, size=size,
                            stride=stride, pad=1, groups=groups, activation=activation or self.activation, **keys)

    def predict(self, filters, activation="linear"):
        """A 1x1 convolution with biases instead of batch norm."""
        return self.conv(filters, 1, activation=activation, batch_normalize=0)

    def maxpool(self, size=2, stride=2, **keys):
        return self.cfg.add("maxpool", size=size, stride=stride, **keys)

    def route(self, *layers, **keys):
        """Absolute indexes of layers, or negative ones; written as Darknet's files have them: relative."""
        relative = [layer if layer < 0 else layer - self.cfg.count for layer in layers]
        return self.cfg.add("route", layers=",".join(map(str, relative)), **keys)

    def shortcut(self, layer, activation="linear"):
        return self.cfg.add("shortcut", from_=layer if layer < 0 else layer - self.cfg.count, activation=activation)

    def upsample(self):
        return self.cfg.add("upsample", stride=2)

    def alternate(self, *filters):
        """3x3 convolutions where the number of filters grows, 1x1 where it falls."""
        before = 0
        for count in filters:
            self.conv(count, 3 if count > before else 1)
            before = count

    def spp(self, sizes=(5, 9, 13), largest_first=True):
        """Maxima of three windows beside what came in. He et al., "Spatial pyramid pooling", ECCV 2014."""
        parts = [self.cfg.count - 1]
        for size in sizes:
            if len(parts) > 1:
                self.route(parts[0])
            parts.append(self.maxpool(size, 1))
        return self.route(*(reversed(parts) if largest_first else parts))

    def residual(self, filters, blocks, wide=None):
        """1x1 to `filters`, 3x3 to `wide` (the same if not given), plus what came in; `blocks` times."""
        for _ in range(blocks):
            self.conv(filters, 1)
            self.conv(wide or filters, 3)
            self.shortcut(-3)


def extraction(cfg):
    """The backbone of YOLOv1, 20 convolutions. Redmon et al., "You Only Look Once", CVPR 2016."""
    parts = Darknet(cfg)
    cfg.comment("Extraction")
    parts.conv(64, 7, 2)
    parts.maxpool()
    parts.conv(192)
    parts.maxpool()
    for filters in (128, 256):
        parts.conv(filters, 1)
        parts.conv(256 if filters == 128 else 512)
    parts.maxpool()
    for _ in range(4):
        parts.conv(256, 1)
        parts.conv(512)
    parts.conv(512, 1)
    parts.conv(1024)
    parts.maxpool()
    for _ in range(2):
        parts.conv(512, 1)
        parts.conv(1024)


def darknet19(cfg):
    """18 convolutions. Redmon and Farhadi, "YOLO9000: Better, Faster, Stronger", CVPR 2017. Returns the index of the
    last layer at stride 16."""
    parts = Darknet(cfg)
    cfg.comment("Darknet-19")
    parts.conv(32)
    parts.maxpool()
    parts.conv(64)
    parts.maxpool()
    parts.alternate(128, 64, 128)
    parts.maxpool()
    parts.alternate(256, 128, 256)
    parts.maxpool()
    parts.alternate(512, 256, 512, 256, 512)
    fine = cfg.count - 1
    parts.maxpool()
    parts.alternate(1024, 512, 1024, 512, 1024)
    return fine


def darknet53(cfg):
    """52 convolutions. Redmon and Farhadi, "YOLOv3: An Incremental Improvement", 2018. Returns the indexes of the last
    layers at stride 2, 4, 8, 16 and 32."""
    parts = Darknet(cfg)
    cfg.comment("Darknet-53")
    parts.conv(32)
    ends = []
    for stage, blocks in enumerate((1, 2, 8, 8, 4)):
        parts.conv(64 * 2 ** stage, 3, 2)
        parts.residual(32 * 2 ** stage, blocks, 64 * 2 ** stage)
        ends.append(cfg.count - 1)
    return ends


def tiny_backbone(parts):
    """Six convolutions and pools. Returns the indexes of the layers at stride 8 and 16."""
    ends = []
    for filters in (16, 32, 64, 128, 256):
        ends.append(parts.conv(filters))
        parts.maxpool()
    parts.conv(512)
    parts.maxpool(2, 1)
    return ends[3], ends[4]


def csresnext50(cfg):
    """Residual blocks of 32 groups, in stages of cross stage partial connections. Returns the indexes of the last layers
    at stride 8 and 16. Wang et al., "CSPNet", CVPR workshops 2020."""
    parts = Darknet(cfg)
    cfg.comment("CSPResNeXt-50")
    parts.conv(64, 7, 2)
    parts.maxpool()
    ends = []
    for stage, blocks in enumerate((3, 3, 5, 2)):
        filters = 128 << stage
        if stage:
            parts.conv(filters, 3, 2, groups=32)
        activation = "linear" if stage in (1, 2) else "leaky"
        past = parts.conv(filters, 1, activation=activation)
        parts.route(-2)
        parts.conv(filters if stage else 64, 1, activation=activation)
        for _ in range(blocks):
            parts.conv(filters, 1)
            parts.conv(filters, groups=32)
            parts.conv(filters, 1, activation="linear")
            parts.shortcut(-4, "leaky")
        parts.conv(filters, 1)
        parts.route(-1, past)
        ends.append(parts.conv(2 * filters, 1))
    return ends[1], ends[2]


# Of each block: channels inside and of the squeeze, size, stride, channels of the output.
EFFICIENTNET_B0 = (
    (32, 8, 3, 1, 16), (96, 16, 3, 2, 24), (144, 8, 3, 1, 24), (144, 8, 5, 2, 40), (192, 16, 5, 1, 40),
    (192, 16, 3, 1, 80), (384, 24, 3, 1, 80), (384, 24, 3, 1, 80), (384, 24, 5, 2, 112), (576, 32, 5, 1, 112),
    (576, 32, 5, 1, 112), (576, 32, 5, 2, 192), (960, 64, 5, 1, 192), (960, 64, 5, 1, 192), (960, 64, 5, 1, 192),
    (960, 64, 3, 1, 320))


def efficientnet_b0(cfg):
    """Inverted residuals with squeeze and excitation, in AlexeyAB's widths. Tan and Le, "EfficientNet", ICML 2019.
    Returns the index of the first layer of the block that leaves stride 16."""
    parts = Darknet(cfg, "swish")
    cfg.comment("EfficientNet-B0")
    parts.conv(32, 3, 2)
    channels, fine = 32, None
    for inside, squeezed, size, stride, out in EFFICIENTNET_B0:
        first = parts.conv(inside, 1)
        if stride == 2:
            fine = first
        parts.conv(inside, size, stride, groups=inside)
        cfg.add("avgpool")
        parts.conv(squeezed, 1, batch_normalize=0)
        parts.conv(inside, 1, activation="logistic", batch_normalize=0)
        cfg.add("scale_channels", from_=-4)
        parts.conv(out, 1, activation="linear")
        if stride == 1 and channels == out:
            cfg.add("dropout", probability=0.2)
            parts.shortcut(-9)
        channels = out
    parts.conv(1280, 1)
    return fine

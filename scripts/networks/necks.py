"""Necks: what makes the maps of a backbone ready for heads."""


def fpn(cfg, levels, channels=256, extra=None):
    """Feature pyramid: a 1x1 convolution on each of the layers `levels` (names such as c3 .. c5, fine to coarse),
    the coarser map added at the finer's size, and a 3x3 convolution. Lin et al., "Feature Pyramid Networks for
    Object Detection", CVPR 2017.

    extra: None; "maxpool": every second pixel of the coarsest output (two-stage detectors); "p6p7_on_c5" and
    "p6p7_on_p5": two more 3x3 convolutions of stride 2 on the backbone's or the pyramid's coarsest map (RetinaNet
    and its successors). Returns the names of the outputs: c3 becomes p3.
    """
    def conv(name, from_, size, stride=1):
        cfg.add("convolutional", name=name, from_=from_, init="caffe_xavier", filters=channels, size=size,
                stride=stride, pad=1, activation="linear")

    cfg.comment("Feature pyramid")
    numbers = [int(level.lstrip("c")) for level in levels]
    above = None
    for number, level in reversed(list(zip(numbers, levels))):
        lateral = "lateral%d" % number
        conv(lateral, level, 1)
        if above:
            cfg.add("upsample", from_="%s,%s" % (above, lateral))
            cfg.add("shortcut", name="sum%d" % number, from_=lateral, activation="linear")
        above = "sum%d" % number if above else lateral
    outputs = ["p%d" % number for number in numbers]
    for number, output in zip(numbers, outputs):
        conv(output, "lateral%d" % number if number == numbers[-1] else "sum%d" % number, 3)
    last = numbers[-1]
    if extra == "maxpool":
        cfg.add("maxpool", name="p%d" % (last + 1), from_=outputs[-1], size=1, stride=2)
        outputs.append("p%d" % (last + 1))
    elif extra:
        conv("p%d" % (last + 1), levels[-1] if extra == "p6p7_on_c5" else outputs[-1], 3, 2)
        cfg.add("activation", activation="relu")
        conv("p%d" % (last + 2), -1, 3, 2)
        outputs += ["p%d" % (last + 1), "p%d" % (last + 2)]
    return outputs

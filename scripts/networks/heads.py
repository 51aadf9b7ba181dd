"""Heads: what judges the maps of a neck. Levels are names of layers, fine to coarse."""


def towers(cfg, levels, name, convolutions, channels, outputs, bias, activation="relu", norm_groups=None,
           scale=False):
    """The same convolutions on every level, then one that gives `outputs` channels and starts with the bias `bias`.
    The first level has the weights, the others share them. With `norm_groups` group norm follows each convolution
    but the last; with `scale` each level multiplies by a number of its own. Returns the names of the last layers."""
    names = []
    for level in levels:
        first = level == levels[0]

        def add(section, part, below, **keys):
            own = "%s_%s" % (part, level)
            shared = None if first else "%s_%s" % (part, levels[0])
            cfg.add(section, name=own, from_=below, share=shared, **keys)
            return own

        below = level
        for k in range(convolutions):
            part = "%s%d" % (name, k + 1)
            if norm_groups:
                below = add("convolutional", part + "_sums", below, weights_deviation=0.01, filters=channels,
                            size=3, stride=1, pad=1, activation="linear")
                below = add("group_norm", part, None, groups=norm_groups, activation=activation)
            else:
                below = add("convolutional", part, below, weights_deviation=0.01, filters=channels, size=3,
                            stride=1, pad=1, activation=activation)
        below = add("convolutional", name, below, weights_deviation=0.01, bias_init=bias if first else None,
                    filters=outputs, size=3, stride=1, pad=1, activation="linear")
        if scale:
            below = "scaled_" + below
            cfg.add("scale", name=below, init=1)
        names.append(below)
    return names


# The class logits start where sigmoid is 0.01: -ln((1 - 0.01) / 0.01). Lin et al., ICCV 2017, section 4.1.
PRIOR = -4.59511985


def retina(cfg, levels, classes, anchors, quality=None, channels=256, norm_groups=None, scale=False, **keys):
    """Two towers of four convolutions, and [retina] with these keys. `quality`: what a third map learns, if any;
    `norm_groups` of the towers; `scale`: the boxes of each level times a number of its own."""
    cfg.comment("Head: classes")
    maps = towers(cfg, levels, "classes", 4, channels, anchors * classes, PRIOR, norm_groups=norm_groups)
    cfg.comment("Head: boxes")
    maps += towers(cfg, levels, "boxes", 4, channels, anchors * 4, None, norm_groups=norm_groups, scale=scale)
    if quality:
        cfg.comment("Head: how good a box is, from the last convolutions of the boxes")
        for level in levels:
            first = level == levels[0]
            cfg.add("convolutional", name="quality_" + level, from_="boxes4_" + level,
                    share=None if first else "quality_" + levels[0], weights_deviation=0.01, filters=anchors, size=3,
                    stride=1, pad=1, activation="linear")
            maps.append("quality_" + level)
    cfg.add("retina", from_=",".join(maps), classes=classes, quality=quality, **keys)


def yolox(cfg, parts, levels, classes, channels=128, **keys):
    """YOLOX' decoupled head, with weights of its own on every level: a 1x1 convolution, then two of 3x3 for the
    classes and two for box and objectness. `parts`: backbones.Yolox."""
    def predict(name, level, below, filters, bias=None):
        own = "%s_%s" % (name, level)
        cfg.add("convolutional", name=own, from_=below, weights_deviation=0.01, bias_init=bias, filters=filters, size=1,
                stride=1, pad=1, activation="linear")
        return own

    maps = [[], [], []]
    for level in levels:
        cfg.comment("Head on " + level)
        parts.conv(channels, 1, name="stem_" + level, from_=level)
        parts.conv(channels, 3)
        parts.conv(channels, 3)
        maps[0].append(predict("classes", level, None, classes, PRIOR))
        parts.conv(channels, 3, from_="stem_" + level)
        parts.conv(channels, 3, name="where_" + level)
        maps[1].append(predict("boxes", level, "where_" + level, 4))
        maps[2].append(predict("objectness", level, "where_" + level, 1, PRIOR))
    cfg.add("retina", from_=",".join(maps[0] + maps[1] + maps[2]), classes=classes, **keys)


def rpn(cfg, levels, anchors, channels=256, **keys):
    """One convolution, then objectness and deltas, the same on every level, and [rpn] with these keys."""
    def conv(name, level, below, filters, size, activation):
        own, first = "%s_%s" % (name, level), level == levels[0]
        cfg.add("convolutional", name=own, from_=below, share=None if first else "%s_%s" % (name, levels[0]),
                weights_deviation=0.01, filters=filters, size=size, stride=1, pad=1, activation=activation)
        return own

    cfg.comment("Region proposals")
    objectness, deltas = [], []
    for level in levels:
        below = conv("proposing", level, level, channels, 3, "relu")
        objectness.append(conv("objectness", level, below, anchors, 1, "linear"))
        deltas.append(conv("deltas", level, below, 4 * anchors, 1, "linear"))
    cfg.add("rpn", name="proposals", from_=",".join(objectness + deltas), **keys)


def box_head(cfg, levels, rois, classes, suffix="", columns=None, sampler=None, extra_classes=(),
             features=1024, pooled=7, canonical_size=None, **keys):
    """RoIAlign, two layers of `features`, classes and boxes, and [rcnn]; torchvision has box columns for the
    background."""
    cfg.add("roi_sampler", name="rois" + suffix, from_=rois, **(sampler or {}))
    cfg.add("roi_align", from_=",".join(["rois" + suffix] + levels), size=pooled, sampling_ratio=2, aligned=0,
            canonical_size=canonical_size)
    cfg.add("connected", init="caffe_xavier", output=features, activation="relu")
    cfg.add("connected", name="features" + suffix, init="caffe_xavier", output=features, activation="relu")
    classes_and_boxes(cfg, classes, columns or 4 * (classes + 1), suffix, extra_classes, **keys)


def classes_and_boxes(cfg, classes, columns, suffix="", extra_classes=(), **keys):
    """What the layer before, which is named features, says of each RoI, and [rcnn]; boxes have `columns` numbers."""
    cfg.add("connected", name="classes" + suffix, weights_deviation=0.01, output=classes + 1, activation="linear")
    cfg.add("connected", name="boxes" + suffix, from_="features" + suffix, weights_deviation=0.001, output=columns,
            activation="linear")
    cfg.add("rcnn", name="stage" + suffix if suffix else None,
            from_=",".join(["classes" + suffix, "boxes" + suffix, "rois" + suffix] + list(extra_classes)),
            classes=classes, **keys)

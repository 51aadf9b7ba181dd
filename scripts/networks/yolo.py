"""YOLO up to its third version."""

from .darknet import Darknet, darknet19, darknet53, efficientnet_b0, extraction, tiny_backbone


# Every cell of 7x7 says 20 classes and so many boxes.
DETECTION = dict(classes=20, coords=4, rescore=1, side=7, softmax=0, sqrt=1, jitter=0.2, object_scale=1,
                 noobject_scale=0.5, class_scale=1, coord_scale=5)


def yolov1(cfg):
    parts = Darknet(cfg)
    extraction(cfg)
    cfg.comment("Detector: behind four more convolutions one whose filters differ from place to place")
    parts.conv(1024)
    parts.conv(1024, 3, 2)
    parts.conv(1024)
    parts.conv(1024)
    cfg.add("local", size=3, stride=1, pad=1, filters=256, activation="leaky")
    cfg.add("dropout", probability=0.5)
    cfg.add("connected", output=7 * 7 * (20 + 3 * 5), activation="linear")
    cfg.add("detection", num=3, **DETECTION)


def yolov1_tiny(cfg):
    parts = Darknet(cfg)
    for filters in (16, 32, 64, 128, 256, 512):
        parts.conv(filters)
        parts.maxpool()
    parts.conv(1024)
    parts.conv(256)
    cfg.add("connected", output=7 * 7 * (20 + 2 * 5), activation="linear")
    cfg.add("detection", num=2, **DETECTION)


REGION = dict(bias_match=1, coords=4, softmax=1, jitter=0.3, rescore=1, object_scale=5, noobject_scale=1, class_scale=1,
              coord_scale=1, thresh=0.6)


def yolov2(cfg, classes, anchors, random):
    parts = Darknet(cfg)
    fine = darknet19(cfg)
    cfg.comment("Detector: the map at stride 16, its pixels made channels, beside that at stride 32")
    parts.conv(1024)
    coarse = parts.conv(1024)
    parts.route(fine)
    parts.conv(64, 1)
    reorg = cfg.add("reorg", stride=2)
    parts.route(reorg, coarse)
    parts.conv(1024)
    parts.predict(5 * (5 + classes))
    cfg.add("region", anchors=anchors, classes=classes, num=5, **REGION, random=random)


def yolov2_tiny(cfg, classes, anchors, filters, random=0):
    parts = Darknet(cfg)
    for count in (16, 32, 64, 128, 256):
        parts.conv(count)
        parts.maxpool()
    parts.conv(512)
    parts.maxpool(2, 1)
    parts.conv(1024)
    parts.conv(filters)
    parts.predict(5 * (5 + classes))
    cfg.add("region", anchors=anchors, classes=classes, num=5, **dict(REGION, jitter=0.2), random=random)


def yolo9000(cfg):
    """Three boxes a cell, and a tree of 9418 classes from WordNet."""
    darknet19(cfg)
    cfg.comment("Detector")
    Darknet(cfg).predict(3 * (5 + 9418))
    cfg.add("region", anchors="0.77871,1.14074, 3.00525,4.31277, 9.22725,9.61974", classes=9418, num=3,
            **dict(REGION, jitter=0.2), tree="9k.tree", random=1)


YOLOV3_ANCHORS = "10,13,  16,30,  33,23,  30,61,  62,45,  59,119,  116,90,  156,198,  373,326"


FIVE_ANCHORS = ("4,4, 5,5, 6,6, 7,7, 8,8, 9,9, 10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, "
                "373,326")


def yolov3(cfg, classes, anchors=YOLOV3_ANCHORS, heads=3, spp=False, head="yolo", channels=5, **keys):
    """Heads, coarse to fine, each behind six convolutions; the finer ones see what the one before knew. channels: those
    of an anchor beside its classes."""
    parts = Darknet(cfg)
    ends = darknet53(cfg)
    for k in range(heads):
        filters = 512 >> k
        cfg.comment("Head at stride %d" % (32 >> k))
        if k:
            parts.route(-4)
            parts.conv(max(filters, 128), 1)
            parts.upsample()
            parts.route(-1, ends[4 - k])
        for block in range(3):
            parts.conv(filters, 1)
            if spp and not k and block == 1:
                parts.spp()
                parts.conv(filters, 1)
            parts.conv(2 * filters)
        parts.predict(3 * (channels + classes))
        mask = ",".join(str(3 * (heads - 1 - k) + anchor) for anchor in range(3))
        cfg.add(head, mask=mask, anchors=anchors, classes=classes, num=3 * heads, jitter=0.3,
                **dict(dict(ignore_thresh=0.7, truth_thresh=1), **keys))


def tiny_heads(parts, c3, c4, filters, classes, anchors, **keys):
    """Three heads, coarse to fine, each behind one convolution; `filters`: of the 1x1 convolutions before them."""
    for k, (count, mask, finer) in enumerate(zip(filters, ("6,7,8", "3,4,5", "0,1,2"), (None, c4, c3))):
        parts.cfg.comment("Head at stride %d" % (32 >> k))
        if finer:
            parts.route(-4 if k == 1 else -3)
        parts.conv(count, 1)
        if finer:
            parts.upsample()
            parts.route(-1, finer)
        parts.conv(512 >> k)
        parts.predict(3 * (5 + classes))
        parts.cfg.add("yolo", mask=mask, anchors=anchors, classes=classes, num=9, jitter=0.3, **keys)


def yolov3_tiny_3l(cfg, classes=80, anchors=YOLOV3_ANCHORS):
    parts = Darknet(cfg)
    cfg.comment("Backbone")
    c3, c4 = tiny_backbone(parts)
    parts.conv(1024)
    tiny_heads(parts, c3, c4, (256, 128, 128), classes, anchors, ignore_thresh=0.7, truth_thresh=1, random=1)


def prn_heads(parts, fine):
    """Two heads; `fine`: what is added at stride 16, its first 128 channels."""
    parts.activation = "leaky"
    head = dict(anchors="10,14,  23,27,  37,58,  81,82,  135,169,  344,319", classes=80, num=6, jitter=0.3,
                ignore_thresh=0.7, truth_thresh=1, random=1)
    parts.cfg.comment("Head at stride 32")
    parts.conv(256, 1)
    coarse = parts.conv(256)
    parts.shortcut(-2, "leaky")
    parts.predict(255)
    parts.cfg.add("yolo", mask="3,4,5", **head)
    parts.cfg.comment("Head at stride 16")
    parts.route(coarse)
    parts.conv(128, 1)
    parts.upsample()
    parts.shortcut(fine, "leaky")
    parts.conv(128)
    parts.shortcut(-3, "leaky")
    parts.shortcut(fine, "leaky")
    parts.predict(255)
    parts.cfg.add("yolo", mask="1,2,3", **head)


def yolov3_tiny_prn(cfg):
    """Maps are added where yolov3-tiny lays them side by side: of equal numbers of channels. Wang et al., "Enriching
    Variety of Layer-wise Learning Information by Gradient Combination", ICCV workshops 2019."""
    parts = Darknet(cfg)
    cfg.comment("Backbone")
    _, c4 = tiny_backbone(parts)
    parts.conv(512)
    parts.shortcut(-3, "leaky")
    prn_heads(parts, c4)


def enet_coco(cfg):
    fine = efficientnet_b0(cfg)
    prn_heads(Darknet(cfg), fine)

"""YOLOv4 and its relatives."""

from .darknet import Darknet, csresnext50
from .yolo import YOLOV3_ANCHORS


class Csp(Darknet):
    """Stages of cross stage partial connections: half of a stage's channels passes the residual blocks, the other half
    goes past them. Wang et al., "CSPNet", CVPR workshops 2020."""

    def stage(self, filters, blocks):
        """A convolution of stride 2, then `blocks` blocks on half of the channels. Returns the index of the last layer."""
        self.conv(filters, 3, 2)
        past = self.conv(filters // 2, 1)
        self.route(-2)
        self.conv(filters // 2, 1)
        self.residual(filters // 2, blocks)
        self.conv(filters // 2, 1)
        self.route(-1, past)
        return self.conv(filters, 1)

    def split(self, filters, blocks, before=None):
        """1x1 to `filters`, once past and once through `blocks` of 1x1 and 3x3, both side by side, and 1x1 back."""
        if before:
            self.conv(before, 1)
        past = self.conv(filters, 1)
        self.route(-2)
        for _ in range(blocks):
            self.conv(filters, 1)
            self.conv(filters, 3)
        self.route(-1, past)
        return self.conv(filters, 1)


def mixed(parts, filters):
    """Five convolutions, 1x1 and 3x3 in turn."""
    for block in range(3):
        parts.conv(filters, 1)
        if block < 2:
            parts.conv(2 * filters)
    return parts.cfg.count - 1


YOLOV4_ANCHORS = "12,16,  19,36,  40,28,  36,75,  76,55,  72,146,  142,110,  192,243,  459,401"
YOLOV4_HEAD = dict(iou_thresh=0.213, cls_normalizer=1, iou_normalizer=0.07, iou_loss="ciou", nms_kind="greedynms",
                   beta_nms=0.6, max_delta=5)


def panet(cfg, classes, anchors, c3, c4, scales=(None, None, None), **head):
    """Spatial pyramid pooling, a path down to stride 8 and up again, and a head at each of three strides. Liu et al.,
    "Path Aggregation Network for Instance Segmentation", CVPR 2018."""
    parts = Darknet(cfg)
    cfg.comment("Spatial pyramid pooling")
    parts.conv(512, 1)
    parts.conv(1024)
    parts.conv(512, 1)
    parts.spp()
    parts.conv(512, 1)
    parts.conv(1024)
    maps = [parts.conv(512, 1)]
    for filters, finer in ((256, c4), (128, c3)):
        cfg.comment("Down to stride %d" % (filters // 16))
        parts.conv(filters, 1)
        parts.upsample()
        parts.route(finer)
        parts.conv(filters, 1)
        parts.route(-1, -3)
        maps.append(mixed(parts, filters))
    for filters, mask, scale, coarser in zip((128, 256, 512), ("0,1,2", "3,4,5", "6,7,8"), scales,
                                             (None, maps[1], maps[0])):
        cfg.comment("Head at stride %d" % (filters // 16))
        if coarser:
            parts.route(-4)
            parts.conv(filters, 3, 2)
            parts.route(-1, coarser)
            mixed(parts, filters)
        parts.conv(2 * filters)
        parts.predict(3 * (5 + classes))
        cfg.add("yolo", mask=mask, anchors=anchors, classes=classes, scale_x_y=scale, num=9, jitter=0.3,
                ignore_thresh=0.7, truth_thresh=1, random=1, **head)


def yolov4(cfg, classes=80, anchors=YOLOV4_ANCHORS, activation="mish"):
    """CSPDarknet-53, spatial pyramid pooling, and a path down and up again (PANet). Bochkovskiy, Wang and Liao,
    "YOLOv4: Optimal Speed and Accuracy of Object Detection", 2020."""
    parts = Csp(cfg, activation)
    cfg.comment("CSPDarknet-53; in its first stage both halves have all channels")
    parts.conv(32)
    parts.conv(64, 3, 2)
    past = parts.conv(64, 1)
    parts.route(-2)
    parts.conv(64, 1)
    parts.residual(32, 1, 64)
    parts.conv(64, 1)
    parts.route(-1, past)
    parts.conv(64, 1)
    ends = [parts.stage(filters, blocks) for filters, blocks in ((128, 2), (256, 8), (512, 8), (1024, 4))]
    panet(cfg, classes, anchors, ends[1], ends[2], (1.2, 1.1, 1.05), **YOLOV4_HEAD)


def csresnext50_panet_spp(cfg):
    panet(cfg, 80, YOLOV3_ANCHORS, *csresnext50(cfg))


def yolov4_tiny_3l(cfg):
    """Each stage lays what three convolutions of half of the channels make beside what came in."""
    parts = Darknet(cfg)
    cfg.comment("Backbone")
    parts.conv(32, 3, 2)
    parts.conv(64, 3, 2)
    ends = []
    for filters in (64, 128, 256):
        before = parts.conv(filters)
        parts.route(-1, groups=2, group_id=1)
        first = parts.conv(filters // 2)
        second = parts.conv(filters // 2)
        parts.route(second, first)
        ends.append(parts.conv(filters, 1))
        parts.route(before, -1)
        parts.maxpool()
    parts.conv(512)
    for k, (filters, mask, finer) in enumerate(((256, "6,7,8", None), (128, "3,4,5", ends[2]), (64, "0,1,2", ends[1]))):
        cfg.comment("Head at stride %d" % (32 >> k))
        if finer:
            parts.route(-4 if k == 1 else -3)
            parts.conv(filters, 1)
            parts.upsample()
            parts.route(-1, finer)
        else:
            parts.conv(256, 1)
        parts.conv(512 >> k)
        parts.predict(255)
        cfg.add("yolo", mask=mask, anchors=YOLOV4_ANCHORS, classes=80, num=9, jitter=0.3, scale_x_y=1.05, cls_normalizer=1,
                iou_normalizer=0.07, iou_loss="ciou", ignore_thresh=0.7, truth_thresh=1, nms_kind="greedynms",
                beta_nms=0.6, random=0)


def scaled_head(parts, mask, anchors):
    """[yolo] as of Scaled-YOLOv4: the convolution before it is logistic, and boxes are (2 y)^2 of their anchors."""
    parts.predict(255, "logistic")
    parts.cfg.add("yolo", mask=mask, anchors=anchors, classes=80, num=9, jitter=0.1, scale_x_y=2, objectness_smooth=1,
                  ignore_thresh=0.7, truth_thresh=1, resize=1.5, iou_thresh=0.2, iou_normalizer=0.05, cls_normalizer=0.5,
                  obj_normalizer=1, iou_loss="ciou", nms_kind="diounms", beta_nms=0.6, new_coords=1, max_delta=2)


def yolov4_csp(cfg, activation="mish", widths=(64, 128, 256, 512, 1024), blocks=(1, 2, 8, 8, 4), depth=2):
    """Cross stage partial connections in backbone, pooling and both paths. Wang, Bochkovskiy and Liao,
    "Scaled-YOLOv4", CVPR 2021. yolov4x has wider and deeper stages."""
    parts = Csp(cfg, activation)
    cfg.comment("CSPDarknet-53; its first stage is Darknet's")
    parts.conv(32)
    parts.conv(widths[0], 3, 2)
    parts.residual(widths[0] // 2, blocks[0], widths[0])
    ends = [parts.stage(*stage) for stage in zip(widths[1:], blocks[1:])]

    cfg.comment("Spatial pyramid pooling between the convolutions of a CSP stage")
    half = widths[4] // 2
    past = parts.conv(half, 1)
    parts.route(-2)
    parts.conv(half, 1)
    parts.conv(half)
    parts.conv(half, 1)
    parts.spp()
    for _ in range(depth - 1):
        parts.conv(half, 1)
        parts.conv(half)
    parts.route(-1, past)
    maps = [parts.conv(half, 1)]
    for filters, finer in ((half // 2, ends[2]), (half // 4, ends[1])):
        cfg.comment("Down to stride %d" % (32 * filters // half))
        parts.conv(filters, 1)
        parts.upsample()
        parts.route(finer)
        parts.conv(filters, 1)
        parts.route(-1, -3)
        maps.append(parts.split(filters, depth, before=filters))

    for filters, mask, coarser in ((half // 4, "0,1,2", None), (half // 2, "3,4,5", maps[1]),
                                   (half, "6,7,8", maps[0])):
        cfg.comment("Head at stride %d" % (32 * filters // half))
        if coarser:
            parts.route(-4)
            parts.conv(filters, 3, 2)
            parts.route(-1, coarser)
            parts.split(filters, depth, before=filters)
        parts.conv(2 * filters)
        scaled_head(parts, mask, YOLOV4_ANCHORS)


YOLOV4X = dict(widths=(80, 160, 320, 640, 1280), blocks=(1, 3, 10, 10, 5), depth=3)

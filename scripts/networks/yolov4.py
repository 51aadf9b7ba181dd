"""YOLOv4 and its relatives."""

from .darknet import Darknet, csresnext50
from .yolo import YOLOV3_ANCHORS, tiny_heads


class Csp(Darknet):
    """Stages of cross stage partial connections: half of a stage's channels passes the residual blocks, the other half
    goes past them. Wang et al., "CSPNet", CVPR workshops 2020."""

    def sam(self, filters):
        """What came in, times a logistic convolution of it: attention to places. Woo et al., "CBAM", ECCV 2018."""
        self.conv(filters, 1, activation="logistic")
        return self.cfg.add("sam", from_=-2)

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

    def split(self, filters, blocks, before=None, sam=False):
        """1x1 to `filters`, once past and once through `blocks` of 1x1 and 3x3, both side by side, and 1x1 back."""
        if before:
            self.conv(before, 1)
        past = self.conv(filters, 1)
        self.route(-2)
        for _ in range(blocks):
            self.conv(filters, 1)
            self.conv(filters, 3)
        self.route(-1, past)
        if sam:
            self.sam(2 * filters)
        return self.conv(filters, 1)


def mixed(parts, filters, sam=False):
    """Five convolutions, 1x1 and 3x3 in turn. sam: the last but one is weighed."""
    for block in range(3):
        if sam and block == 2:
            parts.sam(2 * filters)
        parts.conv(filters, 1)
        if block < 2:
            parts.conv(2 * filters)
    return parts.cfg.count - 1


YOLOV4_ANCHORS = "12,16,  19,36,  40,28,  36,75,  76,55,  72,146,  142,110,  192,243,  459,401"
YOLOV4_SCALES = (1.2, 1.1, 1.05)
YOLOV4_HEAD = dict(iou_thresh=0.213, cls_normalizer=1, iou_normalizer=0.07, iou_loss="ciou", nms_kind="greedynms",
                   beta_nms=0.6, max_delta=5)


def panet(cfg, classes, anchors, c3, c4, scales=(None, None, None), activation="leaky", sam=False, **head):
    """Spatial pyramid pooling, a path down to stride 8 and up again, and a head at each of three strides. Liu et al.,
    "Path Aggregation Network for Instance Segmentation", CVPR 2018. sam: the maps that the heads see are weighed."""
    parts = Csp(cfg, activation)
    cfg.comment("Spatial pyramid pooling")
    parts.conv(512, 1)
    parts.conv(1024)
    parts.conv(512, 1)
    parts.spp()
    parts.conv(512, 1)
    parts.conv(1024)
    maps = [parts.conv(512, 1)]
    for filters, fine in ((256, c4), (128, c3)):
        cfg.comment("Down to stride %d" % (filters // 16))
        parts.conv(filters, 1)
        parts.upsample()
        parts.route(fine)
        parts.conv(filters, 1)
        parts.route(-1, -3)
        maps.append(mixed(parts, filters, sam and fine == c3))
    for filters, mask, scale, coarser in zip((128, 256, 512), ("0,1,2", "3,4,5", "6,7,8"), scales,
                                             (None, maps[1], maps[0])):
        cfg.comment("Head at stride %d" % (filters // 16))
        if coarser:
            parts.route(-4)
            parts.conv(filters, 3, 2)
            parts.route(-1, coarser)
            mixed(parts, filters, sam)
        parts.conv(2 * filters)
        parts.predict(3 * (5 + classes))
        cfg.add("yolo", mask=mask, anchors=anchors, classes=classes, scale_x_y=scale, num=9, jitter=0.3,
                ignore_thresh=0.7, truth_thresh=1, random=1, **head)


def csp_darknet53(parts):
    """Returns the indexes of the last layers at stride 4, 8, 16 and 32."""
    parts.cfg.comment("CSPDarknet-53; in its first stage both halves have all channels")
    parts.conv(32)
    parts.conv(64, 3, 2)
    past = parts.conv(64, 1)
    parts.route(-2)
    parts.conv(64, 1)
    parts.residual(32, 1, 64)
    parts.conv(64, 1)
    parts.route(-1, past)
    parts.conv(64, 1)
    return [parts.stage(filters, blocks) for filters, blocks in ((128, 2), (256, 8), (512, 8), (1024, 4))]


def yolov4(cfg, classes=80, anchors=YOLOV4_ANCHORS, activation="mish", neck=()):
    """CSPDarknet-53, spatial pyramid pooling, and a path down and up again (PANet). Bochkovskiy, Wang and Liao,
    "YOLOv4: Optimal Speed and Accuracy of Object Detection", 2020."""
    ends = csp_darknet53(Csp(cfg, activation))
    panet(cfg, classes, anchors, ends[1], ends[2], YOLOV4_SCALES, **dict(neck), **YOLOV4_HEAD)


def csresnext50_panet_spp(cfg, anchors=YOLOV3_ANCHORS, *scales, **head):
    panet(cfg, 80, anchors, *csresnext50(cfg), *scales, **head)


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
    tiny_heads(parts, ends[1], ends[2], (256, 128, 64), 80, YOLOV4_ANCHORS, scale_x_y=1.05, cls_normalizer=1,
               iou_normalizer=0.07, iou_loss="ciou", ignore_thresh=0.7, truth_thresh=1, nms_kind="greedynms", beta_nms=0.6,
               random=0)


def scaled_head(parts, level, anchors, **keys):
    """[yolo] as of Scaled-YOLOv4: the convolution before it is logistic, and boxes are (2 y)^2 of their anchors.
    `anchors`: those of every level, fine to coarse."""
    each = anchors[level].count(",") // 2 + 1
    parts.predict(each * 85, "logistic")
    head = dict(jitter=0.1, scale_x_y=2, objectness_smooth=1, ignore_thresh=0.7, truth_thresh=1, resize=1.5, iou_thresh=0.2,
                iou_normalizer=0.05, cls_normalizer=0.5, obj_normalizer=1, iou_loss="ciou", nms_kind="diounms",
                beta_nms=0.6, new_coords=1, max_delta=2)
    parts.cfg.add("yolo", mask=",".join(str(level * each + k) for k in range(each)), anchors=",  ".join(anchors), classes=80,
                  num=each * len(anchors), **dict(head, **keys))


SCALED_ANCHORS = ("12,16, 19,36, 40,28", "36,75, 76,55, 72,146", "142,110, 192,243, 459,401")


def scaled_backbone(parts, widths, blocks, plain_first=True, narrow_first=True, stem=32):
    """Stages of these widths; plain_first, narrow_first: as in yolov4_csp. Returns the index of each one's last layer."""
    parts.cfg.comment("CSPDarknet" + ("; its first stage is Darknet's" if plain_first else ""))
    parts.conv(stem)
    ends = []
    for stage, (filters, count) in enumerate(zip(widths, blocks)):
        if stage or not plain_first:
            ends.append(parts.stage(filters, count))
        else:
            parts.conv(filters, 3, 2)
            parts.residual(filters // (2 if narrow_first else 1), count, filters)
            ends.append(parts.cfg.count - 1)
    return ends


def csp_pools(parts, half, depth):
    parts.cfg.comment("Spatial pyramid pooling between the convolutions of a CSP stage")
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
    return parts.conv(half, 1)


def path_down(parts, widths, ends, depth):
    """From the last layer to maps of these widths, at stride 8 first: beside the ends of the backbone's stages. Returns
    the maps' indexes, and after them that of the layer it came from."""
    maps = [parts.cfg.count - 1]
    for level in reversed(range(len(widths))):
        filters = widths[level]
        parts.cfg.comment("Down to stride %d" % (8 << level))
        parts.conv(filters, 1)
        parts.upsample()
        parts.route(ends[level + 2])
        parts.conv(filters, 1)
        parts.route(-1, -3)
        maps.insert(0, parts.split(filters, depth, before=filters))
    return maps


def yolov4_csp(cfg, activation="mish", widths=(64, 128, 256, 512, 1024), blocks=(1, 2, 8, 8, 4), depth=2, pools_depth=None,
               plain_first=True, narrow_first=True, anchors=SCALED_ANCHORS):
    """Cross stage partial connections in backbone, pooling and both paths, from one stage to the next but the first two.
    Wang, Bochkovskiy and Liao, "Scaled-YOLOv4", CVPR 2021. depth, pools_depth: blocks in the paths, and around the
    pools; plain_first: the first stage has no such connections; narrow_first: its blocks halve the channels. yolov4x has
    wider and deeper stages, P6 one more."""
    parts = Csp(cfg, activation)
    ends = scaled_backbone(parts, widths, blocks, plain_first, narrow_first)
    csp_pools(parts, widths[-1] // 2, pools_depth or depth)
    halves = [width // 2 for width in widths[2:]]
    maps = path_down(parts, halves[:-1], ends, depth)
    for level, filters in enumerate(halves):
        cfg.comment("Head at stride %d" % (8 << level))
        if level:
            parts.route(-4)
            parts.conv(filters, 3, 2)
            parts.route(-1, maps[level])
            parts.split(filters, depth, before=filters)
        parts.conv(2 * filters)
        scaled_head(parts, level, anchors)


YOLOV4X = dict(widths=(80, 160, 320, 640, 1280), blocks=(1, 3, 10, 10, 5), depth=3)
YOLOV4_CSP_S = dict(widths=(32, 64, 128, 256, 512), blocks=(1, 1, 1, 1, 1), depth=1, narrow_first=False)
YOLOV4_P5 = dict(widths=(64, 128, 256, 512, 1024), blocks=(1, 3, 15, 15, 7), depth=3, pools_depth=2, plain_first=False,
                 anchors=("13,17, 31,25, 24,51, 61,45", "48,102, 119,96, 97,189, 217,184",
                          "171,384, 324,451, 616,618, 800,800"))
YOLOV4_P6 = dict(YOLOV4_P5, widths=(64, 128, 256, 512, 1024, 1024), blocks=(1, 3, 15, 15, 7, 7),
                 anchors=("13,17, 31,25, 24,51, 61,45", "61,45, 48,102, 119,96, 97,189",
                          "97,189, 217,184, 171,384, 324,451", "324,451, 545,357, 616,618, 1024,1024"))


P7_ANCHORS = ("13,17, 22,25, 27,66, 55,41", "57,88, 112,69, 69,177, 136,138", "136,138, 287,114, 134,275, 268,248",
              "268,248, 232,504, 445,416, 640,640", "812,393, 477,808, 1070,908, 1408,1408")


def cspx_p7(cfg):
    """Maps at strides 8 to 128, and both paths before the first head. Darknet's own file says num=16, but has 20 anchors
    and masks of all of them."""
    parts = Csp(cfg, "mish")
    ends = scaled_backbone(parts, (80, 160, 320, 640, 1280, 1280, 1280), (1, 3, 15, 15, 7, 7, 7), stem=80)
    csp_pools(parts, 640, 2)
    widths = (128, 320, 640, 640, 640)
    maps = path_down(parts, widths[:-1], ends, 3)
    for level in range(1, 5):
        filters = widths[level]
        cfg.comment("Up to stride %d" % (8 << level))
        parts.conv(filters, 3, 2)
        parts.route(-1, maps[level])
        maps[level] = parts.split(filters, 3, before=filters)
    for level, (filters, objectness) in enumerate(zip((320, 640, 1280, 1280, 1280), (4, 1, 0.5, 0.4, 0.1))):
        cfg.comment("Head at stride %d" % (8 << level))
        parts.route(maps[level])
        parts.conv(filters, 1)
        parts.sam(filters)
        parts.conv(filters, 1)
        scaled_head(parts, level, P7_ANCHORS, obj_normalizer=objectness, max_delta=40)


def finer(parts, layer, filters):
    """What a layer of twice the size has: `filters` channels of it, and each 2x2 pixels of those as channels."""
    parts.route(layer)
    parts.conv(filters, 1)
    return parts.cfg.add("reorg3d", stride=2)


def sam_reorg_bfm(cfg):
    """YOLOv4 whose levels see the finer one's map beside their own and the coarser one's, by [reorg3d]. What the backbone
    gives is the sum of the last but one residual block of a stage."""
    parts = Csp(cfg, "mish")
    c2, c3, c4 = (end - 6 for end in csp_darknet53(parts)[:3])
    pooled = csp_pools(parts, 512, 2)
    parts.conv(1024, 3, 2)
    parts.conv(512, 1)
    coarser = parts.upsample()
    maps = [parts.route(finer(parts, c4, 256), coarser, pooled)]
    for filters, own, fine in ((256, c4, c3), (128, c3, c2)):
        cfg.comment("Down to stride %d" % (filters // 16))
        doubled = parts.upsample()
        parts.route(maps[0])
        if len(maps) > 1:
            parts.split(256, 2, before=256)
        parts.conv(128, 1)
        coarser = parts.upsample()
        parts.route(own)
        own = parts.conv(filters, 1)
        parts.route(finer(parts, fine, filters // 2), own, coarser)
        maps.insert(0, parts.shortcut(doubled))
    parts.conv(128, 1)
    fine = c2
    for level, filters in enumerate((128, 256, 512)):
        cfg.comment("Head at stride %d" % (8 << level))
        if level:
            parts.route(-4)
            parts.conv(filters, 3, 2)
            parts.route(-1, maps[level])
        own = cfg.count - 1
        parts.route(fine)
        parts.route(cfg.add("reorg3d", stride=2), own)
        fine = cfg.count
        parts.split(filters, 2, before=filters, sam=True)
        parts.conv(2 * filters)
        parts.predict(255)
        cfg.add("yolo", mask=("0,1,2", "3,4,5", "6,7,8")[level], anchors=YOLOV4_ANCHORS, classes=80,
                scale_x_y=YOLOV4_SCALES[level], num=9, jitter=0.2, resize=1.5, ignore_thresh=0.7, truth_thresh=1,
                **YOLOV4_HEAD)

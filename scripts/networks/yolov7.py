"""YOLOv7."""

from .darknet import Darknet
from .yolov4 import SCALED_ANCHORS, scaled_head


class Elan(Darknet):
    """Chains of convolutions all of whose parts are laid side by side. Wang, Bochkovskiy and Liao, "YOLOv7: Trainable
    bag-of-freebies sets new state-of-the-art for real-time object detectors", 2022."""

    def chain(self, side, filters, links, every, out):
        """Two 1x1 convolutions to `side`, `links` 3x3 convolutions to `filters` behind the second; both and every
        `every`-th link side by side, the last one first, then 1x1 to `out`."""
        first = self.conv(side, 1)
        self.route(-2)
        ends = [first, self.conv(side, 1)]
        for link in range(links):
            layer = self.conv(filters)
            if (link + 1) % every == 0:
                ends.append(layer)
        self.route(*reversed(ends))
        return self.conv(out, 1)

    def short_chain(self, filters):
        """The chain of yolov7-tiny: every part is seen, the first one first, and the end has twice the filters."""
        first = self.conv(filters, 1)
        self.route(-2)
        self.route(first, self.conv(filters, 1), self.conv(filters), self.conv(filters))
        return self.conv(2 * filters, 1)

    def halve(self, filters, *beside):
        """Half of the size, by a pool with a 1x1 convolution and by a 1x1 with a 3x3 of stride 2, side by side, and
        beside them the layers named."""
        self.maxpool()
        pooled = self.conv(filters, 1)
        self.route(-3)
        self.conv(filters, 1)
        self.conv(filters, 3, 2)
        return self.route(-1, pooled, *beside)

    def pyramid(self, filters):
        """The pools of SPP between the convolutions of a CSP stage."""
        past = self.conv(filters, 1)
        self.route(-2)
        self.conv(filters, 1)
        self.conv(filters)
        self.conv(filters, 1)
        self.spp(largest_first=False)
        self.conv(filters, 1)
        self.conv(filters)
        self.route(-1, past)
        return self.conv(filters, 1)


def yolov7(cfg, stem=32, backbone=((64, 256), (128, 512), (256, 1024), (256, 1024)), links=4, every=2,
           down=((256, 128, 256), (128, 64, 128)), up=((256, 128, 256), (512, 256, 512)), neck=4, step=1, pyramid=512):
    """stem: channels of the first convolution. backbone: those of the links and of the end of each stage. down, up:
    those of the sides, links and ends of the chains of both paths. Every `every`-th of `links` links is seen at the
    end of a chain of the backbone, every `step`-th of `neck` in the paths."""
    parts = Elan(cfg, "swish")
    cfg.comment("Backbone")
    parts.conv(stem)
    parts.conv(2 * stem, 3, 2)
    parts.conv(2 * stem)
    parts.conv(4 * stem, 3, 2)
    ends = []
    for stage, (filters, out) in enumerate(backbone):
        if stage:
            parts.halve(backbone[stage - 1][1] // 2)
        ends.append(parts.chain(filters, filters, links, every, out))
    cfg.comment("Pools of several sizes")
    maps = [parts.pyramid(pyramid)]
    for (side, filters, out), finer in zip(down, (ends[2], ends[1])):
        cfg.comment("Down")
        parts.conv(out, 1)
        larger = parts.upsample()
        parts.route(finer)
        parts.conv(out, 1)
        parts.route(-1, larger)
        maps.append(parts.chain(side, filters, neck, step, out))
    for k, (side, filters, out) in enumerate(up):
        cfg.comment("Up")
        parts.halve(out // 2, maps[1 - k])
        maps.append(parts.chain(side, filters, neck, step, out))
    for level in range(3):
        cfg.comment("Head at stride %d" % (8 << level))
        parts.route(maps[2 + level])
        parts.conv(2 * down[1][2] << level)
        scaled_head(parts, level, SCALED_ANCHORS)


def yolov7_tiny(cfg):
    parts = Elan(cfg)
    cfg.comment("Backbone")
    parts.conv(32, 3, 2)
    parts.conv(64, 3, 2)
    ends = []
    for stage, filters in enumerate((32, 64, 128, 256)):
        if stage:
            parts.maxpool()
        ends.append(parts.short_chain(filters))
    cfg.comment("Pools of several sizes")
    past = parts.conv(256, 1)
    parts.route(-2)
    parts.conv(256, 1)
    parts.spp()
    parts.conv(256, 1)
    parts.route(past, -1)
    maps = [parts.conv(256, 1)]
    for filters, finer in ((64, ends[2]), (32, ends[1])):
        cfg.comment("Down")
        parts.conv(2 * filters, 1)
        parts.upsample()
        parts.route(finer)
        parts.conv(2 * filters, 1)
        parts.route(-1, -3)
        maps.append(parts.short_chain(filters))
    for filters, coarser in ((64, maps[1]), (128, maps[0])):
        cfg.comment("Up")
        parts.conv(2 * filters, 3, 2)
        parts.route(-1, coarser)
        maps.append(parts.short_chain(filters))
    for level in range(3):
        cfg.comment("Head at stride %d" % (8 << level))
        parts.route(maps[2 + level])
        parts.conv(128 << level)
        scaled_head(parts, level, ("10,13, 16,30, 33,23", "30,61, 62,45, 59,119", "116,90, 156,198, 373,326"))


YOLOV7X = dict(stem=40, backbone=((64, 320), (128, 640), (256, 1280), (256, 1280)), links=6,
               down=((256, 256, 320), (128, 128, 160)), up=((256, 256, 320), (512, 512, 640)), neck=6, step=2, pyramid=640)

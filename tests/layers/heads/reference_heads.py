#!/usr/bin/env python3
"""Makes cases/*.json: [yolo], [Gaussian_yolo], [region] and [detection] heads with random inputs, and the deltas that Darknet's rules give.

A plain NumPy translation, in double, of the rules by which AlexeyAB's Darknet trains its heads, written apart
from the C++ and in another shape: planes of one image [anchor, entry, row, column], edges top and bottom.
    python3 reference_heads.py
"""
import json
import os

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sigmoid = lambda v: 1 / (1 + np.exp(-v))


def overlap(a, b):
    """Intersection and union of (x, y, w, h) boxes."""
    iw = min(a[0] + a[2] / 2, b[0] + b[2] / 2) - max(a[0] - a[2] / 2, b[0] - b[2] / 2)
    ih = min(a[1] + a[3] / 2, b[1] + b[3] / 2) - max(a[1] - a[3] / 2, b[1] - b[3] / 2)
    i = iw * ih if iw > 0 and ih > 0 else 0.0
    return i, a[2] * a[3] + b[2] * b[3] - i


def iou(a, b):
    i, u = overlap(a, b)
    return i / u if i else 0.0


def enclosing(a, b):
    cw = max(a[0] + a[2] / 2, b[0] + b[2] / 2) - min(a[0] - a[2] / 2, b[0] - b[2] / 2)
    ch = max(a[1] + a[3] / 2, b[1] + b[3] / 2) - min(a[1] - a[3] / 2, b[1] - b[3] / 2)
    return cw, ch


def giou(a, b):
    i, u = overlap(a, b)
    cw, ch = enclosing(a, b)
    return iou(a, b) - (cw * ch - u) / (cw * ch)


def kind_of_iou(kind, a, b):
    if kind == "giou":
        return giou(a, b)
    v = iou(a, b)
    if kind in ("diou", "ciou"):
        cw, ch = enclosing(a, b)
        v -= ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) / (cw * cw + ch * ch)
    if kind == "ciou":
        ar = 4 / np.pi ** 2 * (np.arctan(a[2] / a[3]) - np.arctan(b[2] / b[3])) ** 2
        v -= ar * ar / (1 - iou(a, b) + ar + 1e-6)
    return v


def box_slopes(kind, p, t):
    """dx, dy, dw, dh of the measure, by the rules for its edges: top, bottom, left, right."""
    pt, pb, pl, pr = p[1] - p[3] / 2, p[1] + p[3] / 2, p[0] - p[2] / 2, p[0] + p[2] / 2
    tt, tb, tl, tr = t[1] - t[3] / 2, t[1] + t[3] / 2, t[0] - t[2] / 2, t[0] + t[2] / 2
    pw, ph = pr - pl, pb - pt
    iw, ih = min(pr, tr) - max(pl, tl), min(pb, tb) - max(pt, tt)
    i = iw * ih
    u = pw * ph + t[2] * t[3] - i
    d_i = np.array([-iw if pt > tt else 0, iw if pb < tb else 0, -ih if pl > tl else 0,
                    ih if pr < tr else 0])
    d_x = np.array([-pw, pw, -ph, ph])
    d_u = d_x - d_i
    g = (u * d_i - i * d_u) / u ** 2 if u > 0 else np.zeros(4)
    apart = iw <= 0 or ih <= 0
    cw, ch = max(pr, tr) - min(pl, tl), max(pb, tb) - min(pt, tt)
    if kind == "giou":
        c = cw * ch
        d_c = np.array([-cw if pt < tt else 0, cw if pb > tb else 0, -ch if pl < tl else 0,
                        ch if pr > tr else 0])
        q = (c * d_u - u * d_c) / c ** 2
        g = q if apart else g + q
    slopes = np.array([g[2] + g[3], g[0] + g[1], g[3] - g[2], g[1] - g[0]])
    if kind in ("diou", "ciou"):
        s = (p[0] - t[0]) ** 2 + (p[1] - t[1]) ** 2
        c = cw ** 2 + ch ** 2
        a = np.array([
            (2 * (t[0] - p[0]) * c - 2 * cw * (float(pr > tr) - float(pl < tl)) * s) / c ** 2,
            (2 * (t[1] - p[1]) * c - 2 * ch * (float(pb > tb) - float(pt < tt)) * s) / c ** 2,
            2 * cw * (0.5 * (pr > tr) + 0.5 * (pl < tl)) * s / c ** 2,
            2 * ch * (0.5 * (pb > tb) + 0.5 * (pt < tt)) * s / c ** 2])
        if kind == "ciou":
            angle = np.arctan(t[2] / t[3]) - np.arctan(p[2] / p[3])
            v = 4 / np.pi ** 2 * angle ** 2
            alpha = v / (1 - i / u + v + 1e-6)
            a[2] += alpha * 8 / np.pi ** 2 * angle * p[3]
            a[3] -= alpha * 8 / np.pi ** 2 * angle * p[2]
        slopes = a if apart else slopes + a
    return slopes


def focal(p):
    p = p + 1e-15
    return -0.5 * (1 - p) * (2 * p * np.log(p) + p - 1)


def yolo(x, truths, key, network):
    """x: [N, masks, 5 + classes, H, W]. Returns the activated output, delta and what is reported."""
    get = lambda name, otherwise: key.get(name, otherwise)
    anchors = np.reshape(key["anchors"], (-1, 2)).astype(float)
    mask, classes, kind = key["mask"], key["classes"], get("iou_loss", "mse")
    n_images, _, _, lh, lw = x.shape
    nw, nh = network
    new_coords, s = get("new_coords", 0), get("scale_x_y", 1.0)
    counters = get("counters_per_class", None)
    top = get("max_delta", np.inf)
    m = [min(max(counters) / c, top) for c in counters] if counters else [1.0] * classes
    obj_n, iou_n = get("obj_normalizer", 1.0), get("iou_normalizer", 0.75)
    eps, smooth = get("label_smooth_eps", 0.0), get("objectness_smooth", 0)
    iou_thresh = get("iou_thresh", 1.0)

    y = x.copy()
    if not new_coords:
        y[:, :, 0:2], y[:, :, 4:] = sigmoid(x[:, :, 0:2]), sigmoid(x[:, :, 4:])
    y[:, :, 0:2] = y[:, :, 0:2] * s - 0.5 * (s - 1)
    delta = np.zeros_like(y)
    shape = lambda a: (0, 0, anchors[a][0] / nw, anchors[a][1] / nh)

    def predicted(v, a, i, j):
        if new_coords:
            w, h = 4 * v[2] ** 2 * anchors[a][0] / nw, 4 * v[3] ** 2 * anchors[a][1] / nh
        else:
            w, h = np.exp(v[2]) * anchors[a][0] / nw, np.exp(v[3]) * anchors[a][1] / nh
        return (i + v[0]) / lw, (j + v[1]) / lh, w, h

    def teach_box(d, v, a, t, i, j):
        if kind == "mse":
            ratio = np.array([t[2] * nw / anchors[a][0], t[3] * nh / anchors[a][1]])
            goal = np.sqrt(ratio / 4) if new_coords else np.log(ratio)
            d[0:4] += iou_n * m[t[4]] * (2 - t[2] * t[3]) * np.array(
                [t[0] * lw - i - v[0], t[1] * lh - j - v[1], goal[0] - v[2], goal[1] - v[3]])
            return
        p = predicted(v, a, i, j)
        slopes = box_slopes(kind, (p[0], p[1], p[2] or 1.0, p[3] or 1.0), t)
        if not new_coords:
            slopes[2:4] *= np.exp(v[2:4])
        d[0:4] += np.clip(slopes * iou_n * m[t[4]], -top, top)

    def teach_class(d, v, c):
        if d[5 + c] != 0:
            d[5 + c] = m[c] * (1 - eps + eps / 2 - v[5 + c])
            return
        if get("focal_loss", 0):
            factor = focal(v[5 + c])
            for k in range(classes):
                d[5 + k] = factor * ((k == c) - v[5 + k])
            return
        for k in range(classes):
            d[5 + k] = (k == c) * (1 - eps) + eps / 2 - v[5 + k]
        if counters:
            d[5 + c] *= m[c] * get("cls_normalizer", 1.0)

    tot = dict(iou=0.0, loss=0.0, count=0)
    for b in range(n_images):
        usable = [t for t in truths[b] if 0 <= t[4] < classes]
        for j in range(lh):
            for i in range(lw):
                for n, a in enumerate(mask):
                    v, d = y[b, n, :, j, i], delta[b, n, :, j, i]
                    p = predicted(v, a, i, j)
                    ious = [iou(p, t) for t in usable] or [0.0]
                    best = max(ious)
                    best_match = best if any(v[5:] > 0.25) else 0.0
                    d[4] = obj_n * (0 - v[4])
                    if best_match > get("ignore_thresh", 0.5):
                        d[4] = max(d[4], obj_n * (best_match - v[4])) if smooth else 0.0
                    if best > get("truth_thresh", 1.0):
                        t = usable[int(np.argmax(ious))]
                        goal = best ** 2 if smooth else 1.0
                        d[4] = obj_n * (goal - v[4])
                        teach_class(d, v, t[4])
                        if smooth:
                            d[5 + t[4]] = m[t[4]] * (goal - v[5 + t[4]])
                        teach_box(d, v, a, t, i, j)
        for t in usable:
            i, j = min(int(t[0] * lw), lw - 1), min(int(t[1] * lh), lh - 1)
            bare = (0, 0, t[2], t[3])
            best_n = int(np.argmax([iou(shape(a), bare) for a in range(len(anchors))]))
            chosen = [best_n] if best_n in mask else []
            if iou_thresh < 1:
                chosen += [a for a in range(len(anchors)) if a in mask and a != best_n and
                           kind_of_iou(get("iou_thresh_kind", "iou"), shape(a), bare) > iou_thresh]
            for a in chosen:
                n = mask.index(a)
                v, d = y[b, n, :, j, i], delta[b, n, :, j, i]
                p = predicted(v, a, i, j)
                tot["iou"] += iou(p, t)
                tot["loss"] += 1 - (giou(p, t) if kind == "giou" else iou(p, t))
                tot["count"] += 1
                teach_box(d, v, a, t, i, j)
                if not smooth or d[4] == 0:
                    d[4] = m[t[4]] * obj_n * (1 - v[4])
                teach_class(d, v, t[4])
        if iou_thresh < 1:
            for n in range(len(mask)):
                for j in range(lh):
                    for i in range(lw):
                        d = delta[b, n, :, j, i]
                        positive = np.sum(d[5:] > 0)
                        if d[4] != 0 and positive > 0:
                            d[0:4] /= positive
    if kind == "mse":
        loss = np.sum(delta ** 2)
    else:
        loss = iou_n * tot["loss"] / max(tot["count"], 1) + obj_n * np.sum(delta[:, :, 4:] ** 2)
    return y, delta * get("delta_normalizer", 1.0), dict(loss=loss, iou=tot["iou"], matched=tot["count"])


def gaussian_yolo(x, truths, key, network):
    """x: [N, masks, 9 + classes, H, W]: x sigma y sigma w sigma h sigma objectness classes."""
    get = lambda name, otherwise: key.get(name, otherwise)
    anchors = np.reshape(key["anchors"], (-1, 2)).astype(float)
    mask, classes, kind = key["mask"], key["classes"], get("iou_loss", "mse")
    n_images, _, _, lh, lw = x.shape
    nw, nh = network
    s, top = get("scale_x_y", 1.0), get("max_delta", np.inf)
    side = dict(center=0.0, left_top=-0.5, right_bottom=0.5)[get("yolo_point", "center")]
    counters = get("counters_per_class", None)
    m = [min(max(counters) / c, top) for c in counters] if counters else [1.0] * classes
    obj_n, iou_n, uc_n = get("obj_normalizer", 1.0), get("iou_normalizer", 0.75), get("uc_normalizer", 1.0)

    y = sigmoid(x)
    y[:, :, 4], y[:, :, 6] = x[:, :, 4], x[:, :, 6]
    for e in (0, 2):
        y[:, :, e] = y[:, :, e] * s - 0.5 * (s - 1)
    delta = np.zeros_like(y)

    def predicted(v, a, i, j):
        w, h = np.exp(v[4]) * anchors[a][0] / nw, np.exp(v[6]) * anchors[a][1] / nh
        return (i + v[0]) / lw - side * w, (j + v[2]) / lh - side * h, w, h

    def teach_box(d, v, a, t, i, j):
        goal = [(t[0] + side * t[2]) * lw - i, (t[1] + side * t[3]) * lh - j,
                np.log(t[2] * nw / anchors[a][0]), np.log(t[3] * nh / anchors[a][1])]
        means = None
        if kind != "mse":
            means = box_slopes(kind, predicted(v, a, i, j), t)
            means[2:4] *= np.exp([v[4], v[6]])
        for k in range(4):
            mu, sigma = v[2 * k], v[2 * k + 1]
            e = (goal[k] - mu) / sigma
            density = np.exp(-e * e / 2) / (np.sqrt(2 * np.pi) * (sigma + 0.3))
            factor = 0.5 * density / (density + 1e-9) * (2 - t[2] * t[3])
            slope = factor * e / sigma if means is None else means[k]
            d[2 * k] += np.clip(slope * iou_n * m[t[4]], -top, top)
            d[2 * k + 1] += np.clip(factor * (e * e / sigma - 1 / (sigma + 0.3)) * uc_n, -top, top)

    def teach_class(d, v, c):
        if d[9] != 0:
            d[9 + c] = m[c] * (1 - v[9 + c])
            return
        for k in range(classes):
            d[9 + k] = (k == c) - v[9 + k]
        if counters:
            d[9 + c] *= m[c] * get("cls_normalizer", 1.0)

    tot = dict(iou=0.0, loss=0.0, count=0)
    for b in range(n_images):
        usable = [t for t in truths[b] if 0 <= t[4] < classes]
        for n, a in enumerate(mask):
            for j in range(lh):
                for i in range(lw):
                    v, d = y[b, n, :, j, i], delta[b, n, :, j, i]
                    best = max([iou(predicted(v, a, i, j), t) for t in usable] or [0.0])
                    forgiven = best > get("ignore_thresh", 0.5) and any(v[9:] > 0.25)
                    d[8] = 0 if forgiven else -obj_n * v[8]
        for t in usable:
            i, j = int((t[0] + side * t[2]) * lw), int((t[1] + side * t[3]) * lh)
            i, j = min(max(i, 0), lw - 1), min(max(j, 0), lh - 1)
            bare = (0, 0, t[2], t[3])
            fits = [iou((0, 0, p[0] / nw, p[1] / nh), bare) for p in anchors]
            best_n = int(np.argmax(fits))
            for a in [best_n] + [k for k in range(len(anchors)) if k != best_n and
                                 fits[k] > get("iou_thresh", 1.0)]:
                if a not in mask:
                    continue
                v, d = y[b, mask.index(a), :, j, i], delta[b, mask.index(a), :, j, i]
                p = predicted(v, a, i, j)
                tot["iou"] += iou(p, t)
                tot["loss"] += 1 - (giou(p, t) if kind == "giou" else iou(p, t))
                tot["count"] += 1
                teach_box(d, v, a, t, i, j)
                d[8] = m[t[4]] * obj_n * (1 - v[8])
                teach_class(d, v, t[4])
        for n in range(len(mask)):
            for j in range(lh):
                for i in range(lw):
                    d = delta[b, n, :, j, i]
                    positive = np.sum(d[9:] > 0)
                    if d[8] != 0 and positive > 0:
                        d[0:8] /= positive
    if kind == "mse":
        loss = np.sum(delta ** 2)
    else:
        loss = iou_n * tot["loss"] / max(tot["count"], 1) + obj_n * np.sum(delta[:, :, 8:] ** 2)
    return y, delta, dict(loss=loss, iou=tot["iou"], matched=tot["count"])


def detection(x, truths, key):
    """x: [N, 1, numbers, 1, 1]."""
    get = lambda name, otherwise: key.get(name, otherwise)
    side, num, classes = key["side"], key["num"], key["classes"]
    cells, root = side * side, get("sqrt", 0)
    y = x.copy()
    delta = np.zeros_like(x)
    tot = dict(iou=0.0, matched=0)
    for b in range(x.shape[0]):
        v, d = y[b, 0, :, 0, 0], delta[b, 0, :, 0, 0]  # views
        scores, sure = v[:cells * classes].reshape(cells, classes), v[cells * classes:][:cells * num]
        sure, boxes = sure.reshape(cells, num), v[cells * (classes + num):].reshape(cells, num, 4)
        d_scores, d_sure = d[:cells * classes].reshape(cells, classes), d[cells * classes:][:cells * num]
        d_sure, d_boxes = d_sure.reshape(cells, num), d[cells * (classes + num):].reshape(cells, num, 4)
        if get("softmax", 0):
            scores[:] = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        d_sure[:] = -get("noobject_scale", 1.0) * sure
        taken = set()
        for t in truths[b]:
            i, j = int(t[0] * side), int(t[1] * side)
            cell = j * side + i
            if not 0 <= t[4] < classes or cell in taken:
                continue
            taken.add(cell)
            d_scores[cell] = get("class_scale", 1.0) * (np.eye(classes)[t[4]] - scores[cell])
            decoded = []
            for k in range(num):
                bx, by, bw, bh = boxes[cell, k]
                decoded.append(((i + bx) / side, (j + by) / side) + ((bw * bw, bh * bh) if root else (bw, bh)))
            ious = [iou(p, t) for p in decoded]
            best = int(np.argmax(ious))
            if max(ious) == 0:
                best = int(np.argmin([sum((p[e] - t[e]) ** 2 for e in range(4)) for p in decoded]))
            if get("forced", 0):
                best = 1 if t[2] * t[3] < 0.1 else 0
            tot["iou"] += ious[best]
            tot["matched"] += 1
            goal = ious[best] if get("rescore", 0) else 1.0
            d_sure[cell, best] = get("object_scale", 1.0) * (goal - sure[cell, best])
            size = np.sqrt(t[2:4]) if root else np.array(t[2:4])
            wanted = np.array([t[0] * side - i, t[1] * side - j, size[0], size[1]])
            d_boxes[cell, best] = get("coord_scale", 1.0) * (wanted - boxes[cell, best])
    return y, delta, dict(loss=np.sum(delta ** 2), **tot)


def region(x, truths, key, seen):
    get = lambda name, otherwise: key.get(name, otherwise)
    anchors = np.reshape(key["anchors"], (-1, 2)).astype(float)
    classes, fix = key["classes"], get("classfix", 0)
    n_images, _, _, lh, lw = x.shape
    y = x.copy()
    y[:, :, 4] = sigmoid(x[:, :, 4])
    if get("softmax", 0):
        e = np.exp(x[:, :, 5:] - x[:, :, 5:].max(axis=2, keepdims=True))
        y[:, :, 5:] = e / e.sum(axis=2, keepdims=True)
    delta = np.zeros_like(y)
    slope = lambda p: p * (1 - p)

    def predicted(v, a, i, j):
        return ((i + sigmoid(v[0])) / lw, (j + sigmoid(v[1])) / lh, np.exp(v[2]) * anchors[a][0] / lw,
                np.exp(v[3]) * anchors[a][1] / lh)

    def teach_box(d, v, a, t, i, j, scale):
        px, py = sigmoid(v[0]), sigmoid(v[1])
        d[0] = scale * (t[0] * lw - i - px) * slope(px)
        d[1] = scale * (t[1] * lh - j - py) * slope(py)
        d[2] = scale * (np.log(t[2] * lw / anchors[a][0]) - v[2])
        d[3] = scale * (np.log(t[3] * lh / anchors[a][1]) - v[3])

    def teach_class(d, v, c, scale):
        if get("focal_loss", 0):
            scale *= focal(v[5 + c])
        for k in range(classes):
            d[5 + k] = scale * ((k == c) - v[5 + k])

    tot_iou, count = 0.0, 0
    for b in range(n_images):
        usable = [t for t in truths[b] if 0 <= t[4] < classes]
        for j in range(lh):
            for i in range(lw):
                for a in range(len(anchors)):
                    v, d = y[b, a, :, j, i], delta[b, a, :, j, i]
                    ious = [iou(predicted(v, a, i, j), t) for t in usable] or [0.0]
                    best = max(ious)
                    d[4] = get("noobject_scale", 1.0) * (0 - v[4]) * slope(v[4])
                    if fix == -1:
                        d[4] = get("noobject_scale", 1.0) * (best - v[4]) * slope(v[4])
                    elif best > get("thresh", 0.5):
                        d[4] = 0
                        if fix > 0:
                            c = usable[int(np.argmax(ious))][4]
                            teach_class(d, v, c, get("class_scale", 1.0) * (v[4] if fix == 2 else 1))
                    if seen < 12800:
                        own = ((i + 0.5) / lw, (j + 0.5) / lh, anchors[a][0] / lw, anchors[a][1] / lh)
                        teach_box(d, v, a, own, i, j, 0.01)
        for t in usable:
            i, j = min(int(t[0] * lw), lw - 1), min(int(t[1] * lh), lh - 1)
            sizes = [(anchors[a][0] / lw, anchors[a][1] / lh) if get("bias_match", 0) else
                     predicted(y[b, a, :, j, i], a, i, j)[2:4] for a in range(len(anchors))]
            a = int(np.argmax([iou((0, 0) + tuple(s), (0, 0, t[2], t[3])) for s in sizes]))
            v, d = y[b, a, :, j, i], delta[b, a, :, j, i]
            o = iou(predicted(v, a, i, j), t)
            tot_iou, count = tot_iou + o, count + 1
            teach_box(d, v, a, t, i, j, get("coord_scale", 1.0))
            d[4] = get("object_scale", 1.0) * ((o if get("rescore", 0) else 1) - v[4]) * slope(v[4])
            teach_class(d, v, t[4], get("class_scale", 1.0))
    return y, delta, dict(loss=np.sum(delta ** 2), iou=tot_iou, matched=count)


def to_nhwc(planes):  # [N, anchors, entries, H, W]
    n, a, e, h, w = planes.shape
    return planes.transpose(0, 3, 4, 1, 2).reshape(n, h, w, a * e)


def numbers(a):
    return [float("%.9g" % v) for v in np.asarray(a).ravel()]


def draw_truths(rng, images, most, classes):
    truths = []
    for b in range(images):
        n = rng.randint(1, most + 1)
        boxes = np.column_stack([rng.uniform(.05, .95, n), rng.uniform(.05, .95, n), rng.uniform(.08, .6, n),
                                 rng.uniform(.08, .6, n)]).astype("f4").astype(float)
        truths.append([list(r) + [int(c)] for r, c in zip(boxes, rng.randint(0, classes, n))])
    # Two truths of different classes and one of the same class again, in one slot.
    truths[0].append(truths[0][0][:4] + [(truths[0][0][4] + 1) % classes])
    truths[0].append(truths[0][0][:4] + [truths[0][0][4]])
    return truths


def write(name, section, key, network, x, truths, seen, y, delta, told):
    cfg = ["[%s]" % section]
    for k, v in key.items():
        cfg.append("%s=%s" % (k, ",".join("%g" % e for e in v) if isinstance(v, (list, tuple)) else v))
    case = dict(name=name, cfg="\n".join(cfg), network=network, seen=seen, truths=truths,
                shape=list(to_nhwc(x).shape), x=numbers(to_nhwc(x)), y=numbers(to_nhwc(y)),
                delta=numbers(to_nhwc(delta)), **{k: float(v) for k, v in told.items()})
    with open(os.path.join(HERE, "cases", name + ".json"), "w") as f:
        json.dump(case, f, separators=(",", ":"))
        f.write("\n")


def main():
    os.makedirs(os.path.join(HERE, "cases"), exist_ok=True)
    anchors = [6, 8, 12, 16, 24, 20, 30, 40, 48, 36, 80, 60]
    low = dict(iou_thresh=0.213, scale_x_y=1.1, iou_normalizer=0.07, max_delta=5)
    yolos = {
        "yolo_mse": {},
        "yolo_mse_iou_thresh": dict(iou_thresh=0.3, truth_thresh=0.7, ignore_thresh=0.3),
        "yolo_mse_normalizers": dict(iou_normalizer=0.5, obj_normalizer=0.4, cls_normalizer=0.3,
                                     max_delta=0.01),
        "yolo_iou": dict(iou_loss="iou", scale_x_y=1.2),
        "yolo_giou": dict(iou_loss="giou", **low),
        "yolo_giou_kind": dict(iou_loss="giou", iou_thresh=0.1, iou_thresh_kind="ciou", obj_normalizer=0.4),
        "yolo_diou": dict(iou_loss="diou", **low),
        "yolo_ciou": dict(iou_loss="ciou", **low),
        "yolo_ciou_max_delta": dict(iou_loss="ciou", max_delta=0.3, iou_normalizer=0.9),
        "yolo_new_coords": dict(iou_loss="ciou", new_coords=1, scale_x_y=2.0, iou_thresh=0.2,
                                objectness_smooth=1,
                                iou_normalizer=0.05, obj_normalizer=0.4, cls_normalizer=0.5, max_delta=2,
                                ignore_thresh=0.3, truth_thresh=0.5),
        "yolo_new_coords_mse": dict(new_coords=1, scale_x_y=2.0),
        "yolo_counters": dict(counters_per_class=[100, 20, 3], cls_normalizer=0.5, max_delta=12,
                              iou_loss="ciou"),
        "yolo_smooth_labels": dict(label_smooth_eps=0.1, delta_normalizer=0.5),
        "yolo_focal": dict(focal_loss=1),
        "yolo_objectness_smooth": dict(objectness_smooth=1, ignore_thresh=0.2, truth_thresh=0.6),
        "yolo_iou_apart": dict(iou_loss="iou", iou_thresh=0.05),
        "yolo_giou_apart": dict(iou_loss="giou", iou_thresh=0.05),
        "yolo_ciou_apart": dict(iou_loss="ciou", iou_thresh=0.05),
        "yolo_thresh_giou": dict(iou_thresh=0.3, iou_thresh_kind="giou"),
    }
    # Boxes so small that some miss their truths.
    small = ("yolo_iou_apart", "yolo_giou_apart", "yolo_ciou_apart")
    for number, (name, more) in enumerate(yolos.items()):
        rng = np.random.RandomState(100 + number)
        key = dict(classes=3, num=6, mask=[1, 3, 4], anchors=anchors, **more)
        x = rng.normal(0, 0.7, (2, 3, 8, 3, 4)).astype("f4").astype(float)
        if name in small:
            x[:, :, 2:4] -= 2
        if more.get("new_coords"):
            x = sigmoid(x).astype("f4").astype(float)
        truths = draw_truths(rng, 2, 5, 3)
        truths[1].append([0.5, 0.5, 0.3, 0.3, 7])  # a class that is not there
        write(name, "yolo", key, [96, 64], x, truths, 0, *yolo(x, truths, key, [96, 64]))
    gaussians = {
        "gaussian_mse": {},
        "gaussian_mse_left_top": dict(yolo_point="left_top", scale_x_y=1.1, uc_normalizer=0.3, iou_thresh=0.3),
        "gaussian_giou": dict(iou_loss="giou", iou_thresh=0.213, iou_normalizer=0.5, scale_x_y=1.2),
        "gaussian_ciou_right_bottom": dict(iou_loss="ciou", yolo_point="right_bottom", max_delta=0.2),
        "gaussian_counters": dict(counters_per_class=[100, 20, 3], cls_normalizer=0.5, max_delta=12,
                                  obj_normalizer=0.4),
    }
    for number, (name, more) in enumerate(gaussians.items()):
        rng = np.random.RandomState(300 + number)
        key = dict(classes=3, num=6, mask=[1, 3, 4], anchors=anchors, **more)
        x = rng.normal(0, 0.7, (2, 3, 12, 3, 4)).astype("f4").astype(float)
        truths = draw_truths(rng, 2, 5, 3)
        write(name, "Gaussian_yolo", key, [96, 64], x, truths, 0, *gaussian_yolo(x, truths, key, [96, 64]))
    scales = dict(object_scale=1.5, noobject_scale=0.5, class_scale=0.7, coord_scale=5)
    detections = {
        "detection_plain": scales,
        "detection_yolov1": dict(rescore=1, sqrt=1, **scales),
        "detection_softmax": dict(softmax=1, sqrt=1),
        "detection_forced": dict(forced=1, rescore=1),
    }
    for number, (name, more) in enumerate(detections.items()):
        rng = np.random.RandomState(400 + number)
        key = dict(side=3, num=2, classes=3, coords=4, **more)
        x = rng.uniform(0, 1, (2, 1, 9 * (3 + 10), 1, 1)).astype("f4").astype(float)
        x[1, 0, 45:, 0, 0] -= 2 * (number == 0)  # boxes so far off that none overlaps its truth
        truths = draw_truths(rng, 2, 5, 3)
        write(name, "detection", key, [96, 96], x, truths, 0, *detection(x, truths, key))
    regions = {
        "region_warm_up": (0, dict(softmax=1, bias_match=1, rescore=1, object_scale=5, thresh=0.6)),
        "region_plain": (12800, dict(softmax=1, coord_scale=2, class_scale=1.5, noobject_scale=0.5,
                                     thresh=0.3)),
        "region_no_softmax": (20000, dict(bias_match=1, object_scale=5)),
        "region_classfix_all": (20000, dict(softmax=1, classfix=-1)),
        "region_classfix_1": (20000, dict(softmax=1, classfix=1, thresh=0.3)),
        "region_classfix_2": (12799, dict(softmax=1, classfix=2, thresh=0.3, rescore=1)),
        "region_focal": (20000, dict(softmax=1, focal_loss=1, bias_match=1)),
    }
    for number, (name, (seen, more)) in enumerate(regions.items()):
        rng = np.random.RandomState(200 + number)
        key = dict(classes=3, num=3, anchors=[0.5, 0.6, 1.2, 1.5, 2.5, 2.0], **more)
        x = rng.normal(0, 0.7, (2, 3, 8, 3, 4)).astype("f4").astype(float)
        truths = draw_truths(rng, 2, 5, 3)
        write(name, "region", key, [96, 64], x, truths, seen, *region(x, truths, key, seen))


if __name__ == "__main__":
    main()

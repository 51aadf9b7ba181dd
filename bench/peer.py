"""One peer in a process of its own: prints {"milliseconds": [...]} as `osprey bench` does, or writes what
the layers before the heads compute, or detects in one image.

    peer.py opencv|torch|torch-jit|torchvision CFG WEIGHTS --input X.npy [--threads T] [--training --batch B] ...
"""
import argparse
import json
import os
import time

import numpy as np

import networks


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("engine", choices=["opencv", "torch", "torch-jit", "torchvision"])
    p.add_argument("cfg")
    p.add_argument("weights")
    p.add_argument("--input", help=".npy, float32 [1,H,W,C] in 0..1")
    p.add_argument("--image", help="detect in this image instead: the whole way, once")
    p.add_argument("--dump", help="folder for NNN.npy [1,H,W,C] of the layers before the heads")
    p.add_argument("--scores", action="store_true", help="of torchvision: print those of all detections instead")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--training", action="store_true")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--iterations", type=int, default=20)
    p.add_argument("--warmup", type=int, default=3)
    return p.parse_args()


def measure(a, run, before=lambda: None):
    times, processor_times = [], []
    for i in range(a.warmup + a.iterations):
        before()
        start, processor_start = time.perf_counter(), time.process_time()
        run()
        if i >= a.warmup:
            times.append(1000 * (time.perf_counter() - start))
            processor_times.append(1000 * (time.process_time() - processor_start))
    print(json.dumps({"milliseconds": times, "processor_milliseconds": processor_times}))


def dump(a, heads, values):
    for index, y in zip(heads, values):
        np.save(os.path.join(a.dump, f"{index:03}.npy"), np.ascontiguousarray(y.transpose(0, 2, 3, 1)))


def opencv(a):
    import cv2
    cv2.setNumThreads(a.threads)
    net = cv2.dnn.readNetFromDarknet(a.cfg, a.weights)
    outputs = net.getUnconnectedOutLayersNames()
    size, layers = networks.layers_of(a.cfg)
    if a.image:
        shape = (size["width"], size["height"])
        net.setInput(cv2.dnn.blobFromImage(cv2.imread(a.image), 1 / 255, shape, swapRB=True))
        found = np.concatenate(net.forward(outputs))
        scores = found[:, 5:].max(1)
        kept = cv2.dnn.NMSBoxes(found[:, :4].tolist(), scores.tolist(), 0.25, 0.45)
        print(f"{len(kept)} boxes")
        return
    blob = np.ascontiguousarray(np.load(a.input).transpose(0, 3, 1, 2))
    net.setInput(blob)
    if a.dump:
        heads = networks.heads_of(layers)
        dump(a, heads, [net.forward(f"conv_{i}") for i in heads])
        return
    measure(a, lambda: net.forward(outputs), before=lambda: net.setInput(blob))


def torch_boxes(network, values):
    """Boxes with a score above 0.25 from the layers before the heads, after non-maximum suppression."""
    import torch
    boxes, scores = [], []
    for index, y in zip(network.heads, values):
        keys = network.layers[index + 1].keys
        anchors = torch.tensor([float(v) for v in keys["anchors"].split(",")]).view(-1, 2)
        anchors = anchors[[int(i) for i in keys["mask"].split(",")]]
        y = y[0].contiguous().view(len(anchors), -1, y.shape[2], y.shape[3])
        score, _ = (y[:, 5:].sigmoid() * y[:, 4:5].sigmoid()).max(1)
        n, row, column = (score > 0.25).nonzero(as_tuple=True)
        t = y[n, :4, row, column]
        x = (column + t[:, 0].sigmoid()) / y.shape[3]
        z = (row + t[:, 1].sigmoid()) / y.shape[2]
        half = t[:, 2:4].exp() * anchors[n] / torch.tensor([network.net["width"], network.net["height"]]) / 2
        boxes.append(torch.stack([x - half[:, 0], z - half[:, 1], x + half[:, 0], z + half[:, 1]], 1))
        scores.append(score[n, row, column])
    boxes, scores = torch.cat(boxes), torch.cat(scores)
    boxes = boxes[scores.argsort(descending=True)]
    kept = []
    while len(boxes):
        best, boxes = boxes[0], boxes[1:]
        kept.append(best)
        low, high = torch.maximum(best[:2], boxes[:, :2]), torch.minimum(best[2:], boxes[:, 2:])
        both = (high - low).clamp(min=0).prod(1)
        union = (best[2:] - best[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - both
        boxes = boxes[both / union < 0.45]
    return kept


def pytorch(a):
    import torch

    import torch_network
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    network = torch_network.Network(a.cfg, a.weights).to(memory_format=torch.channels_last)
    if a.training:
        train(a, network)
        return
    network.eval()
    with torch.no_grad():
        if a.image:
            from PIL import Image
            image = Image.open(a.image).convert("RGB").resize((network.net["width"], network.net["height"]))
            x = torch.from_numpy(np.asarray(image, np.float32)[None] / 255).permute(0, 3, 1, 2)
            print(f"{len(torch_boxes(network, network(x)))} boxes")
            return
        # Seen as NCHW, a permuted NHWC array is channels_last.
        x = torch.from_numpy(np.load(a.input)).permute(0, 3, 1, 2)
        if a.engine == "torch-jit":
            run = torch.jit.optimize_for_inference(torch.jit.trace(network, x))
        else:
            run = network
        if a.dump:
            dump(a, network.heads, [y.numpy() for y in run(x)])
        else:
            measure(a, lambda: run(x))


def train(a, network):
    """Forward, a loss, backward and an update. The loss is a sum of squares of what the heads would read:
    cheaper than a detector's loss, so the comparison is in this peer's favour."""
    import torch
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-9, momentum=0.9, weight_decay=5e-4)
    shape = (a.batch, network.net["channels"], network.net["height"], network.net["width"])
    x = torch.rand(shape).contiguous(memory_format=torch.channels_last)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = sum(y.square().sum() for y in network(x))
        loss.backward()
        optimizer.step()

    measure(a, step)


def torchvision(a):
    import torch

    import torch_detectors
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    detector = torch_detectors.Detector(a.cfg, a.weights).to(memory_format=torch.channels_last)
    if a.training:
        train_detector(a, detector)
        return
    detector.eval()
    x = torch.from_numpy(np.load(a.input)).permute(0, 3, 1, 2)
    with torch.no_grad():
        if a.dump:
            dump(a, detector.heads, [y.numpy() for y in detector.before_heads(x)])
        elif a.scores:
            print(json.dumps({"scores": detector(x)[0]["scores"].tolist()}))
        else:
            measure(a, lambda: detector(x))


def train_detector(a, detector):
    """Forward, torchvision's losses, backward and an update."""
    import torch
    detector.train()
    optimizer = torch.optim.SGD([p for p in detector.parameters() if p.requires_grad], lr=1e-9, momentum=0.9,
                                weight_decay=1e-4)
    x = torch.rand(a.batch, 3, detector.height, detector.width)
    targets = detector.targets(a.batch, "cpu")

    def step():
        optimizer.zero_grad(set_to_none=True)
        detector.loss(x, *targets).backward()
        optimizer.step()

    measure(a, step)


if __name__ == "__main__":
    given = arguments()
    {"opencv": opencv, "torchvision": torchvision}.get(given.engine, pytorch)(given)

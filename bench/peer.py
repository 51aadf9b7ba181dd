"""One peer in a process of its own: prints {"milliseconds": [...]} as `osprey bench` does, or writes what
the layers before the heads compute, or detects in one image.

    peer.py opencv|torch|onnxruntime|ncnn|torchvision CFG WEIGHTS --input X.npy [--threads T] [--batch B] [--training] ...
"""
import argparse
import contextlib
import json
import os
import time

import numpy as np

import networks


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("engine", choices=list(ENGINES))
    p.add_argument("cfg")
    p.add_argument("weights")
    p.add_argument("--model", help="of onnxruntime and ncnn: their own files, without the end of the name")
    p.add_argument("--input", help=".npy, float32 [1,H,W,C] in 0..1")
    p.add_argument("--image", help="detect in this image instead: the whole way, once")
    p.add_argument("--dump", help="folder for NNN.npy [1,H,W,C] of the layers before the heads, or the last one's")
    p.add_argument("--scores", action="store_true", help="of torchvision: print those of all detections instead")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--form", choices=["", "jit", "autocast", "direct"], default="")
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


def dump(a, indexes, values):
    """Arrays [1,C,H,W], or [1,C]."""
    for index, y in zip(indexes, values):
        y = y.reshape(*y.shape, *[1] * (4 - y.ndim))
        np.save(os.path.join(a.dump, f"{index:03}.npy"), np.ascontiguousarray(y.transpose(0, 2, 3, 1)))


def images_of(a):
    """[batch,C,H,W]: the same picture in every place."""
    return np.ascontiguousarray(np.repeat(np.load(a.input), a.batch, 0).transpose(0, 3, 1, 2))


def picture(a, net):
    """The image of --image at the network's size, bytes [H,W,3]."""
    from PIL import Image
    return np.asarray(Image.open(a.image).convert("RGB").resize((net["width"], net["height"])))


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
    blob = images_of(a)
    net.setInput(blob)
    if a.dump:
        heads = networks.heads_of(layers)
        names = {"convolutional": "conv", "connected": "fullyConnected"}
        dump(a, heads, [net.forward(f"{names[layers[i].name]}_{i}") for i in heads])
        return
    measure(a, lambda: net.forward(outputs), before=lambda: net.setInput(blob))


def without_duplicates(boxes, scores):
    """Corners [K,4] and one score each: the boxes that are left, best first."""
    boxes = boxes[np.argsort(-scores)]
    kept = []
    while len(boxes):
        best, boxes = boxes[0], boxes[1:]
        kept.append(best)
        low, high = np.maximum(best[:2], boxes[:, :2]), np.minimum(best[2:], boxes[:, 2:])
        both = np.maximum(high - low, 0).prod(1)
        either = (best[2:] - best[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(1) - both
        boxes = boxes[both < 0.45 * either]
    return kept


def onnxruntime(a):
    import onnxruntime as runtime
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = a.threads, 1
    net, layers = networks.layers_of(a.cfg)
    model = a.model + (".decoded.onnx" if a.image else ".onnx")
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    if a.image:
        x = picture(a, net).transpose(2, 0, 1)[None].astype(np.float32) / 255
        boxes, scores = (y[0] for y in session.run(["boxes", "scores"], {"images": x}))
        best = scores.max(1)
        print(f"{len(without_duplicates(boxes[best > 0.25], best[best > 0.25]))} boxes")
        return
    x = images_of(a)
    if not a.dump:
        measure(a, lambda: session.run(None, {"images": x}))
        return
    # What a head reads is named after the head; a classifier has its last layer's alone.
    heads = [layer.index for layer in layers if layer.name == "yolo"]
    names = [f"{i}_yolo" for i in heads] or [session.get_outputs()[0].name]
    dump(a, [i - 1 for i in heads] or [layers[-1].index], session.run(names, {"images": x}))


def ncnn(a):
    import ncnn as library

    import ncnn_network
    network, layers = networks.layers_of(a.cfg)
    net = library.Net()
    net.opt.num_threads = a.threads
    net.opt.use_bf16_storage = a.precision == "bf16"
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = a.precision != "fp32"  # else some weights become fp16
    net.opt.use_winograd_convolution = a.form != "direct"
    if net.load_param(a.model + ".param") or net.load_model(a.model + ".bin"):
        raise SystemExit(f"ncnn does not load {a.model}")

    def computed(image, names):
        """Their values, in arrays that live as long as the extractor."""
        extractor = net.create_extractor()
        extractor.input("images", image)
        values = [extractor.extract(name) for name in names]
        if any(status for status, _ in values):
            raise SystemExit(f"ncnn does not compute {', '.join(names)}")
        return extractor, [value for _, value in values]

    if a.image:
        pixels = picture(a, network)
        image = library.Mat.from_pixels(pixels, library.Mat.PixelType.PIXEL_RGB, pixels.shape[1], pixels.shape[0])
        image.substract_mean_normalize([], [1 / 255] * 3)
        _, (found,) = computed(image, ["detections"])
        print(f"{found.h} boxes")
        return
    heads = networks.heads_of(layers)
    names = [ncnn_network.layer_name(i) for i in heads]
    pixels = images_of(a)
    images = [library.Mat(x).clone() for x in pixels]
    if a.dump:
        _, values = computed(images[0], names)
        dump(a, heads, [np.array(y).reshape(1, layers[i].c, layers[i].h, layers[i].w) for i, y in zip(heads, values)])
        return
    measure(a, lambda: [computed(image, names) for image in images])


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
    return without_duplicates(torch.cat(boxes).numpy(), torch.cat(scores).numpy())


def autocast(a):
    """A context in which PyTorch chooses bf16 by itself, if that is the form asked for."""
    import torch
    return torch.autocast("cpu", torch.bfloat16) if a.form == "autocast" else contextlib.nullcontext()


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
    with torch.no_grad(), autocast(a):
        if a.image:
            x = torch.from_numpy(picture(a, network.net)[None].astype(np.float32) / 255).permute(0, 3, 1, 2)
            print(f"{len(torch_boxes(network, network(x)))} boxes")
            return
        x = torch.from_numpy(images_of(a)).contiguous(memory_format=torch.channels_last)
        if a.precision == "bf16" and a.form != "autocast":
            network, x = network.bfloat16(), x.bfloat16()
        run = network
        if a.form == "jit":
            run = torch.jit.optimize_for_inference(torch.jit.trace(network, x))
        if a.dump:
            dump(a, network.heads, [y.float().numpy() for y in run(x)])
            return
        measure(a, lambda: run(x))


def train(a, network):
    """Forward, a sum of squares, backward and SGD with momentum. The loss is of the layers that the heads would read:
    cheaper than a detector's loss, so the comparison is in this peer's favour."""
    import torch
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-9, momentum=0.9, weight_decay=5e-4)
    shape = (a.batch, network.net["channels"], network.net["height"], network.net["width"])
    x = torch.rand(shape).contiguous(memory_format=torch.channels_last)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast(a):
            loss = sum(y.float().square().sum() for y in network(x))
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
    x = torch.from_numpy(images_of(a))
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


ENGINES = {"opencv": opencv, "torch": pytorch, "onnxruntime": onnxruntime, "ncnn": ncnn, "torchvision": torchvision}

if __name__ == "__main__":
    given = arguments()
    ENGINES[given.engine](given)

"""The arithmetic, the reports and the refusals of the programs in bench/. OSPREY_BUILD is the folder of the programs."""
import importlib.machinery
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BENCH = os.path.join(ROOT, "bench")
BUILD = os.environ.get("OSPREY_BUILD", os.path.join(ROOT, "build"))
sys.path.insert(0, BENCH)

import gpu_report
import networks
import npy
import report
import roof
import roofline

try:
    import torch
except ImportError:
    torch = None


def program(name):
    """A program of bench/ as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), os.path.join(BENCH, name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def started(name, *arguments):
    return subprocess.run([os.path.join(BENCH, name), *arguments], capture_output=True, text=True)


def layers_of(name):
    return networks.layers_of(os.path.join(ROOT, "cfg", name + ".cfg"))[1]


class Folder(unittest.TestCase):
    def setUp(self):
        kept = tempfile.TemporaryDirectory()
        self.addCleanup(kept.cleanup)
        self.folder = kept.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def written(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)


class Networks(Folder):
    def test_sizes_are_those_of_the_published_networks(self):
        # Bytes of the original .weights; of ResNet-50 its 25,557,032 parameters, 26,560 means and as many variances.
        for name, size, gigaflops in (("yolov3", 248007048, 65.864), ("yolov4-tiny", 24251276, 6.908),
                                      ("resnet50", 20 + 4 * (25557032 + 2 * 26560), 8.178)):
            layers = layers_of(name)
            networks.write_weights(self.path("w"), layers)
            self.assertEqual(os.path.getsize(self.path("w")), size, name)
            self.assertAlmostEqual(networks.gigaflops(layers), gigaflops, 3)
            said = subprocess.run([os.path.join(BUILD, "osprey"), "summary", os.path.join(ROOT, "cfg", name + ".cfg")],
                                  capture_output=True, text=True, check=True).stdout
            self.assertIn(f": {size} bytes as .weights)", said)

    def test_weights_of_detectors_have_the_size_that_osprey_expects(self):
        for name in ("retinanet-r50-fpn", "faster-rcnn-r50-fpn"):
            cfg = networks.resized(os.path.join(ROOT, "cfg", name + ".cfg"), self.folder, 320, 256)
            net, layers = networks.layers_of(cfg)
            self.assertEqual((net["width"], net["height"]), (320, 256))
            networks.write_weights(self.path("w"), layers)
            said = subprocess.run([os.path.join(BUILD, "osprey"), "summary", cfg], capture_output=True, text=True,
                                  check=True).stdout
            self.assertIn(f": {os.path.getsize(self.path('w'))} bytes as .weights)", said)

    def test_detectors_see_levels(self):
        layers = layers_of("retinanet-tiny")
        heads = [layers[i] for i in networks.heads_of(layers)]
        self.assertTrue(networks.detects_like_torchvision(layers))
        self.assertFalse(networks.detects_like_torchvision(layers_of("yolov3")))
        half = len(heads) // 2
        self.assertEqual([(x.w, x.h) for x in heads[:half]], [(x.w, x.h) for x in heads[half:]])
        self.assertEqual({layer.weights > 0 for layer in heads if "share" in layer.keys}, {False})
        self.assertTrue(all(layer.flops > 0 for layer in heads))

    def test_yolov3_sees_what_it_should(self):
        layers = layers_of("yolov3")
        self.assertEqual([layer.sources for layer in layers if layer.name == "route"],
                         [[79], [85, 61], [91], [97, 36]])
        self.assertEqual([(layers[i].w, layers[i].c) for i in networks.heads_of(layers)],
                         [(13, 255), (26, 255), (52, 255)])
        names = [layer.name for layer in layers]
        self.assertEqual([names.count(n) for n in ("convolutional", "shortcut", "yolo", "upsample")], [75, 23, 3, 2])

    def test_resnet50_adds_what_came_in(self):
        layers = layers_of("resnet50")
        sums = [layer for layer in layers if layer.name == "shortcut"]
        self.assertEqual(len(sums), 16)
        for layer in sums:
            a, b = (layers[i] for i in layer.sources)
            self.assertEqual((a.c, a.h, a.w), (b.c, b.h, b.w))
            self.assertEqual(b.name, "convolutional" if layers[a.index - 1].name == "route" else "shortcut")

    def test_npy(self):
        npy.write(self.path("x.npy"), (1, 2, 3), [1, 2, 3, 4, 5, -0.5])
        shape, values = npy.read(self.path("x.npy"))
        self.assertEqual((shape, list(values)), ((1, 2, 3), [1, 2, 3, 4, 5, -0.5]))
        self.assertEqual(os.path.getsize(self.path("x.npy")) % 64, 24)
        self.assertRaises(ValueError, npy.read, self.written("y.npy", "no array"))


CFG = """[net]
width=8
height=8
channels=4
[convolutional]
batch_normalize=1
filters=6
size=3
pad=1
activation=leaky
[convolutional]
filters=4
size=1
activation=linear
[shortcut]
from=-2
[route]
layers=-1,0
"""


class Roofline(Folder):
    def setUp(self):
        super().setUp()
        text = CFG.replace("filters=4", "filters=6")
        self.layers = networks.layers_of(self.written("x.cfg", text))[1]

    def bytes_of(self, precision, batch, training):
        return [c.bytes for c in roofline.costs(self.layers, precision, batch, training, roofline.Ceilings())]

    def test_bytes(self):
        # Values: 256 in, 384 out of each layer, 768 out of the last; 216 and 36 weights.
        self.assertEqual(self.bytes_of("bf16", 2, False), [2 * (256 + 384 + 108), 2 * (384 + 384 + 18 + 384), 0,
                                                           2 * 2 * 768, 0])
        self.assertEqual(self.bytes_of("fp32", 2, False), [2 * b for b in self.bytes_of("bf16", 2, False)])
        first = 4 * (256 + 384 + 216) + 4 * 7 * 384 + 4 * (384 + 256 + 216)  # no gradient of the image
        second = 4 * (384 + 384 + 36 + 384) + 2 * 4 * (384 + 384 + 36)
        self.assertEqual(self.bytes_of("fp32", 1, True), [first, second, 4 * 384, 4 * 4 * 768, 20 * (216 + 36)])

    def test_time_is_the_longer_of_the_two(self):
        slow_memory = roofline.Ceilings(fp32=1e6, bandwidth=1e-6)  # a megabyte a second
        cost = roofline.costs(self.layers, "fp32", 1, False, slow_memory)[0]
        self.assertAlmostEqual(cost.seconds, 4 * (256 + 384 + 216) / 1e6)
        self.assertEqual(cost.memory_seconds, cost.seconds)
        slow_arithmetic = roofline.Ceilings(fp32=1e-6, bandwidth=1e6)
        cost = roofline.costs(self.layers, "fp32", 1, False, slow_arithmetic)[0]
        self.assertAlmostEqual(cost.seconds, 2 * 216 * 64 / 1e6)
        self.assertEqual(cost.memory_seconds, 0)

    def test_ceilings_are_read(self):
        self.assertEqual(roofline.Ceilings.parse("bf16=100,bandwidth=2"), roofline.Ceilings(bf16=100, bandwidth=2))
        self.assertRaises(TypeError, roofline.Ceilings.parse, "fp8=1")

    def test_measured_layers_are_read_from_what_osprey_says(self):
        said = subprocess.run([os.path.join(BUILD, "osprey"), "bench", os.path.join(ROOT, "cfg", "quickstart.cfg"),
                               "--layers", "--iterations", "1", "--warmup", "0"], capture_output=True, text=True,
                              check=True).stdout
        measured = roofline.measured_layers(said)
        layers = layers_of("quickstart")
        self.assertLessEqual(set(measured), set(range(len(layers))))
        self.assertGreater(measured[0], 0)
        text = roofline.layer_table(layers, "fp32", 1, False, roofline.Ceilings(), measured)
        self.assertIn(f"| {measured[0]:.4f} |", text)
        widths = {row.count("|") for row in text.splitlines()}
        self.assertEqual(len(widths), 1, text)

    def test_dry(self):
        done = started("gpu-compare", "--dry", "--layers", "--networks", "resnet50", "--batches", "64")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("resnet50 | bf16 | 64", done.stdout)
        self.assertIn("| 76 | softmax |", done.stdout)


def rounds_of(ours, eager, memory=(60, 100)):
    return [{"osprey": {"time": x, "memory": memory[0]}, "eager": {"time": y, "memory": memory[1]}}
            for x, y in zip(ours, eager)]


CLASSIFIER = """[net]
width=8
height=8
channels=3
[convolutional]
filters=4
size=3
pad=1
activation=relu
[avgpool]
[connected]
output=5
activation=linear
[softmax]
"""


class OspreyBench(Folder):
    def test_a_classifier_trains_on_every_device(self):
        cfg = self.written("c.cfg", CLASSIFIER)
        for device in ("cpu", "emulated"):
            said = subprocess.run([os.path.join(BUILD, "osprey"), "bench", cfg, "--training", "--batch", "2", "--device",
                                   device, "--iterations", "3"], capture_output=True, text=True)
            self.assertEqual(said.returncode, 0, said.stderr)
            answer = json.loads(said.stdout)
            self.assertEqual((answer["mode"], len(answer["milliseconds"])), ("training", 3))
            self.assertNotIn("device_mib", answer)  # there is no GPU whose memory could be told

    def test_ceilings(self):
        said = subprocess.run([os.path.join(BUILD, "osprey"), "bench", "--probe", "--threads", "2"], capture_output=True,
                              text=True, check=True).stdout
        one, two = json.loads(said)["ceilings"]
        self.assertEqual((one["threads"], two["threads"]), (1, 2))
        for c in (one, two):
            # A core does between a product in four cycles and 128 in one, at 1 to 6 GHz.
            self.assertTrue(0.5 < c["fp32_gflops"] / c["threads"] < 1000, c)
            self.assertEqual(c["fp32_gflops"], max(c["avx2_gflops"], c["avx512_gflops"]) or c["fp32_gflops"])
            self.assertTrue(c["read_gbytes"] > 0.1 and c["triad_gbytes"] > 0.1, c)

    def test_layers_beside_the_ceilings(self):
        cfg = self.written("c.cfg", CLASSIFIER)
        command = [os.path.join(BUILD, "osprey"), "bench", cfg, "--layers", "--batch", "2", "--threads", "1",
                   "--iterations", "3"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        answer = json.loads(said.splitlines()[0])
        ceilings, first = answer["ceilings"][0], answer["layers"][0]
        self.assertEqual([x["type"] for x in answer["layers"]], ["convolutional", "avgpool", "connected", "softmax"])
        self.assertEqual((first["window"], first["output"]), ("3x3/1", [8, 8, 4]))
        operations, values = 2 * 2 * 64 * 3 * 9 * 4, 2 * 64 * (3 + 4) + 4 * 3 * 9 + 4  # of two images
        self.assertAlmostEqual(first["gflops"] * first["milliseconds"], operations / 1e6)
        seconds = max(operations / ceilings["fp32_gflops"],
                      4 * values / max(ceilings["read_gbytes"], ceilings["triad_gbytes"])) / 1e9
        self.assertAlmostEqual(first["of_roof"], seconds / first["milliseconds"] * 1000)
        row = said.splitlines()[2].split()
        self.assertEqual((row[:3], row[-1]), (["0", "convolutional", "3x3/1"], f"{100 * first['of_roof']:.1f}%"))
        # Ceilings are of the CPU: they say nothing of kernels elsewhere.
        said = subprocess.run([*command, "--device", "emulated"], capture_output=True, text=True, check=True).stdout
        answer = json.loads(said.splitlines()[0])
        self.assertNotIn("ceilings", answer)
        self.assertNotIn("of_roof", answer["layers"][0])

    def test_bench_needs_a_network_or_a_question(self):
        said = subprocess.run([os.path.join(BUILD, "osprey"), "bench"], capture_output=True, text=True)
        self.assertEqual((said.returncode, said.stderr), (1, "osprey: bench needs a .cfg file, or --probe\n"))

    def test_what_has_no_loss_does_not_train(self):
        cfg = self.written("c.cfg", CLASSIFIER.replace("[softmax]\n", ""))
        said = subprocess.run([os.path.join(BUILD, "osprey"), "bench", cfg, "--training"], capture_output=True, text=True)
        self.assertEqual(said.returncode, 1)
        self.assertIn("nothing to train for", said.stderr)


class Report(Folder):
    case = ("yolov3", "training", "bf16", 64)

    def verdicts(self, rounds, card="NVIDIA H200"):
        return {line.split(" ")[0] + line.split(":")[1]: line for line in gpu_report.verdicts(self.case, rounds, card)}

    def test_verdicts(self):
        fast = "at least 1.4 times as fast as PyTorch eager"
        said = self.verdicts(rounds_of([40, 40], [60, 61]))
        self.assertIn(f"PASS {fast}", said)
        self.assertIn("PASS peak memory at most 0.65 of PyTorch eager", said)
        self.assertIn("PASS at least 1,200 images/s", said)  # 64 images in 40 ms are 1,600
        self.assertIn("NOT at least 1.1 times as fast as torch.compile", said)
        said = self.verdicts(rounds_of([54, 54], [60, 61], (66, 100)))
        self.assertIn(f"FAIL {fast}", said)
        self.assertIn("FAIL peak memory at most 0.65 of PyTorch eager", said)
        self.assertIn("FAIL at least 1,200 images/s", said)
        self.assertIn(f"UNCLEAR {fast}", self.verdicts(rounds_of([40, 50], [60, 60])))
        self.assertNotIn("PASS at least 1,200 images/s", self.verdicts(rounds_of([40], [60]), "another card"))

    def test_detectors_have_targets_of_their_own(self):
        case = ("retinanet-r50-fpn", "training", "bf16", 16)
        said = "\n".join(gpu_report.verdicts(case, rounds_of([50, 50], [80, 81]), "H200"))
        self.assertIn("PASS retinanet-r50-fpn, training step, bf16, batch 16: at least 1.5 times as fast", said)
        case = ("faster-rcnn-r50-fpn", "inference", "bf16", 1)
        said = "\n".join(gpu_report.verdicts(case, rounds_of([51, 52], [80, 81]), "H200"))
        self.assertIn("FAIL faster-rcnn-r50-fpn, inference, bf16, batch 1: latency at most 0.50 of PyTorch eager", said)
        self.assertEqual(gpu_report.verdicts((case[0], "inference", "bf16", 64), rounds_of([51], [80]), "H200"), [])

    def test_what_was_not_measured_is_no_figure(self):
        rounds = [{"eager": {"time": 60, "memory": None}}]
        self.assertTrue(all(line.startswith("NOT MEASURED") for line in gpu_report.verdicts(self.case, rounds, "H200")))
        text, _ = gpu_report.document("T", [], [], {self.case: rounds}, ["osprey: no"], {}, "H200")
        self.assertIn("- osprey: no", text)
        self.assertNotIn("| osprey |", text)

    def test_ratios_are_formed_within_a_round(self):
        self.assertEqual(gpu_report.ratios(rounds_of([10, 20], [20, 40]), "eager"), [0.5, 0.5])
        row = next(line for line in gpu_report.table(self.case, rounds_of([32], [64]), 16).splitlines() if "osprey" in line)
        self.assertEqual(row, "| osprey | 32.000 | 32.000 | 32.000 | 2,000 |  | 60 | 50% |")


class Task:
    """An inference of yolov3-tiny as bench/compare describes it to its report."""
    mode, batch, threads = "inference", 1, 2

    class case:
        name, detector, darknet_work, net = "yolov3-tiny", False, 1, {"width": 416, "height": 416}

    def __init__(self, *engines):
        self.engines = engines


def of_times(**times):
    """One round: each engine's time, and a memory of ten times as much."""
    return {key.replace("_", "-"): {"time": time, "memory": 10 * time} for key, time in times.items()}


class CompareReport(unittest.TestCase):
    engines = ("osprey", "osprey-bf16", "torch", "ncnn", "ncnn-bf16", "onnxruntime")

    def test_each_precision_is_held_against_its_own_fastest_peer(self):
        rounds = [of_times(osprey=50, osprey_bf16=30, torch=90, ncnn=60, ncnn_bf16=36, onnxruntime=80)] * 2
        said = "\n".join(report.verdicts([(Task(*self.engines), rounds)]))
        where = "yolov3-tiny 416x416, inference, 1 image, 2 threads"
        for line in (f"PASS {where}, fp32: time of the fastest peer, ncnn: 0.833",
                     f"FAIL {where}, fp32: peak memory of ncnn: 0.833",
                     f"FAIL {where}, bf16: time of the fastest peer, ncnn, bf16: 0.833",
                     f"PASS {where}: bf16's time of our own fp32: 0.6",
                     "FAIL inference, 1 image, fp32: time of the fastest peer, geometric mean of 1 case: 0.833",
                     "FAIL inference, 1 image, fp32: time of ONNX Runtime, geometric mean of 1 case: 0.625"):
            self.assertIn(line, said)

    def test_the_mean_is_geometric_within_rounds(self):
        results = [(Task("osprey", "ncnn"), [of_times(osprey=x, ncnn=100) for x in of_network])
                   for of_network in ((20, 40), (80, 90))]
        values, count = report.mean_ratios(results, lambda rounds: "ncnn", "osprey")
        self.assertEqual(count, 2)
        self.assertAlmostEqual(values[0], 0.4)
        self.assertAlmostEqual(values[1], 0.6)

    def test_what_was_not_measured_is_told_and_no_figure(self):
        rounds = [of_times(osprey=50, ncnn=60, ncnn_bf16=36), of_times(osprey=50, ncnn=60)]
        task = Task("osprey", "osprey-bf16", "ncnn", "ncnn-bf16")
        said = report.verdicts([(task, rounds)])
        self.assertIn("NOT MEASURED yolov3-tiny 416x416, inference, 1 image, 2 threads, bf16", said)
        self.assertFalse([line for line in said if "bf16" in line and not line.startswith("NOT MEASURED")])
        self.assertNotIn("ncnn, bf16", report.table(task, rounds))
        lines = report.missing_lines([("osprey-bf16", "a", "no"), ("osprey-bf16", "b", "no"), ("ncnn", "c", "broken")])
        self.assertEqual(lines, ["osprey, bf16 not measured: no (2 cases)", "ncnn not measured: broken (c)"])

    def test_a_busy_machine_passes_nothing(self):
        said = report.verdicts([(Task("osprey", "ncnn"), [of_times(osprey=50, ncnn=100)])], busy=True)
        self.assertTrue(said)
        self.assertTrue(all(line.startswith(("UNCLEAR", "NOT MEASURED")) for line in said), said)

    def test_table(self):
        rounds = [of_times(osprey=50, ncnn=100), of_times(osprey=40, ncnn=100)]
        row = next(line for line in report.table(Task("osprey", "ncnn"), rounds).splitlines() if "| ncnn" in line)
        self.assertEqual(row, "| ncnn | 100.0 | 100.0 | 100.0 | 10.0 | 0.45 (0.40 to 0.50) | 1000 | 0.45 |")


class Roof(unittest.TestCase):
    def answer(self):
        layers = [("convolutional", "3x3/1", 4, 2, 0.5), ("convolutional", "3x3/1", 2, 2, 1.5), ("maxpool", "2x2/2", 9, 9, 1),
                  ("convolutional", "3x3/2 g8", 1, 1, 0.25), ("convolutional", "1x1/1", 0, 0, None),
                  ("convolutional", "1x1/1", 2, 2, 0.5)]
        answer = {"layers": [{"layer": number, "type": kind, "window": window, "milliseconds": usual,
                              "least_milliseconds": least, **({"of_roof": share} if share else {})}
                             for number, (kind, window, usual, least, share) in enumerate(layers)]}
        answer["layers"][4]["done_by"] = 5
        return answer

    def test_shares_are_of_the_least_time(self):
        # Allowed are 2, 3, 0.25 and 1 milliseconds.
        self.assertEqual(roof.shares(self.answer()),
                         {"3x3": (4, 1.25), "chain": (2, 0.5), "grouped": (1, 0.25), "all": (7, 6.25 / 7)})
        self.assertRaises(ValueError, roof.read, "{}\n")

    def test_floors(self):
        floors = program("floors")
        self.assertEqual(floors.under({"3x3": 0.6, "1x1": 0.5}, {"3x3": 0.6, "1x1": 0.51}), ["1x1"])
        run = lambda floor: started("floors", "--networks", "quickstart", "--floor", f"3x3={floor}", "--tries", "1",
                                    "--osprey", os.path.join(BUILD, "osprey"))
        self.assertEqual(run(1e-6).returncode, 0)
        done = run(1e6)
        self.assertEqual(done.returncode, 1)
        self.assertIn("floors: quickstart: its convolutions 3x3 are under", done.stderr)
        self.assertEqual(started("floors", "--networks", "yolov4").returncode, 2)
        done = started("floors", "--networks", "quickstart", "--floor", "chain=0.1", "--tries", "1", "--osprey",
                       os.path.join(BUILD, "osprey"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("floors: quickstart has no convolutions chain", done.stderr)


try:
    import ncnn_network
    import numpy
except ImportError:
    numpy = None


@unittest.skipIf(numpy is None, "numpy is not installed")
class NcnnNetwork(Folder):
    def written_as_ncnn(self, text):
        cfg = self.written("n.cfg", text)
        networks.write_weights(self.path("w"), networks.layers_of(cfg)[1])
        ncnn_network.write(cfg, self.path("w"), self.path("n"))
        with open(self.path("n.param")) as file:
            return file.read().splitlines()

    def test_batch_norm_is_folded(self):
        lines = self.written_as_ncnn(CFG.split("[shortcut]")[0])
        self.assertEqual(lines[:2], ["7767517", "3 3"])
        self.assertEqual(lines[3], "Convolution layer0 1 1 images layer0 0=6 1=3 3=1 4=1 5=1 6=216 9=2 -23310=1,0.1")
        theirs = numpy.fromfile(self.path("n.bin"), numpy.float32)
        biases, scales, means, variances = (numpy.fromfile(self.path("w"), numpy.float32)[5:29].reshape(4, 6))
        weights = numpy.fromfile(self.path("w"), numpy.float32)[29:245]
        self.assertEqual(len(theirs), 1 + 216 + 6 + 1 + 24 + 4)
        factors = scales / numpy.sqrt(variances + 1e-5)
        self.assertTrue(numpy.allclose(theirs[1:217].reshape(6, -1), weights.reshape(6, -1) * factors[:, None]))
        self.assertTrue(numpy.allclose(theirs[217:223], biases - means * factors))

    def test_every_blob_goes_to_one_layer(self):
        lines = self.written_as_ncnn(CFG.replace("filters=4", "filters=6").replace(
            "layers=-1,0", "layers=-1,0\ngroups=2\ngroup_id=1"))
        count, blobs = map(int, lines[1].split())
        self.assertEqual(count, len(lines) - 2)
        made, read = [], []
        for line in lines[2:]:
            kind, _, inputs, outputs, *rest = line.split()
            read += rest[:int(inputs)]
            made += rest[int(inputs):int(inputs) + int(outputs)]
        self.assertEqual((len(made), len(set(made))), (blobs, blobs))
        self.assertEqual(len(set(read)), len(read))
        self.assertEqual(set(made) - set(read), {"layer3"})
        self.assertTrue(any(line.startswith("Crop layer3_part0 1 1 layer0_") and line.endswith("2=3 3=8 4=8 5=3")
                            for line in lines), lines)

    def test_what_ncnn_is_not_told_is_refused(self):
        text = CFG.replace("activation=leaky", "activation=mish")
        with self.assertRaisesRegex(ValueError, "activation=mish"):
            self.written_as_ncnn(text)


class Programs(Folder):
    def test_without_a_gpu_nothing_is_measured(self):
        done = started("gpu-compare", "--osprey", "/bin/true", "--python", "/bin/false", "--out", self.path("out"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("has no PyTorch that works", done.stderr)
        self.assertFalse(os.path.exists(self.path("out")))

    def test_a_measurement_goes_on_where_it_was_cut_short(self):
        compare = program("gpu-compare")
        results = compare.Results(self.path("r.json"), "a card")
        results.rounds["yolov3", "training", "bf16", 64] = rounds_of([1], [2])
        results.save()
        again = compare.Results(self.path("r.json"), "a card")
        self.assertEqual(again.rounds, results.rounds)
        self.assertRaises(compare.Failure, compare.Results, self.path("r.json"), "another card")

    def measured(self, failing):
        """Two rounds in which one engine fails."""
        compare = program("gpu-compare")

        def measure(a, engine, *case):
            if engine == failing:
                raise compare.Failure("no")
            return {"time": 1.0, "memory": None}

        compare.measure = measure
        results = compare.Results(self.path("r.json"), "a card")
        compare.measure_case(type("Arguments", (), {"rounds": 2}), None, Report.case, ["osprey", "eager"], results)
        return [list(figures) for figures in results.rounds[Report.case]], results.missing

    def test_a_peer_that_fails_is_told_and_left_out(self):
        rounds, missing = self.measured("eager")
        self.assertEqual(rounds, [["osprey"], ["osprey"]])
        self.assertEqual(missing, ["yolov3, training step, bf16, batch 64, PyTorch eager: no"])

    def test_without_ours_there_is_nothing_to_compare(self):
        rounds, missing = self.measured("osprey")
        self.assertEqual(rounds, [])
        self.assertEqual(missing, ["yolov3, training step, bf16, batch 64, osprey: no"])

    def test_distance(self):
        self.assertAlmostEqual(program("gpu-compare").distance([3, 4.5], [3, 4]), 0.1)

    def test_bundle_refuses(self):
        for cache, message in ((None, "is no build"), ("", "no kernels by nvcc"),
                               ("CMAKE_CUDA_COMPILER:FILEPATH=nvcc\nOSPREY_ARCH:STRING=native\n", "processor"),
                               ("CMAKE_CUDA_COMPILER:FILEPATH=nvcc\nOSPREY_ARCH:STRING=x86-64-v3\n", "is not built")):
            if cache is not None:
                self.written("CMakeCache.txt", cache)
            done = started("gpu-bundle", "--build", self.folder, self.path("x.tar.gz"))
            self.assertEqual(done.returncode, 1)
            self.assertIn(message, done.stderr)
        self.assertEqual(started("gpu-bundle").returncode, 2)

    def test_a_bundle_starts_where_our_libraries_are_not(self):
        self.written("CMakeCache.txt", "CMAKE_CUDA_COMPILER:FILEPATH=nvcc\nOSPREY_ARCH:STRING=x86-64-v3\n")
        shutil.copy(os.path.join(BUILD, "osprey"), self.path("osprey"))
        done = started("gpu-bundle", "--build", self.folder, self.path("x.tar.gz"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"x.tar.gz: \d+ MB packed, \d+ MB unpacked, with osprey; needs GLIBC 2\.\d+")
        self.assertLess(os.path.getsize(self.path("x.tar.gz")), 60e6)
        subprocess.run(["tar", "-C", self.folder, "-xzf", self.path("x.tar.gz")], check=True)
        unpacked = self.path("osprey-gpu")
        libraries = os.listdir(os.path.join(unpacked, "build", "lib"))
        self.assertTrue(any(name.startswith("libstdc++") for name in libraries), libraries)
        self.assertFalse([name for name in libraries if name.startswith(("libc.", "libm.", "ld-linux"))])
        command = [os.path.join(unpacked, "build", "osprey"), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, cwd="/")
        self.assertRegex(said.stdout, r"^\d+\.\d+", said.stderr)
        shown = subprocess.run([os.path.join(unpacked, "bench", "gpu-run"), "ldd",
                                os.path.join(unpacked, "build", "programs", "osprey")], capture_output=True, text=True)
        self.assertIn(os.path.join(unpacked, "build", "lib", "libstdc++.so.6"), shown.stdout)
        check = subprocess.run([os.path.join(unpacked, "bench", "gpu-compare"), "--dry"], capture_output=True, text=True)
        self.assertEqual(check.returncode, 0, check.stderr)


try:
    import torchvision
except ImportError:
    torchvision = None


class Processes(Folder):
    def test_keys_take_the_place_of_those_in_net(self):
        with_keys = program("processes").with_keys
        self.assertEqual(with_keys("# a\n[net]\nbatch=64\nwidth=8\n[yolo]\nbatch=3\n", {"batch": 8, "seed": 1}),
                         "# a\n[net]\nwidth=8\nbatch=8\nseed=1\n[yolo]\nbatch=3\n")

    def test_the_names_are_as_many_as_the_network_has_classes(self):
        data = program("processes").data_for(self.folder, "[yolo]\nclasses=80\n")
        with open(data) as file, open(self.path("all.names")) as names:
            self.assertIn("classes=80\n", file.read())
            self.assertEqual(len(names.readlines()), 80)

    def test_a_batch_must_be_a_multiple(self):
        done = started("processes", "--batch", "9")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--batch 9 is no multiple of --processes 2", done.stderr)


@unittest.skipIf(torchvision is None, "torchvision is not installed")
class TorchDetectors(Folder):
    def test_torchvision_computes_what_osprey_does(self):
        import torch_detectors
        cfg = networks.resized(os.path.join(ROOT, "cfg", "retinanet-r50-fpn.cfg"), self.folder, 64, 64)
        layers = networks.layers_of(cfg)[1]
        networks.write_weights(self.path("w"), layers)
        detector = torch_detectors.Detector(cfg, self.path("w")).eval()
        self.assertEqual(sum(p.numel() for p in detector.parameters()), 34014999)
        torch.manual_seed(1)
        x = torch.rand(1, 3, 64, 64)
        npy.write(self.path("x.npy"), (1, 64, 64, 3), x.permute(0, 2, 3, 1).flatten().tolist())
        subprocess.run([os.path.join(BUILD, "osprey"), "forward", cfg, self.path("w"), "--input", self.path("x.npy"),
                        "--layers", ",".join(map(str, detector.heads)), "--dump", self.folder], check=True,
                       capture_output=True)
        with torch.no_grad():
            for index, theirs in zip(detector.heads, detector.before_heads(x)):
                shape, values = npy.read(self.path(f"{index:03}_convolutional.npy"))
                ours = torch.tensor(memoryview(values)).view(shape).permute(0, 3, 1, 2)
                self.assertLess(float((ours - theirs).abs().max() / theirs.abs().max()), 1e-4)
        self.assertTrue(detector.train().loss(x, *detector.targets(1, "cpu")).isfinite())


@unittest.skipIf(torch is None, "PyTorch is not installed")
class TorchLoss(unittest.TestCase):
    def test_against_loops(self):
        import torch_loss
        layers = layers_of("yolov4-tiny")
        head = torch_loss.YoloHead(layers[-1], {"width": 416, "height": 416})
        torch.manual_seed(3)
        y = torch.randn(2, 255, 26, 26)
        truths = torch.cat([torch.rand(2, 8, 2) * 0.6 + 0.2, torch.rand(2, 8, 2) * 0.3 + 0.02], 2)
        classes = torch.randint(0, 80, (2, 8))
        self.assertAlmostEqual(float(head.loss(y, truths, classes)) / self.slowly(head, y, truths, classes), 1, 5)

    def slowly(self, head, y, truths, classes):
        def iou(a, b):
            w, h = (max(0, min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) -
                        max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)) for k in (0, 1))
            return w * h / (a[2] * a[3] + b[2] * b[3] - w * h)

        def cross_entropy(x, target):
            return max(x, 0) - x * target + math.log1p(math.exp(-abs(x)))

        sigmoid = lambda x: 1 / (1 + math.exp(-x))
        p, boxes, loss, w = head.rows(y), head.boxes(head.rows(y)).tolist(), 0, int(head.grid[0])
        for n in range(len(truths)):
            positives = set()
            for truth, wanted in zip(truths[n].tolist(), classes[n].tolist()):
                shapes = [iou((0, 0, *anchor), (0, 0, *truth[2:])) for anchor in head.all_anchors.tolist()]
                best = shapes.index(max(shapes))
                if best not in head.mask:
                    continue
                column, row = int(truth[0] * w), int(truth[1] * w)
                place = head.mask.index(best), row * w + column
                positives.add(place)
                q, anchor = p[(n, *place)].tolist(), head.all_anchors[best].tolist()
                target = [truth[0] * w - column, truth[1] * w - row, *(math.log(t / s) for t, s in zip(truth[2:], anchor))]
                box = [sigmoid(q[0]), sigmoid(q[1]), q[2], q[3]]
                loss += (2 - truth[2] * truth[3]) * sum((b - t) ** 2 for b, t in zip(box, target))
                loss += sum(cross_entropy(v, float(k == wanted)) for k, v in enumerate(q[5:]))
            for a, objectness in enumerate(p[n, :, :, 4].tolist()):
                for cell, x in enumerate(objectness):
                    if (a, cell) in positives:
                        loss += cross_entropy(x, 1)
                    elif max(iou(boxes[n][a][cell], t) for t in truths[n].tolist()) <= head.ignore:
                        loss += cross_entropy(x, 0)
        return loss


if __name__ == "__main__":
    unittest.main()

"""The engines that bench/compare measures: names, precisions, and what each of them can be asked for."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Engine:
    name: str       # in tables
    program: str    # osprey, darknet, or what bench/peer.py calls it
    modes: tuple
    precision: str = "fp32"  # what it computes in: fp32, or 16 bits of one kind or another ("bf16")
    form: str = ""  # of several that peer.py has
    # Of the layers before the heads, in parts of the largest value there, against ours in fp32. Networks add up in
    # different orders: float32 loses about 1e-6. OpenCV has another epsilon in batch norm (1e-6 for 1e-5), which is 5e-6
    # a layer where variances are 1. Sixteen bits lose 4e-3 at every layer.
    tolerance: float = 1e-4
    images: int = 0  # the largest batch that it takes at once; 0: any


INFERENCE, START_UP = ("inference",), ("inference", "start-up")
OURS = {"fp32": "osprey", "bf16": "osprey-bf16"}
ENGINES = {
    "osprey": Engine("osprey", "osprey", ("inference", "training", "start-up")),
    "torch": Engine("PyTorch eager", "torch", ("inference", "training", "start-up")),
    "torch-jit": Engine("PyTorch jit, frozen", "torch", INFERENCE, form="jit"),
    "onnxruntime": Engine("ONNX Runtime", "onnxruntime", START_UP),
    "ncnn": Engine("ncnn", "ncnn", START_UP),
    "ncnn-direct": Engine("ncnn without Winograd", "ncnn", START_UP, form="direct"),
    "opencv": Engine("OpenCV dnn", "opencv", START_UP, tolerance=1e-3),
    "darknet": Engine("darknet (Debian)", "darknet", START_UP, images=1),
    "osprey-bf16": Engine("osprey, bf16", "osprey", ("inference", "training", "start-up"), "bf16", tolerance=0.1),
    "torch-bf16": Engine("PyTorch eager, in bf16", "torch", INFERENCE, "bf16", tolerance=0.1),
    "torch-autocast": Engine("PyTorch eager, autocast to bf16", "torch", ("inference", "training"), "bf16", "autocast",
                             tolerance=0.1),
    "ncnn-bf16": Engine("ncnn, bf16", "ncnn", START_UP, "bf16", tolerance=0.1),
    "ncnn-bf16-direct": Engine("ncnn without Winograd, bf16", "ncnn", START_UP, "bf16", "direct", tolerance=0.1),
}
# The whole way from the image to the boxes, by torchvision's own models.
DETECTOR_ENGINES = {
    "osprey": Engine("osprey", "osprey", ("inference", "training")),
    "torchvision": Engine("torchvision", "torchvision", ("inference", "training")),
}


def peers(precision):
    return [key for key, e in ENGINES.items() if e.precision == precision and e.program != "osprey"]

"""PyTorch in a process of its own, for bench/gpu-compare. Prints one line of JSON.

    gpu_peer.py about
    gpu_peer.py forward CFG WEIGHTS --input X.npy --dump FOLDER --precision P
    gpu_peer.py bench CFG WEIGHTS --engine eager|compiled --precision P --batch B [--training]
"""
import argparse
import json
import os
import time

import torch
from torch import nn

import networks
import npy
import torch_loss
import torch_network


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["about", "forward", "bench"])
    p.add_argument("cfg", nargs="?")
    p.add_argument("weights", nargs="?")
    p.add_argument("--device", default="cuda")
    p.add_argument("--engine", choices=["eager", "compiled"], default="eager")
    p.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--training", action="store_true")
    p.add_argument("--iterations", type=int, default=20)
    p.add_argument("--warmup", type=int, default=5)
    p.add_argument("--input", help=".npy, float32 [1,H,W,C]")
    p.add_argument("--dump", help="folder for NNN.npy [1,H,W,C] of the layers before the heads")
    return p.parse_args()


def about():
    gpu = torch.cuda.is_available()
    return {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
            "gpu": torch.cuda.get_device_name() if gpu else None, "compiles": hasattr(torch, "compile")}


def prepared(a):
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = a.precision == "tf32"
    if networks.detects_like_torchvision(networks.layers_of(a.cfg)[1]):
        import torch_detectors  # needs torchvision
        network = torch_detectors.Detector(a.cfg, a.weights)
    else:
        network = torch_network.Network(a.cfg, a.weights)
    return network.to(a.device, memory_format=torch.channels_last)


def forward(a):
    """What the layers before the heads compute."""
    network = prepared(a).eval()
    shape, values = npy.read(a.input)
    x = torch.tensor(memoryview(values)).view(shape).permute(0, 3, 1, 2).to(a.device)
    if a.precision == "bf16":
        network, x = network.bfloat16(), x.bfloat16()
    with torch.no_grad():
        before_heads = getattr(network, "before_heads", network)
        for index, y in zip(network.heads, before_heads(x)):
            y = y.float().permute(0, 2, 3, 1).contiguous().cpu()
            npy.write(os.path.join(a.dump, f"{index:03}.npy"), y.shape, y.flatten().tolist())
    return {"layers": network.heads}


class Step(nn.Module):
    """One module from images to the loss, or to what inference ends with: what torch.compile is given."""

    def __init__(self, task, a):
        super().__init__()
        self.task, self.training_step, self.device = task, a.training, a.device
        self.half = not a.training and a.precision == "bf16" and not is_detector(task)
        self.autocast = a.precision == "bf16" and not self.half

    def forward(self, x, *targets):
        x = x.bfloat16() if self.half else x
        with torch.autocast(self.device, torch.bfloat16, enabled=self.autocast):
            return self.task.loss(x, *targets) if self.training_step else self.task(x)


def is_detector(network):
    """One of torchvision's: its boxes need float, so it infers under autocast, too, as its users do."""
    return hasattr(network, "before_heads")


def compiled(step, batch):
    """At one image the host's time for starting kernels counts, and CUDA graphs take it away."""
    mode = "reduce-overhead" if batch == 1 else "max-autotune-no-cudagraphs"
    return torch.compile(step, mode=mode)


def work_of(a):
    """The function to be timed. The images, in float, lie on the GPU already, as ours do."""
    network = prepared(a)
    # Inference: weights in bf16 for good, which is faster than autocast's conversions.
    half = not a.training and a.precision == "bf16" and not is_detector(network)
    if half:
        network = network.bfloat16()
    task = network if is_detector(network) else torch_loss.task(network).to(a.device)
    shape = (a.batch, network.net["channels"], network.net["height"], network.net["width"])
    x = torch.rand(shape, device=a.device).contiguous(memory_format=torch.channels_last)
    step = Step(task, a)
    run = compiled(step, a.batch) if a.engine == "compiled" else step
    if not a.training:
        step.eval()

        def infer():
            with torch.no_grad():
                run(x)
        return infer

    targets = task.targets(a.batch, a.device)
    # One launch for all parameters. A tiny rate: the numbers must stay finite, not get better.
    fused = {"fused": True} if a.device == "cuda" else {}
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1e-9, momentum=0.9, weight_decay=5e-4, **fused)

    def train():
        optimizer.zero_grad(set_to_none=True)
        run(x, *targets).backward()
        optimizer.step()
    return train


def bench(a):
    gpu = a.device == "cuda"
    wait = torch.cuda.synchronize if gpu else lambda: None
    work = work_of(a)
    for _ in range(a.warmup):
        work()
    wait()
    if gpu:  # the peak of the step, without what the search for algorithms took
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        work()
        work()
        wait()
    # One image is a latency, waited for each time. Larger batches follow each other without waiting, as in a
    # training loop: the host then runs ahead, in this engine's favour.
    together = 1 if a.batch == 1 else min(5, a.iterations)
    times = []
    for _ in range(max(1, a.iterations // together)):
        start = time.perf_counter()
        for _ in range(together):
            work()
        wait()
        times.append(1000 * (time.perf_counter() - start) / together)
    memory = torch.cuda.max_memory_reserved() / 2**20 if gpu else None
    return {"milliseconds": times, "device_mib": memory}


if __name__ == "__main__":
    given = arguments()
    answer = {"about": about, "forward": lambda: forward(given), "bench": lambda: bench(given)}[given.what]()
    print(json.dumps(answer))

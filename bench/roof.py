"""How near the convolutions of a network are to what the machine does at most, from `osprey bench --layers`."""
import json


def read(text):
    """What `osprey bench --layers` printed; ValueError if it told no ceilings."""
    answer = json.loads(text.splitlines()[0])
    if "ceilings" not in answer:
        raise ValueError("`osprey bench` told no ceilings: they are of the CPU, and need --layers")
    return answer


def kind_of(layer, chains):
    """Of a convolution: its window (3x3), with a stride (3x3/2), or grouped: one channel or few at a time; or chain: it is
    the last of several that run as one."""
    window = layer["window"].removesuffix("/1")
    return "chain" if layer["layer"] in chains else "grouped" if " g" in window else window


def shares(answer):
    """{kind of convolution: (milliseconds, part of the roof)}, `all` of them last: the time that the ceilings allow over
    the time that they took, of each layer the least of all iterations."""
    convolutions = [layer for layer in answer["layers"] if layer["type"] == "convolutional"]
    chains = {layer["done_by"] for layer in convolutions if "done_by" in layer}
    measured = [layer for layer in convolutions if "of_roof" in layer]
    sums = {}
    for kind in [*sorted({kind_of(layer, chains) for layer in measured}), "all"]:
        those = [layer for layer in measured if kind in (kind_of(layer, chains), "all")]
        sums[kind] = (sum(layer["least_milliseconds"] for layer in those),
                      sum(layer["milliseconds"] * layer["of_roof"] for layer in those))
    return {kind: (taken, allowed / taken) for kind, (taken, allowed) in sums.items()}


def describe(ceilings):
    """One entry of "ceilings" in words."""
    bf16 = f", bf16 {ceilings['bf16_gflops']:.0f}" if ceilings["bf16_gflops"] else ""
    return (f"{ceilings['threads']} thread{'s' if ceilings['threads'] > 1 else ''}: fp32 {ceilings['fp32_gflops']:.0f} "
            f"GFLOP/s (AVX2 {ceilings['avx2_gflops']:.0f}, AVX-512 {ceilings['avx512_gflops']:.0f}){bf16}; memory, read "
            f"{ceilings['read_gbytes']:.0f}, triad {ceilings['triad_gbytes']:.0f} GB/s")

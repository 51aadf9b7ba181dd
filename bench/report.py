"""Figures of bench/compare as tables, bars and a markdown file. Results are [(task, rounds)], rounds as in judging.py."""
import math
import os
import statistics
import subprocess

import roof
from engines import DETECTOR_ENGINES, ENGINES, OURS, peers
from judging import ratios, verdict

# The most that ours may be of the fastest peer in the same precision, in each case; and the mean of all cases.
EACH = {("inference", "fp32"): 0.95, ("inference", "bf16"): 0.78, ("training", "fp32"): 0.75, ("training", "bf16"): 0.75,
        ("start-up", "fp32"): 0.6, ("start-up", "bf16"): 0.6}
MEAN = {"fp32": 0.80, "bf16": 0.65}
MEAN_OF_ONNXRUNTIME = 0.50
MEMORY = {("inference", "fp32"): ("ncnn", 0.6), ("inference", "bf16"): ("ncnn-bf16", 0.35),
          ("training", "fp32"): ("torch", 0.6), ("training", "bf16"): ("torch-autocast", 0.6)}


def engine_of(key):
    return ENGINES.get(key) or DETECTOR_ENGINES[key]


def plural(count, word):
    return f"{count} {word}{'' if count == 1 else 's'}"


def title(task):
    size = f"{task.case.net['width']}x{task.case.net['height']}"
    what = {"inference": f"inference{' to the boxes' if task.case.detector else ''}, {plural(task.batch, 'image')}",
            "training": f"training step, {plural(task.batch, 'image')}",
            "start-up": "process start to first detection"}[task.mode]
    return f"{task.case.name} {size}, {what}, {plural(task.threads, 'thread')}"


def measured(rounds):
    """Keys of the engines that every round has."""
    return [key for key in rounds[0] if all(key in r for r in rounds)] if rounds else []


def fastest(rounds, keys):
    """Of these engines that with the least median time; None if none was measured."""
    there = [key for key in keys if key in measured(rounds)]
    return min(there, key=lambda key: statistics.median(r[key]["time"] for r in rounds)) if there else None


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def table(task, rounds):
    rows = [f"### {title(task)}", "",
            "| engine | median ms | min | max | images/s | osprey / this (rounds) | peak MiB | osprey / this |",
            "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for key in measured(rounds):
        engine = engine_of(key)
        times, memory = ([r[key][quantity] for r in rounds] for quantity in ("time", "memory"))
        name = engine.name
        if engine.program == "darknet" and task.case.darknet_work != 1:
            name += f", doing {task.case.darknet_work:.2f} times the work"
        cells = ["", ""]
        if engine.program != "osprey":
            both = [ratios(rounds, key, quantity, OURS[engine.precision]) for quantity in ("time", "memory")]
            cells = [spread(both[0]) if both[0] else "", f"{statistics.median(both[1]):.2f}" if both[1] else ""]
        rate = f"{1000 * task.batch / statistics.median(times):,.1f}" if task.mode != "start-up" else ""
        rows.append(f"| {name} | {statistics.median(times):.1f} | {min(times):.1f} | {max(times):.1f} | {rate} "
                    f"| {cells[0]} | {statistics.median(memory):.0f} | {cells[1]} |")
    return "\n".join(rows) + "\n"


def verdicts_of(task, rounds):
    """The bars that each case must hold by itself."""
    if task.case.detector:
        return [verdict(f"{title(task)}: time of torchvision's", ratios(rounds, "torchvision"), 1)]
    lines = []
    there = measured(rounds)
    for precision, ours in OURS.items():
        if ours not in task.engines:
            continue
        where = f"{title(task)}, {precision}"
        peer = fastest(rounds, peers(precision))
        if ours not in there or not peer:
            lines.append(verdict(where, [], 1))
            continue
        lines.append(verdict(f"{where}: time of the fastest peer, {engine_of(peer).name}",
                             ratios(rounds, peer, "time", ours), EACH[task.mode, precision]))
        peer, most = MEMORY.get((task.mode, precision), (None, None))
        if peer in there:
            lines.append(verdict(f"{where}: peak memory of {engine_of(peer).name}",
                                 ratios(rounds, peer, "memory", ours), most))
    if task.mode == "inference" and set(OURS.values()) <= set(there):
        lines.append(verdict(f"{title(task)}: bf16's time of our own fp32",
                             ratios(rounds, OURS["fp32"], "time", OURS["bf16"]), 1))
    return lines


def mean_ratios(results, peer_of, ours):
    """Of each round the geometric mean over all cases. peer_of(rounds): the engine to compare with."""
    cases = [ratios(rounds, peer_of(rounds), "time", ours) for _, rounds in results]
    cases = [values for values in cases if values]
    return [math.exp(statistics.fmean(map(math.log, of_round))) for of_round in zip(*cases)], len(cases)


def mean_verdicts(results):
    """The bars of inference over all networks and numbers of threads, for each batch."""
    lines = []
    inferences = [(t, rounds) for t, rounds in results if t.mode == "inference" and not t.case.detector]
    for batch in sorted({t.batch for t, _ in inferences}):
        those = [(t, rounds) for t, rounds in inferences if t.batch == batch]

        def judge(words, peer_of, ours, most):
            values, count = mean_ratios(those, peer_of, ours)
            lines.append(verdict(f"inference, {plural(batch, 'image')}, {words}, geometric mean of {plural(count, 'case')}",
                                 values, most))

        for precision, ours in OURS.items():
            if any(ours in t.engines for t, _ in those):
                judge(f"{precision}: time of the fastest peer", lambda rounds: fastest(rounds, peers(precision)), ours,
                      MEAN[precision])
        if any("onnxruntime" in t.engines for t, _ in those):
            judge("fp32: time of ONNX Runtime", lambda rounds: "onnxruntime", OURS["fp32"], MEAN_OF_ONNXRUNTIME)
    return lines


def verdicts(results, busy=False):
    """All bars. On a machine that was busy with something else nothing is passed or failed."""
    lines = mean_verdicts(results) + [line for task, rounds in results for line in verdicts_of(task, rounds)]
    if busy:
        lines = ["UNCLEAR " + line.split(" ", 1)[1] if line.startswith(("PASS", "FAIL")) else line for line in lines]
    return lines


def missing_lines(missing):
    """[(engine, where, reason)], each reason once."""
    places = {}
    for key, where, reason in missing:
        places.setdefault((key, reason), []).append(where)
    return [f"{engine_of(key).name} not measured: {reason} ({wheres[0] if len(wheres) == 1 else f'{len(wheres)} cases'})"
            for (key, reason), wheres in places.items()]


def roof_table(answers):
    """[(network, precision, answer of `osprey bench --layers`)]: how much of the ceilings the convolutions use. Empty if
    there are none: of torchvision's detectors."""
    if not answers:
        return ""
    rows = ["| network | precision | threads | convolutions | ms | of the roof |", "|---|---|---:|---|---:|---:|"]
    for name, precision, answer in answers:
        for kind, (milliseconds, share) in roof.shares(answer).items():
            rows.append(f"| {name} | {precision} | {answer['threads']} | {kind} | {milliseconds:.2f} | {100 * share:.0f}% |")
    return "\n".join(rows) + "\n"


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def versions(python):
    """Of the packages as that Python finds them: PyPI's in its own environment, or Debian's."""
    names = ["torch", "torchvision", "onnxruntime", "ncnn", "numpy"]
    code = ("import importlib.metadata as m\n"
            f"for n in {names}:\n"
            "  try: print(n, m.version(n), end=', ')\n"
            "  except m.PackageNotFoundError: pass")
    return output_of(python, "-c", code)


def machine(osprey, python, when, load):
    with open("/proc/cpuinfo") as file:
        lines = file.read().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    vectors = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if f in flags]
    packages = output_of("dpkg-query", "-W", "-f=${Package} ${Version}, ", "darknet", "python3-opencv", "libdnnl2")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    commit = output_of("git", "-C", root, "rev-parse", "--short", "HEAD").strip()
    return [f"- {when}; {model}, {os.cpu_count()} cores, {' '.join(vectors)}; load {load:.2f} at the start",
            f"- osprey {output_of(osprey, '--version').strip()}, commit {commit}; {versions(python)}"
            f"{packages.rstrip(', ')}"]


def listed(lines):
    return [f"- {line}" for line in lines]


def document(about, checks, ceilings, results, missing, roofs, bars, a):
    """The whole report as Markdown."""
    parts = ["# Measured beside other engines", "",
             f"Written by `bench/compare`, {plural(a.rounds, 'round')}; [performance.md](performance.md) tells how to read "
             f"it. Times are {'wall clock' if a.clock == 'wall' else 'of the processor'}.", "", *about, "",
             "## Bars", "", *listed(bars), ""]
    if missing:
        parts += ["## Not measured", "", *listed(missing_lines(missing)), ""]
    parts += ["## What is compared", "", *listed(checks), "", "## The machine's ceilings", "",
              *listed(f"{when}, {roof.describe(c)}" for when, every in ceilings for c in every), "", roof_table(roofs),
              "## Tables", "", *(table(task, rounds) for task, rounds in results if measured(rounds))]
    return "\n".join(parts).rstrip() + "\n"

"""Figures of bench/compare as tables, bars and a markdown file."""
import os
import statistics
import subprocess

NAMES = {"osprey": "osprey", "torch": "PyTorch eager", "torch-jit": "PyTorch jit, frozen",
         "opencv": "OpenCV dnn", "darknet": "darknet (Debian)", "torchvision": "torchvision"}


def ratios(results, engine):
    """Peer over ours, round by round: above 1 we are faster."""
    return [theirs / ours for (theirs, _), (ours, _) in zip(results[engine], results["osprey"])]


def fastest(results):
    """The form of PyTorch that counts: of those measured the one with the smaller median."""
    forms = [engine for engine in ("torch", "torch-jit", "torchvision") if engine in results]
    return min(forms, key=lambda engine: statistics.median(ms for ms, _ in results[engine]))


def table(case, mode, threads, batch, results):
    what = {"inference": "inference, one image", "training": f"training step, mini-batch {batch}",
            "start-up": "process start to first detection"}[mode]
    if case.detector:
        what = what.replace("inference", f"{case.net['width']}x{case.net['height']}, inference to the boxes")
    title = f"{case.name}, {what}, {threads} thread{'s' if threads > 1 else ''}"
    rows = [f"### {title}", "",
            "| engine | median ms | min | max | peer / osprey (rounds) | peak MiB |",
            "|---|---:|---:|---:|---:|---:|"]
    for engine, rounds in results.items():
        times, memory = zip(*rounds)
        name = NAMES[engine]
        if engine == "darknet" and case.darknet_work != 1:
            name += f", doing {case.darknet_work:.2f} times the work"
        r = ratios(results, engine)
        ratio = f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" if engine != "osprey" else "1"
        rows.append(f"| {name} | {statistics.median(times):.1f} | {min(times):.1f} | {max(times):.1f} "
                    f"| {ratio} | {statistics.median(memory):.0f} |")
    return "\n".join(rows) + "\n"


def verdict(what, values, bar):
    """PASS or FAIL where all rounds say so, or lie within 10%; else the machine was too restless."""
    median = statistics.median(values)
    spread = (max(values) - min(values)) / median
    clear = min(values) >= bar or max(values) < bar or spread <= 0.1
    word = "UNCLEAR" if not clear else "PASS" if median >= bar else "FAIL"
    rounds = f"rounds {min(values):.2f} to {max(values):.2f}"
    return f"{word} {what}: {median:.2f} times as fast ({rounds}), bar {bar}"


def verdicts(case, mode, threads, results):
    where = f"{case.name}, {mode}, {threads} thread{'s' if threads > 1 else ''}"
    if mode == "start-up":
        return []
    engine = fastest(results)
    lines = [verdict(f"{where}, against {NAMES[engine]} channels_last", ratios(results, engine), 1)]
    if "darknet" in results:
        # Where it does more work than the .cfg asks for, its time is scaled down to the same work.
        values = [r / case.darknet_work for r in ratios(results, "darknet")]
        scaled = f", for {case.darknet_work:.2f} times the work scaled" if case.darknet_work != 1 else ""
        lines.append(verdict(f"{where}, against {NAMES['darknet']}{scaled}", values, 5))
    return lines


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def machine(osprey, when, load):
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), "unknown CPU")
    flags = next((line for line in open("/proc/cpuinfo") if line.startswith("flags")), "").split()
    vectors = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_tile") if f in flags]
    packages = output_of("dpkg-query", "-W", "-f=${Package} ${Version}, ", "darknet", "python3-opencv",
                         "python3-torch", "python3-torchvision", "libdnnl2")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    commit = output_of("git", "-C", root, "rev-parse", "--short", "HEAD").strip()
    return [f"- {when}; {model}, {os.cpu_count()} cores, {' '.join(vectors)}; load {load:.2f} at the start",
            f"- osprey {output_of(osprey, '--version').strip()}, commit {commit}; {packages.rstrip(', ')}"]


def write(path, machine_lines, checks, tables, verdict_lines, a):
    text = ["# Measured beside other engines", "",
            f"Written by `bench/compare`, {a.rounds} rounds; [performance.md](performance.md) tells how to "
            f"read it. Times are {'wall clock' if a.clock == 'wall' else 'of the processor'}.", "", *machine_lines, *[f"- {line}" for line in checks], "",
            "## Bars", "", *[f"- {line}" for line in verdict_lines], "", "## Tables", "", *tables]
    with open(path, "w") as file:
        file.write("\n".join(text).rstrip() + "\n")

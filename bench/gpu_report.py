"""Figures of bench/gpu-compare: ratios within rounds, targets, and a Markdown file."""
import statistics

from judging import ratios, verdict

NAMES = {"osprey": "osprey", "eager": "PyTorch eager", "compiled": "torch.compile"}


def name_of(case):
    network, mode, precision, batch = case
    what = "training step" if mode == "training" else "inference"
    return f"{network}, {what}, {precision}, batch {batch}"


# What is asked for in bf16: mode, batch, engine, quantity, and the most that ours may be of theirs.
TARGETS = [("training", 64, "eager", "time", 1 / 1.4), ("training", 64, "compiled", "time", 1 / 1.1),
           ("inference", 1, "eager", "time", 0.3), ("inference", 1, "compiled", "time", 0.8),
           ("inference", 64, "eager", "time", 1 / 1.6), ("training", 64, "eager", "memory", 0.65)]
# The same of detectors, against torchvision's: its loop over levels and images waits for the host.
DETECTORS = ("retinanet-r50-fpn", "faster-rcnn-r50-fpn")
DETECTOR_TARGETS = [("training", 16, "eager", "time", 1 / 1.5), ("inference", 1, "eager", "time", 0.5)]
IMAGES_PER_SECOND = {("yolov3", "training", "bf16", 64): ("H200", 1200)}


def target_words(mode, engine, quantity, most):
    if quantity == "memory":
        return f"peak memory at most {most:.2f} of {NAMES[engine]}"
    if most <= 0.5 and mode == "inference" or most == 0.8:
        return f"latency at most {most:.2f} of {NAMES[engine]}"
    return f"at least {1 / most:.1f} times as fast as {NAMES[engine]}"


def targets_table():
    rows = ["| in bf16 | target |", "|---|---|"]
    for mode, batch, engine, quantity, most in TARGETS:
        rows.append(f"| {mode}, batch {batch} | {target_words(mode, engine, quantity, most)} |")
    for mode, batch, engine, quantity, most in DETECTOR_TARGETS:
        rows.append(f"| {' and '.join(DETECTORS)}, {mode}, batch {batch} | "
                    f"{target_words(mode, engine, quantity, most)} |")
    for case, (card, least) in IMAGES_PER_SECOND.items():
        rows.append(f"| {name_of(case)}, on an {card} | at least {least:,} images/s |")
    return "\n".join(rows)


def verdicts(case, rounds, card):
    network, mode, precision, batch = case
    lines = []
    if precision == "bf16":
        for wanted_mode, wanted_batch, engine, quantity, most in DETECTOR_TARGETS if network in DETECTORS else TARGETS:
            if (wanted_mode, wanted_batch) == (mode, batch):
                words = f"{name_of(case)}: {target_words(mode, engine, quantity, most)}"
                lines.append(verdict(words, ratios(rounds, engine, quantity), most))
    if case in IMAGES_PER_SECOND:
        on, least = IMAGES_PER_SECOND[case]
        if on in card:
            times = [r["osprey"]["time"] for r in rounds if "osprey" in r]
            lines.append(verdict(f"{name_of(case)}: at least {least:,} images/s", times, 1000 * batch / least, " ms"))
    return lines


def table(case, rounds, roof_ms):
    """One case; `roof_ms` is the least time of the roofline, None where its ceilings are not this machine's."""
    batch = case[3]
    rows = [f"### {name_of(case)}", "",
            "| engine | median ms | min | max | images/s | ours / theirs (rounds) | device MiB | of the roof |",
            "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for engine, name in NAMES.items():
        measured = [r[engine] for r in rounds if engine in r]
        if not measured:
            continue
        times = [m["time"] for m in measured]
        memory = [m["memory"] for m in measured if m["memory"]]
        median = statistics.median(times)
        r = ratios(rounds, engine)
        ratio = f"{statistics.median(r):.2f} ({min(r):.2f} to {max(r):.2f})" if r and engine != "osprey" else ""
        rows.append(f"| {name} | {median:.3f} | {min(times):.3f} | {max(times):.3f} | {1000 * batch / median:,.0f} "
                    f"| {ratio} | {f'{statistics.median(memory):,.0f}' if memory else ''} "
                    f"| {f'{100 * roof_ms / median:.0f}%' if roof_ms else ''} |")
    return "\n".join(rows) + "\n"


def document(title, facts, checks, results, missing, roofs, card):
    """The whole report. `results` is {case: rounds}; `missing` are lines about what could not be measured."""
    judged = [line for case, rounds in results.items() for line in verdicts(case, rounds, card)]
    parts = [f"# {title}", "",
             "Written by `bench/gpu-compare`; [performance.md](performance.md) tells how to read it. Ratios are formed "
             "within a round; the median is given with the extremes.", "", *[f"- {line}" for line in facts], "",
             "## Targets", "", *([f"- {line}" for line in judged] or ["None of the cases measured has one."]), ""]
    if missing:
        parts += ["## Not measured", "", *[f"- {line}" for line in missing], ""]
    parts += ["## What is compared", "", *[f"- {line}" for line in checks], "", "## Tables", ""]
    parts += [table(case, rounds, roofs.get(case)) for case, rounds in results.items() if rounds]
    return "\n".join(parts).rstrip() + "\n", judged

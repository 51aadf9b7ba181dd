"""Ratios within rounds, and what they say of a bar. A round is {engine: {"time": milliseconds, "memory": MiB}}."""
import statistics


def ratios(rounds, engine, quantity="time", ours="osprey"):
    """Ours over theirs, round by round: below 1 ours is faster, or smaller. Empty where one was not measured."""
    pairs = [(r[ours][quantity], r[engine][quantity]) for r in rounds if ours in r and engine in r]
    return [ours / theirs for ours, theirs in pairs if ours and theirs]


def verdict(words, values, most, unit=""):
    """PASS or FAIL where all rounds say so, or lie within 10% of each other; else the machine was too restless."""
    if not values:
        return f"NOT MEASURED {words}"
    median = statistics.median(values)
    clear = max(values) <= most or min(values) > most or max(values) - min(values) <= 0.1 * median
    word = "UNCLEAR" if not clear else "PASS" if median <= most else "FAIL"
    return f"{word} {words}: {median:.3g}{unit} (rounds {min(values):.3g} to {max(values):.3g}), at most {most:.3g}{unit}"

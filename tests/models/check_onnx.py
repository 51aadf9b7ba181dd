#!/usr/bin/env python3
"""Runs ONNX models in ONNX Runtime and compares what they make.

check_onnx.py FOLDER TOLERANCE: each folder in FOLDER has model.onnx, images.npy [N,H,W,C], and for some values of the
model NAME.npy with what they must be: [N,H,W,C], or for outputs of three axes [N,1,K,numbers]. TOLERANCE is the largest
difference, in parts of the largest magnitude in the array. Exits 1 if one is larger.
"""
import pathlib
import sys

import numpy as np
import onnxruntime


def length_delimited(field, content):
    """A field of protobuf that holds bytes."""
    head = bytearray([field << 3 | 2])
    size = len(content)
    while size >= 128:
        head.append(size & 127 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + content


def with_outputs(model, names):
    """The bytes of a model that also gives these values: of a message that is there twice, the lists are joined."""
    values = b"".join(length_delimited(12, length_delimited(1, name.encode())) for name in names)
    return model + length_delimited(7, values) if values else model


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def comparable(got, want):
    if got.ndim == 4:
        return got.transpose(0, 2, 3, 1)
    return got.reshape(want.shape) if got.size == want.size else got


def difference(got, want):
    """In parts of the largest magnitude; infinite where shapes differ or a value is not finite."""
    got = comparable(got, want)
    if got.shape != want.shape or not np.isfinite(got).all() or not np.isfinite(want).all():
        return float("inf")
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-20))


def check(folder, tolerance):
    model = (folder / "model.onnx").read_bytes()
    wanted = {path.stem: np.load(path) for path in sorted(folder.glob("*.npy")) if path.stem != "images"}
    images = np.load(folder / "images.npy").transpose(0, 3, 1, 2)
    own = [output.name for output in session_of(model).get_outputs()]
    session = session_of(with_outputs(model, [name for name in wanted if name not in own]))
    made = dict(zip((o.name for o in session.get_outputs()), session.run(None, {"images": images})))
    worst = {name: difference(made[name], want) for name, want in wanted.items()}
    for name, part in worst.items():
        if not part <= tolerance:
            print(f"{folder.name}: {name}: {made[name].shape}, {wanted[name].shape} expected: differs by {part:.2e}")
    missing = [name for name in own if name not in wanted]
    if missing:
        print(f"{folder.name}: nothing to compare {missing} with")
    if worst:
        name = max(worst, key=worst.get)
        print(f"{folder.name}: {len(worst)} values, the worst differs by {worst[name]:.2e} ({name})")
    return bool(worst) and not missing and all(part <= tolerance for part in worst.values())


def main():
    folders = sorted(path.parent for path in pathlib.Path(sys.argv[1]).glob("*/model.onnx"))
    good = [check(folder, float(sys.argv[2])) for folder in folders]
    sys.exit(0 if good and all(good) else 1)


main()

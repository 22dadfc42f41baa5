#!/usr/bin/env bash
# onnx 1.23.2 (ReferenceEvaluator), beside ONNX Runtime 1.32.0
#
# Expected: onnx's own evaluator, the one to check an exported network against where no runtime is
# to be trusted, computes what the definitions of the operators say.
#
# What happens, with two operators of image networks:
# - LRN: the evaluator normalises as many channels as the batch has images, and leaves all others
#   as they are: one image of three channels has two that are not normalised at all.
# - GridSample with mode "cubic" and padding_mode "border": places near the edge come out wrong;
#   with "zeros" and "reflection" they are right.
# ONNX Runtime agrees with both definitions, written out in NumPy below, to single precision.
#
# Why it matters: whoever exports an AlexNet or a GoogLeNet, or a network that resamples its input,
# and compares it with the evaluator finds an error in a runtime that is right.
#
# What we do: exported networks are compared with the network in torch that they were made from.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11), greatest difference from the definition:
#   LRN: reference evaluator 1, ONNX Runtime 1e-07
#   GridSample, zeros: reference evaluator 2e-06, ONNX Runtime 2e-06
#   GridSample, border: reference evaluator 0.5, ONNX Runtime 2e-06
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'onnxruntime==1.32.0' 'onnx==1.23.2' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(0)


def differences(operator, inputs, wanted, **attributes):
    """Greatest difference of the evaluator and of ONNX Runtime from what is wanted."""
    names = [f'x{at}' for at in range(len(inputs))]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape)
        for name, values in zip([*names, 'y'], [*inputs, wanted])
    ]
    node = helper.make_node(operator, names, ['y'], **attributes)
    model = helper.make_model(
        helper.make_graph([node], 'one', ends[:-1], ends[-1:]),
        opset_imports=[helper.make_opsetid('', 20)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    feed = dict(zip(names, inputs))
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    results = ReferenceEvaluator(model).run(None, feed)[0], session.run(None, feed)[0]
    return [float(abs(result - wanted).max()) for result in results]


def normalised(x, size, alpha, beta, bias):
    """LRN by its definition, for an odd number of channels."""
    wanted = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - size // 2) : c + size // 2 + 1]
        wanted[:, c] = x[:, c] / (bias + alpha / size * (near**2).sum(axis=1)) ** beta
    return wanted


def weight(distance, a=-0.75):
    """The cubic convolution kernel."""
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def sampled(x, grid, place):
    """Cubic GridSample of one channel; `place` maps a neighbour to a pixel, or to None for 0."""
    rows, columns = x.shape[2:]
    wanted = np.zeros((1, 1, *grid.shape[1:3]), np.float32)
    for i, j in np.ndindex(grid.shape[1:3]):
        column = (grid[0, i, j, 0] + 1) / 2 * (columns - 1)
        row = (grid[0, i, j, 1] + 1) / 2 * (rows - 1)
        for r in range(int(np.floor(row)) - 1, int(np.floor(row)) + 3):
            for c in range(int(np.floor(column)) - 1, int(np.floor(column)) + 3):
                at = place(r, rows), place(c, columns)
                if None not in at:
                    wanted[0, 0, i, j] += weight(row - r) * weight(column - c) * x[0, 0, *at]
    return wanted


seen = {}
x = rng.normal(size=(1, 3, 4, 5)).astype(np.float32)
seen['LRN'] = differences(
    'LRN', [x], normalised(x, 3, 1.0, 0.75, 1.0), size=3, alpha=1.0, beta=0.75, bias=1.0
)
x = rng.normal(size=(1, 1, 6, 7)).astype(np.float32)
grid = rng.uniform(-1.3, 1.3, size=(1, 5, 5, 2)).astype(np.float32)
places = {
    'zeros': lambda at, count: at if 0 <= at < count else None,
    'border': lambda at, count: min(max(at, 0), count - 1),
}
for padding, place in places.items():
    seen[f'GridSample, {padding}'] = differences(
        'GridSample',
        [x, grid],
        sampled(x, grid, place),
        mode='cubic',
        padding_mode=padding,
        align_corners=1,
    )
for name, (reference, runtime) in seen.items():
    print(f'{name}: reference evaluator {reference:.1g}, ONNX Runtime {runtime:.1g}')
wrong = [reference > 0.01 for reference, _ in seen.values()]
if wrong != [True, False, True] or any(runtime > 1e-5 for _, runtime in seen.values()):
    sys.exit('The behaviour has changed.')
PYTHON

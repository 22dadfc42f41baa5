#!/usr/bin/env bash
# OpenVINO 2026.4.1, ONNX Runtime 1.32.0, onnx 1.23.2
#
# Expected: up to opset 12, Softmax flattens its input to two dimensions at the axis (ONNX operator
# changelog, Softmax-1 and Softmax-11). For a map of shape (1, classes, rows, columns) and axis 1 the
# probabilities of the whole map therefore add up to 1; since opset 13 those of each pixel do.
#
# What happens: OpenVINO gives an opset 11 or 12 model the meaning of opset 13, without a warning,
# and keeps the old meaning for opset 8. The reference evaluator of onnx has the new meaning for
# every opset. ONNX Runtime follows the changelog.
#
# Why it matters: the same segmentation network, a lung field of two classes for instance, gives
# probabilities of the size 1 / (rows x columns) in one runtime and of 0 to 1 in the other; a
# threshold of one half finds all lungs here and none there. A comparison with the reference
# evaluator takes the wrong side.
#
# What we do: networks are exported with an opset that has one meaning, and each export is compared
# with the network that it was made from.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11), sums over the map and over one pixel:
#   opset 8: ONNX Runtime 1 and 0.0241, OpenVINO 1 and 0.0241, reference 20 and 1
#   opset 11: ONNX Runtime 1 and 0.0241, OpenVINO 20 and 1, reference 20 and 1
#   opset 12: ONNX Runtime 1 and 0.0241, OpenVINO 20 and 1, reference 20 and 1
#   opset 13: ONNX Runtime 20 and 1, OpenVINO 20 and 1, reference 20 and 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'openvino==2026.4.1' 'onnxruntime==1.32.0' 'onnx==1.23.2' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

shape = [1, 3, 4, 5]
logits = np.random.default_rng(0).normal(size=shape).astype(np.float32)


def model(opset):
    """A network of one Softmax over the second dimension."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in 'xy']
    graph = helper.make_graph(
        [helper.make_node('Softmax', ['x'], ['y'], axis=1)], 'softmax', ends[:1], ends[1:]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)
    onnx.checker.check_model(made)
    return made


def sums(probabilities):
    return f'{probabilities.sum():.3g} and {probabilities[0, :, 0, 0].sum():.3g}'


seen = {}
for opset in (8, 11, 12, 13):
    made = model(opset)
    onnx.save(made, f'{opset}.onnx')
    session = onnxruntime.InferenceSession(f'{opset}.onnx', providers=['CPUExecutionProvider'])
    compiled = openvino.Core().compile_model(
        f'{opset}.onnx', 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'}
    )
    seen[opset] = [
        sums(session.run(None, {'x': logits})[0]),
        sums(compiled({'x': logits})[0]),
        sums(ReferenceEvaluator(made).run(None, {'x': logits})[0]),
    ]
    print('opset {}: ONNX Runtime {}, OpenVINO {}, reference {}'.format(opset, *seen[opset]))
flat, each = seen[8][0], seen[13][0]
if flat == each or seen != {
    8: [flat, flat, each],
    11: [flat, each, each],
    12: [flat, each, each],
    13: [each, each, each],
}:
    sys.exit('The behaviour has changed.')
PYTHON

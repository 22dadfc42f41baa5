#!/usr/bin/env bash
# OpenVINO 2026.4.1, ONNX Runtime 1.32.0, onnx 1.23.2 (opset 19)
#
# Expected: a runtime that reads an ONNX file either does what the operator says or refuses it.
#
# What happens: OpenVINO reads Resize with antialias=1 and mode linear without a word and samples
# without the filter, as if antialias were 0. ONNX Runtime and the reference of the onnx package
# agree with each other and differ from it. For mode cubic OpenVINO issue 35893 says the same.
#
# Why it matters: a network exported with its preprocessing scales a radiograph of 2800 pixels to
# 224. Without the filter most pixels are never looked at: noise and grid lines alias into the
# input, and the same file gives other probabilities in the two runtimes.
#
# What we do: the resizing is not part of the exported network; every backend gets the same
# input at the network's size, made by one function.
#
# Seen on 2026-11-30 (Linux x86-64, Python 3.11):
#   onnx 1.23.2 onnxruntime 1.32.0
#   openvino 2026.4.1-22982-e213a147257-releases/2026/4
#   onnx reference antialias 0 [0.0, 0.0, 0.0, 0.0] antialias 1 [0.375, 0.25, 0.25, 0.156]
#   ONNX Runtime   antialias 0 [0.0, 0.0, 0.0, 0.0] antialias 1 [0.375, 0.25, 0.25, 0.156]
#   OpenVINO       antialias 0 [0.0, 0.0, 0.0, 0.0] antialias 1 [0.0, 0.0, 0.0, 0.0]
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

stripes = np.zeros((1, 1, 16, 16), np.float32)
stripes[..., ::4] = 1  # a grid: every fourth column is 1, so the mean is 0.25


def answers(antialias):
    node = helper.make_node(
        'Resize',
        ['x', '', '', 'sizes'],
        ['y'],
        mode='linear',
        antialias=antialias,
        coordinate_transformation_mode='half_pixel',
    )
    graph = helper.make_graph(
        [node],
        'g',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, stripes.shape)],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, (1, 1, 4, 4))],
        [helper.make_tensor('sizes', TensorProto.INT64, [4], [1, 1, 4, 4])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, 'resize.onnx')
    session = onnxruntime.InferenceSession('resize.onnx', providers=['CPUExecutionProvider'])
    compiled = openvino.compile_model('resize.onnx', 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
    return {
        'onnx reference': ReferenceEvaluator(model).run(None, {'x': stripes})[0],
        'ONNX Runtime': session.run(None, {'x': stripes})[0],
        'OpenVINO': compiled([stripes])[0],
    }


print('onnx', onnx.__version__, 'onnxruntime', onnxruntime.__version__)
print('openvino', openvino.__version__)
plain, filtered = answers(0), answers(1)
for name in plain:
    print(f'{name:14} antialias 0 {plain[name][0, 0, 1].astype(float).round(3).tolist()}', end=' ')
    print(f'antialias 1 {filtered[name][0, 0, 1].astype(float).round(3).tolist()}')
reference = filtered['onnx reference']
if not (
    np.allclose(filtered['ONNX Runtime'], reference, atol=1e-5)
    and all(np.allclose(y, plain['onnx reference'], atol=1e-5) for y in plain.values())
    and np.allclose(filtered['OpenVINO'], plain['OpenVINO'], atol=1e-5)
    and np.abs(filtered['OpenVINO'] - reference).max() > 0.1
):
    sys.exit('The behaviour has changed.')
PYTHON

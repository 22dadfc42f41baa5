#!/usr/bin/env bash
# onnxruntime 1.32.0 (the wheel for Linux), onnx 1.23.2
#
# Expected: a library that computes on this machine leaves the home folder as it is.
#
# What happens: the first session in a new home makes an identifier of the device and a database
# below ~/.cache/Microsoft/DeveloperTools, with an event that waits to be sent: it holds the
# identifier, the name of the system and the path of the interpreter. Calling
# `onnxruntime.disable_telemetry_events()` after the import does not keep the files away; the
# variable ORT_DISABLE_TELEMETRY=1, set before the first session, does.
#
# Why it matters: hospitals ask that software which sees images of patients sends nothing anywhere,
# and read-only or shared homes are usual there. A program that uses ONNX Runtime inherits this
# without a word.
#
# What we do: the variable is set before ONNX Runtime is imported, and a test looks at an empty
# home.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11), files in an empty home:
#   as it is: deviceid and onnxruntime.db in .cache/Microsoft/DeveloperTools/.onnxruntime
#   disable_telemetry_events(): the same
#   ORT_DISABLE_TELEMETRY=1: none
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'onnxruntime==1.32.0' 'onnx==1.23.2' 'numpy==2.4.6'
cd "$work"
cat > session.py <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

if 'disable' in sys.argv:
    onnxruntime.disable_telemetry_events()
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in 'xy']
graph = helper.make_graph([helper.make_node('Neg', ['x'], ['y'])], 'one', ends[:1], ends[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)], ir_version=10)
session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=['CPUExecutionProvider']
)
session.run(None, {'x': np.ones(2, np.float32)})
PYTHON

files() { # the files in a new home after a session; a variable for it, and arguments
    local home
    home=$(mktemp -d -p "$work")
    env -u XDG_CACHE_HOME HOME="$home" "$1" "$work/venv/bin/python" -W ignore session.py "${@:2}"
    (cd "$home" && find . -type f | sed 's/[0-9a-f]\{8\}-[0-9a-f-]*/ID/' | sort | tr '\n' ' ')
}
echo 'onnxruntime 1.32.0'
as_it_is=$(files PLAIN=1)
disabled=$(files PLAIN=1 disable)
by_variable=$(files ORT_DISABLE_TELEMETRY=1)
echo "as it is: $as_it_is"
echo "disable_telemetry_events(): $disabled"
echo "ORT_DISABLE_TELEMETRY=1: $by_variable"
case "$as_it_is$disabled" in
    *DeveloperTools*DeveloperTools*) ;;
    *) echo 'The behaviour has changed.' && exit 1 ;;
esac
[ -z "$by_variable" ] || { echo 'The behaviour has changed.' && exit 1; }

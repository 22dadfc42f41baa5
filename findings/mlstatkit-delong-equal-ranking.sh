#!/usr/bin/env bash
# MLstatkit 0.1.91
#
# Expected: DeLong's test of a model against itself, or against itself after temperature scaling,
# which changes no rank, says that nothing tells the two areas apart: z = 0, p = 1.
#
# What happens: p = 0. Where the variance of the difference is zero the function falls back to a
# bootstrap, all of whose differences are 0, and doubles the smaller tail: none of them is above 0.
# z is 0 and both areas are equal, so the three returned numbers contradict each other.
#
# Why it matters: "p < .001" for two classifiers of one ranking, in the place where papers quote
# it: a calibrated model beside the uncalibrated one, or two exports of one network.
#
# What we do: differences between models are given as paired intervals, resampled by patient.
#
# Seen on 2026-12-01 (Linux x86-64, Python 3.11):
#   MLstatkit 0.1.91
#   with itself: z 0, p 0, areas 0.6753 and 0.6753
#   temperature 2: z 0, p 0, areas 0.6753 and 0.6753
#   another model: z 2.14, p 0.032, areas 0.6753 and 0.8699
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
    'MLstatkit==0.1.91' 'numpy==2.4.6'
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
from MLstatkit import Delong_test

rng = np.random.default_rng(0)
truth = rng.integers(0, 2, 60)
logits = truth * 0.8 + rng.normal(size=60)
others = truth * 1.2 + rng.normal(size=60)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


print('MLstatkit', version('MLstatkit'))
same = []
for name, values in (('with itself', logits), ('temperature 2', logits / 2), ('another model', others)):
    z, p, area, other = Delong_test(
        truth, sigmoid(logits), sigmoid(values), return_ci=False, return_auc=True
    )[:4]
    print(f'{name}: z {z:.3g}, p {p:.2g}, areas {area:.4f} and {other:.4f}')
    same.append((z, p))
if same[0] != (0, 0) or same[1] != (0, 0) or not 0.01 < same[2][1] < 0.1:
    sys.exit('The behaviour has changed.')
PYTHON

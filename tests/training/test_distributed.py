"""Two processes that share a run come to what one does."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_cxr.checkpoint import load
from napari_cxr.inference.preprocessing import Preprocessing
from napari_cxr.training import Recipe, index, train
from napari_cxr.training.distributed import Ranks, device_of_rank
from napari_cxr.training.recipe import AugmentationRecipe, LossRecipe, OptimiserRecipe

SHARED = """
import sys, os
from contextlib import closing
from napari_cxr.training import BatchDone, Recipe, checkpointing, index, train

source, recipe, out, stop = sys.argv[1:]
count = int(stop)
checkpointing._TIME_FRACTION = float('inf')  # a state after each epoch
plan = Recipe.from_toml(open(recipe).read())
said = 0
with closing(train(index(source), plan, out, 'cpu', resume=True)) as events:
    for event in events:
        said += 1
        count -= isinstance(event, BatchDone)
        if not count:
            os._exit(3)  # a machine that goes down
assert (said > 0) is (os.environ['RANK'] == '0')
"""


@pytest.fixture
def recipe():
    """No batch norm and no dropout; three images a batch, which two cannot share evenly."""
    return Recipe(
        'shared',
        'detl_cnn_average',
        epochs=2,
        batch=3,
        seed=5,
        precision='float32',
        input=Preprocessing(44, 44),
        augmentation=AugmentationRecipe(rotation=5.0, noise=0.02),
        optimiser=OptimiserRecipe('sgd', 0.002, 0.0, 0.9),
        loss=LossRecipe(weights='class and source', label_smoothing=0.05),
    )


def shared(folder, recipe, tmp_path, out, stop=-1):
    (tmp_path / 'recipe.toml').write_text(recipe.to_toml())
    (tmp_path / 'shared.py').write_text(SHARED)
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
    command += ['--master_port=0', '--rdzv_backend=c10d', '--rdzv_endpoint=localhost:0']
    command += [str(tmp_path / 'shared.py'), str(folder), str(tmp_path / 'recipe.toml'), str(out)]
    environment = os.environ | {'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [*command, str(stop)], env=environment, capture_output=True, text=True, timeout=300
    )


def assert_close(one, other):
    first, second = (load(out / 'last.safetensors').tensors for out in (one, other))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-5, msg=name)
    tables = [
        list(csv.DictReader((out / 'metrics.csv').read_text().splitlines()))
        for out in (one, other)
    ]
    for ours, theirs in zip(*tables, strict=True):
        for column in ('train_loss', 'val_loss', 'train_macro_auc', 'val_accuracy'):
            assert float(ours[column]) == pytest.approx(float(theirs[column]), rel=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_are_one_to_rounding(folder, recipe, tmp_path):
    list(train(index(folder), recipe, tmp_path / 'one', 'cpu'))
    ended = shared(folder, recipe, tmp_path, tmp_path / 'two')
    assert ended.returncode == 0, ended.stderr
    assert_close(tmp_path / 'one', tmp_path / 'two')
    assert json.loads((tmp_path / 'two' / 'result.json').read_text())['epochs'] == 2
    assert len((tmp_path / 'two' / 'log.txt').read_text().splitlines()) == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_resume(folder, recipe, tmp_path):
    list(train(index(folder), recipe, tmp_path / 'one', 'cpu'))
    cut_off = shared(folder, recipe, tmp_path, tmp_path / 'two', stop=6)
    assert cut_off.returncode != 0
    ended = shared(folder, recipe, tmp_path, tmp_path / 'two')
    assert ended.returncode == 0, ended.stderr
    assert_close(tmp_path / 'one', tmp_path / 'two')


@pytest.mark.parametrize('total', [2, 3, 7, 8])
def test_parts_are_all_and_none_is_empty(total):
    parts = [np.arange(total)[Ranks(rank, 2).own_rows(total)] for rank in range(2)]
    assert np.concatenate(parts).tolist() == list(range(total))
    assert all(len(part) for part in parts)


def test_the_device_is_as_asked_without_torchrun(monkeypatch):
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    assert device_of_rank('auto') == 'auto'
    monkeypatch.setenv('LOCAL_RANK', '1')
    assert device_of_rank('cpu') == 'cpu'


def test_one_process_neither_waits_nor_wraps(recipe):
    alone, network = Ranks(), torch.nn.Linear(2, 2)
    alone.wait()
    assert alone.data_parallel(network, torch.device('cpu')) is network
    assert replace(alone, rank=1).first is False

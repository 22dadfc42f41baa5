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
import os, socket, sys
from contextlib import closing
from napari_cxr.training import BatchDone, Recipe, checkpointing, index, train

def run(source, recipe, out, stop):
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

BY_TORCHRUN = 'run(*sys.argv[1:])'

#: What torchrun does, in processes that have torch already; and before that the run of one.
BY_FORKS = """
source, recipe, one, out = sys.argv[1:]
list(train(index(source), Recipe.from_toml(open(recipe).read()), one, 'cpu'))
for stop, expected in ((6, 3), (-1, 0)):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in range(2):
        ranks.append(os.fork())
        if not ranks[-1]:
            os.environ |= {
                'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': '2',
                'LOCAL_WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port),
            }
            try:
                run(source, recipe, out, stop)
                os._exit(0)
            except BaseException:
                import traceback
                traceback.print_exc()
                os._exit(1)
    # The rank that goes down is the one that reports; torchrun would end the other.
    assert os.waitstatus_to_exitcode(os.waitpid(ranks[0], 0)[1]) == expected
    if expected:
        os.kill(ranks[1], 15)
    ended = os.waitstatus_to_exitcode(os.waitpid(ranks[1], 0)[1])
    assert bool(ended) is bool(expected), ended
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


@pytest.fixture
def start(recipe, tmp_path):
    """Start a script that shares a run."""

    def start(launcher, script, *arguments):
        (tmp_path / 'recipe.toml').write_text(recipe.to_toml())
        (tmp_path / 'shared.py').write_text(SHARED + script)
        command = [sys.executable, *launcher, str(tmp_path / 'shared.py'), *map(str, arguments)]
        environment = os.environ | {'OMP_NUM_THREADS': '1'}
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == 0, ended.stderr

    return start


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
def test_two_processes_are_one_to_rounding(folder, recipe, tmp_path, start):
    list(train(index(folder), recipe, tmp_path / 'one', 'cpu'))
    torchrun = ['-m', 'torch.distributed.run', '--nproc_per_node=2']
    torchrun += ['--master_port=0', '--rdzv_backend=c10d', '--rdzv_endpoint=localhost:0']
    start(torchrun, BY_TORCHRUN, folder, tmp_path / 'recipe.toml', tmp_path / 'two', -1)
    assert_close(tmp_path / 'one', tmp_path / 'two')
    assert json.loads((tmp_path / 'two' / 'result.json').read_text())['epochs'] == 2
    # Said once, and not by each process.
    log = (tmp_path / 'two' / 'log.txt').read_text()
    assert [log.count(word) for word in ('Started', 'Fewer than 5', 'Finished')] == [1, 1, 1]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not hasattr(os, 'fork'), reason='forks')
def test_two_processes_resume(folder, tmp_path, start):
    one, two = tmp_path / 'one', tmp_path / 'two'
    start([], BY_FORKS, folder, tmp_path / 'recipe.toml', one, two)
    assert_close(one, two)
    assert 'Resumed after' in (two / 'log.txt').read_text()


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

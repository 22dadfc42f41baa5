"""Runs as training writes them: five sources, each left out once."""

import numpy as np
import pytest

from napari_cxr.evaluation.evaluation_events import EvaluationFinished
from napari_cxr.evaluation.evaluation_run import evaluate_run
from napari_cxr.evaluation.evaluation_settings import EvaluationSettings
from napari_cxr.evaluation.measuring import MeasuringSettings
from napari_cxr.evaluation.run_predictions import is_run_folder, read_run
from napari_cxr.scoring import ListingError


def write_fold(folder, source, seed, splits=('test', 'val')):
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ['image,split,source,label,sick,well,logit of sick,logit of well']
    groups = ['image,label,split,source,group']
    for i in range(60):
        split, sick = splits[i % len(splits)], i % 4 > 1
        z = 1.2 * (2 * sick - 1) + rng.normal()
        p = 1 / (1 + np.exp(-z))
        image, label = f'{seed:08x}{i:08x}', 'sick' if sick else 'well'
        lines.append(
            f'{image},{split},{source},{label},{p:.6g},{1 - p:.6g},{z / 2:.6g},{-z / 2:.6g}'
        )
        groups.append(f'{image},{label},{split},{source},{i // 2}')
    (folder / 'predictions.csv').write_text('\n'.join(lines) + '\n')
    (folder / 'split.csv').write_text('\n'.join(groups) + '\n')


@pytest.fixture
def folds(tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run' / 'recipe.toml').write_text('name = "run"\n')
    for i in range(5):
        write_fold(tmp_path / 'run' / f'source-h{i}', f'h{i}', i)
    return tmp_path / 'run'


def test_the_test_images_of_all_folds_are_judged_together(folds, tmp_path):
    assert is_run_folder(folds)
    settings = EvaluationSettings(measuring=MeasuringSettings(resamples=200))
    *_, finished = evaluate_run(folds, tmp_path / 'report', settings)
    assert isinstance(finished, EvaluationFinished)
    content = finished.result.metrics
    assert content['set']['images'] == 5 * 30
    assert content['set']['validation_images'] == 0
    assert content['sources']['run']['known'] == 5
    assert content['sources']['run']['new_source']['interval'] is not None
    assert content['models']['run']['by']['source'].keys() == {f'h{i}' for i in range(5)}


def test_a_run_without_folds_has_validation_images(tmp_path):
    write_fold(tmp_path / 'run', 'h0', 0)
    assert not is_run_folder(tmp_path / 'run')  # anything else with such tables
    (tmp_path / 'run' / 'recipe.toml').write_text('name = "run"\n')
    assert is_run_folder(tmp_path / 'run')
    table = read_run(tmp_path / 'run').table
    assert (table.splits.count('test'), table.splits.count('val')) == (30, 30)
    assert len(set(table.patients)) == 30
    assert table.truth.sum() == 60


def test_a_run_that_is_damaged_or_has_no_test_images(folds, tmp_path):
    write_fold(tmp_path / 'other', 'h0', 0, splits=('val',))
    (tmp_path / 'other' / 'recipe.toml').write_text('name = "other"\n')
    with pytest.raises(ListingError, match='has no test images'):
        read_run(tmp_path / 'other')
    (folds / 'source-h3' / 'predictions.csv').write_text('image\n')
    with pytest.raises(ListingError, match=r'source-h3 cannot be read'):
        read_run(folds)

"""Scoring and training from Python."""

import warnings

import pandas as pd
import pytest

import napari_cxr as cxr
from napari_cxr.scoring import ListingError, ScoringError
from napari_cxr.training import RecipeError, TrainingError


def test_score_returns_the_table_that_it_wrote(in_workplace, tiny, tmp_path):
    out = tmp_path / 'scores.csv'
    table = cxr.score(['folder'], out, tiny, progress=False)
    assert list(table['path']) == ['folder/1.dcm', 'folder/2.dcm']
    pd.testing.assert_frame_equal(
        table.drop(columns='doubtful'), pd.read_csv(out).drop(columns='doubtful')
    )
    assert table['doubtful'].dtype == 'boolean' and list(table['doubtful']) == [False, False]
    for path, p in zip(table['path'], table['p_normal'], strict=True):
        # A table has seven digits, and another backend may have run the network.
        assert p == pytest.approx(tiny.predict(path).probabilities['normal'], abs=1e-3)


def test_score_without_a_table_keeps_nothing(in_workplace, tiny):
    before = sorted(in_workplace.rglob('*'))
    assert len(cxr.score('folder', model=tiny, progress=False)) == 2
    assert sorted(in_workplace.rglob('*')) == before


def test_metrics_come_with_the_table_where_labels_are_known(in_workplace, tiny):
    # Noise is no chest radiograph, and is measured only if that is asked for.
    table = cxr.score(
        'images', model=tiny, labels='folders', include_doubtful=True, progress=False
    )
    metrics = table.attrs['metrics']
    assert metrics['images'] == 16
    assert metrics['doubtful'] == {'images': 16, 'included': True}
    assert set(table['truth']) == {'normal', 'pneumonia'}


def test_score_resumes_a_finished_table_with_files_that_are_new(workplace, tiny, tmp_path):
    import shutil

    folder = tmp_path / 'new'
    folder.mkdir()
    shutil.copy(workplace / 'folder' / '1.dcm', folder)
    out = tmp_path / 'scores.jsonl'
    assert len(cxr.score(folder, out, tiny, progress=False)) == 1
    with pytest.raises(ScoringError, match='exists'):
        cxr.score(folder, out, tiny, progress=False)
    shutil.copy(workplace / 'folder' / '2.dcm', folder)
    assert len(cxr.score(folder, out, tiny, resume=True, progress=False)) == 2


def test_a_folder_that_is_not_there_is_an_error(tmp_path, tiny):
    with pytest.raises(ListingError, match='nothing-here'):
        cxr.score(tmp_path / 'nothing-here', model=tiny, progress=False)


def test_a_bar_is_drawn_in_a_terminal(in_workplace, tiny, capsys, monkeypatch):
    import sys

    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    cxr.score('folder', model=tiny)
    assert 'Scoring' in capsys.readouterr().err


@pytest.mark.slow
def test_train_gives_a_model_that_predicts(in_workplace, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of so few images
        trained = cxr.train(
            'images',
            'start-from-scratch',
            tmp_path / 'run',
            changes={'epochs': 3, 'input.height': 64, 'input.width': 64},
            device='cpu',
            progress=False,
        )
    assert trained.run_folder == tmp_path / 'run'
    assert trained.path == tmp_path / 'run' / 'best.safetensors'
    assert 'model' in trained.metrics
    model = trained.load('cpu')
    assert model.labels == ('normal', 'pneumonia')
    assert set(model.predict('film.dcm').probabilities) == {'normal', 'pneumonia'}
    with pytest.raises(TrainingError):  # there is a run already
        cxr.train('images', 'start-from-scratch', tmp_path / 'run', progress=False)


def test_train_says_what_is_missing(tmp_path):
    with pytest.raises(TypeError, match='out'):
        cxr.train('images', 'zhong')
    with pytest.raises(TypeError, match='recipe'):
        cxr.train('images', out=tmp_path)
    with pytest.raises(TypeError, match='own recipe'):
        cxr.train('images', 'zhong', tmp_path, resume=True)
    with pytest.raises(RecipeError, match='nonesuch'):
        cxr.train('images', 'nonesuch', tmp_path)


def test_recipes_are_listed():
    table = cxr.recipes()
    assert table.loc['start-from-scratch', 'network'] == 'resnet18'
    assert table.loc['start-from-scratch', 'epochs'] == 40


def test_score_by_the_backend_that_is_named(in_workplace, tiny):
    table = cxr.score('folder', model=tiny, backend='torch channels_last', progress=False)
    assert set(table['backend']) == {'torch channels_last'}
    assert set(table['precision']) == {'float32'}
    with pytest.raises(ScoringError, match="no backend 'fast': choose ONNX Runtime"):
        cxr.score('folder', model=tiny, backend='fast', progress=False)


def test_columns_splits_and_epochs_reach_the_worker(tmp_path, tiny, monkeypatch):
    from napari_cxr.api import jobs
    from napari_cxr.training.recipe import Recipe

    asked = []

    def record(*job, **arguments):
        asked.append(arguments)
        yield from ()

    monkeypatch.setattr(jobs, 'run', record)
    monkeypatch.setattr(jobs, 'run_scoring', record)
    (tmp_path / 'scores.csv').write_text('path\n')
    columns = {'path': 'Datei', 'label': 'Befund'}
    cxr.score(
        'list.csv', tmp_path / 'scores.csv', tiny, columns=columns, split='test', progress=False
    )
    assert (asked[0]['columns'], asked[0]['split']) == (columns, 'test')
    cxr.train(
        'list.csv', 'start-bundled', tmp_path / 'run', columns=columns, epochs=3, progress=False
    )
    plan = Recipe.from_toml(asked[1]['plan'])
    assert (plan.epochs, plan.data.columns, asked[1]['epochs']) == (3, columns, 0)
    cxr.train('list.csv', out=tmp_path / 'run', resume=True, epochs=9, progress=False)
    assert (asked[2]['plan'], asked[2]['epochs']) == ('', 9)
    with pytest.raises(TypeError, match='leave out recipe, changes and columns'):
        cxr.train('list.csv', out=tmp_path / 'run', resume=True, columns=columns)

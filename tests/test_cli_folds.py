"""What the terminal says at the end of a cross-validation."""

from napari_cxr.cli.progress_display import show_training
from napari_cxr.training import TrainingFinished


def test_the_summary_of_folds_is_words_and_no_path(capsys):
    figures = {'images': 36, 'accuracy': [0.9, 0.8, 0.95], 'macro_auc': [None, None, None]}
    metrics = {'folds': 3, 'model': {'all': figures}}
    failed = show_training(
        iter(
            [
                TrainingFinished('crossed/fold-3', 'made/best.safetensors', 2),
                TrainingFinished('crossed', '', 0, metrics),
            ]
        )
    )
    out, err = capsys.readouterr()
    assert not failed
    assert out == 'made/best.safetensors\n'
    assert 'All 3 folds, 36 images: accuracy 0.900 [0.800, 0.950].' in err
    assert 'macro AUC' not in err and "none of the folds' models is the result" in err


def test_the_model_of_all_images_is_named_once(capsys):
    figures = {'images': 36, 'accuracy': [0.9, 0.8, 0.95], 'macro_auc': [0.7, 0.6, 0.8]}
    metrics = {'folds': 3, 'averaged': True, 'model': {'all': figures}}
    path = 'crossed/all/best.safetensors'
    ends = [
        TrainingFinished('crossed/all', path, 2, metrics),
        TrainingFinished('crossed', path, 2, metrics),
    ]
    assert not show_training(iter(ends))
    out, err = capsys.readouterr()
    assert out == f'{path}\n'
    assert err.count('Mean over 3 folds, 36 images: accuracy 0.900') == 1
    assert f'the result is {path}, which learnt from all images' in err

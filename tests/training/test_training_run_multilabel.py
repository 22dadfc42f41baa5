"""Images with two labels, one or none: from a table to a prediction."""

import numpy as np
import pytest
from labelled_images import write_table
from PIL import Image

from napari_cxr import image_files
from napari_cxr.checkpoint.card_page import card_markdown
from napari_cxr.inference.classifier import Classifier
from napari_cxr.training import EpochDone, Recipe, TrainingFinished, index, train
from napari_cxr.training.run_table import run_row

#: Left and right, by column; the last image has neither.
FLAGS = ((1, 1), (1, 0), (0, 1), (0, 0))


@pytest.fixture
def table(tmp_path):
    """64 images whose left half, right half, both or neither are bright."""
    rows = []
    for i in range(64):
        left, right = FLAGS[i % 4]
        image = np.random.default_rng(i).integers(60, 120, (40, 40))
        image[:, :20] += 100 * left
        image[:, 20:] += 100 * right
        name = f'{i}.png'
        Image.fromarray(image.astype(np.uint8)).save(tmp_path / name)
        split = ('train', 'train', 'val', 'test')[i // 4 % 4]
        rows.append(
            {'path': name, 'left': left, 'right': right, 'patient': f'p{i}', 'split': split}
        )
    write_table(tmp_path / 'manifest.csv', rows)
    return tmp_path / 'manifest.csv'


@pytest.mark.slow
def test_several_labels_from_table_to_prediction(table, tmp_path):
    recipe = Recipe.from_dict(
        {
            'name': 'several',
            'network': 'small_resnet',
            'epochs': 6,
            'batch': 8,
            'precision': 'float32',
            'input': {'height': 33, 'width': 33, 'stretch': 'none'},
            'data': {'duplicates': False},
            'optimiser': {'learning_rate': 3e-3},
            'loss': {'name': 'binary cross-entropy'},
        }
    )
    out = tmp_path / 'run'
    events = list(train(index(table, recipe.data), recipe, out, 'cpu'))
    epochs = [e for e in events if isinstance(e, EpochDone)]
    assert all(e.confusion == () for e in epochs)
    (end,) = [e for e in events if isinstance(e, TrainingFinished)]
    found = end.metrics['model']['all']
    assert found['images'] == 16 and found['accuracy'][0] >= 0.9
    counts = found['classes']['left']['counts']
    assert (counts['tp'] + counts['fn'], counts['tn'] + counts['fp']) == (8, 8)
    row = run_row(out)
    assert row['activation_output'] == 'sigmoid'
    assert sum(row[name] for name in ('tp', 'fp', 'tn', 'fn')) == 32

    classifier = Classifier.load(out / 'best.safetensors', 'cpu')
    assert classifier.card.multilabel and 'sigmoid' in card_markdown(classifier.card)
    both, neither = classifier.predict(
        [image_files.read(table.parent / f'{i}.png') for i in (0, 3)]
    )
    assert both.multilabel and min(both.probabilities) > 0.5 > max(neither.probabilities)

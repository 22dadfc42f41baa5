"""Results as files."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

import napari_cxr as cxr
from napari_cxr.api import result_output


@pytest.fixture
def explained(in_workplace, tiny):
    return tiny.explain('film.dcm')


def test_json_has_the_prediction_and_nothing_of_the_file(explained, tmp_path):
    explained.result.export(tmp_path / 'a.json')
    text = (tmp_path / 'a.json').read_text(encoding='utf-8')
    entries = json.loads(text)
    result = explained.result
    assert entries['probabilities'] == pytest.approx(result.probabilities)
    assert (entries['label'], entries['answer']) == (result.label, result.answer)
    assert entries['warnings'] == list(result.warnings)
    assert 'film' not in text and 'path' not in entries
    explained.export(tmp_path / 'b.txt', 'json')
    assert (tmp_path / 'b.txt').read_text(encoding='utf-8') == text


def test_png_is_the_radiograph_and_with_an_explanation_its_heatmap(explained, tmp_path):
    explained.result.export(tmp_path / 'plain.PNG')
    plain = iio.imread(tmp_path / 'plain.PNG')
    display = explained.result.image.to_display()
    np.testing.assert_allclose(plain, display * 255, atol=0.51)
    explained.export(tmp_path / 'heat.png')
    heat = iio.imread(tmp_path / 'heat.png')
    assert heat.shape == (*plain.shape, 3)
    coloured = np.ptp(heat, axis=2) > 0
    leading = explained[explained.result.prediction.leading].sample_on(plain.shape)
    assert coloured.any() and not coloured[leading == 0].any()


def test_an_unknown_exporter_is_answered_with_those_there_are(explained, tmp_path):
    for path, name in ((tmp_path / 'a.dcm', ''), (tmp_path / 'a', ''), (tmp_path / 'a', 'svg')):
        with pytest.raises(ValueError, match='there is json, png'):
            explained.export(path, name)
        assert not path.exists()


def test_an_exporter_of_another_package_gets_it_all(explained, tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(
        result_output,
        'installed',
        lambda group, builtin: {'svg': lambda *given: taken.append(given)},
    )
    assert result_output.exporter_names() == ('json', 'png', 'svg')
    explained.export(tmp_path / 'a.svg')
    explained.result.export(str(tmp_path / 'b.svg'))
    (path, image, prediction, heatmaps), (other, _, _, none) = taken
    assert (path, other) == (tmp_path / 'a.svg', tmp_path / 'b.svg')
    assert isinstance(image, cxr.Radiograph) and prediction is explained.result.prediction
    assert heatmaps == dict(explained) and none == {}

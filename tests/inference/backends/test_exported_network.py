"""Exported networks say what torch says, and bundled ones run where no torch can be imported."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_cxr import image_files, samples
from napari_cxr.checkpoint import catalog, digest, open_model
from napari_cxr.inference.backends.exported_network import (
    ExportedGraph,
    ExportedNetwork,
    find_graph,
)
from napari_cxr.inference.classifier import Classifier
from napari_cxr.inference.device import Device
from napari_cxr.radiograph import Radiograph

BUNDLED = [entry.name for entry in catalog.entries() if entry.origin == 'bundled']


@pytest.fixture(scope='module', params=BUNDLED)
def both(request):
    """A bundled model as `load` gives it, and in plain torch."""
    path = catalog.resolve(request.param)
    return Classifier.load(path, 'cpu'), Classifier(open_model(path), Device('cpu', ''))


def agree(both, radiograph):
    exported, plain = both
    (given, maps), (expected, of_torch) = (one.explain(radiograph) for one in both)
    np.testing.assert_allclose(given.probabilities, expected.probabilities, rtol=0, atol=1e-5)
    np.testing.assert_allclose(given.logits, expected.logits, rtol=0, atol=1e-4)
    for one, other in zip(maps, of_torch, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(one.to_radiograph, other.to_radiograph)
    assert exported.predict([radiograph])[0].probabilities == given.probabilities
    assert (exported.backend.name, plain.backend.name) == ('ONNX Runtime', 'torch')


def test_bundled_models_say_of_phantoms_what_torch_says(both):
    for seed in (1, 2):
        agree(both, Radiograph.from_array(samples.phantom((300, 260), seed=seed)))


def test_bundled_models_say_of_radiographs_what_torch_says(both, cxr_data):
    files = sorted((cxr_data / 'cxr3').rglob('*.*'))
    shown = [path for path in files if path.suffix in ('.png', '.jpg', '.jpeg', '.dcm')]
    assert len(shown) > 3
    for path in shown[:: len(shown) // 3][:3]:
        agree(both, image_files.read(path))


@pytest.mark.parametrize('name', BUNDLED)
def test_the_graphs_of_bundled_models_are_those_of_their_files(name):
    """If not: python scripts/export_bundled.py."""
    path = catalog.resolve(name)
    graph = find_graph(digest(path), path.stem)
    assert graph is not None and graph.closed_form == (name != 'cxr3-lung-texture')
    assert set(graph.weights) <= set(open_model(path).arrays())
    assert len(graph.to_bytes()) < path.stat().st_size / 3


def test_a_graph_is_read_as_it_was_written():
    graph = ExportedGraph('ab', ['w'], True, [[1, 0, 0]], [[0.25, -1.5]], b'\n{"x"\n')
    again = ExportedGraph.from_bytes(graph.to_bytes())
    assert again.onnx == graph.onnx and again.logits == graph.logits and again.sha256 == 'ab'
    for wrong in (b'', b'{}\n', b'[1]\nx', b'{"sha256": 1}\n'):
        with pytest.raises((ValueError, TypeError)):
            ExportedGraph.from_bytes(wrong)


def test_another_file_has_another_graph():
    assert find_graph('0' * 64, BUNDLED[0]) is None
    assert find_graph('0' * 64, 'no-such-model') is None


def test_the_command_classify_needs_no_torch(tmp_path, without_torch):
    film = tmp_path / 'film.dcm'
    samples.write_phantom_dicom(film, shape=(300, 260), seed=4)
    words = ['classify', str(film), '--json', '--heatmap', str(tmp_path / 'maps')]
    done = subprocess.run(
        [sys.executable, '-m', 'napari_cxr', *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row['model'] == BUNDLED[0] and Path(row['heatmap']).is_file()
    classifier = Classifier.load(BUNDLED[0], 'cpu')
    (expected,) = classifier.predict([image_files.read(film)])
    assert row['p_opacity'] == pytest.approx(expected.probabilities[0], abs=1e-6)
    assert isinstance(classifier.running, ExportedNetwork)
    refused = subprocess.run(
        [sys.executable, '-m', 'napari_cxr', *words, '--backend', 'torch'], capture_output=True
    )
    assert b'torch must not be imported' in refused.stderr, 'the test tests nothing'


def test_the_command_score_needs_no_torch(tmp_path, without_torch):
    """Nor does a heatmap's share in the lungs."""
    (tmp_path / 'films').mkdir()
    for seed in (4, 5):
        samples.write_phantom_dicom(
            tmp_path / 'films' / f'{seed}.dcm', shape=(300, 260), seed=seed
        )
    words = ['score', str(tmp_path / 'films'), '--out', str(tmp_path / 'x.csv'), '--lung-share']
    done = subprocess.run(
        [sys.executable, '-m', 'napari_cxr', *words, '--workers', '1'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / 'x.csv').open(newline='') as table:
        rows = list(csv.DictReader(table))
    classifier = Classifier.load(BUNDLED[0], 'cpu')
    for row in rows:
        assert (row['status'], row['backend']) == ('scored', 'ONNX Runtime')
        (expected,) = classifier.predict([image_files.read(row['path'])])
        assert float(row['p_opacity']) == pytest.approx(expected.probabilities[0], abs=1e-6)
    assert len(rows) == 2

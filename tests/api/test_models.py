"""Reading, predicting and explaining from Python."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import napari_cxr as cxr
from napari_cxr.checkpoint import CheckpointError, read_card
from napari_cxr.checkpoint.model_file import replace_card
from napari_cxr.inference.prediction import RefusedImage
from napari_cxr.radiograph import UnreadableImage


def run_python(code, cwd):
    """Return what a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=cwd, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_names_of_the_package_and_of_its_stub_are_the_same():
    import ast
    from pathlib import Path

    stub = ast.parse(Path(cxr.__file__).with_suffix('.pyi').read_text())
    named = {
        alias.asname
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert named == set(cxr.__all__)


def test_importing_the_package_loads_nothing_heavy(tmp_path):
    code = (
        'import sys, napari_cxr\n'
        'print(sorted({name.partition(".")[0] for name in sys.modules} & '
        '{"numpy", "torch", "napari", "pydicom", "pandas", "qtpy", "PIL"}))'
    )
    assert run_python(code, tmp_path) == '[]'


def test_neither_torch_nor_a_codec_is_loaded_where_the_api_is_used(in_workplace, model_file):
    code = (
        'import sys, napari_cxr as cxr\n'
        f'result = cxr.load_model({str(model_file)!r}, "cpu").predict("film.dcm")\n'
        'assert len(result.probabilities) == 3\n'
        'print(sorted(set(sys.modules) & {"torch", "gdcm", "openjpeg", "onnxruntime"}))'
    )
    assert run_python(code, in_workplace) == '[]'


def test_read_gives_a_radiograph(in_workplace):
    image = cxr.read('film.dcm')
    assert isinstance(image, cxr.Radiograph)
    assert image.shape == (320, 320)
    assert repr(image) == '<Radiograph 320 x 320 pixels, DICOM, PA>'
    assert image._repr_png_().startswith(b'\x89PNG')


def test_a_file_that_is_no_image_is_one_sentence(tmp_path):
    path = tmp_path / 'notes.dcm'
    path.write_text('nothing')
    with pytest.raises(UnreadableImage, match=r'\.$'):
        cxr.read(path)


def test_predictions_are_those_of_the_classifier(in_workplace, tiny, model_file):
    from napari_cxr.inference.classifier import Classifier

    image = cxr.read('film.dcm')
    result = tiny.predict(image)
    expected = Classifier.load(model_file, 'cpu').predict([image])[0]
    assert list(result.probabilities) == list(expected.labels)
    np.testing.assert_allclose(
        list(result.probabilities.values()), expected.probabilities, rtol=0, atol=1e-6
    )
    assert result.label == expected.label
    assert result.answer == expected.answer
    assert result.warnings == tuple(caution.text for caution in expected.warnings)


def test_several_images_give_several_results(in_workplace, tiny):
    results = tiny.predict(['folder/1.dcm', cxr.read('folder/2.dcm')])
    assert [type(one) for one in results] == [cxr.Result] * 2
    assert results[0].probabilities != results[1].probabilities
    assert results[1].probabilities == tiny.predict('folder/2.dcm').probabilities


def test_an_explanation_holds_a_heatmap_for_each_label(in_workplace, tiny):
    maps = tiny.explain('film.dcm')
    assert list(maps) == list(tiny.labels)
    assert maps['normal'].label == 'normal'
    assert maps['normal'].sample_on((320, 320)).shape == (320, 320)
    assert maps.result.probabilities == tiny.predict('film.dcm').probabilities
    assert list(tiny.explain('film.dcm', ['pneumonia'])) == ['pneumonia']


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [({'labels': ['measles']}, 'measles'), ({'method': 'Crystal ball'}, 'Crystal ball')],
)
def test_an_unknown_label_or_method_is_named(in_workplace, tiny, arguments, words):
    with pytest.raises(ValueError, match=words):
        tiny.explain('film.dcm', **arguments)


def test_what_is_not_a_projection_radiograph_is_refused(in_workplace, tiny):
    from dataclasses import replace

    image = replace(cxr.read('film.dcm'), refusal='This is a CT slice.')
    with pytest.raises(RefusedImage, match='This is a CT slice'):
        tiny.predict(image)


def test_an_unknown_model_is_an_error_that_names_others():
    with pytest.raises(CheckpointError, match='nonesuch'):
        cxr.load_model('nonesuch')


def test_models_lists_the_default_first():
    from napari_cxr.checkpoint import catalog

    table = cxr.models()
    assert table.index[0] == catalog.default()
    assert set(table.index) == {entry.name for entry in catalog.entries()}
    assert not table.loc[catalog.default(), 'demonstration']


def test_a_result_looks_like_something_in_a_notebook(in_workplace, tiny):
    maps = tiny.explain('film.dcm')
    page = maps._repr_html_()
    assert page.count('<img') == 2  # the radiograph, and the heatmap over it
    assert maps.result._repr_html_().count('<img') == 1
    for label, p in maps.result.probabilities.items():
        assert label in page
        assert f'{p:.1%}' in page
    assert 'not for clinical use' in page
    assert 'film.dcm' not in page
    assert f"<Result '{maps.result.answer}': covid19=0." in repr(maps.result)
    assert 'Random weights, for tests' in tiny._repr_html_()


def test_text_in_a_page_is_escaped(in_workplace, tiny):
    from dataclasses import replace

    from napari_cxr.api.result_output import result_page

    prediction = replace(tiny.predict('film.dcm').prediction, labels=('a<b>', 'c', 'd'))
    assert 'a&lt;b&gt;' in result_page(prediction, cxr.read('film.dcm'))


def test_a_stated_prevalence_holds_for_one_call(model_file, in_workplace, tmp_path):
    stated = tmp_path / 'stated.safetensors'
    shutil.copyfile(model_file, stated)
    prevalence = {'covid19': 0.2, 'normal': 0.3, 'pneumonia': 0.5}
    replace_card(stated, replace(read_card(stated), prevalence=prevalence))
    model = cxr.load_model(stated, device='cpu')
    before = model.predict('film.dcm')
    moved = model.predict('film.dcm', prior={'normal': 0.9}).probabilities['normal']
    old = before.probabilities['normal']
    assert moved / (1 - moved) == pytest.approx(old / (1 - old) * 9 * 7 / 3, rel=1e-5)
    assert model.predict('film.dcm').probabilities == before.probabilities
    table = cxr.score('film.dcm', model=model, prior={'normal': 0.9}, progress=False)
    assert table.p_normal[0] == pytest.approx(moved, abs=1e-6)
    with pytest.raises(ValueError, match='no class'):
        model.predict('film.dcm', prior={'other': 0.1})

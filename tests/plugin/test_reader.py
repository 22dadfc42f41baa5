import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import pytest
from napari.components import ViewerModel

from napari_cxr import samples
from napari_cxr.dicom import privacy
from napari_cxr.plugin import reader


@pytest.fixture
def both_readers(own_plugin):
    """Our reader and napari's own, as in a real napari."""
    from npe2 import PluginManifest

    own_plugin.register(PluginManifest.from_distribution('napari'))
    return own_plugin


@pytest.fixture
def patients(tmp_path):
    """Three one-image studies of three patients in one folder, each of its own grey."""
    for number in range(3):
        samples.write_phantom_dicom(
            tmp_path / f'IM{number}.dcm',
            pixels=np.full((40, 32), 100 * (number + 1), np.uint16),
            photometric='MONOCHROME2',
            seed=number,
            attributes={'PatientID': f'P{number}', 'InstanceNumber': 1},
        )
    return sorted(tmp_path.glob('*.dcm'))


@pytest.mark.filterwarnings('ignore:The legacy .DICOM. plugin:DeprecationWarning')
def test_three_patients_in_a_folder_by_both_readers(both_readers, patients):
    """napari's own reader scans the folder and shows another patient; ours does not."""
    ours, theirs = ViewerModel(), ViewerModel()
    for path in patients:
        ours.open(path, plugin='napari-cxr')
        theirs.open(path, plugin='napari')
    assert [int(layer.data.max()) for layer in ours.layers] == [100, 200, 300]
    shown = [float(np.max(layer.data)) for layer in theirs.layers]
    assert shown != [100, 200, 300], 'napari reads these rightly now: say so in the README'


def test_a_folder_opens_as_layers_of_their_own(both_readers, patients, tmp_path):
    viewer = ViewerModel()
    viewer.open(tmp_path, plugin='napari-cxr')
    assert [int(layer.data.max()) for layer in viewer.layers] == [100, 200, 300]
    assert all(layer.ndim == 2 for layer in viewer.layers)


def test_files_asked_for_as_a_stack_stay_apart(patients):
    paths = [str(path) for path in patients]
    layers = reader.get_reader(paths)(paths)
    assert [int(data.max()) for data, _, _ in layers] == [100, 200, 300]


def test_what_is_claimed_and_what_is_left_to_others(tmp_path, patients):
    iio.imwrite(tmp_path / 'a.png', np.zeros((8, 8), np.uint8))
    (tmp_path / 'notes.txt').write_text('text')
    pictures = tmp_path / 'pictures'
    pictures.mkdir()
    iio.imwrite(pictures / 'b.png', np.zeros((8, 8), np.uint8))
    nameless = tmp_path / 'nameless'
    nameless.mkdir()
    patients[0].rename(nameless / 'IM0001')
    texts = tmp_path / 'texts'
    texts.mkdir()
    (texts / 'notes.txt').write_text('text')
    # napari asks about a folder only if a person has chosen this reader for it.
    claimed = [patients[1], nameless / 'IM0001', nameless, pictures, tmp_path]
    for path in claimed:
        assert reader.get_reader(str(path)) is reader.read
    for path in (tmp_path / 'a.png', tmp_path / 'notes.txt', texts, tmp_path / 'gone'):
        assert reader.get_reader(str(path)) is None


def test_the_manifest_claims_dicom_and_folders_only(own_plugin):
    manifest = own_plugin.get_manifest('napari-cxr')
    (claim,) = manifest.contributions.readers
    assert claim.accepts_directories
    assert {pattern.lower() for pattern in claim.filename_patterns} == {'*.dcm', '*.dicom'}


def test_a_file_without_extension_in_a_folder(own_plugin, tmp_path):
    samples.write_phantom_dicom(tmp_path / 'IM0001', shape=(40, 32))
    (tmp_path / 'README').write_text('not an image')
    (layer,) = reader.read(str(tmp_path))
    assert layer[0].shape == (40, 32)


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr('napari.utils.notifications.show_info', said.append)
    monkeypatch.setattr('napari.utils.notifications.show_warning', said.append)
    return said


def test_a_web_page_called_dcm_is_one_sentence(both_readers, said, tmp_path):
    """A reader that raises makes napari offer its own, which may show another file."""
    path = tmp_path / 'image.dcm'
    path.write_text('<!DOCTYPE html><html></html>')
    assert reader.get_reader(str(path))(str(path)) == [(None,)]
    assert len(said) == 1 and 'image.dcm' in said[0] and 'web page' in said[0]
    viewer = ViewerModel()
    assert viewer.open(path, plugin='napari-cxr') == [] and not viewer.layers


@pytest.mark.parametrize('kind', ['empty', 'pipe', 'broken link', 'folder'])
def test_a_file_called_dcm_is_never_declined_and_never_raises(own_plugin, said, tmp_path, kind):
    path = tmp_path / 'image.dcm'
    if kind == 'empty':
        path.touch()
    elif kind == 'pipe':
        pytest.importorskip('resource')  # not on Windows
        import os

        os.mkfifo(path)
    elif kind == 'broken link':
        path.symlink_to(tmp_path / 'gone')
    else:
        path.mkdir()
        (path / 'damaged.dcm').write_bytes(b'no DICOM')
    assert reader.get_reader(str(path))(str(path)) == [(None,)]
    assert len(said) == 1 and 'could not be opened' in said[0]


def test_a_stack_with_one_dicom_file_is_ours(patients, tmp_path):
    iio.imwrite(tmp_path / 'a.png', np.zeros((8, 8), np.uint8))
    paths = [str(tmp_path / 'a.png'), str(patients[0])]
    layers = reader.get_reader(paths)(paths)
    assert [data.shape for data, *_ in layers] == [(8, 8), (40, 32)]


def test_the_window_does_not_wait_but_a_script_does(qtbot):
    from qtpy.QtCore import QTimer

    seen = []
    assert not reader._window_waits()
    QTimer.singleShot(0, lambda: seen.append(reader._window_waits()))
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    assert seen == [True]


def test_one_bad_file_does_not_hide_the_others(own_plugin, patients, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('napari.utils.notifications.show_warning', said.append)
    patients[1].write_bytes(patients[1].read_bytes()[:400])
    layers = reader.read(str(tmp_path))
    assert [int(data.max()) for data, _, _ in layers] == [100, 300]
    assert 'IM1.dcm' in said[0]


def test_what_is_no_radiograph_opens_with_a_note(own_plugin, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('napari.utils.notifications.show_info', said.append)
    samples.write_phantom_dicom(
        tmp_path / 'ct.dcm',
        shape=(40, 32),
        attributes={'Modality': 'CT', 'SOPClassUID': '1.2.840.10008.5.1.4.1.1.2'},
    )
    ((data, attributes, _),) = reader.read(str(tmp_path / 'ct.dcm'))
    assert data.shape == (40, 32)
    assert 'CT image' in said[0]
    assert attributes['metadata']['napari_cxr']['radiograph'].refusal


def test_names_carry_no_identity_unless_asked(own_plugin, tmp_path):
    from napari_cxr.plugin.preferences import save_preferences

    path = tmp_path / 'Doe^Jane.dcm'
    samples.write_phantom_dicom(path, shape=(40, 32))
    ((_, attributes, _),) = reader.read(str(path))
    assert 'Doe' not in repr(attributes)
    save_preferences('layers', file_names=True)
    ((_, attributes, _),) = reader.read(str(path))
    assert attributes['name'] == 'Doe^Jane'


def test_the_first_answer_needs_no_heavy_import(tmp_path):
    code = (
        'import sys; from napari_cxr.plugin.reader import get_reader\n'
        f'assert get_reader({str(tmp_path / "x.png")!r}) is None\n'
        "heavy = {'torch', 'pydicom', 'napari', 'skimage', 'scipy'} & set(sys.modules)\n"
        'sys.exit(str(heavy) if heavy else 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_dock_and_the_command_line_agree(both_readers, tmp_path, model_file):
    """What napari's own reader and ours make of a file scores the same, to 1e-6."""
    from napari_cxr import image_files
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.plugin.layers import radiograph_of

    pixels = (255 * samples.phantom((160, 140), seed=4)).astype(np.uint8)
    colour = np.stack([pixels, pixels[::-1], pixels], axis=-1)
    iio.imwrite(tmp_path / 'grey.png', pixels)
    iio.imwrite(tmp_path / 'deep.png', pixels.astype(np.uint16) * 16)
    iio.imwrite(tmp_path / 'colour.jpg', colour, quality=95)
    iio.imwrite(tmp_path / 'grey.tif', pixels)
    samples.write_phantom_dicom(tmp_path / 'b.dcm', shape=(160, 140), seed=4)
    classifier = Classifier.load(model_file, 'cpu')
    viewer = ViewerModel()
    for path in sorted(tmp_path.iterdir()):
        plugin = 'napari-cxr' if path.suffix == '.dcm' else 'napari'
        (layer,) = viewer.open(path, plugin=plugin)
        low, high = layer.contrast_limits
        layer.contrast_limits = (low, (low + high) / 2)
        ours, theirs = classifier.predict([image_files.read(path), radiograph_of(layer)])
        np.testing.assert_allclose(
            theirs.probabilities, ours.probabilities, atol=1e-6, err_msg=path.name
        )


def test_every_real_dicom_radiograph_opens_in_napari_or_says_why(both_readers, said, cxr_data):
    opened = {}
    for path in sorted((cxr_data / 'dicom_cxr').glob('*.dcm')):
        layers = ViewerModel().open(path, plugin='napari-cxr')
        if layers:
            (opened[path.name],) = layers
        else:
            assert path.name == '966.dcm' and 'damaged' in said[0]
    assert len(opened) == 8
    fixed = opened['966_fixed.dcm']
    assert fixed.data.shape == (2128, 2000) and fixed.colormap.name == 'gray_r'
    assert fixed.contrast_limits == [0.0, 4095.0]
    np.testing.assert_allclose(fixed.scale, [0.16, 0.16])
    assert fixed.metadata['napari_cxr']['spacing'] == 'at the detector'
    assert opened['RG1_J2KI.dcm'].colormap.name == 'gray_r'
    assert [str(u) for u in opened['RG1_J2KI.dcm'].units] == ['pixel', 'pixel']
    assert opened['rsna_normal_2_.dcm'].colormap.name == 'gray'


def test_every_sample_opens_and_says_what_it_is(own_plugin, monkeypatch):
    from npe2 import PluginManager

    from napari_cxr import samples

    small = {
        key: samples.CASES[key].__class__(case.title, lambda: np.zeros((16, 16)), case.view)
        for key, case in samples.CASES.items()
    }
    monkeypatch.setattr(samples, 'CASES', small)
    manifest = PluginManager.instance().get_manifest('napari-cxr')
    assert {sample.key for sample in manifest.contributions.sample_data} == set(small)
    for sample in manifest.contributions.sample_data:
        ((data, attributes, kind),) = sample.open()
        assert attributes['name'] == f'Synthetic: {small[sample.key].title}'
        assert kind == 'image' and data.ndim == 2
    assert [str(u) for u in attributes['units']] == ['mm', 'mm']


@pytest.fixture(autouse=True)
def own_secret(monkeypatch, tmp_path_factory):
    """Keep the secret for pseudonyms out of the person's own folder."""
    path = tmp_path_factory.mktemp('secret') / 'secret'
    monkeypatch.setattr(privacy, 'secret_path', lambda: path)


def test_our_own_command_opens_a_picture_as_its_file_means_it(own_plugin, tmp_path):
    from PIL import Image

    from napari_cxr.plugin.reader import open_paths

    grey = np.arange(24 * 30, dtype=np.uint8).reshape(24, 30)
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.rot90(grey).copy()).save(tmp_path / 'lying.png', exif=exif)
    viewer = ViewerModel()
    (layer,) = open_paths(viewer, [tmp_path / 'lying.png'])
    np.testing.assert_array_equal(layer.data, grey)
    assert layer.name == 'lying'
    assert any('orientation 6' in note for note in layer.metadata['napari_cxr']['notes'])

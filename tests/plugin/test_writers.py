"""napari's own Save writes our layers as they are meant, and nobody's name."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from made_up_lungs import lung_field, made_up_answer
from napari.layers import Image, Labels
from npe2 import PluginManager

from napari_cxr import dicom
from napari_cxr.plugin.layers import heatmap_layer, radiograph_layer_data
from napari_cxr.plugin.lungs_layer import lungs_layer
from napari_cxr.plugin.writers import write_image
from napari_cxr.samples import write_phantom_dicom

STORED = np.arange(40 * 80, dtype=np.uint16).reshape(40, 80)


@pytest.fixture
def base(tmp_path):
    path = write_phantom_dicom(
        tmp_path / 'Secret.dcm',
        pixels=STORED,
        photometric='MONOCHROME1',
        attributes={'PatientName': 'Secret^Name', 'ImagerPixelSpacing': [0.2, 0.1]},
    )
    data, attributes, _ = radiograph_layer_data(dicom.read(path))
    return Image(data, **attributes)


def save(layer, path, display_name):
    """As napari does when a person has chosen one of our kinds in its dialog."""
    data, attributes, kind = layer.as_layer_data_tuple()
    (writer,) = (
        one
        for one in PluginManager.instance().get_manifest('napari-cxr').contributions.writers
        if one.display_name == display_name
    )
    assert path.suffix in writer.filename_extensions
    assert writer.layer_type_constraints()[0].layer_type == kind
    assert writer.exec(args=(str(path), data, attributes)) == [str(path)]


@pytest.fixture
def written(own_plugin, tmp_path):
    def write(layer, name, kind='Chest radiograph or heatmap'):
        path = tmp_path / name
        save(layer, path, kind)
        assert b'Secret' not in path.read_bytes()
        return path

    return write


def test_a_picture_is_as_it_is_seen(written, base):
    base.contrast_limits = (400, 2400)
    found = iio.imread(written(base, 'a.png'))
    expected = 255 * (1 - np.clip((STORED.astype(float) - 400) / 2000, 0, 1))
    np.testing.assert_allclose(found, expected, atol=1)


def test_values_and_spacing_in_a_tiff(written, base):
    with tifffile.TiffFile(written(base, 'a.tif')) as file:
        np.testing.assert_array_equal(file.asarray(), STORED)
        tags = file.pages[0].tags
        across, down = (np.divide(*tags[name].value) for name in ('XResolution', 'YResolution'))
        assert (across, down) == (100, 50)  # pixels in 10 mm
        assert tags['ResolutionUnit'].value == 3  # centimetre


def test_values_and_spacing_in_npz(written, base):
    with np.load(written(base, 'a.npz')) as found:
        np.testing.assert_array_equal(found['values'], STORED)
        assert found['spacing_mm'].tolist() == [0.2, 0.1]


def test_a_heatmap_at_the_resolution_of_its_radiograph(written, base):
    answer = made_up_answer(shape=(40, 80))
    layer = heatmap_layer(answer.heatmap('ill'), answer.prediction, base, 1.0)
    with np.load(written(layer, 'a.npz')) as found:
        # The second of four cells lies at column 29.5; between two it falls to nothing.
        expected = np.interp(np.arange(80), [9.5, 29.5, 49.5], [0, 1, 0])
        np.testing.assert_allclose(found['heatmap'], np.tile(expected, (40, 1)), atol=1e-6)
        assert json.loads(str(found['about']))['label'] == 'ill'


def test_lungs(written, base):
    labels = lungs_layer(*lung_field_and_labels(), base)
    found = iio.imread(written(labels, 'a.png', 'Lungs'))
    np.testing.assert_array_equal(found, labels.data)
    assert set(np.unique(found)) == {0, 1, 2}


def lung_field_and_labels():
    field = lung_field()
    return field, field.labels()


def test_colours(written):
    colours = np.random.default_rng(0).integers(0, 255, (6, 5, 3), np.uint8)
    np.testing.assert_array_equal(iio.imread(written(Image(colours, rgb=True), 'a.png')), colours)


def test_frames_are_refused_in_one_sentence(tmp_path):
    data, attributes, _ = Image(np.zeros((3, 4, 5))).as_layer_data_tuple()
    with pytest.raises(ValueError, match='Select a single frame'):
        write_image(str(tmp_path / 'a.png'), data, attributes)


def test_another_ending_is_refused(tmp_path, base):
    data, attributes, _ = base.as_layer_data_tuple()
    with pytest.raises(ValueError, match=r'does not end in \.png'):
        write_image(str(tmp_path / 'a.bmp'), data, attributes)


def test_labels_take_the_bits_that_they_need(written):
    found = iio.imread(written(Labels(np.array([[0, 300]], np.int32)), 'a.tif', 'Lungs'))
    assert found.dtype == np.uint16
    assert found.tolist() == [[0, 300]]

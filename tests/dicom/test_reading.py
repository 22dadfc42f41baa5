"""Overlay planes: bits, place, frames, and where they may not appear."""

import numpy as np
import pydicom
import pytest
from napari.layers import Labels
from pydicom.uid import ExplicitVRBigEndian

from napari_cxr import dicom
from napari_cxr.plugin.reader import read as read_layers
from napari_cxr.radiograph import Overlay, Radiograph, Window
from napari_cxr.workers.decoder_pool import shared_decoder

IMAGE = np.arange(63, dtype=np.uint16).reshape(7, 9) * 60
DRAWN = np.zeros((7, 9), bool)
DRAWN[1:3, 2:8] = True
DRAWN[6, 0] = True


def with_overlay(path, mask, group=0x6000, *, origin=(1, 1), kind='G', vr='OW', **more):
    dataset = pydicom.dcmread(path)
    raw = np.packbits(np.asarray(mask, bool).ravel(), bitorder='little').tobytes()
    raw += b'\0' * (len(raw) % 2)
    if not dataset.original_encoding[1]:  # words of big endian
        raw = np.frombuffer(raw, '<u2').astype('>u2').tobytes()
    for element, its_vr, given in (
        (0x0010, 'US', more.get('rows', mask.shape[-2])),
        (0x0011, 'US', mask.shape[-1]),
        (0x0040, 'CS', kind),
        (0x0050, 'SS', list(origin)),
        (0x0100, 'US', 1),
        (0x0102, 'US', 0),
        (0x3000, vr, raw),
    ):
        dataset.add_new((group, element), its_vr, given)
    if mask.ndim == 3:
        dataset.add_new((group, 0x0015), 'IS', len(mask))
        dataset.add_new((group, 0x0051), 'US', more.get('first', 1))
    dataset.save_as(path)
    return path


@pytest.mark.parametrize('syntax', [None, ExplicitVRBigEndian])
@pytest.mark.parametrize('kind', ['G', 'R'])
def test_an_overlay_lies_on_its_pixels_and_is_no_part_of_them(write, syntax, kind):
    options = {'transfer_syntax': syntax} if syntax else {}
    path = with_overlay(write(IMAGE, **options), DRAWN, kind=kind)
    image = dicom.read(path)
    (overlay,) = image.overlays
    np.testing.assert_array_equal(overlay.mask, DRAWN)
    assert (overlay.kind, overlay.number) == ('drawing' if kind == 'G' else 'region', 1)
    np.testing.assert_array_equal(image.values, IMAGE)
    np.testing.assert_allclose(image.to_display(), IMAGE / 4095, atol=1e-6)
    assert sum('overlay' in note for note in image.notes) == 1


@pytest.mark.parametrize(
    ('origin', 'expected'),
    [
        ((3, 2), np.s_[2:7, 1:9]),
        ((-1, 1), np.s_[0:3, 0:9]),
        ((100, 1), None),
    ],
)
def test_origin_and_another_size(write, origin, expected):
    mask = np.ones((5, 9) if expected is None or origin[0] < 0 else (9, 9), bool)
    image = dicom.read(with_overlay(write(IMAGE), mask, origin=origin))
    if expected is None:
        assert image.overlays == ()
        assert not any('overlay' in note for note in image.notes)
        return
    found = np.zeros(IMAGE.shape, bool)
    found[expected] = True
    np.testing.assert_array_equal(image.overlays[0].mask, found)


def test_several_and_their_frames(write):
    path = write(np.stack([IMAGE, IMAGE, IMAGE]))
    with_overlay(path, DRAWN)  # without a frame number: on each
    with_overlay(path, np.stack([DRAWN, ~DRAWN]), 0x6002, first=2)
    first, second = dicom.read(path).overlays
    np.testing.assert_array_equal(first.mask, np.stack([DRAWN] * 3))
    np.testing.assert_array_equal(second.mask, np.stack([DRAWN & False, DRAWN, ~DRAWN]))
    assert [first.number, second.number] == [1, 2]


def test_bits_above_those_of_the_pixels(write):
    path = write(IMAGE | (DRAWN.astype(np.uint16) << 14))
    dataset = pydicom.dcmread(path)
    for element, given in ((0x10, 7), (0x11, 9), (0x0100, 16), (0x0102, 14)):
        dataset.add_new((0x6000, element), 'US', given)
    dataset.add_new((0x6000, 0x40), 'CS', 'G')
    dataset.add_new((0x6000, 0x50), 'SS', [1, 1])
    dataset.save_as(path)
    image = dicom.read(path)
    np.testing.assert_array_equal(image.values, IMAGE)
    np.testing.assert_array_equal(image.overlays[0].mask, DRAWN)


@pytest.mark.parametrize('rows', [0, 60000])
def test_a_broken_overlay_is_left_out_with_a_note(write, rows):
    image = dicom.read(with_overlay(write(IMAGE), DRAWN, rows=rows))
    assert image.overlays == ()
    assert any('overlay of this file is broken' in note for note in image.notes)


def test_a_group_without_data_is_no_overlay(write):
    path = with_overlay(write(IMAGE), DRAWN)
    dataset = pydicom.dcmread(path)
    del dataset[0x6000, 0x3000]
    dataset.save_as(path)
    image = dicom.read(path)
    assert (image.overlays, image.notes) == ((), ())


def test_the_reader_adds_layers_that_are_switched_off(write):
    path = with_overlay(write(IMAGE), DRAWN)
    try:
        layers = read_layers(str(path))
    finally:
        shared_decoder().close()
    (_, image, kind), (mask, overlay, overlay_kind) = layers
    assert (kind, overlay_kind) == ('image', 'labels')
    np.testing.assert_array_equal(mask, DRAWN)
    assert overlay['visible'] is False
    drawn = Labels(mask, **overlay)
    np.testing.assert_array_equal(drawn.colormap.map(1)[:3], [1, 1, 0])
    assert overlay['name'] == f'Overlay · {image["name"]}'
    assert (overlay['scale'], overlay['units']) == (image['scale'], image['units'])
    assert image['metadata']['napari_cxr']['radiograph'].overlays == ()


def test_an_overlay_has_the_shape_of_the_image_and_is_lost_with_it():
    overlay = Overlay(DRAWN, 'drawing', 1)
    image = Radiograph(IMAGE, (Window.spanning(0, 1),), overlays=(overlay,))
    assert image.crop(1, 1, 3, 3).overlays == ()
    assert image.with_values(IMAGE[:2]).overlays == ()
    assert image.with_values(IMAGE + 1).overlays == (overlay,)
    with pytest.raises(ValueError, match='overlay'):
        Radiograph(IMAGE[:3], (Window.spanning(0, 1),), overlays=(overlay,))

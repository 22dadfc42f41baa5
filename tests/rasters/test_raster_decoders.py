"""PNG of 16 bits in several channels, EXIF orientation, and sizes at the limit."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from napari_cxr import rasters
from napari_cxr.decoding_memory import NotEnoughMemory, granted
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.rasters import raster_decoders

DEEP = (np.arange(24 * 30).reshape(24, 30) * 91).astype(np.uint16)
GREY = (DEEP >> 8).astype(np.uint8)


def png(path, array, kind, interlace=0):
    """Write 16-bit samples; Pillow cannot, in several channels."""

    def chunk(name, body):
        return (
            struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))
        )

    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in array)
    head = struct.pack('>IIBBBBB', array.shape[1], array.shape[0], 16, kind, 0, 0, interlace)
    path.write_bytes(
        b'\x89PNG\r\n\x1a\n'
        + chunk(b'IHDR', head)
        + chunk(b'IDAT', zlib.compress(rows))
        + chunk(b'IEND', b'')
    )
    return path


ALPHA = np.full_like(DEEP, 65535)
RGB = np.dstack([DEEP, DEEP[::-1], DEEP // 3])


@pytest.mark.parametrize(
    ('array', 'kind', 'expected'),
    [
        (DEEP, 0, DEEP),
        (RGB, 2, RGB),
        (np.dstack([DEEP, ALPHA]), 4, DEEP),
        (np.dstack([RGB, ALPHA]), 6, RGB),
    ],
)
def test_all_16_bits_are_kept(tmp_path, array, kind, expected):
    image = rasters.read(png(tmp_path / 'a.png', array, kind))
    assert image.values.dtype == np.uint16
    np.testing.assert_array_equal(image.values, expected)
    assert image.is_colour is (expected.ndim == 3)
    assert (image.provenance.bits, image.notes) == (16, ())


def test_without_libpng_the_loss_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(raster_decoders, '_by_libpng', lambda path: None)
    image = rasters.read(png(tmp_path / 'a.png', RGB, 2))
    assert image.values.dtype == np.uint8
    assert any('8 of the 16 bits' in note for note in image.notes)


def test_a_damaged_file_of_16_bits(tmp_path):
    path = png(tmp_path / 'a.png', RGB, 2)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UnreadableImage, match='damaged'):
        rasters.read(path)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize(('name', 'colour'), [('a.png', True), ('a.png', False), ('a.jpg', False)])
def test_exif_orientation(tmp_path, orientation, name, colour):
    exif = Image.Exif()
    exif[274] = orientation
    array = np.dstack([GREY, GREY[::-1], GREY // 2]) if colour else GREY
    Image.fromarray(array).save(tmp_path / name, exif=exif)
    image = rasters.read(tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        np.testing.assert_array_equal(image.values, np.asarray(ImageOps.exif_transpose(opened)))
    assert any('orientation' in note for note in image.notes) is (orientation != 1)


@pytest.mark.parametrize('exif', [b'Exif\0\0', b'Exif\0\0MM\0*\0\0\xff\xff', b'Exif\0\0II*\0\x08'])
def test_broken_exif_is_no_reason_to_refuse(tmp_path, exif):
    Image.fromarray(GREY).save(tmp_path / 'a.jpg', exif=exif)
    assert rasters.read(tmp_path / 'a.jpg').values.shape == GREY.shape


def test_an_image_between_pillows_limit_and_ours_is_read(tmp_path, monkeypatch):
    Image.fromarray(GREY).save(tmp_path / 'a.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)  # 24 x 30 is above twice that
    assert rasters.read(tmp_path / 'a.png').values.shape == GREY.shape
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize('limit', [100, 500])  # above twice our limit too, and below
def test_an_image_above_ours_is_called_so(tmp_path, monkeypatch, limit):
    Image.fromarray(GREY).save(tmp_path / 'a.jpg')
    monkeypatch.setattr(raster_decoders, 'MAX_SAMPLES', limit)
    with pytest.raises(UnreadableImage, match='more pixels'):
        rasters.read(tmp_path / 'a.jpg')


def test_our_limit_is_that_of_16000_squared():
    assert raster_decoders.MAX_SAMPLES > 16_000**2


@pytest.mark.parametrize(
    ('options', 'bits', 'near'),
    [
        ({'bitspersample': 12, 'level': 98}, 12, 4),
        ({'bitspersample': 12, 'lossless': True}, 12, 0),
        ({'bitspersample': 16, 'lossless': True}, 16, 0),
    ],
)
def test_jpeg_of_more_than_8_bits(tmp_path, options, bits, near):
    codecs = pytest.importorskip('imagecodecs')
    soft = (np.add.outer(np.arange(48), np.arange(64)) * 30).astype(np.uint16)
    (tmp_path / 'a.jpg').write_bytes(codecs.jpeg_encode(soft, **options))
    image = rasters.read(tmp_path / 'a.jpg')
    assert np.abs(image.values.astype(int) - soft).max() <= near
    np.testing.assert_allclose(
        image.to_display(), soft / ((1 << bits) - 1), atol=(near + 1e-3) / ((1 << bits) - 1)
    )
    assert image.provenance.bits == bits
    assert image.provenance.lossy is (near > 0)
    (tmp_path / 'a.jpg').write_bytes(codecs.jpeg_encode(soft, **options)[:300])
    with pytest.raises(UnreadableImage, match='cut short'):
        rasters.read(tmp_path / 'a.jpg')


@pytest.mark.parametrize('form', ['PNG', 'JPEG', 'TIFF'])
@pytest.mark.parametrize('mode', ['L', 'RGB', 'P', 'I;16'])
def test_what_a_file_needs_is_known_before_it_is_decoded(tmp_path, form, mode, monkeypatch):
    """Python's own account leaves out codecs, and the estimate is above it all the same."""
    if form == 'JPEG' and mode in ('P', 'I;16'):
        pytest.skip('there is no such JPEG')
    grey = np.add.outer(np.arange(1000), np.arange(1000))
    image = Image.fromarray((grey // 8).astype(np.uint8))
    image = Image.fromarray(grey.astype(np.uint16)) if mode == 'I;16' else image.convert(mode)
    image.save(tmp_path / 'a.bin', form)
    rasters.read(tmp_path / 'a.bin')  # imports
    with granted(1), pytest.raises(NotEnoughMemory) as needs:
        rasters.read(tmp_path / 'a.bin')
    tracemalloc.start()
    try:
        values = rasters.read(tmp_path / 'a.bin').values
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert values.nbytes <= most < needs.value.needed - (32 << 20)


@pytest.mark.parametrize('form', ['PNG', 'JPEG'])
def test_a_radiograph_of_16000_squared_is_valid(tmp_path, form, monkeypatch):
    """Shrunk to a scale where it costs nothing: 200 squared, and Pillow's limit below that."""
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 9_000)
    Image.fromarray(np.full((200, 200), 7, np.uint8)).save(tmp_path / 'a.bin', form)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / 'a.bin')
    assert rasters.read(tmp_path / 'a.bin').shape == (200, 200)
    assert Image.MAX_IMAGE_PIXELS == 9_000


def test_more_data_than_the_header_of_a_png_says_is_no_more_image(tmp_path):
    path = png(tmp_path / 'a.png', DEEP, 0)
    whole = path.read_bytes()
    place = whole.index(b'IDAT') - 4
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in DEEP) + bytes(8 << 20)
    packed = zlib.compress(rows)
    chunk = b'IDAT' + packed
    path.write_bytes(
        whole[:place]
        + struct.pack('>I', len(packed))
        + chunk
        + struct.pack('>I', zlib.crc32(chunk))
        + whole[-12:]
    )
    np.testing.assert_array_equal(rasters.read(path).values, DEEP)

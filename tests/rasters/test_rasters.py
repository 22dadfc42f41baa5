"""PNG, JPEG and TIFF, held against napari's own reader."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cxr import rasters
from napari_cxr.radiograph import UnreadableImage

GREY = (np.arange(24 * 30).reshape(24, 30) % 256).astype(np.uint8)
DEEP = (np.arange(24 * 30).reshape(24, 30) * 91).astype(np.uint16)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def pillow(image, name, **options):
    def write(folder):
        made = image() if callable(image) else Image.fromarray(image)
        made.save(folder / name, **options)
        return folder / name

    return write


def tiff(array, **options):
    def write(folder):
        tifffile.imwrite(folder / 'image.tif', array, **options)
        return folder / 'image.tif'

    return write


FILES = {
    'png 8': pillow(GREY, 'a.png'),
    'png 16': pillow(DEEP, 'a.png'),
    'png rgb': pillow(COLOUR, 'a.png'),
    'png palette': pillow(lambda: Image.fromarray(COLOUR).quantize(16), 'a.png'),
    'png palette of greys': pillow(lambda: Image.fromarray(GREY).convert('P'), 'a.png'),
    'png 1 bit': pillow(lambda: Image.fromarray(GREY).convert('1'), 'a.png'),
    'jpeg grey': pillow(GREY, 'a.jpg', quality=90),
    'jpeg rgb': pillow(COLOUR, 'a.jpeg', quality=90),
    'tiff 8': tiff(GREY),
    'tiff 16': tiff(DEEP),
    'tiff 16 big endian': tiff(DEEP, byteorder='>'),
    'tiff 32': tiff(DEEP.astype(np.uint32) * 7),
    'tiff signed': tiff(DEEP.astype(np.int16) - 500),
    'tiff float': tiff((DEEP / 65535).astype(np.float32)),
    'tiff rgb': tiff(COLOUR, photometric='rgb'),
    'tiff deflate': tiff(DEEP, compression='zlib'),
    'tiff 1 bit': pillow(lambda: Image.fromarray(GREY).convert('1'), 'a.tif'),
    'tiff pages': tiff(np.stack([DEEP, DEEP + 1, DEEP + 2, DEEP + 3, DEEP + 4])),
    'tiff pages of rgb': tiff(np.stack([COLOUR, COLOUR, COLOUR]), photometric='rgb'),
    'tiff three pages': tiff(np.stack([DEEP, DEEP + 1, DEEP + 2]), photometric='minisblack'),
    'tiff resolution': tiff(DEEP, resolution=(100, 100), resolutionunit='CENTIMETER'),
}


@pytest.mark.parametrize('kind', FILES)
def test_the_pixels_are_those_of_naparis_own_reader(tmp_path, kind):
    io_read = pytest.importorskip('napari_builtins.io._read')
    path = FILES[kind](tmp_path)
    image = rasters.read(path)
    theirs = np.asarray(io_read.magic_imread([str(path)]))
    np.testing.assert_array_equal(image.values, theirs.astype(image.values.dtype))
    assert image.values.shape == theirs.shape
    assert theirs.dtype in (image.values.dtype, np.bool_)
    assert image.is_colour is (
        'rgb' in kind or kind == 'png palette' or ('of greys' in kind and theirs.ndim == 3)
    )
    assert image.frames == (theirs.shape[0] if 'pages' in kind else None)
    assert image.geometry.spacing is None


@pytest.mark.parametrize(
    ('kind', 'limits'),
    [('png 8', (0, 255)), ('png 16', (0, 65535)), ('png 1 bit', (0, 1)), ('tiff float', (0, 1))],
)
def test_the_range_is_that_of_the_type(tmp_path, kind, limits):
    image = rasters.read(FILES[kind](tmp_path))
    assert image.presets[0].limits == pytest.approx(limits)
    assert not image.inverted


def test_format_bits_and_loss(tmp_path):
    for kind, form, bits, lossy in (
        ('png 16', 'PNG', 16, False),
        ('jpeg grey', 'JPEG', 8, True),
        ('tiff 16', 'TIFF', 16, False),
    ):
        provenance = rasters.read(FILES[kind](tmp_path)).provenance
        assert (provenance.format, provenance.bits, provenance.lossy) == (form, bits, lossy)


def test_alpha_is_dropped(tmp_path):
    opaque = np.full((*GREY.shape, 1), 9, np.uint8)
    for array, name in (
        (np.concatenate([COLOUR, opaque], axis=-1), 'rgba.png'),
        (np.concatenate([COLOUR, opaque], axis=-1), 'rgba.tif'),
    ):
        Image.fromarray(array).save(tmp_path / name)
        image = rasters.read(tmp_path / name)
        assert image.is_colour
        np.testing.assert_array_equal(image.values, COLOUR)
    both = Image.merge('LA', [Image.fromarray(GREY), Image.fromarray(opaque[..., 0])])
    for name in ('la.png', 'la.tif'):
        both.save(tmp_path / name)
        image = rasters.read(tmp_path / name)
        assert not image.is_colour
        np.testing.assert_array_equal(image.values, GREY)


def test_planar_tiff_is_colour(tmp_path):
    path = tiff(np.moveaxis(COLOUR, -1, 0), photometric='rgb', planarconfig='separate')(tmp_path)
    image = rasters.read(path)
    assert image.is_colour
    np.testing.assert_array_equal(image.values, COLOUR)


def test_palette_tiff(tmp_path):
    table = np.zeros((3, 256), np.uint16)
    table[0] = np.arange(255, -1, -1) * 257
    path = tiff(GREY, photometric='palette', colormap=table)(tmp_path)
    image = rasters.read(path)
    assert image.is_colour
    np.testing.assert_array_equal(image.values[..., 0], 255 - GREY)
    assert image.values[..., 1:].max() == 0
    path = tiff(GREY, photometric='palette', colormap=np.tile(np.arange(256) * 257, (3, 1)))(
        tmp_path
    )
    plain = rasters.read(path)
    assert (plain.is_colour, plain.notes) == (False, ())
    np.testing.assert_array_equal(plain.values, GREY)


def test_white_is_zero_tiff_is_inverted_once(tmp_path):
    image = rasters.read(tiff(GREY, photometric='miniswhite')(tmp_path))
    np.testing.assert_array_equal(image.values, GREY)
    np.testing.assert_allclose(image.to_display(), 1 - GREY / 255, atol=1e-6)
    assert any('white' in note for note in image.notes)


def test_lzw_tiff(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / 'lzw.tif', compression='tiff_lzw')
    np.testing.assert_array_equal(rasters.read(tmp_path / 'lzw.tif').values, DEEP)


def test_content_decides_not_the_name(tmp_path):
    (FILES['png 16'](tmp_path)).rename(tmp_path / 'image.dcm')
    assert rasters.raster_format(tmp_path / 'image.dcm') == 'PNG'
    np.testing.assert_array_equal(rasters.read(tmp_path / 'image.dcm').values, DEEP)
    (tmp_path / 'text.png').write_text('not a picture')
    with pytest.raises(UnreadableImage, match='not a PNG'):
        rasters.read(tmp_path / 'text.png')
    (tmp_path / 'empty.png').write_bytes(b'')
    with pytest.raises(UnreadableImage):
        rasters.read(tmp_path / 'empty.png')
    with pytest.raises(UnreadableImage, match='no such file'):
        rasters.read(tmp_path / 'none.png')


@pytest.mark.parametrize('kind', ['png 16', 'jpeg grey', 'tiff 16', 'tiff deflate'])
def test_truncated_files(tmp_path, kind):
    path = FILES[kind](tmp_path)
    data = path.read_bytes()
    for share in (0.1, 0.5):
        path.write_bytes(data[: max(8, int(len(data) * share))])
        with pytest.raises(UnreadableImage):
            rasters.read(path)


def test_bombs_are_refused_by_their_header(tmp_path):
    def chunk(name, body):
        return (
            struct.pack('>I', len(body)) + name + body + struct.pack('>I', zlib.crc32(name + body))
        )

    for size in (12000, 40000):  # over our limit of samples; over Pillow's own
        head = struct.pack('>IIBBBBB', size, size, 16, 2, 0, 0, 0)
        data = (
            chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(bytes(1000))) + chunk(b'IEND', b'')
        )
        (tmp_path / 'bomb.png').write_bytes(b'\x89PNG\r\n\x1a\n' + data)
        with pytest.raises(UnreadableImage):
            rasters.read(tmp_path / 'bomb.png')
    tifffile.imwrite(tmp_path / 'bomb.tif', GREY)
    data = bytearray((tmp_path / 'bomb.tif').read_bytes())
    with tifffile.TiffFile(tmp_path / 'bomb.tif') as file:
        for tag in ('ImageWidth', 'ImageLength'):
            offset = file.pages[0].tags[tag].offset
            data[offset + 8 : offset + 12] = struct.pack('<I', 60000)
            data[offset + 2 : offset + 4] = struct.pack('<H', 4)
    (tmp_path / 'bomb.tif').write_bytes(data)
    with pytest.raises(UnreadableImage, match='more pixels'):
        rasters.read(tmp_path / 'bomb.tif')


def test_print_colours_are_refused(tmp_path):
    Image.fromarray(COLOUR).convert('CMYK').save(tmp_path / 'print.jpg')
    with pytest.raises(UnreadableImage, match='print'):
        rasters.read(tmp_path / 'print.jpg')


def test_real_radiographs_agree_too(cxr_data):
    io_read = pytest.importorskip('napari_builtins.io._read')
    for path in sorted((cxr_data / 'cxr3').rglob('*.jpg'))[:5]:
        theirs = io_read.magic_imread([str(path)])
        np.testing.assert_array_equal(rasters.read(path).values, theirs)


def test_bytes_after_the_image_do_no_harm(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, 'PNG')
    (tmp_path / 'a.png').write_bytes(buffer.getvalue() + b'trailing')
    np.testing.assert_array_equal(rasters.read(tmp_path / 'a.png').values, GREY)

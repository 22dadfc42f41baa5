"""TIFF files of every kind that tifffile or Pillow write: alike whatever the compression."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cxr import rasters
from napari_cxr.decoding_memory import NotEnoughMemory, granted
from napari_cxr.radiograph import UnreadableImage

GREY = (np.arange(48 * 64).reshape(48, 64) % 251).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)
EXACT = [None, 'zlib', 'lzw', 'packbits', 'zstd', 'lzma']
KINDS = {
    'bool': GREY > 100,
    'uint8': GREY,
    'int8': GREY.astype(np.int8),
    'uint16': GREY.astype(np.uint16) * 257,
    'int16': GREY.astype(np.int16) * 100 - 9000,
    'uint32': GREY.astype(np.uint32) * 70001,
    'int32': GREY.astype(np.int32) * -70001,
    'float16': GREY.astype(np.float16) / 256,
    'float32': GREY.astype(np.float32) / 251,
    'float64': GREY.astype(np.float64) / 251,
}


def write(path, array, **options):
    tifffile.imwrite(path, array, **options)
    return rasters.read(path)


@pytest.mark.parametrize('layout', [{}, {'rowsperstrip': 5}, {'tile': (16, 16)}])
@pytest.mark.parametrize('byteorder', ['<', '>'])
@pytest.mark.parametrize('kind', KINDS)
def test_compression_tiling_and_byte_order_change_nothing(tmp_path, kind, byteorder, layout):
    for compression in EXACT:
        if kind == 'bool' and (layout.get('tile') or compression not in (None, 'zlib')):
            continue  # tifffile does not write these
        image = write(
            tmp_path / 'a.tif',
            KINDS[kind],
            compression=compression,
            byteorder=byteorder,
            photometric='minisblack',
            **layout,
        )
        np.testing.assert_array_equal(image.values, KINDS[kind], err_msg=f'{compression}')
        assert not image.inverted
        assert image.values.dtype.isnative


@pytest.mark.parametrize('compression', EXACT)
def test_white_is_zero_by_any_compression(tmp_path, compression):
    for dtype, top in ((np.uint8, 255), (np.uint16, 65535)):
        stored = GREY.astype(dtype)
        image = write(
            tmp_path / 'a.tif', stored, photometric='miniswhite', compression=compression
        )
        np.testing.assert_allclose(image.to_display(), 1 - stored / top, atol=1e-6)


@pytest.mark.parametrize('compression', [None, 'tiff_lzw', 'tiff_adobe_deflate', 'packbits'])
def test_white_is_zero_as_pillow_writes_it(tmp_path, compression):
    Image.fromarray(GREY).save(tmp_path / 'a.tif', compression=compression, tiffinfo={262: 0})
    image = rasters.read(tmp_path / 'a.tif')
    assert image.inverted
    np.testing.assert_allclose(image.to_display(), GREY / 255, atol=1e-6)


def test_white_is_zero_in_jpeg(tmp_path):
    soft = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    Image.fromarray(soft).save(tmp_path / 'a.tif', compression='jpeg', tiffinfo={262: 0})
    image = rasters.read(tmp_path / 'a.tif')
    np.testing.assert_allclose(image.to_display(), soft / 255, atol=0.03)
    assert image.provenance.lossy


@pytest.mark.parametrize('compression', ['group3', 'group4', 'tiff_ccitt', 'packbits', None])
@pytest.mark.parametrize('white', [0, 1])
def test_one_bit(tmp_path, compression, white):
    bright = GREY > 100
    Image.fromarray(bright).save(
        tmp_path / 'a.tif', compression=compression, tiffinfo={262: white}
    )
    image = rasters.read(tmp_path / 'a.tif')
    np.testing.assert_array_equal(image.to_display(), bright)
    assert image.provenance.bits == 1


@pytest.mark.parametrize('bits', [2, 4, 10, 12, 14])
def test_bits_between_the_bytes(tmp_path, bits):
    top = (1 << bits) - 1
    stored = (np.arange(48 * 64).reshape(48, 64) % (top + 1)).astype(
        np.uint16 if bits > 8 else np.uint8
    )
    image = write(
        tmp_path / 'a.tif',
        stored,
        bitspersample=bits,
        photometric='minisblack',
    )
    np.testing.assert_array_equal(image.values, stored)
    np.testing.assert_allclose(image.to_display(), stored / top, atol=1e-6)
    assert image.provenance.bits == bits


@pytest.mark.parametrize('planar', ['contig', 'separate'])
@pytest.mark.parametrize('compression', EXACT)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_colour_by_any_compression(tmp_path, planar, compression, dtype):
    rgb = COLOUR.astype(dtype)
    laid = rgb if planar == 'contig' else np.moveaxis(rgb, -1, 0)
    image = write(
        tmp_path / 'a.tif',
        laid,
        photometric='rgb',
        planarconfig=planar,
        compression=compression,
    )
    assert image.is_colour
    np.testing.assert_array_equal(image.values, rgb)


@pytest.mark.parametrize('stored', ['YCbCr', 'RGB', 'by Pillow'])
def test_colour_in_jpeg(tmp_path, stored):
    soft = np.stack(np.meshgrid(np.arange(64), np.arange(48)), axis=-1).astype(np.uint8)
    rgb = np.concatenate([soft * 2, 255 - soft[..., :1]], axis=-1)
    path = tmp_path / 'a.tif'
    if stored == 'by Pillow':
        Image.fromarray(rgb).save(path, compression='jpeg', quality=95)
    else:
        arguments = {'outcolorspace': stored.lower()}
        tifffile.imwrite(
            path, rgb, photometric='rgb', compression='jpeg', compressionargs=arguments
        )
    image = rasters.read(path)
    assert image.is_colour
    assert image.provenance.lossy
    assert np.abs(image.values.astype(int) - rgb).mean() < 4


@pytest.mark.parametrize('compression', [None, 'zlib', 'lzw'])
def test_ycbcr_becomes_rgb(tmp_path, compression):
    grey_and_red = np.array([[[77, 128, 128], [76, 85, 255]]], np.uint8)
    ycbcr = np.tile(grey_and_red, (8, 4, 1))
    image = write(
        tmp_path / 'a.tif',
        ycbcr,
        photometric='ycbcr',
        compression=compression,
        extratags=[(530, 'H', 2, (1, 1), True)],
    )
    assert image.is_colour
    np.testing.assert_array_equal(image.values[0, 0], [77, 77, 77])
    np.testing.assert_allclose(image.values[0, 1].astype(int), [254, 0, 0], atol=1)  # BT.601 red


@pytest.mark.parametrize('compression', EXACT)
def test_pages_by_any_compression(tmp_path, compression):
    pages = np.stack([GREY, GREY[::-1]])
    image = write(tmp_path / 'a.tif', pages, compression=compression, photometric='minisblack')
    assert image.frames == 2
    np.testing.assert_array_equal(image.values, pages)


@pytest.mark.parametrize('compression', [None, 'tiff_lzw', 'jpeg'])
def test_pages_as_pillow_writes_them(tmp_path, compression):
    pages = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    pages[0].save(
        tmp_path / 'a.tif', save_all=True, append_images=pages[1:], compression=compression
    )
    assert rasters.read(tmp_path / 'a.tif').frames == 2


def test_pages_of_another_size_are_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'a.tif') as file:
        file.write(GREY)
        file.write(GREY[:9, :9])
    image = rasters.read(tmp_path / 'a.tif')
    np.testing.assert_array_equal(image.values, GREY)
    assert any('several images' in note for note in image.notes)


@pytest.mark.parametrize(
    ('options', 'says'),
    [
        ({'photometric': 'separated'}, 'print'),
        ({'photometric': 'cielab'}, 'print'),
        ({'photometric': 'logl'}, 'Photometric Interpretation 32844'),
        ({'dtype': np.complex64}, 'not real numbers'),
    ],
)
def test_what_is_not_read_is_named(tmp_path, options, says):
    options = dict(options)
    array = GREY.astype(options.pop('dtype', np.uint8))
    if options.get('photometric') == 'separated':
        array = np.dstack([array] * 4)
    elif options.get('photometric') == 'cielab':
        array = np.dstack([array] * 3)
    with pytest.raises(UnreadableImage, match=says):
        write(tmp_path / 'a.tif', array, **options)


def changed(path, tag, value):
    """Overwrite a tag of type SHORT or LONG with one value."""
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        found = file.pages[0].tags[tag]
        form = 'H' if found.dtype == 3 else 'I'
        data[found.valueoffset : found.valueoffset + struct.calcsize(form)] = struct.pack(
            f'<{form}', value
        )
    path.write_bytes(bytes(data))
    return path


def test_an_unknown_compression_is_named(tmp_path):
    write(tmp_path / 'a.tif', GREY)
    changed(tmp_path / 'a.tif', 259, 32771)
    with pytest.raises(UnreadableImage, match='compression of this TIFF file'):
        rasters.read(tmp_path / 'a.tif')


def test_subsampled_colour_without_jpeg_is_refused(tmp_path):
    write(tmp_path / 'a.tif', COLOUR, photometric='ycbcr', compression='jpeg')
    changed(tmp_path / 'a.tif', 259, 8)
    with pytest.raises(UnreadableImage):
        rasters.read(tmp_path / 'a.tif')


@pytest.mark.parametrize('compression', [*EXACT, 'jpeg'])
def test_a_file_that_is_cut_short_is_refused(tmp_path, compression):
    pages = np.stack([GREY, GREY[::-1]])
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, pages, compression=compression, photometric='minisblack')
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 40])
    with pytest.raises(UnreadableImage, match='damaged'):
        rasters.read(path)


@pytest.mark.parametrize('tag', [256, 257])
def test_a_side_of_0_pixels_is_said(tmp_path, tag):
    tifffile.imwrite(tmp_path / 'a.tif', GREY)
    changed(tmp_path / 'a.tif', tag, 0)
    with pytest.raises(UnreadableImage, match=r'side of 0|no image'):
        rasters.read(tmp_path / 'a.tif')


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('compression', [None, 'tiff_lzw'])
def test_orientation(tmp_path, orientation, compression):
    Image.fromarray(GREY).save(
        tmp_path / 'a.tif', compression=compression, tiffinfo={274: orientation}
    )
    image = rasters.read(tmp_path / 'a.tif')
    # TIFF 6.0: where row 0 and column 0 of the file are in the image
    y, x = np.mgrid[0:48, 0:64]
    row = {1: y, 2: y, 3: 47 - y, 4: 47 - y, 5: x, 6: x, 7: 63 - x, 8: 63 - x}[orientation]
    column = {1: x, 2: 63 - x, 3: 63 - x, 4: x, 5: y, 6: 47 - y, 7: 47 - y, 8: y}[orientation]
    expected = np.zeros((row.max() + 1, column.max() + 1), np.uint8)
    expected[row, column] = GREY
    np.testing.assert_array_equal(image.values, expected)
    assert any('orientation' in note for note in image.notes) is (orientation != 1)


def compressed_tiff(path, side, compression, piece):
    """Write a grey TIFF of one piece, which may be something else than the header says."""
    entries = ((256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, compression), (262, 3, 1),
               (273, 4, 134), (277, 3, 1), (278, 4, side), (279, 4, len(piece)))  # fmt: skip
    tags = b''.join(struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in entries)
    head = b'II*\0' + struct.pack('<IH', 8, len(entries)) + tags + bytes(4)
    path.write_bytes(head.ljust(134, b'\0') + piece)
    return path


@pytest.mark.parametrize(('compression', 'form'), [(7, 'JPEG'), (34712, 'JPEG2000')])
def test_a_piece_that_is_larger_than_the_image_is_refused_before(
    tmp_path, compression, form, monkeypatch
):
    pieces = {}
    for side in (16, 600):
        packed = io.BytesIO()
        Image.fromarray(np.full((side, side), 7, np.uint8)).save(packed, form, **J2K.get(form, {}))
        pieces[side] = packed.getvalue()
    image = rasters.read(compressed_tiff(tmp_path / 'a.tif', 16, compression, pieces[16]))
    assert image.shape == (16, 16) and abs(int(image.values[3, 3]) - 7) < 3
    path = compressed_tiff(tmp_path / 'b.tif', 16, compression, pieces[600])
    monkeypatch.setattr(
        tifffile.TiffPageSeries, 'asarray', lambda *_: pytest.fail('it was decoded')
    )
    with pytest.raises(UnreadableImage, match='more pixels than the file says'):
        rasters.read(path)


J2K = {'JPEG2000': {'no_jp2': True}}


def test_a_tile_that_is_larger_than_the_image_counts(tmp_path):
    tifffile.imwrite(tmp_path / 'a.tif', GREY, tile=(16, 16), compression='zlib')
    for tag in (322, 323):  # width and length of a tile
        changed(tmp_path / 'a.tif', tag, 16_384)
    with granted(300 << 20), pytest.raises(NotEnoughMemory) as caught:
        rasters.read(tmp_path / 'a.tif')
    assert caught.value.needed > 16_384**2


def test_a_later_page_with_a_larger_piece_is_refused_too(tmp_path):
    pages = np.stack([GREY] * 3)
    assert (
        write(tmp_path / 'a.tif', pages, compression='jpeg', photometric='minisblack').frames == 3
    )
    packed = io.BytesIO()
    Image.fromarray(np.full((600, 600), 7, np.uint8)).save(packed, 'JPEG')
    data = bytearray((tmp_path / 'a.tif').read_bytes())
    with tifffile.TiffFile(tmp_path / 'a.tif') as file:
        tags = {tag: file.pages[2].aspage().tags[tag] for tag in (273, 279)}
    for tag, value in ((273, len(data)), (279, len(packed.getvalue()))):  # offset and length
        form = '<H' if tags[tag].dtype == 3 else '<I'
        struct.pack_into(form, data, tags[tag].valueoffset, value)
    (tmp_path / 'a.tif').write_bytes(bytes(data) + packed.getvalue())
    with pytest.raises(UnreadableImage, match='more pixels than the file says'):
        rasters.read(tmp_path / 'a.tif')


@pytest.mark.parametrize('compression', [8, 5, 32773])
def test_a_piece_that_unpacks_to_more_is_the_image_or_a_sentence(tmp_path, compression):
    large = np.zeros((512, 512), np.uint8)
    names = {8: 'zlib', 5: 'lzw', 32773: 'packbits'}
    packed = getattr(imagecodecs, f'{names[compression]}_encode')(large.tobytes())
    path = compressed_tiff(tmp_path / 'a.tif', 16, compression, packed)
    try:
        assert rasters.read(path).shape == (16, 16)
    except UnreadableImage as error:
        assert str(error).endswith('.')

"""JPEG 2000 at a part of its size: how far a stream goes, and where its pixels stand."""

import imagecodecs
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, RLELossless

from napari_cxr import dicom
from napari_cxr.dicom.reduced_decoding import (
    ReducibleStream,
    decode_reduced,
    halvings_for,
    read_reducible,
)


def smooth(rows, columns, bits=12, signed=False):
    """A surface without edges, on which a low band must lie."""
    y, x = np.mgrid[:rows, :columns]
    wave = np.sin(y / 23) + np.cos(x / 31) + y / rows - x / columns
    low = -(1 << (bits - 1)) if signed else 0
    values = low + ((wave + 3) / 6.0 * ((1 << bits) - 1))
    return values.astype(np.int16 if signed else np.uint8 if bits == 8 else np.uint16)


def encoded(values, bits=12, resolutions=6):
    return bytes(
        imagecodecs.jpeg2k_encode(
            values,
            level=0,
            codecformat='j2k',
            reversible=True,
            bitspersample=bits,
            resolutions=resolutions,
        )
    )


def ht_encoded(values, **options):
    return bytes(imagecodecs.htj2k_encode(values, reversible=True, **options))


def stream(rows, columns, levels=5, tile=None):
    return ReducibleStream(rows, columns, 12, False, levels, tile or (rows, columns))


@pytest.mark.parametrize(
    ('one', 'least', 'halvings'),
    [
        (stream(2500, 2048), (448, 448), 2),  # 625 x 512, and then 313 x 256
        (stream(1792, 1792), (448, 448), 2),
        (stream(1789, 1789), (448, 448), 2),  # sizes are ceilings: 448 from 1789 on
        (stream(1788, 1788), (448, 448), 1),
        (stream(895, 2000), (448, 448), 1),
        (stream(894, 2000), (448, 448), 0),
        (stream(8000, 8000, levels=1), (448, 448), 1),
        (stream(4000, 4000, tile=(1024, 1024)), (448, 448), 3),
        (stream(4000, 4000, tile=(1000, 1004)), (100, 100), 2),  # tiles of 250 x 251
        (stream(4000, 4000, tile=(1001, 1024)), (100, 100), 0),
        (stream(4000, 4000, tile=(8192, 4001)), (500, 500), 3),  # one tile
    ],
)
def test_how_often_a_stream_can_be_halved(one, least, halvings):
    assert halvings_for(one, least) == halvings


def test_what_a_stream_says_of_itself():
    found = read_reducible(encoded(smooth(70, 90, 10), 10, resolutions=4))
    assert found == ReducibleStream(70, 90, 10, False, 3, (70, 90))
    tiled = read_reducible(ht_encoded(smooth(70, 90, 16), tile=(32, 64), resolutions=3))
    assert tiled is not None and tiled.precision == 16 and tiled.tile in ((32, 64), (64, 32))


def test_fewer_levels_in_the_header_of_a_tile_count():
    data = encoded(smooth(64, 64))
    at = data.index(b'\xff\x90')  # SOT: length, tile, length of the part, numbers
    cod = data.index(b'\xff\x52')
    segment = bytearray(data[cod : cod + 2 + int.from_bytes(data[cod + 2 : cod + 4], 'big')])
    segment[9] = 2
    length = int.from_bytes(data[at + 6 : at + 10], 'big')
    assert length == 0 or at + length == len(data) - 2
    part = (length + len(segment)).to_bytes(4, 'big') if length else bytes(4)
    changed = data[: at + 6] + part + data[at + 10 : at + 12] + bytes(segment) + data[at + 12 :]
    whole, found = read_reducible(data), read_reducible(changed)
    assert whole is not None and found is not None
    assert (whole.levels, found.levels) == (3, 2)


@pytest.mark.parametrize(
    'data',
    [
        encoded(smooth(64, 64), resolutions=1),  # nothing was halved
        encoded(smooth(64, 64))[:-200],
        encoded(smooth(64, 64))[:-2],  # without its end
        encoded(smooth(64, 64))[:60],
        encoded(np.stack([smooth(64, 64, 8)] * 3, axis=-1), 8),
        b'\xff\xd8\xff\xc0' + bytes(100),
        b'',
    ],
)
def test_streams_that_are_not_reduced(data):
    assert read_reducible(data) is None
    assert decode_reduced(data, (8, 8)) is None


def test_an_offset_on_the_canvas_is_not_reduced():
    data = bytearray(encoded(smooth(64, 64)))
    data[16:20] = (2).to_bytes(4, 'big')  # XOsiz
    assert read_reducible(bytes(data)) is None


@pytest.mark.parametrize('rows', [96, 97, 98, 99, 101, 103])
@pytest.mark.parametrize('columns', [88, 89, 90, 91])
def test_pixels_stand_at_every_step_of_the_image_whatever_its_size(rows, columns):
    values = smooth(rows, columns)
    for least, step in ((44, 2), (22, 4), (11, 8)):
        found = decode_reduced(encoded(values), (least, least))
        assert found is not None and found[1] == step
        expected = values[::step, ::step].astype(int)
        assert found[0].shape == expected.shape == (-(-rows // step), -(-columns // step))
        inside = np.abs(found[0] - expected)[1:-1, 1:-1]
        # A shift by one pixel of the image would be 20 to 60 grey levels.
        assert inside.mean() < 3 * step


@pytest.mark.parametrize(('bits', 'signed'), [(8, False), (10, False), (12, True), (16, False)])
def test_samples_keep_their_scale_and_their_sign(bits, signed):
    values = smooth(80, 96, bits, signed)
    found = decode_reduced(encoded(values, bits), (40, 48))
    assert found is not None
    span = 1 << bits
    assert np.abs(found[0] - values[::2, ::2].astype(int)).max() < span / 100


def test_high_throughput_streams_and_tiles():
    values = smooth(160, 192, 16)
    for options in ({}, {'tile': (64, 64)}):
        found = decode_reduced(ht_encoded(values, **options), (40, 48))
        assert found is not None and found[1] == 4
        assert np.abs(found[0] - values[::4, ::4].astype(int)).max() < 65536 / 50


def test_values_do_not_wrap_around_beside_an_edge():
    values = np.zeros((128, 128), np.uint16)
    values[:, 40:88] = 65535  # a low band overshoots and undershoots here
    found = decode_reduced(ht_encoded(values), (32, 32))
    assert found is not None
    black, white = found[0][:, :8], found[0][:, 12:20]
    assert black.max() < 8000 and white.min() > 57000


def compressed(path, syntax=JPEG2000Lossless):
    dataset = dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    return path


def test_a_file_is_read_at_a_part_of_its_size(write):
    values = smooth(128, 96)
    path = compressed(write(values, photometric='MONOCHROME1', WindowCenter=2000, WindowWidth=900))
    whole, quarter = dicom.read(path), dicom.read(path, least=(30, 24))
    assert (whole.step, whole.decoded, whole.values.shape) == (1, '1', (128, 96))
    assert (quarter.step, quarter.decoded, quarter.values.shape) == (4, '1/4', (32, 24))
    assert whole.shape == quarter.shape == (128, 96)
    assert quarter.values.dtype == whole.values.dtype
    for name in ('presets', 'inverted', 'geometry', 'provenance', 'refusal', 'notes'):
        assert getattr(whole, name) == getattr(quarter, name)
    shown = np.abs(quarter.to_display() - whole.to_display()[::4, ::4])[1:-1, 1:-1]
    assert shown.mean() < 0.02


@pytest.mark.parametrize(
    'more',
    [
        {'least': None},
        {'least': (65, 40)},  # half of it has 64 rows
        {'syntax': RLELossless},
        {'HighBit': 15},
    ],
)
def test_files_that_are_read_in_full(write, more):
    least = more.pop('least', (8, 8))
    syntax = more.pop('syntax', JPEG2000Lossless)
    path = compressed(write(smooth(128, 96)), syntax)
    if more:
        dataset = dcmread(path)
        for name, value in more.items():
            setattr(dataset, name, value)
        dataset.save_as(path)
    assert dicom.read(path, least=least).step == 1


def test_bits_beyond_those_stored_need_every_pixel(write):
    """The upper bits are dropped, which comes before any averaging."""
    path = write(smooth(128, 96))
    dataset = dcmread(path)
    above = smooth(128, 96).astype(np.uint16) | 0x8000
    dataset.PixelData = encapsulate([encoded(above, 16)])
    dataset['PixelData'].VR = 'OB'
    dataset['PixelData'].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(path)
    assert dicom.read(path, least=(8, 8)).step == 1


def test_a_damaged_stream_is_read_in_full_which_says_so(write):
    from napari_cxr.radiograph import UnreadableImage

    path = compressed(write(smooth(128, 96)))
    dataset = dcmread(path)
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([stream[: len(stream) // 2]])
    dataset.save_as(path)
    try:
        whole = dicom.read(path).step
    except UnreadableImage:
        with pytest.raises(UnreadableImage):
            dicom.read(path, least=(8, 8))
    else:
        assert dicom.read(path, least=(8, 8)).step == whole == 1


def test_pixels_beside_padding_count_as_padding(write):
    values = smooth(128, 96)
    values[:, :33] = 0
    path = compressed(write(values, PixelPaddingValue=0))
    whole, half = dicom.read(path), dicom.read(path, least=(64, 48))
    assert half.step == 2 and half.padding is not None and whole.padding is not None
    assert np.array_equal(np.flatnonzero(half.padding.all(axis=0)), np.arange(17))
    assert np.array_equal(np.flatnonzero(whole.padding.all(axis=0)), np.arange(33))
    assert (half.values[:, 16] > 0).any()  # it is mixed


def test_shutters_and_overlays_stand_in_pixels_of_the_whole_image(write):
    bits = np.packbits(np.ones((128, 96), np.uint8).ravel(), bitorder='little').tobytes()
    path = write(
        smooth(128, 96),
        ShutterShape='RECTANGULAR',
        ShutterLeftVerticalEdge=10,
        ShutterRightVerticalEdge=80,
        ShutterUpperHorizontalEdge=0,
        ShutterLowerHorizontalEdge=200,
    )
    dataset = dcmread(path)
    dataset.add_new((0x6000, 0x0010), 'US', 128)
    dataset.add_new((0x6000, 0x0011), 'US', 96)
    dataset.add_new((0x6000, 0x0040), 'CS', 'G')
    dataset.add_new((0x6000, 0x0050), 'SS', [1, 1])
    dataset.add_new((0x6000, 0x0100), 'US', 1)
    dataset.add_new((0x6000, 0x0102), 'US', 0)
    dataset.add_new((0x6000, 0x3000), 'OW', bits)
    dataset.save_as(path)
    compressed(path)
    whole, half = dicom.read(path), dicom.read(path, least=(64, 48))
    assert half.step == 2 and half.notes == whole.notes and len(whole.overlays) == 1
    assert whole.padding is not None and half.padding is not None
    assert np.array_equal(half.padding, whole.padding[::2, ::2])
    assert half.overlays == ()


def test_oblong_pixels_keep_enough_rows(write):
    path = compressed(write(smooth(128, 128), ImagerPixelSpacing=['0.4', '0.2']))
    half = dicom.read(path, least=(32, 32))
    assert half.step == 2 and half.geometry.aspect == 2


def test_high_throughput_file(write):
    path = write(smooth(128, 96))
    dataset = dcmread(path)
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.PixelData = encapsulate([ht_encoded(smooth(128, 96, 16))])
    dataset['PixelData'].VR = 'OB'
    dataset['PixelData'].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    dataset.save_as(path)
    whole, half = dicom.read(path), dicom.read(path, least=(64, 48))
    assert half.step == 2
    assert np.abs(half.values - whole.values[::2, ::2].astype(int)).mean() < 300

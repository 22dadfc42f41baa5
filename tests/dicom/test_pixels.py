"""Bit alignment, sign, transfer syntaxes, colour, and streams that lie."""

import io
import struct
import tracemalloc

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import Decoder
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from napari_cxr import dicom
from napari_cxr.decoding_memory import NotEnoughMemory, granted
from napari_cxr.dicom import pixels
from napari_cxr.dicom.headers import read_header
from napari_cxr.radiograph import UnreadableImage

GREY = (np.arange(32 * 40).reshape(32, 40) * 3).astype(np.uint16)


def rewrite(path, **elements):
    dataset = pydicom.dcmread(path)
    for keyword, given in elements.items():
        setattr(dataset, keyword, given)
        if keyword.endswith('LookupTableDescriptor'):
            dataset[keyword].VR = 'US'
    dataset.save_as(path)
    return path


def encapsulated(path, frames, syntax, **elements):
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate(frames)
    dataset['PixelData'].VR = 'OB'
    dataset.file_meta.TransferSyntaxUID = syntax
    for keyword, given in elements.items():
        setattr(dataset, keyword, given)
    dataset.save_as(path)
    return path


def jpeg(array, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, 'JPEG', quality=95, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    'syntax',
    [ImplicitVRLittleEndian, ExplicitVRBigEndian, '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99'],
)
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int16])
def test_uncompressed_syntaxes(write, syntax, dtype):
    values = np.array([[0, 1, 2], [100, 126, 127], [3, 4, 5]], dtype=dtype)
    if np.dtype(dtype).kind == 'i':
        values = -values * 100
    path = write(values, bits=values.dtype.itemsize * 8, transfer_syntax=syntax)
    read = dicom.read(path).values
    assert read.dtype == dtype
    assert read.dtype.isnative
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize('syntax', [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize('signed', [False, True])
def test_lossless_compression_gives_the_same_values(write, syntax, signed):
    values = GREY.astype(np.int16) - 1900 if signed else GREY
    path = write(values, bits=12)
    dataset = pydicom.dcmread(path)
    dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path)
    image = dicom.read(path)
    assert image.provenance.transfer_syntax == syntax.name
    assert not image.provenance.lossy
    np.testing.assert_array_equal(image.values, values)


def test_jpeg_lossless_made_by_gdcm(write, tmp_path):
    gdcm = pytest.importorskip('gdcm')
    reader = gdcm.ImageReader()
    reader.SetFileName(str(write(GREY)))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(tmp_path / 'lossless.dcm'))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    image = dicom.read(tmp_path / 'lossless.dcm')
    assert image.provenance.transfer_syntax == JPEGLosslessSV1.name
    np.testing.assert_array_equal(image.values, GREY)


def test_jpeg_baseline_is_lossy(write):
    grey = (GREY // 16).astype(np.uint8)
    path = encapsulated(write(grey, bits=8), [jpeg(grey)], JPEGBaseline8Bit)
    image = dicom.read(path)
    assert image.provenance.lossy
    assert np.abs(image.values.astype(int) - grey).max() <= 12


def test_multi_frame_rle(write):
    frames = np.stack([GREY, GREY[::-1], GREY + 1])
    path = write(frames)
    dataset = pydicom.dcmread(path)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(path)
    image = dicom.read(path)
    assert image.frames == 3
    np.testing.assert_array_equal(image.values, frames)


def test_one_frame_is_no_stack(write):
    assert dicom.read(write(GREY[None])).values.shape == GREY.shape


def test_high_bit_above_bits_stored_is_shifted_down(write):
    # PS3.5 8.1.1: 12 bits whose highest is bit 15 stand 4 bits up; 100 is stored as 1600.
    stored = np.array([[0, 1600, 65535]], dtype=np.uint16)
    image = dicom.read(write(stored, bits=12, HighBit=15))
    np.testing.assert_array_equal(image.values, [[0, 100, 4095]])


def test_bits_above_bits_stored_are_dropped(write):
    # Bit 12 and up may hold an overlay; 0xF064 & 0x0FFF = 100.
    image = dicom.read(write(np.array([[0xF064, 100]], dtype=np.uint16), bits=12))
    np.testing.assert_array_equal(image.values, [[100, 100]])


def test_sign_is_extended_from_bits_stored(write):
    # 12 bits, two's complement: 0xFFF is -1, 0x800 is -2048, 0x7FF is 2047.
    raw = np.array([[0x0FFF, 0x0800, 0x07FF]], dtype=np.uint16).view(np.int16)
    image = dicom.read(write(raw, bits=12, WindowCenter=None, WindowWidth=None))
    np.testing.assert_array_equal(image.values, [[-1, -2048, 2047]])
    assert image.presets[0].limits == pytest.approx((-2048, 2047))


def test_lossy_overshoot_is_clipped_not_wrapped(write):
    # 8 bits in the stream, 7 stored: 200 is beyond white, and must not become 200 - 128.
    grey = np.full((16, 16), 200, dtype=np.uint8)
    path = encapsulated(
        write(grey, bits=8), [jpeg(grey)], JPEGBaseline8Bit, BitsStored=7, HighBit=6
    )
    assert dicom.read(path).values.min() == 127


@pytest.mark.parametrize('planar', [0, 1])
def test_rgb_in_both_planar_configurations(write, planar):
    colour = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    raw = colour.transpose(2, 0, 1) if planar else colour
    path = rewrite(
        write(colour[..., 0], bits=8),
        SamplesPerPixel=3,
        PhotometricInterpretation='RGB',
        PlanarConfiguration=planar,
        PixelData=raw.tobytes(),
    )
    image = dicom.read(path)
    assert image.is_colour
    np.testing.assert_array_equal(image.values, colour)


def test_ybr_full_becomes_rgb(write):
    # PS3.3 C.7.6.3.1.2: Y 128, Cb 128, Cr 255 -> R = 128 + 1.402 * 127 = 306 -> 255,
    # G = 128 - 0.714136 * 127 = 37.3, B = 128.
    ybr = np.broadcast_to(np.array([128, 128, 255], np.uint8), (2, 2, 3))
    path = rewrite(
        write(ybr[..., 0], bits=8),
        SamplesPerPixel=3,
        PhotometricInterpretation='YBR_FULL',
        PlanarConfiguration=0,
        PixelData=ybr.tobytes(),
    )
    np.testing.assert_allclose(dicom.read(path).values[0, 0], [255, 37, 128], atol=1)


@pytest.mark.parametrize('depth', [8, 16])
def test_palette_becomes_rgb(write, depth):
    table = np.array([[10, 20, 30], [200, 0, 7], [1, 2, 3]])
    words = {8: np.uint8, 16: '<u2'}[depth]
    elements = {'PhotometricInterpretation': 'PALETTE COLOR', 'PixelRepresentation': 0}
    for column, name in enumerate(('Red', 'Green', 'Blue')):
        entries = np.append(table[:, column], 0) * (257 if depth == 16 else 1)
        elements[f'{name}PaletteColorLookupTableDescriptor'] = [4, 1, depth]
        elements[f'{name}PaletteColorLookupTableData'] = entries.astype(words).tobytes()
    path = rewrite(write(np.array([[0, 1, 2, 3]], np.uint8), bits=8), **elements)
    image = dicom.read(path)
    # The first entry belongs to index 1, and index 0 takes it too.
    np.testing.assert_array_equal(image.values[0], table[[0, 0, 1, 2]])


def test_palette_of_greys_is_grey(write):
    greys = np.arange(255, -1, -1, dtype=np.uint8).tobytes()
    elements = {'PhotometricInterpretation': 'PALETTE COLOR'}
    for name in ('Red', 'Green', 'Blue'):
        elements[f'{name}PaletteColorLookupTableDescriptor'] = [256, 0, 8]
        elements[f'{name}PaletteColorLookupTableData'] = greys
    path = rewrite(write(np.array([[0, 255, 100]], np.uint8), bits=8), **elements)
    image = dicom.read(path)
    assert not image.is_colour
    np.testing.assert_array_equal(image.values, [[255, 0, 155]])


@pytest.mark.parametrize('syntax', [JPEGLSLossless, JPEG2000Lossless])
def test_codestream_of_another_size_is_refused(write, syntax):
    small, large = write(GREY[:16, :16], name='small.dcm'), write(GREY, name='large.dcm')
    dataset = pydicom.dcmread(large)
    dataset.compress(syntax, generate_instance_uid=False)
    stream = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    path = encapsulated(small, [stream], syntax)
    with pytest.raises(UnreadableImage, match=r'16 x 16 pixels but .* 32 x 40'):
        dicom.read(path)


def rle(*segments):
    """Return an RLE frame, PS3.5 annex G."""
    starts = 64 + np.cumsum([0, *map(len, segments)])[:-1]
    offsets = [*starts.tolist(), *[0] * (15 - len(segments))]
    return struct.pack('<16I', len(segments), *offsets) + b''.join(segments)


def test_an_rle_frame_that_unpacks_to_more_is_refused_before(write, monkeypatch):
    """Two bytes stand for 128: 3 KB for 192 KB, where the header says 1,280 pixels."""
    monkeypatch.setattr(pixels, '_decode', lambda *_: pytest.fail('it was unpacked'))
    long = rle(b'\x81\0' * 1500, b'\x81\0' * 10)
    path = encapsulated(write(GREY), [long], RLELossless)
    with pytest.raises(UnreadableImage, match='more pixels than the header says'):
        dicom.read(path)
    wordy = rle(b'\x80' * 5000)  # that does nothing, five thousand times
    with pytest.raises(UnreadableImage, match='more pixels than the header says'):
        dicom.read(encapsulated(write(GREY), [wordy], RLELossless))


def test_an_rle_frame_may_be_padded(write):
    high, low = (GREY >> 8).astype(np.uint8), GREY.astype(np.uint8)
    segments = []
    for plane in (high, low):
        packed = b''.join(b'\x27' + row.tobytes() for row in plane)  # 40 bytes as they are
        segments.append(packed + bytes(600))
    path = encapsulated(write(GREY), [rle(*segments)], RLELossless)
    np.testing.assert_array_equal(dicom.read(path).values, GREY)


EXPLICIT, DEFLATED = '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99'
SHADES = np.add.outer(np.arange(1000) * 2, np.arange(1000)).astype(np.uint16)


@pytest.mark.parametrize(
    'syntax',
    [
        '1.2.840.10008.1.2.1',
        '1.2.840.10008.1.2.1.99',
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
)
def test_what_a_file_needs_is_known_before_it_is_decoded(write, syntax, monkeypatch):
    """Python's own account leaves out codecs, and the estimate is above it all the same."""
    plain = syntax in (EXPLICIT, DEFLATED)
    path = write(SHADES, transfer_syntax=syntax if plain else EXPLICIT)
    if not plain:
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    dicom.read(path)  # imports
    header = read_header(path)
    with monkeypatch.context() as patch:
        patch.setattr(pixels, '_decode', lambda *_: pytest.fail('it was decoded'))
        with granted(1), pytest.raises(NotEnoughMemory) as needs:
            pixels.decode(header)
    tracemalloc.start()
    try:
        dicom.read(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 2e6 < most < needs.value.needed - (32 << 20)


def test_frames_count_in_what_a_file_needs(write):
    needs = []
    for frames in (1, 4):
        path = write(np.stack([SHADES[:64, :64]] * frames))
        with granted(32 << 20), pytest.raises(NotEnoughMemory) as caught:
            pixels.decode(read_header_freely(path))
        needs.append(caught.value.needed - (32 << 20))
    assert needs[1] == 4 * needs[0]


def read_header_freely(path):
    with granted(1 << 30):
        return read_header(path)


def test_a_codec_without_memory_is_not_called_damage(write, monkeypatch):
    def decode(*_, **__):
        raise RuntimeError('all plugins failed: numpy: Unable to allocate 7.00 GiB')

    path = write(GREY)
    monkeypatch.setattr(Decoder, 'as_array', decode)
    with pytest.raises(UnreadableImage, match='not enough memory'):
        dicom.read(path)


def test_jpeg_of_another_size_is_refused(write):
    path = encapsulated(
        write(GREY[:16, :16]), [jpeg(np.zeros((40, 16), np.uint8))], JPEGBaseline8Bit
    )
    with pytest.raises(UnreadableImage, match='40 x 16'):
        dicom.read(path)


def test_truncated_and_missing_pixel_data(write):
    with pytest.raises(UnreadableImage, match='cut short'):
        dicom.read(rewrite(write(GREY), PixelData=GREY.tobytes()[:-2]))
    with pytest.raises(UnreadableImage, match='no pixel data'):
        dicom.read(write(GREY, PixelData=None))
    with pytest.raises(UnreadableImage, match='no pixel data'):
        dicom.read(rewrite(write(GREY), PixelData=b''))


def test_absurd_sizes_are_refused_before_anything_is_made_of_them(write):
    for elements in (
        {'Rows': 65535, 'Columns': 65535},
        {'NumberOfFrames': 2**31 - 1},
    ):
        with pytest.raises(UnreadableImage, match='more than any radiograph'):
            dicom.read(rewrite(write(GREY), **elements))
    stream = struct.pack('<16I', 2, 64, 66, *[0] * 13) + b'\x81\0' * 4
    path = encapsulated(write(GREY), [stream], RLELossless, Rows=10000, Columns=10000)
    with pytest.raises(UnreadableImage, match='cut short or damaged'):
        dicom.read(path)


@pytest.mark.parametrize(
    'elements',
    [
        {'Rows': 0},
        {'BitsAllocated': 12},
        {'BitsStored': 17},
        {'SamplesPerPixel': 2},
        {'PhotometricInterpretation': 'ARGB'},
    ],
)
def test_impossible_descriptions(write, elements):
    with pytest.raises(UnreadableImage):
        dicom.read(rewrite(write(GREY), **elements))


def test_damaged_streams(write):
    for syntax, stream in (
        (JPEG2000Lossless, b'\xff\x4f\xff\x51' + bytes(60)),
        (JPEGLSLossless, bytes(100)),
        (RLELossless, bytes(200)),
    ):
        with pytest.raises(UnreadableImage):
            dicom.read(encapsulated(write(GREY), [stream], syntax))


def test_a_panic_of_a_decoder_is_caught_and_an_interrupt_is_not(write, monkeypatch):
    path = write(GREY)

    class PanicException(BaseException):
        pass

    def fails(error):
        def as_array(*args, **kwargs):
            raise error

        return as_array

    monkeypatch.setattr(Decoder, 'as_array', fails(PanicException()))
    with pytest.raises(UnreadableImage, match='damaged'):
        dicom.read(path)
    monkeypatch.setattr(Decoder, 'as_array', fails(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        dicom.read(path)


def test_gdcm_comes_last():
    assert sorted(['gdcm', 'pillow', 'pylibjpeg', 'x'], key=pixels._rank)[0] == 'pylibjpeg'
    assert pixels._rank('gdcm') > pixels._rank('pydicom')

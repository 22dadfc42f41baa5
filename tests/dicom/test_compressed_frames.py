"""JPEG XL, deflated frames, and compressed images that contradict their header."""

import struct
import sys
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless

from napari_cxr import dicom
from napari_cxr.dicom import compressed_frames
from napari_cxr.dicom.compressed_frames import jpeg_xl_size, rle_exceeds
from napari_cxr.radiograph import UnreadableImage

GREY = (np.arange(32 * 40).reshape(32, 40) * 3).astype(np.uint16)
JXL = '1.2.840.10008.1.2.4.110'


def encapsulated(path, frames, syntax, **elements):
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate(frames)
    dataset['PixelData'].VR = 'OB'
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    for keyword, given in elements.items():
        setattr(dataset, keyword, given)
    dataset.save_as(path)
    # pydicom writes no syntax that it does not know.
    stated, wanted = HTJ2KLossless.encode(), syntax.encode().ljust(len(HTJ2KLossless), b'\0')
    path.write_bytes(path.read_bytes().replace(stated, wanted))
    return path


def deflated(array):
    made = zlib.compressobj(wbits=-15)
    return made.compress(array.astype(array.dtype.newbyteorder('<')).tobytes()) + made.flush()


def jpeg_xl(array, **options):
    codecs = pytest.importorskip('imagecodecs')
    return codecs.jpegxl_encode(array, **({'lossless': True} | options))


def test_jpeg_xl(write):
    image = dicom.read(encapsulated(write(GREY), [jpeg_xl(GREY, bitspersample=12)], JXL))
    np.testing.assert_array_equal(image.values, GREY)
    assert image.provenance.transfer_syntax == 'JPEG XL Lossless'
    assert not image.provenance.lossy


def test_lossy_jpeg_xl_is_lossy(write):
    soft = (GREY // 16).astype(np.uint8)
    stream = jpeg_xl(soft, lossless=False, distance=0.5)
    path = encapsulated(
        write(soft, bits=8), [stream], '1.2.840.10008.1.2.4.112', LossyImageCompression='01'
    )
    image = dicom.read(path)
    assert image.provenance.lossy
    assert np.abs(image.values.astype(int) - soft).mean() < 4


def test_jpeg_xl_in_colour_and_in_frames(write):
    frames = np.stack([GREY, GREY[::-1]])
    path = encapsulated(write(frames), [jpeg_xl(frame) for frame in frames], JXL)
    np.testing.assert_array_equal(dicom.read(path).values, frames)


def test_jpeg_xl_without_a_decoder_is_called_so(write, monkeypatch):
    path = encapsulated(write(GREY), [jpeg_xl(GREY)], JXL)
    monkeypatch.setitem(sys.modules, 'imagecodecs', None)
    with pytest.raises(UnreadableImage, match=r'JPEG XL.*imagecodecs'):
        dicom.read(path)


@pytest.mark.parametrize(
    'shape', [(32, 40), (40, 32), (8, 8), (13, 1000), (256, 256), (300, 400), (500, 7)]
)
@pytest.mark.parametrize('container', [False, True])
def test_size_of_a_jpeg_xl_stream(shape, container):
    stream = jpeg_xl(np.zeros(shape, np.uint8), usecontainer=container)
    assert jpeg_xl_size(stream) == shape
    codecs = pytest.importorskip('imagecodecs')
    bare = stream[stream.index(b'\xff\x0a') :] if container else stream
    assert jpeg_xl_size(bare) == shape
    assert codecs.jpegxl_decode(stream).shape == shape


@pytest.mark.parametrize('data', [b'', b'\xff\x0a', b'\0\0\0\x0cJXL \r\n\x87\n', b'\xff\xd8\xff'])
def test_what_is_no_jpeg_xl_stream(data):
    assert jpeg_xl_size(data) is None or data == b'\xff\x0a'


def test_jpeg_xl_of_another_size_is_refused_before_it_is_decoded(write, monkeypatch):
    path = encapsulated(write(GREY), [jpeg_xl(np.zeros((64, 40), np.uint16))], JXL)
    monkeypatch.setattr(compressed_frames, '_jpeg_xl', lambda: pytest.fail('was decoded'))
    with pytest.raises(UnreadableImage, match='64 x 40'):
        dicom.read(path)


def test_damaged_jpeg_xl(write):
    stream = jpeg_xl(GREY)
    path = encapsulated(write(GREY), [stream[:60] + bytes(len(stream) - 60)], JXL)
    with pytest.raises(UnreadableImage):
        dicom.read(path)


@pytest.mark.parametrize('frames', [1, 3])
def test_deflated_frames(write, frames):
    values = np.stack([GREY + n for n in range(frames)])
    path = encapsulated(
        write(values if frames > 1 else GREY),
        [deflated(frame) for frame in values],
        compressed_frames.DEFLATED_FRAMES,
    )
    image = dicom.read(path)
    np.testing.assert_array_equal(image.values, values if frames > 1 else GREY)
    assert image.provenance.transfer_syntax == 'Deflated Image Frame Compression'


@pytest.mark.parametrize('planar', [0, 1])
def test_deflated_colour(write, planar):
    rgb = np.stack([GREY % 256, GREY % 100, GREY % 7], axis=-1).astype(np.uint8)
    laid = np.moveaxis(rgb, -1, 0) if planar else rgb
    path = encapsulated(
        write(rgb[..., 0], bits=8),
        [deflated(laid)],
        compressed_frames.DEFLATED_FRAMES,
        SamplesPerPixel=3,
        PhotometricInterpretation='RGB',
        PlanarConfiguration=planar,
    )
    np.testing.assert_array_equal(dicom.read(path).values, rgb)


@pytest.mark.parametrize('stream', [deflated(np.zeros(1 << 22, np.uint8)), b'\x07', bytes(90)])
def test_a_deflated_frame_that_is_damaged_or_holds_more(write, stream):
    path = encapsulated(write(GREY), [stream], compressed_frames.DEFLATED_FRAMES)
    with pytest.raises(UnreadableImage, match='damaged'):
        dicom.read(path)


def test_a_syntax_that_is_known_and_not_read_is_named(write):
    path = encapsulated(write(GREY), [b'\0\0'], '1.2.840.10008.1.2.4.102')
    with pytest.raises(UnreadableImage, match=r'MPEG-4.*not supported'):
        dicom.read(path)
    path = encapsulated(write(GREY), [b'\0\0'], '1.2.840.10008.1.2.4.999')
    with pytest.raises(UnreadableImage, match='private or unknown'):
        dicom.read(path)


@pytest.mark.parametrize('header', [0, 1])
@pytest.mark.parametrize('stream', [0, 1])
def test_a_sign_that_stream_and_header_disagree_on_is_told(write, header, stream):
    values = (GREY.astype(np.int16) - 1900) if stream else GREY
    path = write(values, bits=16, WindowCenter=None, WindowWidth=None)
    dataset = pydicom.dcmread(path)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.PixelRepresentation = header
    dataset.save_as(path)
    notes = dicom.read(path).notes
    assert any('signed' in note for note in notes) is (header != stream)


def test_values_beyond_bits_stored_in_a_stream_are_told(write):
    path = write(GREY + 1000, bits=16, WindowCenter=None, WindowWidth=None)
    dataset = pydicom.dcmread(path)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.save_as(path)
    assert any('beyond the 12 bits' in note for note in dicom.read(path).notes)
    dataset.BitsStored, dataset.HighBit = 13, 12
    dataset.save_as(path)
    image = dicom.read(path)
    np.testing.assert_array_equal(image.values, GREY + 1000)
    assert image.notes == ()


def test_an_unknown_photometric_interpretation_is_not_repeated(write):
    path = write(GREY, photometric='MONOCHROME2')
    path.write_bytes(path.read_bytes().replace(b'MONOCHROME2 ', b'MRS. SMITH  '))
    with pytest.raises(UnreadableImage, match='something unknown') as caught:
        dicom.read(path)
    assert 'SMITH' not in str(caught.value)


def test_what_a_segment_of_rle_unpacks_to_is_counted():
    header = struct.pack('<16I', 1, 64, *[0] * 14)
    # Three bytes as they are, nothing, and a zero 128 times; 1224 are let through here.
    packed = b'\x02abc\x80' + 9 * b'\x81\0'
    assert not rle_exceeds(header + packed, 100)  # 3 + 9 * 128 = 1155
    assert not rle_exceeds(header + packed + b'\xbc\0', 100)  # and 69 more
    assert rle_exceeds(header + packed + b'\xbb\0', 100)  # and 70 more
    assert rle_exceeds(header + packed + b'\x7f', 100)  # a run of 128 that is cut off

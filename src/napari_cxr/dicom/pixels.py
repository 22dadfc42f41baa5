"""From a data set to stored values: decoding, bit alignment, sign, colour."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from napari_cxr.codestream import Codestream, parse_codestream
from napari_cxr.decoding_memory import check_memory
from napari_cxr.dicom.compressed_frames import (
    JPEG_XL,
    decode_12_bit_jpeg,
    decode_recent_frames,
    has_jpeg_xl,
    is_encapsulated_syntax,
    is_known_syntax,
    is_recent_syntax,
    jpeg_xl_size,
    rle_exceeds,
    silence_gdcm,
    syntax_name,
)
from napari_cxr.dicom.elements import integer, text, value
from napari_cxr.dicom.headers import Header
from napari_cxr.dicom.lut_data import apply_palette
from napari_cxr.dicom.pixel_layout import (
    FLOATS,
    PixelLayout,
    decoding_bytes,
    read_layout,
)
from napari_cxr.dicom.reduced_decoding import decode_reduced
from napari_cxr.radiograph import UnreadableImage

__all__ = ['StoredPixels', 'decode', 'installed_decoders', 'is_lossy']

#: Decoder plugins in the order in which they are tried. gdcm comes last: it is
#: the one that aborts the process on malformed streams, but the only permissive
#: one for JPEG Lossless.
PLUGIN_ORDER = ('pyjpegls', 'pylibjpeg', 'pillow', 'pydicom', 'gdcm')

#: The compressions of the standard that pydicom decodes.
_COMPRESSED = (
    *JPEGTransferSyntaxes,
    *JPEGLSTransferSyntaxes,
    *JPEG2000TransferSyntaxes,
    HTJ2KLossless,
    HTJ2K,
    RLELossless,
)

_LOSSY = {
    '1.2.840.10008.1.2.4.50',
    '1.2.840.10008.1.2.4.51',
    '1.2.840.10008.1.2.4.53',
    '1.2.840.10008.1.2.4.55',
    '1.2.840.10008.1.2.4.111',
}
#: These syntaxes may hold a reversible stream; the header decides.
_PERHAPS_LOSSY = {
    '1.2.840.10008.1.2.4.81',
    '1.2.840.10008.1.2.4.91',
    '1.2.840.10008.1.2.4.93',
    '1.2.840.10008.1.2.4.112',
    '1.2.840.10008.1.2.4.203',
}
_BEYOND = (
    'The compressed image holds values beyond the {} bits that the header states; their upper '
    'bits were dropped.'
)
_NO_MEMORY = re.compile(r'MemoryError|[Uu]nable to allocate|bad_alloc|[Oo]ut of memory')


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Stored values and the range that they may take.

    Parameters
    ----------
    values : ndarray
        Shape (rows, columns), (frames, rows, columns), or with a last axis of 3
        for colour, which is 8-bit RGB.
    low, high : int or None
        What `bits` and the sign allow; None for floating-point pixel data.
    bits : int
        Bits stored for each sample.
    is_colour : bool
        Whether the last axis is red, green, blue.
    notes : tuple of str
        What a person should know.
    step : int
        As of `napari_cxr.radiograph.Radiograph`.
    """

    values: np.ndarray
    low: int | None
    high: int | None
    bits: int
    is_colour: bool = False
    notes: tuple[str, ...] = ()
    step: int = 1


def is_lossy(header: Header) -> bool:
    """Tell whether the pixels went through lossy compression, as far as the file says."""
    stated = text(header.dataset, 'LossyImageCompression')
    syntax = str(header.transfer_syntax)
    return stated == '01' or syntax in _LOSSY or (syntax in _PERHAPS_LOSSY and stated != '00')


def decode(header: Header, least: tuple[int, int] | None = None) -> StoredPixels:
    """Decode the pixels of an image.

    Parameters
    ----------
    header : Header
        An object that holds pixel data.
    least : tuple of int, optional
        Rows and columns that are enough: a stream that holds the image at a half, a quarter …
        of its size is decoded at the smallest of these that has as many of both.

    Returns
    -------
    StoredPixels
        Values by PS3.5 section 8.1.1: shifted down to the lowest bit, masked to
        Bits Stored, sign extended.

    Raises
    ------
    UnreadableImage
        If the description is impossible or too large, if the pixel data are cut
        short or damaged, if no decoder is there for them, or not enough memory.
    """
    layout = read_layout(header.dataset)
    syntax = header.transfer_syntax
    if layout.keyword not in header.dataset:
        raise UnreadableImage('The header describes an image but the file holds no pixel data.')
    stream = _check_data(header, layout)
    check_memory(decoding_bytes(header, layout), layout.rows * layout.columns * layout.frames)
    if least is not None and (reduced := _decode_reduced(header, layout, stream, least)):
        return reduced
    if is_recent_syntax(syntax):
        values = _decode_recent(header, layout)
    else:
        values = _decode(_pixel_dataset(header, layout), syntax, layout)
    values = values.astype(values.dtype.newbyteorder('='), copy=False)
    if layout.frames == 1 and values.ndim == (4 if layout.samples == 3 else 3):
        values = values[0]
    if layout.keyword in FLOATS:
        return StoredPixels(values.astype(np.float32), None, None, layout.stored)
    raw, values = values, _aligned(values, layout, stream, clip=is_lossy(header))
    if layout.photometric == 'PALETTE COLOR':
        values, is_colour = apply_palette(values, header)
        return StoredPixels(values, 0, 255, 8, is_colour)
    if layout.samples == 3:
        shift = max(layout.stored - 8, 0)
        values = (values >> shift).astype(np.uint8)
        return StoredPixels(values, 0, (1 << min(layout.stored, 8)) - 1, layout.stored, True)
    low = -(1 << (layout.stored - 1)) if layout.signed else 0
    notes = () if stream is None else _stream_notes(stream, layout)
    if stream is not None and stream.precision > layout.stored and not is_lossy(header):
        beyond = layout.high_bit == layout.stored - 1 and bool((raw != values).any())
        notes += (_BEYOND.format(layout.stored),) if beyond else ()
    return StoredPixels(values, low, low + (1 << layout.stored) - 1, layout.stored, notes=notes)


def _decode_reduced(
    header: Header, layout: PixelLayout, stream: Codestream | None, least: tuple[int, int]
) -> StoredPixels | None:
    """Decode a grey image at a part of its size; None where that cannot be, or changes nothing."""
    grey = layout.photometric in ('MONOCHROME1', 'MONOCHROME2') and layout.allocated in (8, 16)
    if stream is None or layout.frames > 1 or not grey or layout.keyword in FLOATS:
        return None
    # What stands above the bits stored is dropped, which cannot be done after the averaging.
    beyond = stream.precision > layout.stored and not is_lossy(header)
    if beyond or stream.signed != layout.signed or layout.high_bit != layout.stored - 1:
        return None
    frames = generate_frames(
        value(header.dataset, layout.keyword),
        number_of_frames=1,
        extended_offsets=_extended_offsets(header.dataset),
    )
    reduced = decode_reduced(next(frames), least)
    if reduced is None:
        return None
    values, step = reduced
    low = -(1 << (layout.stored - 1)) if layout.signed else 0
    high = low + (1 << layout.stored) - 1
    dtype = np.dtype(f'{"i" if layout.signed else "u"}{layout.allocated // 8}')
    values = np.clip(values, low, high).astype(dtype)
    notes = _stream_notes(stream, layout)
    return StoredPixels(values, low, high, layout.stored, notes=notes, step=step)


def _stream_notes(stream: Codestream, layout: PixelLayout) -> tuple[str, ...]:
    """Note where a compressed image and the header contradict each other."""
    notes: list[str] = []
    if stream.precision < layout.stored:
        notes.append(
            f'The compressed image has {stream.precision} bits a pixel, fewer than the '
            f'{layout.stored} that the header states.'
        )
    if stream.signed is not None and stream.signed != layout.signed:
        stated, header = ('unsigned', 'signed') if layout.signed else ('signed', 'unsigned')
        notes.append(
            f'The compressed image says that its values are {stated}, and the header that they '
            f'are {header}; the header was followed, so dark and bright parts may be exchanged.'
        )
    return tuple(notes)


def _check_data(header: Header, layout: PixelLayout) -> Codestream | None:
    """Compare the pixel data with the description; return what the first frame says."""
    data = value(header.dataset, layout.keyword)
    if not isinstance(data, bytes) or not data:
        raise UnreadableImage('The header describes an image but the file holds no pixel data.')
    if not is_known_syntax(header.transfer_syntax):
        raise UnreadableImage('The transfer syntax of this file is private or unknown.')
    if not is_encapsulated_syntax(header.transfer_syntax):
        if len(data) < layout.frame_bytes * layout.frames:
            raise UnreadableImage(
                'The pixel data are cut short; the file was not copied or sent in full.'
            )
        return None
    try:
        frames = generate_frames(
            data,
            number_of_frames=layout.frames,
            extended_offsets=_extended_offsets(header.dataset),
        )
        first: Codestream | None = None
        for index, frame in zip(range(layout.frames), frames, strict=False):
            stream = _check_frame(frame, header.transfer_syntax, layout)
            first = stream if index == 0 else first
    except (UnreadableImage, MemoryError):
        raise
    except Exception as error:
        raise UnreadableImage('The compressed pixel data are damaged.') from error
    return first


def _check_frame(frame: bytes, syntax: UID, layout: PixelLayout) -> Codestream | None:
    if syntax == RLELossless:
        # PS3.5 annex G: two bytes give at most 128.
        if len(frame) * 64 < layout.frame_bytes:
            raise UnreadableImage('The compressed pixel data are cut short or damaged.')
        if rle_exceeds(frame, layout.rows * layout.columns):
            raise UnreadableImage(
                'The compressed image unpacks to more pixels than the header says; the file is '
                'damaged or forged.'
            )
        return None
    if str(syntax) in JPEG_XL:
        size = jpeg_xl_size(frame)
        if size is None:
            raise UnreadableImage('The compressed pixel data are damaged.')
        _check_stream_size(*size, layout)
        return None
    if syntax not in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes):
        return None
    stream = parse_codestream(frame)
    if stream is None:
        raise UnreadableImage('The compressed pixel data are damaged.')
    _check_stream_size(stream.rows, stream.columns, layout)
    if stream.components != layout.samples or stream.precision > layout.allocated:
        raise UnreadableImage(
            'The compressed image does not have the pixel format that the header states.'
        )
    return stream


def _check_stream_size(rows: int, columns: int, layout: PixelLayout) -> None:
    if (rows, columns) != (layout.rows, layout.columns):
        raise UnreadableImage(
            f'The header says {layout.rows} x {layout.columns} pixels but the compressed image '
            f'in it has {rows} x {columns}; the file is damaged or forged.'
        )


def _extended_offsets(dataset: Dataset) -> tuple[bytes, bytes] | None:
    offsets = value(dataset, 'ExtendedOffsetTable')
    lengths = value(dataset, 'ExtendedOffsetTableLengths')
    return (offsets, lengths) if offsets and lengths else None


def _pixel_dataset(header: Header, layout: PixelLayout) -> Dataset:
    """Return a data set with nothing but a checked image, for pydicom's decoders."""
    pixels = Dataset()
    pixels.file_meta = FileMetaDataset()
    pixels.file_meta.TransferSyntaxUID = header.transfer_syntax
    pixels.Rows, pixels.Columns = layout.rows, layout.columns
    pixels.SamplesPerPixel, pixels.NumberOfFrames = layout.samples, layout.frames
    pixels.BitsAllocated, pixels.BitsStored = layout.allocated, layout.stored
    pixels.HighBit = layout.high_bit
    pixels.PixelRepresentation = int(layout.signed)
    pixels.PhotometricInterpretation = layout.photometric
    if layout.samples == 3:
        pixels.PlanarConfiguration = integer(header.dataset, 'PlanarConfiguration') or 0
    for keyword in (layout.keyword, 'ExtendedOffsetTable', 'ExtendedOffsetTableLengths'):
        if keyword in header.dataset:
            pixels.add(header.dataset[keyword])
    return pixels


def _decode_recent(header: Header, layout: PixelLayout) -> np.ndarray:
    """Decode a transfer syntax that pydicom does not know."""
    if layout.allocated not in (8, 16, 32) or layout.keyword in FLOATS:
        name = syntax_name(header.transfer_syntax)
        raise UnreadableImage(
            f'The compression of this image ({name}) is supported for whole bytes only.'
        )
    frames = generate_frames(
        value(header.dataset, layout.keyword),
        number_of_frames=layout.frames,
        extended_offsets=_extended_offsets(header.dataset),
    )
    shape = (layout.rows, layout.columns, 3)[: 3 if layout.samples == 3 else 2]
    dtype = np.dtype(f'{"i" if layout.signed else "u"}{layout.allocated // 8}')
    planar = integer(header.dataset, 'PlanarConfiguration') == 1
    values = decode_recent_frames(
        header.transfer_syntax, islice(frames, layout.frames), shape, dtype, planar=planar
    )
    if layout.photometric == 'YBR_FULL' and str(header.transfer_syntax) not in JPEG_XL:
        values = np.asarray(convert_color_space(values, 'YBR_FULL', 'RGB'))
    return values


def _decode(pixels: Dataset, syntax: UID, layout: PixelLayout) -> np.ndarray:
    """Try the decoder plugins, safest first."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnreadableImage(
            f'The compression of this image ({syntax_name(syntax)}) is not supported.'
        ) from error
    if not syntax.is_encapsulated or syntax == DeflatedExplicitVRLittleEndian:
        plugins = ['']
    else:
        plugins = sorted(decoder.available_plugins, key=_rank)
    for plugin in plugins:
        if plugin == 'gdcm':
            silence_gdcm()
        try:
            if plugin == 'gdcm' and syntax == JPEGExtended12Bit and layout.stored > 8:
                return decode_12_bit_jpeg(pixels)
            values, _ = decoder.as_array(
                pixels,
                decoding_plugin=plugin,
                allow_excess_frames=False,  # type: ignore[arg-type]
                correct_unused_bits=False,  # type: ignore[arg-type]
            )
        except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError):
            raise
        except BaseException as error:  # a panic of a Rust decoder is no Exception
            if _NO_MEMORY.search(str(error)):  # as pydicom hands on what a codec raised
                raise MemoryError from error
            continue
        return np.asarray(values)
    if not plugins:
        raise UnreadableImage(
            f'No decoder for the compression of this image ({syntax.name}) is installed.'
        )
    raise UnreadableImage('The pixel data are damaged: no decoder could read them.')


def installed_decoders() -> dict[str, list[str]]:
    """Return which packages read each compression here, in the order in which they are tried.

    Returns
    -------
    dict
        From the name of a transfer syntax to names of packages; none where nothing reads it.
    """
    found = {}
    for syntax in _COMPRESSED:
        with suppress(NotImplementedError):  # one that pydicom only knows by name
            names = sorted(get_decoder(syntax).available_plugins, key=_rank)
            found[syntax.name] = ['python-gdcm' if name == 'gdcm' else name for name in names]
    for uid in JPEG_XL:
        found[syntax_name(UID(uid))] = ['imagecodecs'] if has_jpeg_xl() else []
    return found


def _rank(plugin: str) -> int:
    return PLUGIN_ORDER.index(plugin) if plugin in PLUGIN_ORDER else len(PLUGIN_ORDER)


def _aligned(
    values: np.ndarray, layout: PixelLayout, stream: Codestream | None, *, clip: bool
) -> np.ndarray:
    """Bring samples to the lowest bit, drop the bits above, extend the sign.

    A codestream holds the samples themselves, already at the lowest bit, unless
    it was made from whole words (its precision then reaches the high bit).
    """
    stored = layout.stored
    if stored >= values.dtype.itemsize * 8:
        return values
    width = layout.allocated if stream is None else stream.precision
    shift = layout.high_bit + 1 - stored if width > layout.high_bit else 0
    signed = layout.signed
    if stream is not None and clip:
        # A lossy codec overshoots its range; cutting off the top bits would wrap white to black.
        low = -(1 << (stored - 1)) if signed else 0
        limits = (low, low + (1 << stored) - 1)
        clipped: np.ndarray = np.clip(values >> shift, *limits)
        return clipped.astype(values.dtype, copy=False)
    unsigned: np.ndarray = values.view(f'u{values.dtype.itemsize}')
    if not signed and shift == 0 and int(unsigned.max()) < (1 << stored):
        return unsigned
    mask = unsigned.dtype.type((1 << stored) - 1)
    unsigned = (unsigned >> unsigned.dtype.type(shift)) & mask
    if not signed:
        return unsigned
    # Two's complement in `stored` bits: flip the sign bit, then take its weight away.
    sign = unsigned.dtype.type(1 << (stored - 1))
    wide: np.ndarray = (unsigned ^ sign).view(f'i{values.dtype.itemsize}')
    wide -= wide.dtype.type(int(sign))
    return wide

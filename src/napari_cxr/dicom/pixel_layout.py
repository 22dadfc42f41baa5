"""How the pixels of an image lie in its file, and what decoding takes, by the header alone."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from napari_cxr.dicom.compressed_frames import is_encapsulated_syntax
from napari_cxr.dicom.elements import integer, text, value
from napari_cxr.dicom.headers import Header
from napari_cxr.dicom.privacy import code_string
from napari_cxr.radiograph import UnreadableImage

__all__ = ['FLOATS', 'MAX_SAMPLES', 'PixelLayout', 'decoding_bytes', 'read_layout']

#: Rows x columns x samples x frames that are decoded at most: 512 MiB of 16-bit values.
MAX_SAMPLES = 1 << 28

_COLOUR = {'RGB', 'YBR_FULL', 'YBR_FULL_422', 'YBR_ICT', 'YBR_RCT'}
#: Elements of floating-point pixels, and their bits.
FLOATS = {'FloatPixelData': 32, 'DoubleFloatPixelData': 64}


@dataclass(frozen=True)
class PixelLayout:
    """The image pixel description of a header, PS3.3 C.7.6.3, which makes sense.

    Parameters
    ----------
    rows, columns, samples, frames : int
        Its size; samples are 1, or 3 for colour.
    allocated, stored, high_bit : int
        Bits of a sample.
    signed : bool
        Whether samples may be below zero.
    photometric : str
        Photometric Interpretation.
    keyword : str
        Of the element that holds the pixels.
    """

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    keyword: str

    @property
    def frame_bytes(self) -> float:
        """Bytes of one uncompressed frame."""
        samples = self.rows * self.columns * self.samples
        if self.photometric == 'YBR_FULL_422':
            samples = self.rows * self.columns * 2
        return samples * self.allocated / 8


def read_layout(dataset: Dataset) -> PixelLayout:
    """Read the image pixel description.

    Raises
    ------
    UnreadableImage
        If it is impossible, not supported or too large.
    """
    keyword = next((name for name in FLOATS if name in dataset), 'PixelData')
    rows, columns = integer(dataset, 'Rows'), integer(dataset, 'Columns')
    if not rows or not columns or rows < 0 or columns < 0:
        raise UnreadableImage('The header does not give the size of the image.')
    samples = integer(dataset, 'SamplesPerPixel') or 1
    frames = integer(dataset, 'NumberOfFrames') or 1
    if frames < 1 or samples not in (1, 3):
        raise UnreadableImage(
            'The header gives an impossible number of frames or samples for each pixel.'
        )
    if rows * columns * samples * frames > MAX_SAMPLES:
        raise UnreadableImage(
            f'The header claims {frames} x {rows} x {columns} pixels, '
            'which is more than any radiograph has; the image was not opened.'
        )
    allocated = FLOATS.get(keyword) or integer(dataset, 'BitsAllocated') or 0
    stored = allocated if keyword in FLOATS else integer(dataset, 'BitsStored') or allocated
    high_bit = integer(dataset, 'HighBit')
    high_bit = stored - 1 if high_bit is None else high_bit
    if allocated not in (1, 8, 16, 32, 64) or not 1 <= stored <= allocated:
        raise UnreadableImage(
            f'The header gives an impossible or unsupported pixel format ({stored} bits '
            f'stored in {allocated} allocated).'
        )
    if not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    photometric = text(dataset, 'PhotometricInterpretation').upper()
    if not photometric:
        photometric = 'MONOCHROME2' if samples == 1 else 'RGB'
    known = _COLOUR if samples == 3 else {'MONOCHROME1', 'MONOCHROME2', 'PALETTE COLOR'}
    if photometric not in known:
        said = code_string(photometric) or 'something unknown'
        raise UnreadableImage(
            f'Pixels described as {said} with {samples} samples are not supported.'
        )
    signed = integer(dataset, 'PixelRepresentation') == 1
    return PixelLayout(
        rows, columns, samples, frames, allocated, stored, high_bit, signed, photometric, keyword
    )


def decoding_bytes(header: Header, layout: PixelLayout) -> int:
    """Return how many bytes decoding takes at most, measured and rounded up."""
    samples = layout.rows * layout.columns * layout.samples
    stored = samples * layout.frames * max(layout.allocated // 8, 1)
    held = len(value(header.dataset, layout.keyword)) + 2 * stored
    if is_encapsulated_syntax(header.transfer_syntax):
        # Of each frame the compressed bytes once more, and a codec's own numbers of 32 bits.
        held += len(value(header.dataset, layout.keyword)) + 8 * samples
    if layout.samples == 3:
        held += stored + 12 * samples  # of 8 bits, and another colour space
    elif layout.photometric == 'PALETTE COLOR':
        held += 12 * samples * layout.frames
    overlays = sum(Tag(group, 0x3000) in header.dataset for group in range(0x6000, 0x6020, 2))
    return held + overlays * 3 * samples * layout.frames

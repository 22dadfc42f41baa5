"""12-bit lossy JPEG (process 4) through gdcm.

pydicom declines it for gdcm, and its only other decoder is under the GPL. gdcm
3.2 decodes it: on the WG-04 images it agrees with libjpeg to within one grey
level of rounding.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

__all__ = ['decode_12_bit_jpeg', 'silence']


def silence() -> None:
    """Stop gdcm from writing what it thinks of a stream to the terminal."""
    import gdcm

    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()


def decode_12_bit_jpeg(pixels: Dataset) -> np.ndarray:
    """Decode single-sample JPEG Extended of more than 8 bits.

    Parameters
    ----------
    pixels : Dataset
        The image pixel module, checked, with 16 bits allocated.

    Returns
    -------
    ndarray of uint16
        Shape (rows, columns), or (frames, rows, columns) for more than one.

    Raises
    ------
    ValueError
        If a frame can't be decoded.
    """
    import gdcm

    if pixels.SamplesPerPixel != 1 or pixels.BitsAllocated != 16:
        raise ValueError('only 16-bit grey images')
    count = int(pixels.NumberOfFrames)
    syntax = gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4)
    # The precision of the stream, not Bits Stored: gdcm would cut off what overshoots it.
    form = gdcm.PixelFormat(1, 16, 12, 11, 0)
    grey = gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    frames = []
    for encoded in generate_frames(pixels.PixelData, number_of_frames=count):
        fragment = gdcm.Fragment()
        fragment.SetByteStringValue(encoded)
        fragments = gdcm.SequenceOfFragments.New()
        fragments.AddFragment(fragment)
        element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
        element.SetValue(fragments.__ref__())
        image = gdcm.Image()
        image.SetNumberOfDimensions(2)
        image.SetDimensions((pixels.Columns, pixels.Rows, 1))
        image.SetPhotometricInterpretation(grey)
        image.SetTransferSyntax(syntax)
        image.SetPixelFormat(form)
        image.SetDataElement(element)
        # The binding hands over bytes as text.
        raw = image.GetBuffer().encode('utf-8', 'surrogateescape')
        frame = np.frombuffer(raw, dtype='<u2', count=pixels.Rows * pixels.Columns)
        frames.append(frame.reshape(pixels.Rows, pixels.Columns))
        if len(frames) == count:
            break
    values = np.stack(frames)
    return values[0] if count == 1 else values

"""The phantom as a DICOM file: a digital X-ray image for presentation."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from napari_cxr.samples.phantom import Opacity, phantom

__all__ = ['write_phantom_dicom']

# SNOMED CT codes of CID 4010, DX View.
_VIEW_CODES = {
    'PA': ('272479007', 'postero-anterior'),
    'AP': ('399348003', 'antero-posterior'),
    'LL': ('399173006', 'left lateral'),
    'RL': ('399198007', 'right lateral'),
}


def write_phantom_dicom(
    path: str | Path,
    *,
    shape: tuple[int, int] = (1024, 896),
    seed: int = 0,
    opacity: Opacity | None = None,
    take: int = 0,
    bits: int = 12,
    photometric: Literal['MONOCHROME1', 'MONOCHROME2'] = 'MONOCHROME2',
    view: str = 'PA',
    transfer_syntax: str = ExplicitVRLittleEndian,
    pixels: np.ndarray | None = None,
    attributes: dict[str, Any] | None = None,
) -> Path:
    """Write the phantom as a Digital X-Ray Image for presentation, PS3.3 A.26.

    The patient is obviously fictitious: 'Phantom^Made of Numbers'.

    Parameters
    ----------
    path : str or Path
        The file to write; its folder must exist.
    shape, seed, opacity, take
        See `phantom`. The seed and the take also determine all identifiers.
    bits : int
        Bits stored, from 2 to 16.
    photometric : {'MONOCHROME1', 'MONOCHROME2'}
        The same image either way: for MONOCHROME1 the values are inverted.
    view : str
        View Position, 'PA', 'AP', 'LL' or 'RL'.
    transfer_syntax : str
        UID of an uncompressed or deflated transfer syntax, or of a lossless one that pydicom
        can encode: RLE, JPEG-LS or JPEG 2000.
    pixels : ndarray of integers, optional
        Stored values in place of the phantom, shape (rows, columns) or
        (frames, rows, columns); of 8 bits or signed as they are.
    attributes : dict, optional
        Elements by keyword that replace or extend the others; None removes one.

    Returns
    -------
    Path
        The file.
    """
    path = Path(path)
    if not 2 <= bits <= 16:
        raise ValueError('bits stored must be from 2 to 16')
    if pixels is None:
        light = phantom(shape, seed, opacity=opacity, take=take)
        light = 1 - light if photometric == 'MONOCHROME1' else light
        pixels = np.rint(light * ((1 << bits) - 1)).astype(np.uint8 if bits <= 8 else np.uint16)
    dataset = _create_dataset(seed, take, photometric, view, bits)
    syntax = UID(transfer_syntax)
    _set_pixels(
        dataset, pixels, bits, ExplicitVRLittleEndian if syntax.is_encapsulated else syntax
    )
    for keyword, given in (attributes or {}).items():
        if given is not None:
            setattr(dataset, keyword, given)
        elif keyword in dataset:
            delattr(dataset, keyword)
    if syntax.is_encapsulated:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _set_pixels(dataset: Dataset, pixels: np.ndarray, bits: int, syntax: UID) -> None:
    order: Literal['<', '>'] = '<' if syntax.is_little_endian else '>'
    dataset.Rows, dataset.Columns = (int(n) for n in pixels.shape[-2:])
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == 'i')
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    if pixels.dtype.itemsize == 1 and order == '>':
        # Bytes packed into words: PS3.5 section 8.1.1 and annex A.3.
        raw = np.frombuffer(raw + b'\0' * (len(raw) % 2), '<u2').astype('>u2').tobytes()
    dataset.add_new('PixelData', 'OW', raw + b'\0' * (len(raw) % 2))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = syntax


def _create_dataset(seed: int, take: int, photometric: str, view: str, bits: int) -> Dataset:
    """Return all elements except the pixel data."""
    ds = Dataset()
    ds.SpecificCharacterSet = 'ISO_IR 192'
    ds.ImageType = ['ORIGINAL', 'PRIMARY', '']
    ds.SOPClassUID = DigitalXRayImageStorageForPresentation
    which = f'{seed} {view} {take}' if take else f'{seed} {view}'
    for level in ('Study', 'Series', 'SOP'):
        # PS3.5 annex B.2: a UID derived from a UUID, here one that follows from the seed.
        name = uuid.uuid5(uuid.NAMESPACE_OID, f'napari-cxr phantom {level} {which}')
        setattr(ds, f'{level}InstanceUID', f'2.25.{name.int}')
    for moment in ('Study', 'Series', 'Acquisition', 'Content'):
        setattr(ds, f'{moment}Date', '20000101')
        setattr(ds, f'{moment}Time', '120000')
    ds.AccessionNumber = ''
    ds.Modality = 'DX'
    ds.PresentationIntentType = 'FOR PRESENTATION'
    ds.Manufacturer = 'napari-cxr'
    ds.ManufacturerModelName = 'Arithmetic'
    ds.ReferringPhysicianName = ''
    ds.AnatomicRegionSequence = [_code('51185008', 'Thorax')]
    ds.PatientName = 'Phantom^Made of Numbers'
    ds.PatientID = f'PHANTOM-{seed}'
    ds.PatientBirthDate, ds.PatientSex = '', 'O'
    ds.BodyPartExamined = 'CHEST'
    ds.PositionerType = 'NONE'
    ds.DetectorType = 'DIRECT'
    ds.DetectorID = ''
    ds.ImagerPixelSpacing = ['0.4', '0.4']
    ds.FieldOfViewOrigin = ['0', '0']
    ds.FieldOfViewRotation = '0'
    ds.FieldOfViewHorizontalFlip = 'NO'
    ds.ViewPosition = view
    ds.StudyID, ds.SeriesNumber, ds.InstanceNumber = '1', 1, 1
    ds.PatientOrientation = ['L', 'F'] if view in ('PA', 'AP') else ['A', 'F']
    ds.ImageLaterality = 'U'
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = photometric
    ds.BurnedInAnnotation = 'NO'
    ds.PixelIntensityRelationship = 'LOG'
    ds.PixelIntensityRelationshipSign = -1 if photometric == 'MONOCHROME1' else 1
    full = 1 << bits
    ds.WindowCenter, ds.WindowWidth = str(full // 2), str(full)
    ds.WindowCenterWidthExplanation = 'NORMAL'
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = '0', '1', 'US'
    ds.LossyImageCompression = '00'
    ds.PresentationLUTShape = 'INVERSE' if photometric == 'MONOCHROME1' else 'IDENTITY'
    if view in _VIEW_CODES:
        ds.ViewCodeSequence = [_code(*_VIEW_CODES[view])]
        ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.AcquisitionContextSequence = []
    return ds


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, 'SCT', meaning
    return item

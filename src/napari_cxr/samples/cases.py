"""Synthetic cases to try things out on, each saying what it is; and a disc of one patient."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cxr.samples.lateral_phantom import lateral_phantom
from napari_cxr.samples.phantom import phantom
from napari_cxr.samples.phantom_dicom import write_phantom_dicom

__all__ = ['CASES', 'SampleCase', 'write_sample_disc']

_SHAPE = (1024, 896)
_TOP = (1 << 12) - 1


@dataclass(frozen=True)
class SampleCase:
    """One synthetic radiograph.

    Parameters
    ----------
    title : str
        What it is, for a person.
    draw : callable
        Makes its image, from 0 to 1.
    view : str
        View Position.
    inverted : bool
        Whether it is stored as MONOCHROME1: the lowest value is white.
    """

    title: str
    draw: Callable[[], np.ndarray]
    view: str = 'PA'
    inverted: bool = False

    def write(self, path: Path, **attributes: Any) -> Path:
        """Write it as a DICOM file; see `write_phantom_dicom` for `attributes`."""
        light = self.draw()
        stored = np.rint((1 - light if self.inverted else light) * _TOP).astype(np.uint16)
        return write_phantom_dicom(
            path,
            pixels=stored,
            photometric='MONOCHROME1' if self.inverted else 'MONOCHROME2',
            view=self.view,
            attributes={'ImageComments': f'Synthetic: {self.title}', **attributes},
        )


#: By their key in the manifest.
CASES = {
    'synthetic': SampleCase('normal', lambda: phantom(_SHAPE)),
    'opacity': SampleCase('opacity in the left lung', lambda: phantom(_SHAPE, opacity='left')),
    'effusion': SampleCase('right pleural effusion', lambda: phantom(_SHAPE, effusion='right')),
    'lateral': SampleCase('normal, lateral view', lambda: lateral_phantom(_SHAPE), view='LL'),
    'monochrome1': SampleCase(
        'normal, stored inverted (MONOCHROME1)', lambda: phantom(_SHAPE), inverted=True
    ),
}


def write_sample_disc(folder: Path) -> Path:
    """Write the studies of one fictitious patient, as on a CD.

    The latest study has a frontal view with an opacity, and a lateral one; the study of 214 days
    before has a frontal view without it.

    Parameters
    ----------
    folder : Path
        A folder, which is made if it is not there.

    Returns
    -------
    Path
        Its DICOMDIR.
    """
    with warnings.catch_warnings():
        # pydicom leaves its temporary folder to the garbage collector.
        warnings.simplefilter('ignore', ResourceWarning)
        _write_disc(folder)
        gc.collect()
    return folder / 'DICOMDIR'


def _write_disc(folder: Path) -> None:
    from pydicom import dcmread
    from pydicom.fileset import FileSet

    patient = {'PatientID': 'PHANTOM-DISC', 'PatientName': 'Phantom^Disc of Numbers'}
    images = (
        ('synthetic', '20000101', '2.25.101', 1),
        ('opacity', '20000802', '2.25.102', 1),
        ('lateral', '20000802', '2.25.102', 2),
    )
    disc = FileSet()
    folder.mkdir(parents=True, exist_ok=True)
    for key, day, study, number in images:
        path = folder / f'{key}.part'
        CASES[key].write(
            path,
            StudyDate=day,
            StudyID=study[-3:],
            StudyInstanceUID=study,
            SeriesInstanceUID=f'{study}.{number}',
            SOPInstanceUID=f'{study}.{number}.1',
            SeriesNumber=number,
            InstanceNumber=1,
            AccessionNumber=study[-3:],
            **patient,
        )
        disc.add(dcmread(path))
        path.unlink()
    disc.write(folder)

"""The images that a DICOMDIR lists, PS3.3 annex F and PS3.10 section 8."""

from __future__ import annotations

from pathlib import Path

from napari_cxr.dicom.elements import items, text, texts
from napari_cxr.dicom.headers import quiet, read_header
from napari_cxr.radiograph import UnreadableImage

__all__ = ['listed_images']


def listed_images(directory: str | Path) -> list[Path]:
    """Return the files of the images that a DICOMDIR lists.

    Parameters
    ----------
    directory : str or Path
        The DICOMDIR. File IDs in it are relative to its folder; many exports write the
        files in lower case, which is looked for too.

    Returns
    -------
    list of Path
        In its order, each once; not all of them need to be there.

    Raises
    ------
    UnreadableImage
        If it is no DICOMDIR, is damaged, lists no image, or leads out of its folder.
    """
    directory = Path(directory)
    dataset = read_header(directory).dataset
    found: dict[Path, None] = {}
    with quiet():
        for record in items(dataset, 'DirectoryRecordSequence'):
            if text(record, 'DirectoryRecordType') != 'IMAGE':
                continue
            parts = [part for part in texts(record, 'ReferencedFileID') if part]
            if not parts:
                continue
            if any('/' in part or '\\' in part or part == '..' for part in parts):
                raise UnreadableImage('This DICOMDIR names files outside its folder.')
            found[_on_disk(directory.parent, parts)] = None
    if not found:
        raise UnreadableImage('This DICOMDIR lists no image.')
    return list(found)


def _on_disk(folder: Path, parts: list[str]) -> Path:
    path = folder.joinpath(*parts)
    if path.exists():
        return path
    lower = folder.joinpath(*(part.lower() for part in parts))
    return lower if lower.exists() else path

"""A folder of sub-folders: what they mean, and which images are in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from napari_cxr.training.dataset import SPLIT_WORDS, DatasetError, Sample

__all__ = ['LAYOUTS', 'samples_of']

#: What the first and the second folder on the way to an image are.
LAYOUTS = {
    'class': ('label',),
    'class/source': ('label', 'source'),
    'source/class': ('source', 'label'),
    'split/class': ('split', 'label'),
}
#: Endings of files that are meant to be images, readable or not.
_ENDINGS = ('.png', '.jpg', '.jpeg', '.jpe', '.tif', '.tiff', '.dcm', '.dicom', '.bmp', '.webp')


def samples_of(root: Path, layout: str) -> list[Sample]:
    """Find the images of a folder.

    A file that is called an image and is none is listed as well, so that it is reported
    when it cannot be read, and not passed over.

    Parameters
    ----------
    root : Path
        Its sub-folders are classes, sources or splits. Names that begin with a dot or an
        underscore are passed over.
    layout : {'auto', 'class', 'class/source', 'source/class', 'split/class'}
        What the sub-folders mean. Auto knows folders that are called train, val and test,
        and else takes the first level for the classes, unless names of the second level
        come up under several folders of the first: then it does not guess.

    Raises
    ------
    DatasetError
        If there are no sub-folders, one without images, images without a class, or
        if the meaning of the folders is not clear.
    """
    tops = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] not in '._']
    if not tops:
        raise DatasetError(
            f'{root.name} has no sub-folders; put the images of each class into one of its own, '
            'or name a CSV file.'
        )
    if any(_is_meant(path) for path in root.iterdir() if path.is_file()):
        raise DatasetError(
            f'Some images lie directly in {root.name}, beside the class folders, and have no '
            'class; move each into the folder of its class.'
        )
    # A link to the whole folder would bring every image into every class.
    above = {_identity(folder) for folder in (root, *root.resolve().parents)}
    found = {top: list(_images(top, above)) for top in tops}
    if layout == 'auto':
        layout = _guess(root, found)
    levels = LAYOUTS[layout]
    samples = [_sample(root, path, levels, layout) for paths in found.values() for path in paths]
    _refuse_empty(root, tops, {s.label for s in samples}, levels)
    _refuse_shared(root, samples)
    return samples


def _sample(root: Path, path: Path, levels: tuple[str, ...], layout: str) -> Sample:
    folders = path.relative_to(root).parts[:-1]
    entries = dict(zip(levels, folders, strict=False))
    if 'label' not in entries:
        raise DatasetError(
            f'The folder {folders[0]!r} holds images beside its class folders; with the layout '
            f'{layout!r} they have no class.'
        )
    if 'split' in entries:
        word = entries['split'].lower()
        if word not in SPLIT_WORDS:
            raise DatasetError(
                f'The folder {entries["split"]!r} must be called train, val or test in the '
                "layout 'split/class'; rename it, or choose another data.layout."
            )
        entries['split'] = SPLIT_WORDS[word]
    return Sample(
        path,
        label=entries['label'],
        group=path.relative_to(root).as_posix(),
        split=entries.get('split', ''),
        source=entries.get('source', ''),
    )


def _guess(root: Path, found: dict[Path, list[Path]]) -> str:
    """Tell what the folders mean, or refuse to."""
    names = [top.name.lower() for top in found]
    if 'train' in {SPLIT_WORDS.get(name) for name in names} and set(names) <= set(SPLIT_WORDS):
        return 'split/class'
    above: dict[str, set[Path]] = {}
    for top, paths in found.items():
        for path in paths:
            folders = path.relative_to(top).parts[:-1]
            if not folders:
                return 'class'  # images stand at the first level, so it is the classes'
            above.setdefault(folders[0], set()).add(top)
    shared = sorted(name for name, tops in above.items() if len(tops) > 1)
    if shared:
        listed = ', '.join(repr(name) for name in shared[:4])
        raise DatasetError(
            f'{root.name} has folders of the same name ({listed}) in several of its folders. If '
            "these are the classes, set data.layout to 'source/class'; if they are hospitals or "
            "collections, to 'class/source'; if they mean nothing, to 'class'."
        )
    return 'class'


def _refuse_empty(root: Path, tops: list[Path], labels: set[str], levels: tuple[str, ...]) -> None:
    """Refuse a class without an image, which would be no class without a word."""
    depth = levels.index('label')
    classes = tops if depth == 0 else [p for top in tops for p in sorted(top.iterdir())]
    for folder in classes:
        if folder.is_dir() and folder.name[0] not in '._' and folder.name not in labels:
            raise DatasetError(
                f'The class folder {folder.relative_to(root).as_posix()!r} holds no image; fill '
                'it or take it away.'
            )


def _refuse_shared(root: Path, samples: Sequence[Sample]) -> None:
    """Refuse a file that links bring into two classes: one of them must be wrong."""
    first: dict[Path, Sample] = {}
    for sample in samples:
        try:
            other = first.setdefault(sample.path.resolve(), sample)
        except (OSError, RuntimeError):  # a link that leads nowhere, or to itself
            continue
        if other.label != sample.label:
            one, two = (s.path.relative_to(root).as_posix() for s in (other, sample))
            raise DatasetError(
                f'{one} and {two} are one and the same file, by a link, in two classes; take '
                'one of them away.'
            )


def _identity(folder: str | Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _images(folder: Path, above: Set[tuple[int, int]]) -> Iterator[Path]:
    """Yield what is meant to be an image, sorted; links are followed, circles are not."""
    seen = set(above)
    for here, folders, names in os.walk(folder, followlinks=True):
        place = _identity(here)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if name[0] not in '._')
        yield from (path for name in sorted(names) if _is_meant(path := Path(here, name)))


def _is_meant(path: Path) -> bool:
    """Tell whether a file is an image, or is called one."""
    from napari_cxr.files import is_image

    if path.name.startswith('.') or path.name.upper() == 'DICOMDIR':
        return False
    ending = path.suffix.lower()
    # DICOM files often have no ending, or are called by a UID that ends in digits.
    if ending in _ENDINGS or not ending or ending[1:].isdigit():
        return True
    try:
        return is_image(path)
    except OSError:
        return False

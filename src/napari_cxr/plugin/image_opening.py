"""From paths that a person chose to layers: what is opened, what is left out, and why.

One job finds the files and has a decoder read them, whoever asked for them: napari's File
menu, a drop, one of our commands. It needs no Qt, so that scripts without a window can run it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from napari_cxr import dicom, image_files
from napari_cxr.output_text import terminal_line
from napari_cxr.plugin.layers import overlay_layers_data, radiograph_layer_data
from napari_cxr.plugin.source_file import read_in_decoder
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.workers.decoder_pool import shared_decoder

__all__ = [
    'FOLDER_LIMIT',
    'FileNotOpened',
    'FileOpened',
    'LayerData',
    'OpeningEvent',
    'OpeningPlan',
    'OpeningResult',
    'open_images',
]

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]

#: So many images are opened at once at most: napari slows down with many layers.
FOLDER_LIMIT = 36

#: So many images of a folder are counted.
_MOST_FOUND = 10_000


@dataclass(frozen=True)
class OpeningPlan:
    """What will be opened of the paths that were asked for.

    Parameters
    ----------
    files : tuple of Path
        These.
    left : tuple of Path
        Images that are left out.
    notice : str
        Which these are and why, in one or two sentences; may be empty.
    """

    files: tuple[Path, ...]
    left: tuple[Path, ...] = ()
    notice: str = ''


@dataclass(frozen=True, eq=False)
class FileOpened:
    """A file was read.

    Parameters
    ----------
    path : Path
        The file.
    layers : tuple of LayerData
        Its radiograph, and its overlays.
    notice : str
        Why it is not classified; empty for most.
    """

    path: Path
    layers: tuple[LayerData, ...]
    notice: str = ''


@dataclass(frozen=True)
class FileNotOpened:
    """A file could not be read, and why: one sentence."""

    path: Path
    reason: str


OpeningEvent: TypeAlias = OpeningPlan | FileOpened | FileNotOpened


class OpeningResult:
    """What has become of an opening so far: layers, and what a person should know."""

    def __init__(self) -> None:
        self.plan = OpeningPlan(())
        self.done = 0
        self._shown = False
        self._failed: list[str] = []
        self._notices: list[str] = []

    def take(self, event: OpeningEvent) -> list[LayerData]:
        """Take an event of `open_images`; return the layers to add, one radiograph visible."""
        if isinstance(event, OpeningPlan):
            self.plan = event
            return []
        self.done += 1
        if isinstance(event, FileNotOpened):
            self._failed.append(f'{event.path.name} could not be opened. {event.reason}')
            return []
        if event.notice:
            self._notices.append(event.notice)
        (data, attributes, kind), *overlays = event.layers
        layers = [(data, {**attributes, 'visible': not self._shown}, kind), *overlays]
        self._shown = True
        return layers

    def fail(self, text: str) -> None:
        """Take it that the opening as a whole has failed."""
        self._failed.append(text)

    @property
    def problem(self) -> str:
        """What could not be opened and why; empty if there is nothing."""
        if self.plan.files or self._failed:
            return _listed(self._failed, _NOR_OPENED)
        return 'There is no image in this folder.'

    @property
    def notice(self) -> str:
        """What was left out, or is not classified; empty if there is nothing."""
        left = len(self.plan.left)
        about = terminal_line(self.plan.notice) or (
            f'{_count(left, "image was", "images were")} left out.' * bool(left)
        )
        return ' '.join(part for part in (about, _listed(self._notices, _NOR_CLASSIFIED)) if part)

    @property
    def offer(self) -> str:
        """What a button says that opens images that were left out; empty if there are none."""
        count = len(self.plan.left)
        if count > FOLDER_LIMIT:
            return f'Open the next {FOLDER_LIMIT} of {count:,}'
        return f'Open the other {count}' if count > 1 else 'Open the other' if count else ''


#: So many files are named in a message.
_MOST_NAMED = 5
#: What is said of those beyond: of one, and of several.
_NOR_OPENED = 'more file could not be opened either.', 'more files could not be opened either.'
_NOR_CLASSIFIED = 'more image is not classified either.', 'more images are not classified either.'


def _listed(sentences: list[str], others: tuple[str, str]) -> str:
    """Return sentences about files, and what is to be said of those beyond the first few."""
    more = len(sentences) - _MOST_NAMED
    named = ' '.join(map(terminal_line, sentences[:_MOST_NAMED]))  # names come from outside
    if more <= 0:
        return named
    return f'{named} {_count(more, *others)}'


def open_images(
    paths: list[Path], file_names: bool, left: tuple[Path, ...] = ()
) -> Generator[OpeningEvent | None, None, None]:
    """Read image files, and those in folders; a job for `run_job`.

    Of a folder its DICOM files are read, or all images where it holds no DICOM; of more than
    `FOLDER_LIMIT` the first.

    Parameters
    ----------
    paths : list of Path
        Files of any kind, and folders.
    file_names : bool
        Whether layers of DICOM files are named after them.
    left : tuple of Path
        Images that were left out before, to be offered again.

    Yields
    ------
    OpeningPlan, FileOpened, FileNotOpened or None
        The plan first; None while there is nothing.
    """
    plan = yield from _plan(paths)
    yield OpeningPlan(plan.files, plan.left + left, plan.notice)
    for path in plan.files:
        try:
            radiograph = yield from read_in_decoder(path)
            # A DICOM file may be named after a patient; a picture has nothing but its name.
            named = file_names or not _is_dicom(path)
            layer = radiograph_layer_data(radiograph, path.stem if named else '')
            layers = (layer, *overlay_layers_data(radiograph, layer[1]))
        except (UnreadableImage, ValueError, MemoryError) as error:
            yield FileNotOpened(path, str(error) or 'There is not enough memory for it.')
            continue
        notice = f'{path.name}: {radiograph.refusal} It is shown, but not classified.'
        yield FileOpened(path, layers, notice if radiograph.refusal else '')


def _plan(paths: list[Path]) -> Generator[None, None, OpeningPlan]:
    files: list[Path] = []
    left: list[Path] = []
    notices: list[str] = []
    for path in paths:
        if path.is_dir():
            plan = yield from _plan_folder(path)
        elif dicom.is_directory(path):
            plan = yield from _plan_directory(path)
        else:
            files.append(path)
            continue
        files += plan.files
        left += plan.left
        notices += [plan.notice] if plan.notice else []
    if len(files) > FOLDER_LIMIT:
        notices.append(f'{len(files):,} files were chosen: {_FIRST}')
        left, files = [*files[FOLDER_LIMIT:], *left], files[:FOLDER_LIMIT]
    return OpeningPlan(tuple(files), tuple(left), ' '.join(notices))


_FIRST = f'the first {FOLDER_LIMIT} are opened, because napari slows down with many layers.'


def _plan_directory(directory: Path) -> Generator[None, None, OpeningPlan]:
    """Plan the images that a DICOMDIR lists, as those of a folder."""
    try:
        listed = yield from shared_decoder().listing(directory)
    except UnreadableImage:
        return OpeningPlan((directory,))  # reading it says what is wrong
    there = [path for path in listed if path.is_file()]
    sentences = []
    if missing := len(listed) - len(there):
        noun = (
            'image that the DICOMDIR lists is'
            if missing == 1
            else ('images that the DICOMDIR lists are')
        )
        sentences.append(f'{missing:,} {noun} not there.')
    if len(there) > FOLDER_LIMIT:
        sentences.append(
            f'The DICOMDIR lists {len(there):,} images: the first was opened. The Studies dock '
            'lists them all.'
        )
        return OpeningPlan(tuple(there[:1]), tuple(there[1:]), ' '.join(sentences))
    return OpeningPlan(tuple(there) or (directory,), (), ' '.join(sentences))


def _plan_folder(folder: Path) -> Generator[None, None, OpeningPlan]:
    found: dict[bool, list[Path]] = {True: [], False: []}
    shut: list[Path] = []
    for path in _first_images(folder):
        if path is None:
            yield None
        elif path.is_dir():
            shut.append(path)
        else:
            found[_is_dicom(path)].append(path)
    dicoms, pictures = sorted(found[True]), sorted(found[False])
    chosen, others = (dicoms, pictures) if dicoms else (pictures, [])
    sentences = []
    if len(chosen) > FOLDER_LIMIT:
        counted = f'{len(chosen):,} ' + ('DICOM files' if dicoms else 'images')
        if len(dicoms) + len(pictures) >= _MOST_FOUND:
            counted = f'more than {counted}'
        if others:
            others_too = _count(len(others), 'other image', 'other images')
            counted += f' and {others_too} (PNG, JPEG or TIFF)'
        sentences.append(
            f'{folder.name} holds {counted}: the first was opened, because napari slows down '
            'with many layers. The Studies dock lists them all.'
        )
        chosen, others = chosen[:1], [*chosen[1:], *others]
    elif others:
        sentences.append(
            f'{folder.name} holds {_count(len(dicoms), "DICOM file", "DICOM files")} and '
            f'{_count(len(others), "other image", "other images")} (PNG, JPEG or TIFF). '
            'Only DICOM was opened: images beside it are often copies of it.'
        )
    return OpeningPlan((*chosen, *shut), tuple(others), ' '.join(sentences))


def _first_images(folder: Path) -> Iterator[Path | None]:
    """Yield the images of a folder, as far as they are counted; None now and then."""
    images = 0
    for looked_at, path in enumerate(image_files.walk_images(folder, named=True)):
        if path is not None:
            images += 1
            yield path
        if looked_at % 20 == 0:
            yield None
        if images >= _MOST_FOUND:
            return


def _is_dicom(path: Path) -> bool:
    return path.suffix.lower() in ('.dcm', '.dicom') or dicom.is_dicom(path)


def _count(number: int, one: str, several: str) -> str:
    return f'1 {one}' if number == 1 else f'{number:,} {several}'

"""The command "Open with options…": a radiograph with the window, overlays and lungs asked for.

Annotations are types here and not text, because magicgui makes the form of them.
"""

from functools import partial
from pathlib import Path
from typing import Any

from magicgui import magicgui
from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFileDialog

from napari_cxr import dicom
from napari_cxr.plugin.background import Failure, JobOutcome
from napari_cxr.plugin.base_dock import FormDock, dropped_files
from napari_cxr.plugin.layers import appearance, overlay_layers_data, radiograph_layer_data
from napari_cxr.plugin.lungs_controller import show_lung_field
from napari_cxr.plugin.opening import show_job
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.radiograph import prepare_viewer
from napari_cxr.plugin.reader import last_folder
from napari_cxr.plugin.source_file import read_in_decoder
from napari_cxr.radiograph import Radiograph
from napari_cxr.rasters import is_raster

__all__ = ['WINDOW_CHOICES', 'OpenOptionsDock']

#: The choices, and which of a file's windows that is; None is the whole range.
WINDOW_CHOICES = {
    'First in the file': 0,
    'Second in the file': 1,
    'Third in the file': 2,
    'Full range of values': None,
}


class OpenOptionsDock(FormDock):
    """Open one radiograph, and choose how it is shown.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Where it is opened.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        form = magicgui(
            self.open,
            call_button='Open',
            persist=False,
            file={
                'label': 'File',
                'mode': 'r',
                'nullable': True,
                'tooltip': 'A DICOM, PNG, JPEG or TIFF file; its name does not matter',
            },
            window={
                'label': 'Window',
                'choices': list(WINDOW_CHOICES),
                'tooltip': 'How the radiograph is shown. The model always sees the first window.',
            },
            overlays={
                'label': 'Overlays as layers',
                'tooltip': 'Add text and drawings that the file keeps beside the image',
            },
            lungs={
                'label': 'Show the lungs',
                'tooltip': 'Find the lungs and show them as a layer that can be edited',
            },
        )
        form.file.choose_btn.changed.disconnect()
        form.file.choose_btn.changed.connect(self._choose_file)
        self.set_form(form)
        self.setAcceptDrops(True)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Accept a file."""
        if event is not None and len(dropped_files(event)) == 1:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Take the dropped file, to be opened with the options."""
        for path in dropped_files(event) if event is not None else ():
            self.form.file.value = path

    def open(
        self,
        file: Path | None = None,
        window: str = 'First in the file',
        overlays: bool = True,
        lungs: bool = False,
    ) -> None:
        """Open a radiograph; returns at once.

        Parameters
        ----------
        file : Path
            A DICOM, PNG, JPEG or TIFF file.
        window : str
            One of `WINDOW_CHOICES`.
        overlays : bool
            Whether the file's overlays become layers.
        lungs : bool
            Whether the lungs are found and shown.
        """
        if self.busy:
            return
        problem = _problem_with(file)
        if problem or file is None:
            self.show_problem(problem)
            return
        self.start_job(
            read_in_decoder(file),
            'Opening the file',
            f'Opening {file.name}…',
            partial(self._take, file, window, overlays, lungs),
        )
        if self._job is not None:
            show_job(self.viewer, self._job, f'Opening {file.name}')

    def _take(
        self,
        file: Path,
        window: str,
        overlays: bool,
        lungs: bool,
        outcome: JobOutcome | Failure,
    ) -> None:
        if isinstance(outcome, Failure):
            self.show_problem(f'{file.name} could not be opened. {outcome.text}', outcome.details)
            return
        if outcome.result is None:
            self.show_status(f'Opening {file.name} was cancelled.')
            return
        radiograph: Radiograph = outcome.result
        named = preferences('layers').file_names or is_raster(file)
        data, attributes, _ = radiograph_layer_data(radiograph, file.stem if named else '')
        notes = [radiograph.refusal] if radiograph.refusal else []
        place = WINDOW_CHOICES[window]
        if radiograph.is_colour:
            if place != 0:
                notes.append('This is a colour image, which has no windows.')
        elif place is not None and place >= len(radiograph.presets):
            notes.append(f'The file has {_count(len(radiograph.presets))}: its first is shown.')
        else:
            attributes |= appearance(radiograph, place)
        ((_, placed, _),) = prepare_viewer(self.viewer).arriving([(data, attributes, 'image')])
        base = Image(data, **placed)
        self.viewer.add_layer(base)
        if overlays:
            self._add_overlays(radiograph, attributes, notes)
        self.viewer.layers.selection.active = base
        if lungs and not radiograph.refusal:
            show_lung_field(self.viewer)
        save_preferences('layers', folder=str(file.parent))
        self.show_status(' '.join([f'{base.name} is open.', *notes]))

    def _add_overlays(
        self, radiograph: Radiograph, attributes: dict[str, Any], notes: list[str]
    ) -> None:
        layers = overlay_layers_data(radiograph, attributes)
        for data, options, kind in layers:
            self.viewer.add_layer(Layer.create(data, {**options, 'visible': True}, kind))
        if not layers:
            notes.append('The file has no overlays.')

    def _choose_file(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(
            self, 'Open a chest radiograph', last_folder(), 'All files (*)'
        )
        if chosen:
            self.form.file.value = chosen


def _problem_with(file: Path | None) -> str:
    """Return why a file cannot be opened, as far as its first bytes say; empty if it can."""
    if file is None:
        return 'Choose a file first.'
    if file.is_dir():
        return f'{file.name} is a folder. Choose a file in it.'
    if not file.is_file():
        return f'There is no file {file}. Choose another one.'
    if not (dicom.is_dicom(file) or is_raster(file) or file.suffix.lower() == '.dcm'):
        return (
            f'{file.name} is not a DICOM, PNG, JPEG or TIFF image. Choose another file, or open '
            'this one with File ▸ Open File(s)….'
        )
    return ''


def _count(windows: int) -> str:
    return 'one window' if windows == 1 else f'{windows} windows'

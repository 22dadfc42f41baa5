"""The command "Save picture…": a radiograph with what lies on it, as a PNG file.

The picture is computed from the layers and not taken from the screen: it has the pixels of the
radiograph, whatever the size of the window, and is mirrored and turned as the view is. It holds
no text and no metadata. Annotations are types here and not text, because magicgui makes the form
of them.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from magicgui import magicgui
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes
from qtpy.QtWidgets import QFileDialog

from napari_cxr.correction import NO_CORRECTION, Correction
from napari_cxr.plugin.background import Failure, JobOutcome
from napari_cxr.plugin.base_dock import FormDock
from napari_cxr.plugin.layers import lying_on, name_without_identity
from napari_cxr.plugin.lungs_controller import chosen_radiograph
from napari_cxr.plugin.lungs_layer import lungs_of
from napari_cxr.plugin.preferences import preferences, save_preferences
from napari_cxr.plugin.radiograph_views import views_of

__all__ = ['SIZES', 'SavePictureDock', 'free_name', 'picture_parts', 'render_picture']

#: The choices, and the pixels of the longer side; None is the radiograph's own.
SIZES = {'As the radiograph': None, '2000 pixels': 2000, '1000 pixels': 1000}


@dataclass(frozen=True)
class PicturePart:
    """What is drawn of a layer; holds no layer, so that a thread can draw it.

    Parameters
    ----------
    draw : callable
        From rows and columns of the picture to colours with opacity, shape (rows, columns, 4).
    opacity : float
        Of the whole layer.
    """

    draw: Callable[[tuple[int, int]], np.ndarray]
    opacity: float


def picture_parts(base: Image, layers: Iterable[Layer], overlays: bool) -> list[PicturePart]:
    """Return what is visible of a radiograph, from the bottom.

    Parameters
    ----------
    base : napari.layers.Image
        A 2D layer.
    layers : iterable of Layer
        Of the viewer, from the bottom.
    overlays : bool
        Whether what lies on it is drawn as well: heatmap, outline and lungs, as far as they are
        visible.

    Raises
    ------
    ValueError
        If the layer has more than two dimensions.
    """
    if base.ndim != 2:
        raise ValueError(
            'This layer has more than two dimensions. Select a single frame as a 2D layer to '
            'save it as a picture.'
        )
    layers = list(layers)
    parts = [PicturePart(partial(_draw_image, _image(base), np.eye(3), 0), 1.0)]
    above = {*lying_on(base, layers), lungs_of(base, layers)} if overlays else set()
    for layer in layers:
        if layer in above and layer.visible:
            parts.append(PicturePart(_drawn(layer, base), layer.opacity))
    return parts


def render_picture(
    parts: list[PicturePart],
    shape: tuple[int, int],
    scale: tuple[float, float],
    longest: int | None,
    lies: Correction = NO_CORRECTION,
) -> np.ndarray:
    """Draw parts over each other.

    Parameters
    ----------
    parts : list of PicturePart
        From the bottom.
    shape : tuple of int
        Rows and columns of the radiograph.
    scale : tuple of float
        Height and width of a pixel.
    longest : int, optional
        Pixels of the picture's longer side; by default the radiograph's own pixels.
    lies : Correction
        How the view is mirrored and turned, see `RadiographViews.lies`; its polarity is in the
        colours of the parts.

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
    """
    from PIL import Image as Picture

    mixed = np.zeros((*shape, 3), np.float32)
    for part in parts:
        colors = part.draw(shape)
        alpha = part.opacity * colors[..., 3:]
        mixed += alpha * (colors[..., :3] - mixed)
    picture = (np.clip(mixed, 0, 1) * 255).round().astype(np.uint8)
    # Pixels that are no squares become squares, of the shorter side.
    size = np.array(shape) * np.asarray(scale) / min(scale)
    if longest is not None:
        size *= min(1, longest / size.max())
    rows, columns = (max(1, round(side)) for side in size)
    if (rows, columns) != shape:
        resized = Picture.fromarray(picture).resize((columns, rows), Picture.Resampling.LANCZOS)
        picture = np.asarray(resized)
    return lies.apply(picture, colour=True)


class SavePictureDock(FormDock):
    """Save the chosen radiograph with its heatmap as a PNG file.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Whose selected radiograph is saved; the topmost one if none is selected.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        form = magicgui(
            self.save,
            call_button='Save',
            persist=False,
            file={
                'label': 'File',
                'mode': 'w',
                'nullable': True,
                'tooltip': 'Where the picture goes: a name that ends in .png',
            },
            overlays={
                'label': 'With heatmap and lungs',
                'tooltip': 'Draw heatmap, outline and lungs too, where they are visible',
            },
            size={
                'label': 'Size',
                'choices': list(SIZES),
                'tooltip': 'Pixels of the longer side; never more than those of the radiograph',
            },
            replace={
                'label': 'Replace an existing file',
                'tooltip': 'Write over a file of this name',
            },
        )
        form.file.choose_btn.changed.disconnect()
        form.file.choose_btn.changed.connect(self._choose_file)
        self.set_form(form)
        self._suggested = ''
        self._suggest()
        self.viewer.layers.selection.events.active.connect(self._suggest)

    def save(
        self,
        file: Path | None = None,
        overlays: bool = True,
        size: str = 'As the radiograph',
        replace: bool = False,
    ) -> None:
        """Save a picture; returns at once.

        Parameters
        ----------
        file : Path
            Where it goes.
        overlays : bool
            See `picture_parts`.
        size : str
            One of `SIZES`.
        replace : bool
            Whether a file of this name may be written over.
        """
        if self.busy:
            return
        base = chosen_radiograph(self.viewer)
        if base is None:
            self.show_problem('There is no radiograph to save. Open one first.')
            return
        problem = _problem_with(file, replace)
        if problem or file is None:
            self.show_problem(problem)
            return
        try:
            parts = picture_parts(base, self.viewer.layers, overlays)
        except ValueError as error:
            self.show_problem(str(error))
            return
        shape = (base.data[0] if base.multiscale else base.data).shape[:2]
        lies = views_of(self.viewer).lies(base)
        draw = partial(render_picture, parts, shape, tuple(base.scale[-2:]), SIZES[size], lies)
        self.start_job(
            partial(_write, file, draw), 'Saving the picture', 'Saving…', partial(self._take, file)
        )

    def _take(self, file: Path, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.show_problem(outcome.text, outcome.details)
            return
        save_preferences('layers', picture_folder=str(file.parent))
        self.show_status(f'Saved to {file}.')
        self._suggest()

    def _suggest(self) -> None:
        """Suggest a name that is free, unless the person has given one."""
        written = self.form.file.value
        if written is not None and str(written) != self._suggested:
            return
        base = chosen_radiograph(self.viewer)
        name = name_without_identity(base) if base is not None else ''
        stem = '-'.join(''.join(c if c.isalnum() else ' ' for c in name).lower().split())
        folder = Path(preferences('layers').picture_folder or Path.home())
        self._suggested = str(free_name(folder, stem or 'radiograph'))
        self.form.file.value = self._suggested
        self.form.file.line_edit.native.end(False)

    def _choose_file(self) -> None:
        start = str(self.form.file.value or self._suggested)
        chosen, _ = QFileDialog.getSaveFileName(self, 'Save picture', start, 'PNG (*.png)')
        if chosen:
            self.form.file.value = chosen if Path(chosen).suffix else f'{chosen}.png'
            self.form.replace.value = Path(chosen).exists()  # the dialog has asked
            self.form.file.line_edit.native.end(False)


def _write(file: Path, draw: Callable[[], np.ndarray]) -> Failure | None:
    from PIL import Image as Picture

    beside = file.with_name(f'.{file.name}.part')
    try:
        Picture.fromarray(draw()).save(beside, format='PNG')
        os.replace(beside, file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        return Failure(f'{file} cannot be written: {reason}. Choose another place.', '')
    return None


def _problem_with(file: Path | None, replace: bool) -> str:
    """Return why a picture cannot be written to a file; empty if it can."""
    if file is None:
        return 'Choose a file first.'
    if file.suffix.lower() != '.png':
        return f'{file.name} does not end in .png. Pictures are saved as PNG files.'
    if not file.parent.is_dir():
        return f'There is no folder {file.parent}. Choose another place.'
    if file.exists() and not replace:
        return f'{file.name} exists already. Tick “Replace an existing file”, or change the name.'
    return ''


def free_name(folder: Path, stem: str, ending: str = '.png') -> Path:
    """Return the name of a file that is not there yet."""
    path, number = folder / f'{stem}{ending}', 2
    while path.exists():
        path, number = folder / f'{stem}-{number}{ending}', number + 1
    return path


def _image(layer: Image) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray] | None]:
    """Return the values of an image layer, and how they become colours; None if they are."""
    data = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    if layer.rgb:
        return data, None
    low, high = layer.contrast_limits
    return data, partial(_coloured, low, max(high - low, 1e-30), layer.gamma, layer.colormap.map)


def _coloured(
    low: float,
    span: float,
    gamma: float,
    colors: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
) -> np.ndarray:
    shown = np.clip((values.astype(np.float32) - low) / span, 0, 1) ** gamma
    return np.asarray(colors(shown.ravel()), np.float32).reshape(*values.shape, 4)


def _to_layer(layer: Layer, base: Image) -> np.ndarray:
    """Return the matrix from (y, x, 1) of the radiograph to that of a layer."""
    points = [layer.world_to_data(base.data_to_world(point)) for point in ((0, 0), (1, 0), (0, 1))]
    origin, down, right = (np.asarray(point, float)[-2:] for point in points)
    matrix = np.eye(3)
    matrix[:2] = np.column_stack([down - origin, right - origin, origin])
    return matrix


def _drawn(layer: Layer, base: Image) -> Callable[[tuple[int, int]], np.ndarray]:
    to_layer = _to_layer(layer, base)
    if isinstance(layer, Image):
        smooth = 3 if str(layer.interpolation2d) == 'cubic' else 0
        return partial(_draw_image, _image(layer), to_layer, smooth)
    if isinstance(layer, Labels):
        # Colours are looked up once for each label, not for each pixel.
        data = np.asarray(layer.data)
        colors = {int(label): layer.get_color(int(label)) for label in np.unique(data)}
        return partial(_draw_labels, data, colors, to_layer)
    if isinstance(layer, Shapes):
        to_base = np.linalg.inv(to_layer)
        lines = [(to_base[:2] @ np.column_stack([p, np.ones(len(p))]).T).T for p in layer.data]
        return partial(_draw_lines, lines, list(layer.edge_color), list(layer.edge_width))
    raise TypeError(f'{type(layer).__name__} layers are not drawn')


def _sampled(
    values: np.ndarray, to_layer: np.ndarray, order: int, shape: tuple[int, int]
) -> np.ndarray:
    from scipy.ndimage import affine_transform

    if values.shape[:2] == shape and np.allclose(to_layer, np.eye(3)):
        return values
    return np.asarray(
        affine_transform(values, to_layer, output_shape=shape, order=order, mode='nearest')
    )


def _inside(
    layer_shape: tuple[int, ...], to_layer: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Return which pixels of the radiograph lie on a layer."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    row, column = (to_layer[i, 0] * y + to_layer[i, 1] * x + to_layer[i, 2] for i in (0, 1))
    high, wide = layer_shape[:2]
    return (row >= -0.5) & (row <= high - 0.5) & (column >= -0.5) & (column <= wide - 0.5)


def _draw_image(
    image: tuple[np.ndarray, Callable[[np.ndarray], np.ndarray] | None],
    to_layer: np.ndarray,
    order: int,
    shape: tuple[int, int],
) -> np.ndarray:
    values, colors = image
    if colors is None:
        most = np.iinfo(values.dtype).max if np.issubdtype(values.dtype, np.integer) else 1
        drawn = np.ones((*shape, 4), np.float32)
        drawn[..., :3] = values[..., :3] / most
        return drawn
    drawn = colors(_sampled(values, to_layer, order, shape))
    drawn[~_inside(values.shape, to_layer, shape)] = 0
    return drawn


def _draw_labels(
    data: np.ndarray,
    colors: dict[int, np.ndarray | None],
    to_layer: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    labels = _sampled(data, to_layer, 0, shape)
    drawn = np.zeros((*shape, 4), np.float32)
    for label, color in colors.items():
        if label and color is not None:
            drawn[labels == label] = color
    drawn[~_inside(data.shape, to_layer, shape)] = 0
    return drawn


def _draw_lines(
    lines: list[np.ndarray], colors: list[np.ndarray], widths: list[float], shape: tuple[int, int]
) -> np.ndarray:
    from PIL import Image as Picture
    from PIL import ImageDraw

    picture = Picture.new('RGBA', (shape[1], shape[0]))
    pen = ImageDraw.Draw(picture)
    for line, color, width in zip(lines, colors, widths, strict=True):
        fill = tuple(round(255 * float(part)) for part in color)
        pen.line([(x, y) for y, x in line], fill=fill, width=max(1, round(width)), joint='curve')
    return np.asarray(picture, np.float32) / 255

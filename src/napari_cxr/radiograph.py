"""The one type that every image becomes before anything looks at it.

A :class:`Radiograph` holds modality values together with everything that is
needed to show them rightly and to place them in the world. Nothing here reads
files: ``napari_cxr.dicom`` and ``napari_cxr.rasters`` do, and both end here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

import numpy as np

from napari_cxr.correction import NO_CORRECTION, Correction
from napari_cxr.messages import message_type

__all__ = [
    'Geometry',
    'LookupTable',
    'Overlay',
    'Provenance',
    'Radiograph',
    'SpacingSource',
    'UnreadableImage',
    'View',
    'Window',
]


#: A note on a range that no header and no data type gave.
RANGE_OF_IMAGE = '{}: the range was taken from the image itself.'


class UnreadableImage(Exception):
    """A file that cannot become a `Radiograph`; the message is one clear sentence."""


@message_type
class View(StrEnum):
    """View position, as far as the header tells. Never guessed from pixels."""

    PA = 'PA'
    AP = 'AP'
    LATERAL = 'lateral'
    OBLIQUE = 'oblique'
    UNKNOWN = 'unknown'

    @property
    def is_frontal(self) -> bool:
        """Whether the view is PA or AP."""
        return self in (View.PA, View.AP)


@message_type
class SpacingSource(StrEnum):
    """Where a pixel spacing came from; the words are shown to the person."""

    CALIBRATED = 'calibrated'
    AS_STATED = 'as stated in the header'
    DETECTOR = 'at the detector'
    MAGNIFICATION = 'at the detector, divided by the estimated magnification'
    SCANNED = 'of the scanned film'
    NONE = 'none'


@message_type
@dataclass(frozen=True)
class Window:
    """A window of interest, DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Parameters
    ----------
    center, width : float
        Window centre and width, in modality values. The width is at least 1
        for ``LINEAR`` and above 0 for the others.
    function : {'LINEAR', 'LINEAR_EXACT', 'SIGMOID'}
        The VOI LUT function.
    explanation : str
        What the header calls this window, or an empty string.
    """

    center: float
    width: float
    function: Literal['LINEAR', 'LINEAR_EXACT', 'SIGMOID'] = 'LINEAR'
    explanation: str = ''

    def __post_init__(self) -> None:
        least = 1 if self.function == 'LINEAR' else 0
        if not (np.isfinite(self.center) and np.isfinite(self.width)):
            raise ValueError('window centre and width must be finite numbers')
        if self.width < least or self.width == 0:
            raise ValueError(f'a {self.function} window needs a width of at least 1, or above 0')

    @classmethod
    def spanning(cls, low: float, high: float, explanation: str = '') -> Window:
        """Return the exact linear window that maps `low` to 0 and `high` to 1."""
        width = max(float(high) - float(low), float(np.finfo(np.float32).tiny))
        return cls((float(low) + float(high)) / 2, width, 'LINEAR_EXACT', explanation)

    @property
    def limits(self) -> tuple[float, float]:
        """The values at which a linear window reaches black and white.

        For ``SIGMOID``, which never does, four widths around the centre: the
        curve is within 0.04 % of its ends there.
        """
        if self.function == 'LINEAR':
            # C.11.2.1.2.1: below c - 0.5 - (w-1)/2 is black, above c - 0.5 + (w-1)/2 white.
            half = (self.width - 1) / 2
            return self.center - 0.5 - half, self.center - 0.5 + half
        half = self.width / 2 if self.function == 'LINEAR_EXACT' else 2 * self.width
        return self.center - half, self.center + half

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Map modality values to display values.

        Parameters
        ----------
        values : ndarray
            Modality values, any shape.

        Returns
        -------
        ndarray of float32
            Same shape, in [0, 1].
        """
        low, high = self.limits
        x = np.asarray(values)
        if x.dtype.itemsize >= 4 and x.dtype != np.float32:
            # Half a million beside a billion: float32 has no room for the difference.
            origin = low if np.isfinite(low) else 0.0
            x, low, high = x.astype(np.float64) - origin, low - origin, high - origin
            center = self.center - origin
        else:
            center = self.center
        x = x.astype(np.float32, copy=False)
        if self.function == 'SIGMOID':
            # C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w)); clipped so that exp cannot overflow.
            return 1 / (1 + np.exp(np.clip(-4 * (x - center) / self.width, -80, 80)))
        if high <= low:  # LINEAR of width 1 is a threshold
            return (x > low).astype(np.float32)
        out = x - np.float32(low)
        out *= np.float32(1 / (high - low))
        return np.clip(out, 0, 1, out=out)


@message_type
@dataclass(frozen=True, eq=False)
class LookupTable:
    """A VOI LUT, DICOM PS3.3 C.11.2.1.1, in [0, 1].

    Parameters
    ----------
    first : int
        The modality value that the first entry belongs to.
    table : ndarray of float32, shape (entries,)
        Display values in [0, 1]. Values below `first` take the first entry,
        values beyond the table the last.
    explanation : str
        What the header calls this table, or an empty string.
    """

    first: int
    table: np.ndarray
    explanation: str = ''

    @property
    def limits(self) -> tuple[float, float]:
        """The modality values of the first and the last entry."""
        return float(self.first), float(self.first + len(self.table) - 1)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Map modality values to display values in [0, 1]; see `Window.apply`."""
        values = np.asarray(values)
        if values.dtype.kind in 'iu' and values.dtype.itemsize <= 4:
            places = values.astype(np.intp)
            places -= self.first
            return np.asarray(self.table, dtype=np.float32).take(places, mode='clip')
        index = np.rint(values.astype(np.float64)) - self.first
        index = np.nan_to_num(np.clip(index, 0, len(self.table) - 1)).astype(np.intp)
        return np.asarray(self.table, dtype=np.float32)[index]


@message_type
@dataclass(frozen=True, eq=False)
class Overlay:
    """A plane of drawings or regions that lies on an image and is not part of its values.

    Parameters
    ----------
    mask : ndarray of bool
        Where it marks the image; of the shape of the frame(s).
    kind : {'drawing', 'region'}
        What it is for: graphics and text, or a region of interest.
    number : int
        Which of the up to 16 planes of the file it is, from 1.
    """

    mask: np.ndarray
    kind: Literal['drawing', 'region']
    number: int


@message_type
@dataclass(frozen=True)
class Geometry:
    """Size of a pixel and which way the image looks.

    Parameters
    ----------
    spacing : tuple of float or None
        Row and column spacing in millimetres; None where the file has none.
    source : SpacingSource
        Where the spacing came from.
    aspect : float
        Height over width of a pixel; 1 for square pixels.
    view : View
        View position by the header.
    """

    spacing: tuple[float, float] | None = None
    source: SpacingSource = SpacingSource.NONE
    aspect: float = 1.0
    view: View = View.UNKNOWN


@message_type
@dataclass(frozen=True)
class Provenance:
    """Where an image came from. No name, birth date, identifier or free text.

    Parameters
    ----------
    path : str
        The file as given, or an empty string for an array.
    format : str
        'DICOM', 'PNG', 'JPEG', 'TIFF' or 'array'.
    modality, sop_class, transfer_syntax, photometric : str
        Standard DICOM terms, or empty strings.
    bits : int
        Bits stored for each sample.
    lossy : bool
        Whether the pixels went through lossy compression, as far as one can know.
    pseudonyms : dict of str to str
        Keyed hashes of patient, study, series and instance, where present.
    uids : dict of str to str
        Study, series and instance UIDs, where present; needed to refer to the
        image in a DICOM result and left out of layers, logs and tables.
    """

    path: str = ''
    format: str = 'array'
    modality: str = ''
    sop_class: str = ''
    transfer_syntax: str = ''
    photometric: str = ''
    bits: int = 0
    lossy: bool = False
    pseudonyms: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)


@message_type
@dataclass(frozen=True, eq=False)
class Radiograph:
    """One image: modality values, how to show them, geometry, provenance.

    Parameters
    ----------
    values : ndarray
        Modality values, after the Modality LUT and before any window. Shape
        (rows, columns) for a radiograph; (frames, rows, columns) for a
        multi-frame image; a last axis of 3 for colour (then `is_colour`).
    presets : tuple of Window or LookupTable
        How the header wants the values shown; the first one is the default.
        Never empty: without a header it is the full range that the data type or
        the LUT allows.
    inverted : bool
        Whether the lowest value is shown white. One inversion only, however
        many header entries ask for it.
    geometry : Geometry
        Pixel spacing, aspect and view.
    provenance : Provenance
        Where the image came from.
    padding : ndarray of bool, or None
        Pixels that are padding or behind a display shutter, of the shape of the
        frame(s); they are background for display and are left out of every statistic.
    is_colour : bool
        Whether the last axis of `values` is red, green, blue.
    refusal : str
        Why this is not a projection radiograph and must not be classified; an
        empty string where nothing speaks against it.
    notes : tuple of str
        Plain sentences that a person should read beside the image.
    overlays : tuple of Overlay
        Planes that can be laid on it, of the shape of the frame(s).
    step : int
        2, 4, 8 … for an image that was decoded at a half, a quarter, an eighth … of its size:
        the centre of pixel (i, j) of `values` is that of pixel (step i, step j) of the image.
    full_shape : tuple of int or None
        Rows and columns of the whole image; needed with a step.
    rescale : tuple of float or None
        Slope and intercept that made modality values of stored ones; None where a table did,
        or each frame has its own.
    correction : Correction
        What a person has put right after it was read; see `corrected`.
    """

    values: np.ndarray
    presets: tuple[Window | LookupTable, ...]
    inverted: bool = False
    geometry: Geometry = Geometry()
    provenance: Provenance = Provenance()
    padding: np.ndarray | None = None
    is_colour: bool = False
    refusal: str = ''
    notes: tuple[str, ...] = ()
    overlays: tuple[Overlay, ...] = ()
    step: int = 1
    full_shape: tuple[int, int] | None = None
    rescale: tuple[float, float] | None = (1.0, 0.0)
    correction: Correction = NO_CORRECTION

    def __post_init__(self) -> None:
        spatial = self.values.ndim - (1 if self.is_colour else 0)
        if spatial not in (2, 3) or 0 in self.values.shape:
            raise ValueError(f'an image of shape {self.values.shape} is not 2D or multi-frame')
        if self.is_colour and self.values.shape[-1] != 3:
            raise ValueError('a colour image needs a last axis of 3')
        if not self.presets:
            raise ValueError('a radiograph needs at least one window or table')
        if self.padding is not None and self.padding.shape != self.values.shape[:spatial]:
            raise ValueError('the padding mask must have the shape of the frames')
        if any(overlay.mask.shape != self.values.shape[:spatial] for overlay in self.overlays):
            raise ValueError('an overlay must have the shape of the frames')
        if self.step < 1 or (self.step > 1 and self.full_shape is None):
            raise ValueError('an image at a part of its size needs a step and its full shape')

    def __repr__(self) -> str:
        rows, columns = self.shape
        frames = '' if self.frames is None else f'{self.frames} frames of '
        view = '' if self.geometry.view is View.UNKNOWN else f', {self.geometry.view}'
        refused = ', refused' if self.refusal else ''
        return (
            f'<Radiograph {frames}{rows} x {columns} pixels, {self.provenance.format}'
            f'{view}{refused}>'
        )

    def _repr_png_(self) -> bytes | None:
        """Return the image as it should look, for a notebook; None for several frames."""
        if self.frames is not None:
            return None
        import io

        from PIL import Image

        shown = (np.clip(self.to_display(), 0, 1) * 255).round().astype(np.uint8)
        picture = Image.fromarray(shown)
        picture.thumbnail((640, 640))
        packed = io.BytesIO()
        picture.save(packed, 'PNG')
        return packed.getvalue()

    @classmethod
    def from_array(
        cls,
        array: np.ndarray,
        *,
        is_colour: bool | None = None,
        provenance: Provenance | None = None,
        geometry: Geometry = Geometry(),
    ) -> Radiograph:
        """Make a radiograph from an array that carries no header.

        The range comes from the data type, not from the image: integers of 8 and 16
        bits keep the range of their type, booleans and floats within [0, 1] take
        [0, 1]. Of longer integers no image fills the type, so they and other floats
        take their own finite extremes, with a note.

        Parameters
        ----------
        array : ndarray
            Shape (h, w), (frames, h, w), or with a last axis of 3 or 4 for colour.
        is_colour : bool, optional
            Whether the last axis is colour. By default, a 3D array whose last
            axis is 3 or 4 is. A fourth channel is dropped.
        provenance : Provenance, optional
            Where it came from.
        geometry : Geometry, optional
            Spacing and view.
        """
        array = np.asarray(array)
        if is_colour is None:
            is_colour = array.ndim == 3 and array.shape[-1] in (3, 4)
        if is_colour:
            array = array[..., :3]
        if array.dtype == bool:
            array = array.astype(np.uint8)
            low, high = 0.0, 1.0
        elif np.issubdtype(array.dtype, np.integer) and array.dtype.itemsize <= 2:
            info = np.iinfo(array.dtype)
            low, high = float(info.min), float(info.max)
        elif np.issubdtype(array.dtype, np.integer):
            low, high = float(array.min()), float(array.max())
        elif np.issubdtype(array.dtype, np.floating):
            finite = array[np.isfinite(array)]
            if finite.size == 0:
                raise UnreadableImage('The image contains no finite number.')
            low, high = float(finite.min()), float(finite.max())
            if max(-low, high) > np.finfo(np.float32).max:
                raise UnreadableImage('Its values are too large for an image.')
        else:
            raise UnreadableImage(f'Values of type {array.dtype} are not an image.')
        notes: tuple[str, ...] = ()
        if np.issubdtype(array.dtype, np.floating):
            if low >= 0 and high <= 1:
                low, high = 0.0, 1.0
            else:
                notes = (RANGE_OF_IMAGE.format('Floating-point values'),)
        elif array.dtype.itemsize > 2:
            notes = (RANGE_OF_IMAGE.format(f'Integers of {8 * array.dtype.itemsize} bits'),)
        if provenance is None:
            provenance = Provenance(bits=array.dtype.itemsize * 8)
        return cls(
            values=array,
            presets=(Window.spanning(low, high, 'Full range'),),
            geometry=geometry,
            provenance=provenance,
            is_colour=is_colour,
            notes=notes,
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image, also where fewer were decoded."""
        if self.full_shape is not None:
            return self.full_shape
        rows, columns = self.values.shape[:-1][-2:] if self.is_colour else self.values.shape[-2:]
        return int(rows), int(columns)

    @property
    def decoded(self) -> str:
        """At what part of its size it was decoded: '1', '1/2', '1/4' and so on."""
        return '1' if self.step == 1 else f'1/{self.step}'

    @property
    def frames(self) -> int | None:
        """Number of frames of a multi-frame image, None for a single image."""
        spatial = self.values.ndim - (1 if self.is_colour else 0)
        return int(self.values.shape[0]) if spatial == 3 else None

    def with_values(self, values: np.ndarray) -> Radiograph:
        """Return it with other modality values; padding and overlays are lost if reshaped."""
        if values.shape == self.values.shape:
            return replace(self, values=values)
        return replace(self, values=values, padding=None, overlays=())

    def corrected(self, correction: Correction) -> Radiograph:
        """Return it inverted, mirrored or turned, which `correction` then records.

        Parameters
        ----------
        correction : Correction
            What is done on top of what was done before.

        Raises
        ------
        ValueError
            If pixels of an image that was decoded at a part of its size would move: its pixel
            (0, 0) is that of the whole image, and no other corner is.
        """
        if correction.moves and self.step > 1:
            raise ValueError('only a whole image can be mirrored or turned')
        geometry = self.geometry
        if correction.turns % 2:
            spacing = geometry.spacing and (geometry.spacing[1], geometry.spacing[0])
            geometry = replace(geometry, spacing=spacing, aspect=1 / geometry.aspect)
        return replace(
            self,
            values=correction.apply(self.values, colour=self.is_colour),
            inverted=self.inverted != correction.inverted,
            geometry=geometry,
            padding=None if self.padding is None else correction.apply(self.padding),
            overlays=tuple(
                replace(overlay, mask=correction.apply(overlay.mask)) for overlay in self.overlays
            ),
            correction=self.correction.then(correction),
        )

    def crop(self, top: int, left: int, rows: int, columns: int) -> Radiograph:
        """Return the part from `top`, `left` on, in pixels of `values`: views, and no overlays."""
        part = np.s_[..., top : top + rows, left : left + columns]
        colour = (*part, slice(None)) if self.is_colour else part
        return replace(
            self,
            values=self.values[colour],
            padding=None if self.padding is None else self.padding[part],
            overlays=(),
            step=1,
            full_shape=None,
        )

    def to_display(self, preset: int = 0) -> np.ndarray:
        """Return the image as it should look: VOI applied, polarity turned once, padding black.

        This is what a network's input is made from. It depends on the values and
        the header alone, never on contrast limits that a person turned on screen.

        Parameters
        ----------
        preset : int
            Which of `presets` to use.

        Returns
        -------
        ndarray of float32, shape (h, w) or (frames, h, w)
            0 is black and 1 is white. Colour becomes luminance (ITU-R BT.601).
        """
        values = self.values
        if self.is_colour:
            weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
            values = np.asarray(values, dtype=np.float32) @ weights
        shown = self.presets[preset].apply(values)
        if self.inverted:
            np.subtract(1, shown, out=shown)
        if not np.issubdtype(values.dtype, np.integer) and not np.isfinite(shown).all():
            shown = np.nan_to_num(shown, nan=0.0)
        if self.padding is not None:
            shown[self.padding] = 0
        return np.asarray(shown, dtype=np.float32)

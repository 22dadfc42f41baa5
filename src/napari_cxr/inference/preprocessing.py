"""How a radiograph becomes a network's input, and the transform back to its pixels.

For models that see the lungs only, grey values count from the air in the lungs to the shadow
between them. Exposure, window and processing move all grey values of a radiograph; the most
lucent part of the lungs and the mediastinum move with them. After localized normalisation in
the sense of Philipsen et al. (IEEE Trans Med Imaging 2015;34:1965), reduced to two numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from napari_cxr import lungs as lung_field
from napari_cxr.lungs import LungField
from napari_cxr.lungs.lung_network import LUNG_INPUT_SIZE
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.resampling import resample, resample_padding

__all__ = ['DARKEST_LUNG', 'NetworkInput', 'Preprocessing', 'lung_grey_values']

#: What the darkest lung becomes; less is outside of the lungs, which are 0.
DARKEST_LUNG = 1 / 32

#: What becomes 1, in units of the difference between the two.
_BRIGHTEST = 1.5

#: Percentile of the lungs that counts as their air: the minimum would be noise.
_AIR = 2

#: Rows and columns between the lungs, as shares of the image, where the mediastinum is.
_MIDDLE = ((5 / 16, 7 / 8), (5 / 12, 7 / 12))

#: Fewer pixels than this between the lungs say nothing; then it is this percentile of all.
_FEWEST, _ELSE = 6, 90

_FLAT_LUNGS = 1e-6


def lung_grey_values(image: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Blank everything but the lungs, and put their grey values on their own scale.

    Parameters
    ----------
    image : ndarray of float32, shape (h, w)
        Display values of the rectangle around both lungs.
    lungs : ndarray of float32, shape (h, w)
        How probable it is that each pixel is lung.

    Returns
    -------
    ndarray of float32, shape (h, w)
        0 outside of the lungs. Inside, the 2nd percentile of the lungs becomes 1/32, and
        1 is as far above it as 1.5 times the shadow between the lungs is.
    """
    from scipy.ndimage import binary_dilation

    inside = lungs > 0.5
    if not inside.any():
        return np.zeros_like(image)
    height, width = image.shape
    rows, columns = (
        slice(round(first * n), round(last * n))
        for (first, last), n in zip(_MIDDLE, (height, width), strict=True)
    )
    between = image[rows, columns][~binary_dilation(inside)[rows, columns]]
    air = np.percentile(image[inside], _AIR)
    shadow = np.median(between) if between.size >= _FEWEST else np.percentile(image, _ELSE)
    unit = max(float(shadow - air), _FLAT_LUNGS)
    tones = np.clip((image - np.float32(air)) / np.float32(unit * _BRIGHTEST), 0, 1)
    return np.where(inside, DARKEST_LUNG + (1 - DARKEST_LUNG) * tones, 0).astype(np.float32)


_NO_LUNGS = (
    'This model looks at the lungs only, and there are none: draw them on the lungs layer, or '
    'choose another model.'
)

#: Numbers below this are no contrast at all; a constant image is left as it is.
_FLAT = 1e-6


@dataclass(frozen=True, eq=False)
class NetworkInput:
    """A network's input before normalisation, and where its pixels come from.

    Parameters
    ----------
    image : ndarray of float32, shape (height, width)
        Display values in [0, 1].
    to_radiograph : ndarray, shape (3, 3)
        Takes a pixel centre (y, x, 1) of `image` to one of the radiograph.
    enlargement : float
        How many pixels of `image` stand for one of the radiograph along the
        axis that was enlarged most; above 1 the image was resampled up.
    field : LungField or None
        The lungs, where the preprocessing had to find them.
    """

    image: np.ndarray
    to_radiograph: np.ndarray
    enlargement: float
    field: LungField | None = None


@dataclass(frozen=True)
class Preprocessing:
    """The recipe from a radiograph to a network's input. Part of a model's card.

    Parameters
    ----------
    height, width : int
        Size of the input in pixels.
    fit : {'crop', 'stretch', 'pad'}
        How a radiograph of another shape is fitted: its centre is cut out, it is
        stretched, or it is surrounded with black. With `lungs`, the same is done to their
        rectangle, of which 'crop' cuts off a part.
    border : float
        Share of each side that is cut off first, in [0, 0.5).
    lungs : {'ignored', 'crop', 'only'}
        What the lung field is for. 'crop': the smallest rectangle around both lungs is
        used instead of the whole radiograph. 'only': besides, all else is black, and grey
        values count from the darkest lung to the shadow between the lungs, see
        `napari_cxr.inference.preprocessing`; `stretch` is not used then.
    margin : float
        What is added to that rectangle on each side, as a share of its height and width.
    channels : int
        Channels of the input: 1, or 3 for networks that were made for colour.
    colour : {'rgb', 'hsv'}
        What three channels hold: the grey image repeated, or its hue, saturation and
        value. Of a grey image the first two are 0, so that the third is all there is.
    mean, std : tuple of float
        Normalisation of each channel, applied last.
    stretch : tuple of float or None
        Two percentiles of the fitted image that are mapped to 0 and 1, so that a
        narrow window or 12 bits stored in 16 make no difference; None to leave
        the display values as they are.
    """

    height: int
    width: int
    fit: Literal['crop', 'stretch', 'pad'] = 'crop'
    border: float = 0.0
    lungs: Literal['ignored', 'crop', 'only'] = 'ignored'
    margin: float = 0.0
    channels: int = 1
    colour: Literal['rgb', 'hsv'] = 'rgb'
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)
    stretch: tuple[float, float] | None = (0.5, 99.5)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError('height and width must be at least 1 pixel')
        if self.fit not in ('crop', 'stretch', 'pad'):
            raise ValueError(f"fit must be 'crop', 'stretch' or 'pad', not {self.fit!r}")
        if not 0 <= self.border < 0.5:
            raise ValueError('border must be at least 0 and below 0.5')
        if self.lungs not in ('ignored', 'crop', 'only'):
            raise ValueError(f"lungs must be 'ignored', 'crop' or 'only', not {self.lungs!r}")
        if not 0 <= self.margin <= 1:
            raise ValueError('margin must be between 0 and 1')
        if self.margin and self.lungs == 'ignored':
            raise ValueError("margin is added to the lungs, so it needs lungs = 'crop' or 'only'")
        if self.border and self.lungs != 'ignored':
            raise ValueError(
                "border and lungs both say what is cut off; border needs lungs = 'ignored'"
            )
        if self.channels not in (1, 3):
            raise ValueError('channels must be 1 or 3')
        if self.colour not in ('rgb', 'hsv'):
            raise ValueError(f"colour must be 'rgb' or 'hsv', not {self.colour!r}")
        if self.colour == 'hsv' and self.channels != 3:
            raise ValueError('hue, saturation and value need channels = 3')
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError('mean and std need one number a channel')
        if min(self.std) <= 0:
            raise ValueError('std must be above 0')
        if self.stretch is not None and not 0 <= self.stretch[0] < self.stretch[1] <= 100:
            raise ValueError('stretch must be two rising percentiles')

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> Preprocessing:
        """Build from a card or a recipe; unknown keys raise ValueError."""
        unknown = set(entries) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f'unknown preprocessing: {", ".join(sorted(unknown))}')
        values = dict(entries)
        for name in ('mean', 'std', 'stretch'):
            if values.get(name) is not None:
                values[name] = tuple(float(x) for x in values[name])
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings for JSON and TOML."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @property
    def least_decoded(self) -> tuple[int, int]:
        """Rows and columns of a radiograph from which its input may be made.

        Twice as many as the input has, of the part that is used, and as the network that finds
        the lungs looks at. The lungs are seldom less than half of a radiograph's height or width.
        """
        used = 1 - 2 * self.border if self.lungs == 'ignored' else 0.5
        rows, columns = (
            max(math.ceil(2 * side / used), 2 * LUNG_INPUT_SIZE)
            for side in (self.height, self.width)
        )
        return rows, columns

    def apply(
        self, radiograph: Radiograph, preset: int = 0, field: LungField | None = None
    ) -> NetworkInput:
        """Fit one radiograph to the network's input.

        Parameters
        ----------
        radiograph : Radiograph
            A single frame; its VOI and polarity are applied here, once.
        preset : int
            Which of its presets to use.
        field : LungField, optional
            Its lungs, where they are known already or a person has corrected them.

        Raises
        ------
        UnreadableImage
            If it has several frames, or is too small to be cut.
        """
        if radiograph.frames is not None:
            raise UnreadableImage('A network looks at one image, and this one has several frames.')
        if self.lungs == 'ignored':
            field = None
        elif field is None:
            field = lung_field.find_lungs(radiograph, preset)
        if field is not None and not field.found:
            raise UnreadableImage(_NO_LUNGS)
        box = (
            self._inside_border(radiograph.shape) if field is None else _whole(field, self.margin)
        )
        top, left, rows, columns = self._kept(box, radiograph.geometry.aspect)
        part = top, left, top + rows, left + columns
        height, width = self._drawn(rows, columns, radiograph.geometry.aspect)
        small = resample(radiograph, part, height, width, preset)
        if field is not None and np.ptp(small) < _FLAT:
            raise UnreadableImage('This image is blank: all its pixels are alike.')
        if field is not None and self.lungs == 'only':
            lungs = field.covering(part, height, width)
            small = lung_grey_values(small, lungs)
        elif self.stretch is not None:
            covered = resample_padding(radiograph, part, height, width)
            # Padding is no part of the image.
            inside = small if covered is None else small[covered < 0.5]
            small = _stretched(small, inside, self.stretch)
        up, aside = (self.height - height) // 2, (self.width - width) // 2
        if (height, width) != (self.height, self.width):
            canvas = np.zeros((self.height, self.width), dtype=np.float32)
            canvas[up : up + height, aside : aside + width] = small
            small = canvas
        step = np.array([rows / height, columns / width])
        start = (0.5 - np.array([up, aside])) * step - 0.5 + np.array([top, left])
        matrix = np.eye(3)
        matrix[[0, 1], [0, 1]] = step
        matrix[:2, 2] = start
        return NetworkInput(small, matrix, float(1 / step.min()), field)

    def normalise(self, images: np.ndarray) -> np.ndarray:
        """Turn prepared images into the network's input.

        Parameters
        ----------
        images : ndarray of float32, shape (n, height, width)
            In [0, 1].

        Returns
        -------
        ndarray of float32, shape (n, channels, height, width)
        """
        mean = np.array(self.mean, dtype=np.float32)[:, None, None]
        std = np.array(self.std, dtype=np.float32)[:, None, None]
        images = images[:, None]
        if self.colour == 'hsv':
            zero = np.zeros_like(images)
            images = np.concatenate([zero, zero, images], axis=1)
        return (images - mean) / std

    def _inside_border(self, shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return top, left, rows and columns of the radiograph without its border."""
        top, left = round(shape[0] * self.border), round(shape[1] * self.border)
        return top, left, shape[0] - 2 * top, shape[1] - 2 * left

    def _kept(self, box: tuple[int, int, int, int], aspect: float) -> tuple[int, int, int, int]:
        """Return top, left, rows and columns of the part of a box that is used."""
        top, left, rows, columns = box
        if self.fit == 'crop':
            # Rows are `aspect` times as high as columns are wide, so sizes compare in width units.
            wanted = self.height / self.width
            keep_rows = min(rows, round(columns * wanted / aspect))
            keep_columns = min(columns, round(rows * aspect / wanted))
            top += (rows - keep_rows) // 2
            left += (columns - keep_columns) // 2
            rows, columns = keep_rows, keep_columns
        if rows < 1 or columns < 1:
            raise UnreadableImage(f'A part of {box[3]} x {box[2]} pixels is too small.')
        return top, left, rows, columns

    def _drawn(self, rows: int, columns: int, aspect: float) -> tuple[int, int]:
        """Return the size at which that part is drawn inside the input."""
        if self.fit != 'pad':
            return self.height, self.width
        scale = min(self.height / (rows * aspect), self.width / columns)
        height = min(self.height, max(1, round(rows * aspect * scale)))
        return height, min(self.width, max(1, round(columns * scale)))


def _whole(field: LungField, margin: float) -> tuple[int, int, int, int]:
    """Return top, left, rows and columns of the whole pixels around both lungs."""
    top, left, bottom, right = field.box(margin)
    y, x = math.floor(top), math.floor(left)
    return y, x, math.ceil(bottom) - y, math.ceil(right) - x


def _stretched(
    image: np.ndarray, inside: np.ndarray, percentiles: tuple[float, float]
) -> np.ndarray:
    """Map two percentiles of the pixels `inside` to 0 and 1."""
    if inside.size == 0:
        return image
    low, high = np.percentile(inside, percentiles)
    if high - low < _FLAT:
        return image
    return np.clip((image - np.float32(low)) / np.float32(high - low), 0, 1)

"""What the Feature maps dock says about a stage's filters, with the strip to choose one."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_cxr.explain.feature_maps import FeatureMaps
from napari_cxr.plugin.feature_maps.filter_strip import FilterStrip
from napari_cxr.plugin.text import quiet_label

__all__ = ['FiltersView']

#: Dead filters that are listed by number; the strip marks them all.
_LISTED = 24


class FiltersView(QWidget):
    """Summary, order, strip and the dead filters by number.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    """

    #: The person chose a filter by its place in the stack.
    chosen = Signal(int)
    #: The person asked for another order of the stack.
    order_changed = Signal()

    def __init__(self, theme: str) -> None:
        super().__init__()
        self._order = np.zeros(0, dtype=int)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.place_note = QLabel()
        self.place_note.setWordWrap(True)
        self.place_note.setObjectName('caution')
        self.sort = QCheckBox('Most active first')
        self.sort.setToolTip(
            'Order the filters by the mean size of their answers on this image, '
            'instead of by their number'
        )
        self.strip = FilterStrip(theme)
        self.strip.setToolTip(
            'A square a filter: the stronger, the more active; crossed out where dead. '
            'Click one to see its map.'
        )
        self.current = quiet_label()
        self.dead = quiet_label()
        self.dead.setOpenExternalLinks(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in (
            self.summary,
            self.place_note,
            self.sort,
            self.strip,
            self.current,
            self.dead,
        ):
            layout.addWidget(widget)
        self.strip.chosen.connect(self.chosen)
        self.sort.toggled.connect(self.order_changed)
        self.dead.linkActivated.connect(self._choose_filter)

    def order(self, maps: FeatureMaps) -> np.ndarray:
        """Return the filters' numbers in the order that the person wants, shape (C,)."""
        if self.sort.isChecked():
            # Stable, so that equals, such as dead ones, stay in the order of their numbers.
            return np.argsort(-maps.activity(), kind='stable')
        return np.arange(len(maps.values))

    def show_maps(self, maps: FeatureMaps, dead: np.ndarray, everywhere: int, images: int) -> None:
        """Show what there is to say.

        Parameters
        ----------
        maps : FeatureMaps
            Of the chosen image.
        dead : ndarray of bool, shape (C,)
            Which filters are dead on it.
        everywhere, images : int
            How many are dead on all images that were looked at with this stage, and how
            many images these are.
        """
        self._order = self.order(maps)
        filters, rows, columns = maps.values.shape
        numbers = np.flatnonzero(dead)
        words = [f'{filters} filters with maps of {columns} x {rows} cells.']
        if len(numbers):
            words.append(f'{len(numbers)} dead on this image: they answer alike everywhere.')
        else:
            words.append('None is dead on this image.')
        if images > 1:
            words.append(f'{everywhere or "None"} dead on all {images} images looked at.')
        self.summary.setText(' '.join(words))
        self.place_note.setText(
            'Where the cells of this stage look cannot be worked out, so they are spread '
            f'evenly. {maps.untraceable}'
        )
        self.place_note.setVisible(bool(maps.untraceable))
        self.strip.set_filters(self._order, maps.activity()[self._order], dead[self._order])
        links = ', '.join(f'<a href="{n}">{n}</a>' for n in numbers[:_LISTED])
        more = f' and {len(numbers) - _LISTED} more' if len(numbers) > _LISTED else ''
        self.dead.setText(f'Dead: {links}{more}')
        self.dead.setVisible(len(numbers) > 0)

    def set_current(self, place: int) -> None:
        """Mark the filter whose map is on screen, by its place in the stack."""
        if 0 <= place < len(self._order):
            self.strip.set_current(place)
            self.current.setText(self.strip.words(place))

    def place_of(self, number: int) -> int:
        """Return the place in the stack of the filter of that number."""
        return int(np.flatnonzero(self._order == number)[0])

    def number_at(self, place: int) -> int:
        """Return the number of the filter at a place of the stack."""
        return int(self._order[place])

    def _choose_filter(self, number: str) -> None:
        self.chosen.emit(self.place_of(int(number)))

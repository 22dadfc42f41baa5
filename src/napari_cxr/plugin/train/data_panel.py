"""The contents of a labelled folder: counts, warnings, samples, sizes, duplicates, images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_cxr.plugin.plots.axes import number_text
from napari_cxr.plugin.plots.curves import Histogram
from napari_cxr.plugin.plots.dot_plots import Intervals, Scatter
from napari_cxr.plugin.plots.image_grid import ImageGrid
from napari_cxr.plugin.plots.matrix import Matrix
from napari_cxr.plugin.style import quiet_label
from napari_cxr.plugin.train.audit_view import AuditView
from napari_cxr.plugin.train.dataset_summary import (
    ClassTable,
    association_sentence,
    baseline_sentence,
    image_counts,
    one_sided_sentences,
    relative_names,
    source_table,
)
from napari_cxr.plugin.train.dataset_table_models import DataEdits
from napari_cxr.plugin.train.dataset_table_views import ImagesView, PairsView
from napari_cxr.plugin.widgets.sections import CollapsibleSection
from napari_cxr.plugin.widgets.text import PlainLabel, SkippedFiles
from napari_cxr.training.dataset_survey import Survey

__all__ = ['DataPanel', 'SamplesView']

_SMALL_SAMPLE, _LARGE_SAMPLE = 96, 230


class SamplesView(QWidget):
    """Samples before and after augmentation; a click changes the size of all.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.note = quiet_label()
        self.grid = ImageGrid(theme, _SMALL_SAMPLE, together=2)
        self.grid.setAccessibleName('Sample images, original and augmented')
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.note)
        layout.addWidget(self.grid)
        self.grid.chosen.connect(self._enlarge)
        self.clear()

    def set_theme(self, theme: str) -> None:
        """Use the colours of another of napari's themes."""
        self.grid.set_theme(theme)

    def clear(self) -> None:
        """Show none."""
        self.grid.set_images([])
        self.note.setText('Samples appear here when the images have been read.')

    def show_samples(self, samples: np.ndarray) -> None:
        """Show samples.

        Parameters
        ----------
        samples : ndarray of uint8
            Each image, original and augmented: shape (n, 2, h, w), or (n, 2, h, w, 3) in red,
            green and blue, or (k, n, 2, h, w, 3), where a second image of each (k = 2)
            shows hue, saturation and value as red, green and blue.
        """
        pictures = np.asarray(samples)
        if pictures.ndim == 4 or (pictures.ndim == 5 and pictures.shape[-1] == 3):
            pictures = pictures[None]
        if pictures.ndim not in (5, 6) or pictures.shape[2] != 2:
            raise ValueError(
                f'Samples have the shape (n, 2, h, w), with 3 colours at the end or without, '
                f'not {np.asarray(samples).shape}.'
            )
        kinds = ('', ' (hue, saturation, value)')
        images, captions = [], []
        for number in range(pictures.shape[1]):
            for picture, kind in zip(pictures, kinds, strict=False):
                images += list(picture[number])
                captions += [f'original{kind}', f'augmented{kind}']
        self.grid.set_images(images, captions)
        same = bool((pictures[:, :, 0] == pictures[:, :, 1]).all())
        self.note.setText(
            'This recipe has no augmentation: the network always sees the original images.'
            if same
            else 'Each image, and an example of its augmentation in training. Click to enlarge.'
        )

    def _enlarge(self) -> None:
        self.grid.set_side(_LARGE_SAMPLE if self.grid.side == _SMALL_SAMPLE else _SMALL_SAMPLE)


_EMPTY = (
    'Choose a folder with one sub-folder for each class, or a table of images. Before you train, '
    'this page shows how many images of each class there are, what would mislead a network, and '
    'which images are duplicates.'
)

_BY_IMAGE = (
    'It is not known which images are of the same patient, so the splits are by image: images of '
    'one patient may be in several splits, and results will look better than they are.'
)


class DataPanel(QWidget):
    """Shows a survey, in which images can be left out and pairs be marked as the same patient.

    It reads no files and runs no jobs: surveys and samples are given to it.

    Parameters
    ----------
    theme : str
        Name of napari's theme.
    parent : QWidget, optional
        Qt parent.
    """

    #: Digests (list of str), and whether they are now left out.
    excluded = Signal(object, bool)
    #: Digests of two images, and whether they are now marked as the same patient's.
    grouped = Signal(str, str, bool)
    #: An image was opened: its file, as in the survey.
    image_opened = Signal(str)
    #: Two files to open side by side.
    pair_opened = Signal(str, str)

    def __init__(self, theme: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._survey: Survey | None = None
        self._theme = theme
        self.edits = DataEdits(self)
        self._build(theme)
        self.edits.excluded.connect(self.excluded)
        self.edits.grouped.connect(self.grouped)
        self.edits.changed.connect(self._count)
        self.images.image_opened.connect(self.image_opened)
        self.pairs.pair_opened.connect(self.pair_opened)
        self.sizes.chosen.connect(self._show_image)
        self.by_source.chosen.connect(self._filter_cell)
        for keys, slot in (
            (QKeySequence.StandardKey.Undo, self.edits.undo_stack.undo),
            (QKeySequence.StandardKey.Redo, self.edits.undo_stack.redo),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(slot)
        self.clear()

    def _build(self, theme: str) -> None:
        self.empty = quiet_label(_EMPTY)
        self._cautions = QWidget()
        self._caution_rows = QVBoxLayout(self._cautions)
        self._caution_rows.setContentsMargins(0, 0, 0, 6)
        self._caution_rows.setSpacing(6)
        self.classes = ClassTable()
        self.to_beat = PlainLabel()
        self.to_beat.setWordWrap(True)
        self.to_beat.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.baselines = Intervals(theme)
        self.by_source = Matrix(theme, 'source', 'class')
        self.association = quiet_label()
        self.sizes = Scatter(theme, '', 'columns', 'rows')
        self.sizes.setAccessibleName('Sizes of the images')
        self.pointed = quiet_label()
        self.grey = Histogram(theme)
        self.grey.setAccessibleName('Grey values by class')
        self.together = Matrix(theme, 'label', 'and label')
        self.samples = SamplesView(theme)
        self.pairs = PairsView(self.edits, theme)
        self.images = ImagesView(self.edits, theme)
        self.skipped = SkippedFiles()
        self.audit = AuditView(theme)
        self.sections: dict[str, CollapsibleSection] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 4, 0, 4)
        layout.setSpacing(2)
        layout.addWidget(self.empty)
        layout.addWidget(self._cautions)
        for key, title, widgets, open_ in (
            ('counts', 'Images by class', (self.classes,), True),
            ('beat', 'What a model must exceed', (self.to_beat, self.baselines), True),
            ('sources', 'Classes by source', (self.association, self.by_source), True),
            ('audit', 'Audit', (self.audit,), True),
            ('together', 'Labels together', (self.together,), True),
            ('samples', 'Samples', (self.samples,), True),
            ('pairs', 'Near-duplicates', (self.pairs,), True),
            ('images', 'Images', (self.images,), True),
            ('sizes', 'Image sizes', (self.sizes, self.pointed), False),
            ('grey', 'Grey values', (self.grey,), False),
            ('skipped', 'Files that could not be used', (self.skipped,), False),
        ):
            section = CollapsibleSection(title, open_)
            section.add(*widgets)
            self.sections[key] = section
            layout.addWidget(section)
        layout.addStretch(1)

    # -- contents -----------------------------------------------------------------------

    @property
    def survey(self) -> Survey | None:
        """The survey that is shown."""
        return self._survey

    def clear(self) -> None:
        """Show no data set, but what to do."""
        self._survey = None
        self.edits.begin(())
        self.images.show_survey(None)
        self.pairs.show_survey(None)
        self.samples.clear()
        self.audit.clear()
        self._show_flags(())
        for section in self.sections.values():
            section.hide()
        self.empty.show()

    def show_survey(self, survey: Survey, together: Sequence[Sequence[str]] = ()) -> None:
        """Show a data set.

        If the images are the same as before, sections, filter, selection and undo history are
        kept.

        Parameters
        ----------
        survey : Survey
            The survey.
        together : sequence of sequence of str
            Digests that were marked as the same patient's, as in the recipe, so that they can
            be separated again.
        """
        out = [d for d, left in zip(survey.digests, survey.excluded, strict=True) if left]
        is_same = self._survey is not None and self._survey.paths == survey.paths
        self._survey = survey
        self.images.show_survey(survey)
        self.pairs.show_survey(survey)
        if is_same:
            self.edits.confirm(out)
        else:
            self.edits.begin(out, together)
        is_known = survey.split_kind == 'by patient' or any('by image' in f for f in survey.flags)
        self._show_flags(survey.flags if is_known else (*survey.flags, _BY_IMAGE))
        self._show_plots(survey)
        shown = dict.fromkeys(self.sections, True)
        shown['together'] = bool((np.asarray(survey.truth, bool).sum(axis=1) > 1).any())
        shown['skipped'] = bool(survey.skipped)
        for key, section in self.sections.items():
            section.setVisible(shown[key])
        self.empty.hide()

    def show_samples(self, samples: np.ndarray) -> None:
        """Show images with and without augmentation, see `SamplesView.show_samples`."""
        self.samples.show_samples(samples)

    def set_theme(self, theme: str) -> None:
        """Use the colours of another of napari's themes."""
        self._theme = theme
        for part in (
            self.audit,
            self.baselines,
            self.by_source,
            self.sizes,
            self.grey,
            self.together,
            self.samples,
            self.pairs,
            self.images,
        ):
            part.set_theme(theme)

    def _show_flags(self, flags: tuple[str, ...]) -> None:
        while (item := self._caution_rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()
        for text in dict.fromkeys(flags):
            label = PlainLabel(text)
            label.setObjectName('caution')
            label.setWordWrap(True)
            label.setIndent(0)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._caution_rows.addWidget(label)
        self._cautions.setVisible(bool(flags))

    def _show_plots(self, survey: Survey) -> None:
        self.to_beat.setText(baseline_sentence(survey.baselines))
        self.baselines.set_intervals(survey.baselines)
        self.baselines.setVisible(bool(survey.baselines))
        self.association.setText(association_sentence(survey))
        counts = np.asarray(survey.cooccurrence, dtype=float)
        self.together.set_values(counts, survey.labels, survey.labels)
        sizes = np.asarray(survey.sizes, dtype=float).reshape(-1, 2)
        # An image with several labels has the colour of the first one.
        first = np.asarray(survey.truth, bool).argmax(axis=1)
        self.sizes.set_points(sizes[:, 1], sizes[:, 0], first, survey.labels)
        self.pointed.setText('Click a dot to find its image in the list.')
        self.grey.set_histograms(survey.histograms, survey.labels)
        kinds = len(np.unique(sizes, axis=0))
        self.sections['sizes'].set_summary('one size' if kinds == 1 else f'{kinds} sizes')
        self.sections['counts'].set_summary(
            f'split {survey.split_kind}' if any(survey.splits) else 'cannot be split'
        )
        across = sum(pair.across for pair in survey.pairs)
        self.sections['pairs'].set_summary(
            f'{len(survey.pairs)}, {across} across' if survey.pairs else 'none'
        )
        self.sections['skipped'].set_summary(number_text(len(survey.skipped)))
        self.skipped.show_files(survey.skipped)

    def _count(self) -> None:
        """Update the counts when images were left out or included."""
        survey = self._survey
        if survey is None:
            return
        out = np.array([self.edits.is_out(d) for d in survey.digests], dtype=bool)
        counts = image_counts(survey, out)
        self.classes.show_counts(counts)
        table, flags = source_table(counts)
        self.by_source.set_values(
            table, counts.sources, counts.labels, flags, one_sided_sentences(flags, counts)
        )
        left_out = int(out.sum())
        summary = f'{number_text(left_out)} left out' if left_out else ''
        self.sections['images'].set_summary(summary)

    # -- from a plot to the list --------------------------------------------------------

    def _show_image(self, place: int) -> None:
        survey = self._survey
        if survey is None:
            return
        rows, columns = survey.sizes[place]
        self.sections['images'].set_open(True)
        self.images.select(place)
        self.pointed.setText(
            f'{relative_names(survey.paths)[place]}, {columns} × {rows}: selected in the list.'
        )

    def _filter_cell(self, row: int, column: int) -> None:
        """List the images of one source and one class."""
        survey = self._survey
        if survey is None:
            return
        out = np.zeros(len(survey.paths), bool)
        source = image_counts(survey, out).sources[row]
        self.sections['images'].set_open(True)
        known = source if source in survey.sources else ''
        self.images.set_filter(f'"source={known}" "class={survey.labels[column]}"')

"""The jobs of the study browser: listing a folder, and reading whose images they are."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cxr.dicom.header_summary import Identity
from napari_cxr.plugin.background import Failure, JobOutcome, RunningJob, run_job
from napari_cxr.radiograph import UnreadableImage
from napari_cxr.studies.study_index import IndexDone, IndexGrown, index_studies
from napari_cxr.studies.study_tree import Patient
from napari_cxr.workers.decoder_pool import Decoder

__all__ = ['StudyListing', 'StudyNames']

#: Headers that are read at once to name patients.
_NAMED_AT_ONCE = 200


class StudyListing(QObject):
    """Lists the studies of one folder or DICOMDIR, and says what it has found.

    Parameters
    ----------
    source : Path
        The folder or the DICOMDIR.
    parent : QObject
        Qt parent; its end cancels the job.
    """

    #: An `IndexGrown` or an `IndexDone`.
    found = Signal(object)
    #: It has ended: why it failed, as a `Failure`, or None; and whether it was stopped.
    ended = Signal(object, bool)

    def __init__(self, source: Path, parent: QObject) -> None:
        super().__init__(parent)
        self._job = run_job(
            self,
            _index(source),
            'Listing the studies',
            relay=self.found.emit,
            done=self._take,
            description=f'Listing {source.name}',
            fraction_done=_fraction_done,
        )

    def stop(self) -> None:
        """Stop; what was found stays, and `ended` follows."""
        self._job.cancel()

    def drop(self) -> None:
        """Stop, without another signal."""
        self.blockSignals(True)
        self._job.cancel()
        self.deleteLater()

    def _take(self, outcome: JobOutcome | Failure) -> None:
        if isinstance(outcome, Failure):
            self.ended.emit(outcome, False)
        else:
            self.ended.emit(None, outcome.cancelled)


class StudyNames(QObject):
    """Whose studies they are, for as long as a person wants to see it; never kept on disk.

    Parameters
    ----------
    parent : QObject
        Qt parent; its end cancels what is being read.
    """

    #: More are known.
    grown = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._jobs: list[RunningJob] = []
        self._asked: set[str] = set()
        #: By the key of a study.
        self.known: dict[str, Identity] = {}

    def begin(self, patients: Sequence[Patient]) -> None:
        """Begin to read the names of studies that were not asked for yet."""
        files = [
            (study.key, study.images[0].path)
            for patient in patients
            for study in patient.studies
            if study.key not in self._asked and study.images[0].header is not None
        ]
        if files:
            self._asked |= {key for key, _ in files}
            job = run_job(self, _read_names(files), 'Reading the names', relay=self._take)
            self._jobs.append(job)

    def forget(self) -> None:
        """Forget all of them, and read no more."""
        for job in self._jobs:
            job.cancel()
        self._jobs, self.known, self._asked = [], {}, set()

    def _take(self, found: dict[str, Identity]) -> None:
        if self._asked >= found.keys():  # else they were asked for before all was forgotten
            self.known |= found
            self.grown.emit()


def _index(source: Path) -> Generator[Any, None, None]:
    with closing(Decoder()) as decoder:  # starts when there is something new to read
        yield from index_studies(source, decoder)


def _read_names(files: Sequence[tuple[str, str]]) -> Generator[Any, None, None]:
    with closing(Decoder()) as decoder:
        for at in range(0, len(files), _NAMED_AT_ONCE):
            some = files[at : at + _NAMED_AT_ONCE]
            try:
                found = yield from decoder.identities([path for _, path in some])
            except UnreadableImage:  # the file that ended the decoder cannot be opened either
                continue
            yield {
                key: Identity._make(str(part) for part in one)
                for (key, _), one in zip(some, found, strict=False)
                if one is not None and len(one) == len(Identity._fields)
            }


def _fraction_done(event: object) -> float | None:
    if isinstance(event, IndexGrown) and event.total:
        return event.done / event.total
    return 1.0 if isinstance(event, IndexDone) else None

"""What a person says of the rows of a table: labels and notes, on disk as they are made.

They stand beside the table in TABLE.labels, and those of a reader with a name in a file of its
own (`napari_cxr.scoring.annotation.readers`), a text in the form of
`napari_cxr.scoring.append_log`: first the classes, then a line for each change, with all that
is said of one path after it. To undo is a change like others. So nothing is ever rewritten,
and nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_cxr.scoring.annotation import Annotation, AnnotationCounts, ReadingCircumstances
from napari_cxr.scoring.annotation.readers import UNNAMED, Reader, labels_path_of
from napari_cxr.scoring.append_log import (
    AppendLog,
    BackgroundAppender,
    LogInUse,
    SyncAppender,
    decode_line,
    encode_line,
)
from napari_cxr.scoring.journal import ScoringError
from napari_cxr.settings_file import LARGEST_TABLE, open_regular, parse_json

__all__ = ['AnnotationHistory', 'ReadingList', 'read_entries']

#: Path, what was said of it before, and after.
_Change = tuple[str, Annotation | None, Annotation | None]


class AnnotationHistory:
    """What is said of each path, and what was said before.

    Attributes
    ----------
    entries : dict of str to Entry
        What is said now, by path.
    shown : set of str
        Paths whose answer of the model was ever shown after a blinded answer; to undo that
        answer does not make it unseen.
    """

    def __init__(self) -> None:
        self.entries: dict[str, Annotation] = {}
        self.shown: set[str] = set()
        self._done: list[_Change] = []
        self._undone: list[_Change] = []

    def __bool__(self) -> bool:
        return bool(self._done or self._undone)

    @property
    def to_undo(self) -> tuple[str, Annotation | None] | None:
        """The path of the last change, and what was said of it before."""
        return self._done[-1][:2] if self._done else None

    @property
    def to_redo(self) -> tuple[str, Annotation | None] | None:
        """The path of the change that was undone last, and what was said of it after."""
        return (self._undone[-1][0], self._undone[-1][2]) if self._undone else None

    def take(self, change: str, path: str, entry: Annotation | None) -> None:
        """Take over a change: 'set', 'undo' or 'redo'; history follows as far as it is whole."""
        before = self.entries.get(path)
        if change == 'undo' and self._done:
            self._undone.append(self._done.pop())
        elif change == 'redo' and self._undone:
            self._done.append(self._undone.pop())
        else:
            self._done.append((path, before, entry))
            self._undone.clear()
        if entry is None:
            self.entries.pop(path, None)
        else:
            self.entries[path] = entry
            if entry.shown:
                self.shown.add(path)

    def labels(self) -> Iterator[str]:
        """Yield all labels that were ever given, as often as they were."""
        for _, _, after in (*self._done, *self._undone):
            yield from after.labels if after is not None else ()


_FORM = 1


class ReadingList:
    """The labels and notes of one reader of one table, open for changes; see `open`.

    A path is what stands in the table. What is said of it stays when the same files are
    scored again into a table of the same name.

    Attributes
    ----------
    path : Path
        Its file.
    labels : tuple of str
        The classes.
    reader : Reader
        Whose labels they are.
    damaged : int
        Lines that a failing disk has spoilt; what they said is lost.
    """

    def __init__(
        self,
        lines: AppendLog,
        labels: Sequence[str],
        later: Callable[[], None] | None,
        reader: Reader,
    ) -> None:
        self.path = lines.path
        self.labels = tuple(labels)
        self.reader = reader
        self.damaged = 0
        self._changed_images: set[str] = set()
        self._history = AnnotationHistory()
        self._entries = self._history.entries
        self._keeper = SyncAppender(lines) if later is None else BackgroundAppender(lines, later)
        self._take_over(lines)

    @classmethod
    def open(
        cls,
        table: str | Path,
        labels: Sequence[str],
        *,
        later: Callable[[], None] | None = None,
        reader: Reader = UNNAMED,
    ) -> ReadingList:
        """Open the reading list of a table, or begin one.

        Parameters
        ----------
        table : str or Path
            The table; it need not be finished.
        labels : sequence of str
            The model's classes.
        later : callable, optional
            Without it, each change is on the disk when its method returns. With it, a
            thread puts it there soon, and calls this when `unsaved` or `problem` changes.
        reader : Reader
            Whose labels they are.

        Raises
        ------
        ScoringError
            If another process has it open, it is of other classes or no such list, or it
            cannot be written.
        """
        path = labels_path_of(table, reader)
        try:
            lines = AppendLog(path)
        except LogInUse:
            whose = f'{reader.title}’s labels of' if reader.name else 'The labels of'
            raise ScoringError(
                f'{whose} {Path(table).name} are open in another window or process; close '
                'them there, or read under another name.'
            ) from None
        except OSError as error:
            raise ScoringError(
                f'{path} cannot be written: {error.strerror}. Copy the table to a folder where '
                'you may write, and open it there.'
            ) from None
        try:
            return cls(lines, labels, later, reader)
        except OSError as error:
            lines.close()
            raise ScoringError(f'{path} cannot be written: {error.strerror}.') from None
        except BaseException:
            lines.close()
            raise

    @property
    def unsaved(self) -> int:
        """Changes that are not on the disk yet."""
        return self._keeper.unsaved

    @property
    def problem(self) -> str:
        """Why changes cannot be put on the disk; empty while nothing is known to prevent it."""
        return self._keeper.problem

    def retry(self) -> None:
        """Try again to put on the disk what is not there yet."""
        self._keeper.retry()

    @property
    def closed(self) -> bool:
        """Whether it was closed, and all of it is saved."""
        return self._keeper.wait(0)

    def __iter__(self) -> Iterator[tuple[str, Annotation]]:
        changed = self._changed_images
        return ((path, entry) for path, entry in self._entries.items() if path not in changed)

    @property
    def everything(self) -> dict[str, Annotation]:
        """All that was said, also of images that are other ones by now."""
        return dict(self._entries)

    def get(self, path: str) -> Annotation | None:
        """Return what is said of a path; None where nothing is, or it was of another image."""
        return None if path in self._changed_images else self._entries.get(path)

    def was_shown(self, path: str) -> bool:
        """Return whether the model's answer was shown after a blinded answer."""
        return path in self._history.shown

    def set_changed_images(self, paths: Collection[str]) -> None:
        """Note whose files are other images than those that were labelled: these are not read."""
        self._changed_images = set(paths)

    def counts(self, paths: Collection[str] | None = None) -> AnnotationCounts:
        """Count what was read, of some paths or of all."""
        return AnnotationCounts.of(e for path, e in self if paths is None or path in paths)

    def set(
        self,
        path: str,
        labels: Sequence[str],
        *,
        agreed: bool = False,
        how: ReadingCircumstances | None = None,
    ) -> None:
        """Say what an image shows.

        Parameters
        ----------
        path : str
            As in the table.
        labels : sequence of str
            Its classes; none, where it can have several and shows none of them.
        agreed : bool
            Whether they are the model's own.
        how : ReadingCircumstances, optional
            How the answer was given.

        Raises
        ------
        ScoringError
            If it cannot be saved; then it is not taken as said.
        ValueError
            If there is no such class.
        """
        if strange := set(labels) - set(self.labels):
            raise ValueError(f'The table has no class {", ".join(sorted(strange))}.')
        inside = tuple(label for label in self.labels if label in labels)
        self._change(path, how, labels=inside, answer='labels', agreed=agreed, reason='')

    def unsure(self, path: str, how: ReadingCircumstances | None = None) -> None:
        """Say that an image was read and cannot be told; raises ScoringError as `set` does."""
        self._change(path, how, labels=(), answer='unsure', agreed=False, reason='')

    def unusable(self, path: str, reason: str, how: ReadingCircumstances | None = None) -> None:
        """Say that an image cannot be used, and why; raises ScoringError as `set` does."""
        self._change(path, how, labels=(), answer='unusable', agreed=False, reason=reason.strip())

    def clear(self, path: str) -> None:
        """Take back what an image shows; its note stays. Raises ScoringError as `set` does."""
        none = ReadingCircumstances()
        self._change(path, none, labels=(), answer='', agreed=False, reason='')

    def take(self, path: str, entry: Annotation) -> None:
        """Say of a path what was said of the same image elsewhere; raises ScoringError."""
        if strange := set(entry.labels) - set(self.labels):
            raise ValueError(f'The table has no class {", ".join(sorted(strange))}.')
        if self._entries.get(path) != entry:
            self._keep('set', path, entry)

    def note(self, path: str, text: str) -> None:
        """Put down words about an image; raises ScoringError as `set` does."""
        self._change(path, None, note=text.replace('\0', '').strip())

    @property
    def undoable(self) -> str | None:
        """The path of the change that would be undone; None where there is none."""
        last = self._history.to_undo
        return None if last is None else last[0]

    @property
    def redoable(self) -> str | None:
        """The path of the change that would be made again; None where there is none."""
        last = self._history.to_redo
        return None if last is None else last[0]

    def undo(self) -> str | None:
        """Take back the last change; as often as there are any, also those of another day.

        Returns
        -------
        str or None
            The path that it was about; None where there is nothing to undo.

        Raises
        ------
        ScoringError
            If that cannot be saved; then nothing is undone.
        """
        return self._go('undo', self._history.to_undo)

    def redo(self) -> str | None:
        """Make the change again that was undone last; otherwise as `undo`."""
        return self._go('redo', self._history.to_redo)

    def close(self) -> None:
        """Let others open it; a list in which nothing was ever said leaves no file."""
        self._keeper.close(remove=not (self._history or self.damaged))

    def _go(self, change: str, to: tuple[str, Annotation | None] | None) -> str | None:
        if to is None:
            return None
        self._keep(change, *to)
        return to[0]

    def _change(self, path: str, how: ReadingCircumstances | None, **said: Any) -> None:
        there = self.get(path) or Annotation()
        if how is not None and how.shown:
            said['shown'] = True
        if replace(there, **said) == there:
            return
        self._changed_images.discard(path)
        now = datetime.now(UTC).isoformat(timespec='seconds')
        after: Annotation | None = replace(
            there, when=now, **{**(asdict(how) if how else {}), **said}
        )
        if after == Annotation(when=now):
            after = None
        self._keep('set', path, after)

    def _keep(self, change: str, path: str, entry: Annotation | None) -> None:
        """Put a change on the disk, and take it over."""
        said = None if entry is None else entry.to_dict()
        written = _line({'change': change, 'path': path, 'entry': said})
        try:
            self._keeper.put(written)
        except OSError as error:
            raise ScoringError(
                f'{self.path} cannot be written: {error.strerror}. The label is not saved: make '
                'room, and set it again.'
            ) from None
        self._history.take(change, path, entry)

    def _take_over(self, lines: AppendLog) -> None:
        """Read what is there, or begin."""
        ours = _line({'form': _FORM, 'labels': list(self.labels), **self.reader.to_dict()})
        end = 0
        with open_regular(self.path) as file:
            first = file.readline()
            if first.endswith(b'\n'):
                end = len(first)
                for written in file:
                    if not written.endswith(b'\n'):
                        break  # torn: it was never taken as saved
                    found = _content(written)
                    try:
                        said = found['entry']
                        entry = None if said is None else Annotation.from_dict(said)
                        self._history.take(found['change'], found['path'], entry)
                    except (KeyError, TypeError):
                        self.damaged += 1
                    end += len(written)
                self._compare(first)
            elif not ours.startswith(first):
                self._compare(first)
        lines.go_on_at(end)
        if end == 0:
            lines.append(ours)
            lines.sync()
            lines.sync_folder()

    def _compare(self, first: bytes) -> None:
        """Refuse what is not ours; a first line that is spoilt says nothing, but others may."""
        header = _content(first)
        if decode_line(first) is None and self._history:
            self.damaged += 1
            labels = sorted({*self.labels, *self._history.labels()})
            header = {'form': _FORM, 'labels': labels, **self.reader.to_dict()}
        if header.get('form') != _FORM or not isinstance(header.get('labels'), list):
            raise ScoringError(
                f'{self.path} is no list of labels of this version; move it away, and open the '
                'table again.'
            )
        if set(header['labels']) != set(self.labels):
            listed = ', '.join(header['labels'])
            raise ScoringError(
                f'{self.path} holds labels for other classes ({listed}); move it away, or give '
                'the table another name.'
            )


def read_entries(path: Path) -> tuple[dict[str, Any], dict[str, Annotation]]:
    """Read a list without opening it for changes, whoever has it open.

    Returns
    -------
    dict
        Its first line: `labels`, and `reader` and `reading` as far as they are known.
    dict of str to Annotation
        What is said now, by path.

    Raises
    ------
    ScoringError
        If it cannot be read, or is no such list.
    """
    history = AnnotationHistory()
    try:
        with open_regular(path, LARGEST_TABLE) as file:
            header = _content(file.readline())
            if header.get('form') != _FORM or not isinstance(header.get('labels'), list):
                raise ScoringError(f'{path.name} is not a list of labels, or it is damaged.')
            for written in file:
                found = _content(written)  # the last may be half written
                with suppress(KeyError, TypeError):
                    said = found['entry']
                    entry = None if said is None else Annotation.from_dict(said)
                    history.take(found['change'], found['path'], entry)
    except (OSError, ValueError) as error:
        raise ScoringError(f'{path.name} cannot be read: {error}.') from None
    return header, history.entries


def _line(entries: dict[str, Any]) -> bytes:
    return encode_line(json.dumps(entries, separators=(',', ':')))


def _content(written: bytes) -> dict[str, Any]:
    found = decode_line(written)
    try:
        entries = parse_json(found) if found is not None else {}
    except ValueError:  # whole, and yet not ours
        return {}
    return entries if isinstance(entries, dict) else {}

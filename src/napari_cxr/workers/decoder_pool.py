"""Reading files through a decoder process, for callers that want a radiograph or an error."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_cxr.decoding_memory import (
    ENDED_FROM_OUTSIDE,
    LATER,
    MemoryNeed,
    NotEnoughMemory,
    is_passing,
)
from napari_cxr.radiograph import Radiograph, UnreadableImage
from napari_cxr.workers.memory_budget import DecoderLimits, MemoryBudget, shared_budget
from napari_cxr.workers.worker_process import JobFailed, WorkerDied, WorkerProcess

if TYPE_CHECKING:
    import numpy as np

    from napari_cxr.inference.preprocessing import Preprocessing
    from napari_cxr.lungs.lung_field import LungField
    from napari_cxr.scoring.image_preparation import PreparedImage, PrepareOptions
    from napari_cxr.training.training_image import TrainingImage

__all__ = ['Decoder', 'DecoderPool', 'listed_images', 'shared_decoder']

T = TypeVar('T')
#: How long a pool's thread waits before it looks whether it is still wanted, in seconds.
_PATIENCE = 0.1

#: How often a file may ask for memory: as it is read, as it is inflated, as it is decoded.
_ATTEMPTS = 5

#: What native decoders, in C++ and in Rust, write before they end for want of memory.
_OUT_OF_MEMORY = re.compile(r'bad_alloc|memory allocation of \d+ bytes failed')


def _within_limits(
    worker: WorkerProcess,
    job: str,
    limits: DecoderLimits,
    budget: MemoryBudget,
    decoders: int,
    arguments: dict[str, Any],
) -> Generator[None, None, Any]:
    """Run a job on a file with the memory and the time that it may have.

    A file that needs more memory than most is let in anew, and one whose decoder was killed from
    outside, or ran out of memory, once more alone, with all the memory there is. Time goes on
    through all attempts; waits for memory do not count, since other files have it then.

    Parameters
    ----------
    worker : WorkerProcess
        A decoder.
    job : str
        One of `decoder_jobs.bounded`.
    limits : DecoderLimits
        What the file may take.
    budget : MemoryBudget
        What lets it in.
    decoders : int
        How many there are.
    arguments : dict
        Of the job.

    Returns
    -------
    generator
        Yields None while it waits; its return value is the job's.

    Raises
    ------
    UnreadableImage
        If it cannot have the memory that it needs.
    JobFailed, WorkerDied, OSError
        As `WorkerProcess.run`.
    """
    taken, wanted, alone, attempts = 0.0, 0, False, _ATTEMPTS
    while True:
        with (yield from budget.admit(wanted, decoders=decoders, alone=alone)) as grant:
            grant.watch(worker.pid)
            began = time.monotonic()
            need = 0
            try:
                result = yield from worker.run(
                    job,
                    timeout=limits.seconds,
                    total=max(limits.total - taken, 0.0),
                    allowance=grant.size,
                    **arguments,
                )
                if not isinstance(result, MemoryNeed):
                    return result
                need, attempts = max(result.needed, 0), attempts - 1
                if alone or not attempts:
                    raise NotEnoughMemory(need, grant.size)
            except WorkerDied as error:
                if alone and error.from_outside:
                    raise UnreadableImage(_TWICE) from error
                if alone and _OUT_OF_MEMORY.search(error.details):
                    raise NotEnoughMemory(0, grant.size) from error
                if not (error.from_outside or _OUT_OF_MEMORY.search(error.details)):
                    raise
            taken += time.monotonic() - began
            wanted, alone = need, not need


_TWICE = (
    f'{ENDED_FROM_OUTSIDE}, and again when it was tried alone, most likely because memory ran '
    'out; the file itself may be fine. Close other programs and try again.'
)


class Decoder:
    """A decoder process that is replaced when a file kills or hangs it.

    Parameters
    ----------
    timeout : float, optional
        Seconds for which one file may have a core; by default as the person has set, see
        `DecoderLimits`.
    """

    def __init__(self, timeout: float | None = None) -> None:
        self._worker = WorkerProcess('decoder')
        self._timeout = timeout
        self._budget = shared_budget()

    def start(self) -> None:
        """Start the process ahead of the first file; returns at once."""
        self._worker.start()

    def read(self, path: str | Path, least: tuple[int, int] | None = None) -> Radiograph:
        """Read one image file of any kind; `least` as of `napari_cxr.image_files.read`.

        Raises
        ------
        UnreadableImage
            If it holds no image, or the decoder died or took too long.
        """
        return self._call('read', path, least=least)

    def reading(
        self, path: str | Path, least: tuple[int, int] | None = None
    ) -> Generator[None, None, Radiograph]:
        """Read one image file as `read` does, for whoever may lose interest.

        Returns
        -------
        generator
            Yields None while it waits, so that closing it gives up the file; its return
            value is the radiograph. It raises as `read`.
        """
        radiograph: Radiograph = yield from self._run('read', path, least=least)
        return radiograph

    def thumbnail(self, path: str | Path, side: int) -> Generator[None, None, np.ndarray]:
        """Read one image file as `reading`, and return it small; see `decoder_jobs.thumbnail`."""
        small: np.ndarray = yield from self._run('thumbnail', path, side=side)
        return small

    def describe(self, path: str | Path) -> dict[str, Any]:
        """Return what `napari-cxr info` prints; raises as `read`."""
        return self._call('describe', path)

    def listed(self, path: str | Path) -> list[Path]:
        """Return the files of the images that a DICOMDIR lists; raises as `read`."""
        return [Path(image) for image in self._call('listed', path)]

    def installed_decoders(self) -> dict[str, list[str]]:
        """Return what `napari_cxr.dicom.pixels.installed_decoders` says there."""
        found: dict[str, list[str]] = self._worker.call('installed_decoders')
        return found

    def listing(self, path: str | Path) -> Generator[None, None, list[Path]]:
        """Return what `listed` does, for whoever may lose interest."""
        found: list[str] = yield from self._run('listed', path)
        return [Path(image) for image in found]

    def headers(self, paths: Sequence[str]) -> Generator[None, None, list[Any]]:
        """Return what a list of studies says of files; see `decoder_jobs.headers`.

        Returns
        -------
        generator
            Yields None while it waits; its return value is a list. It raises `UnreadableImage`
            if the decoder died or took too long over one of them.
        """
        found: list[Any] = yield from self._files('headers', paths)
        return found

    def tags(self, path: str | Path, identity: bool) -> Generator[None, None, list[Any]]:
        """Return the elements of a file, as `reading` does; see `decoder_jobs.tags`."""
        found: list[Any] = yield from self._run('tags', path, identity=identity)
        return found

    def identities(self, paths: Sequence[str]) -> Generator[None, None, list[Any]]:
        """Return whose images files are, as `headers` does; see `decoder_jobs.identities`."""
        found: list[Any] = yield from self._files('identities', paths)
        return found

    def find_lungs(
        self, radiograph: Radiograph | None, field: LungField | None = None
    ) -> Generator[Any, None, tuple[LungField, np.ndarray]]:
        """Find the lungs of a radiograph, and lay them on its pixels; see `decoder.find_lungs`.

        Returns
        -------
        generator
            Yields None while it waits; its return value is the lungs and their labels. It
            raises `JobFailed`, `WorkerDied`, OSError or `UnreadableImage`.
        """
        limits = _limits(self._timeout)
        held = 0 if radiograph is None else radiograph.values.nbytes
        pixels = 0 if radiograph is None else radiograph.values.size
        with (yield from self._budget.admit(held + LATER * pixels)):
            found: tuple[LungField, np.ndarray] = yield from self._worker.run(
                'find_lungs',
                timeout=limits.seconds,
                total=limits.total,
                radiograph=radiograph,
                field=field,
            )
        return found

    def close(self) -> None:
        """End the process."""
        self._worker.close()

    def retire(self, grace: float = 0.0) -> None:
        """End the process for good, see `WorkerProcess.retire`."""
        self._worker.retire(grace)

    def _files(self, job: str, paths: Sequence[str]) -> Generator[None, None, Any]:
        return (yield from self._within(job, {'paths': list(paths)}))

    def _run(self, job: str, path: str | Path, **arguments: Any) -> Generator[None, None, Any]:
        return (yield from self._within(job, {'path': str(path), **arguments}))

    def _within(self, job: str, arguments: dict[str, Any]) -> Generator[None, None, Any]:
        limits = _limits(self._timeout)
        try:
            return (
                yield from _within_limits(self._worker, job, limits, self._budget, 1, arguments)
            )
        except (JobFailed, WorkerDied, OSError) as error:
            raise UnreadableImage(_reason(error)) from error

    def _call(self, job: str, path: str | Path, **arguments: Any) -> Any:
        run = self._run(job, path, **arguments)
        while True:
            try:
                next(run)
            except StopIteration as end:
                return end.value


class DecoderPool:
    """Several decoder processes at once, which decode images for training and for scoring.

    It is a `napari_cxr.training.training_image.ImageReader`: call it with numbered files; and
    its method
    `prepare` is a `napari_cxr.scoring.ImagePreparer`. A file that
    kills a decoder, or takes too long, gives a reason; its decoder is replaced, and the
    others go on meanwhile. Closing the iterator ends all within a fraction of a second.

    Parameters
    ----------
    decoders : int, optional
        How many; as many as there are cores by default.
    timeout : float, optional
        Seconds for which one file may have a core; by default as the person has set, see
        `DecoderLimits`.

    Raises
    ------
    ValueError
        If the limits that are set make no sense.
    """

    def __init__(self, decoders: int | None = None, timeout: float | None = None) -> None:
        from napari_cxr.inference.cpu import available_cores

        self._workers = [WorkerProcess('decoder') for _ in range(decoders or available_cores())]
        self._limits = _limits(timeout)
        self._budget = shared_budget()

    def __call__(
        self, items: Sequence[tuple[int, Path]], preprocessing: Preprocessing, bits: int
    ) -> Iterator[tuple[int, TrainingImage | str]]:
        """Decode files; yield each one's number with what it became, as they are done."""
        from napari_cxr.training.training_image import TrainingImage

        arguments = {'preprocessing': preprocessing.to_dict(), 'bits': bits}
        with closing(self._each('decode', TrainingImage, items, arguments)) as results:
            yield from (result for result in results if result is not None)

    def prepare(
        self, items: Iterable[tuple[int, Path]], wanted: PrepareOptions
    ) -> Generator[tuple[int, PreparedImage | str] | None, None, None]:
        """Prepare files for scoring; yield each one's number with what it became.

        Parameters
        ----------
        items : iterable of (int, Path)
            Numbered files. One is taken only when a decoder is free for it, and decoders
            stop while nobody takes what they made, so memory does not grow with them.
        wanted : PrepareOptions
            What to make of each.

        Yields
        ------
        tuple or None
            In the order in which they are done; None about ten times a second while there
            is nothing, so that closing it always works.
        """
        from napari_cxr.scoring.image_preparation import PreparedImage

        arguments = {
            'preprocessing': wanted.preprocessing.to_dict(),
            'lungs': wanted.lungs,
            'picture': wanted.picture,
            'identify': wanted.identify,
            'full_resolution': wanted.full_resolution,
            'digest': wanted.digest,
        }
        yield from self._each('prepare', PreparedImage, items, arguments)

    def start(self, files: int) -> None:
        """Start as many processes as so many files need, ahead of them; returns at once."""
        for worker in self._workers[:files]:
            worker.start()

    def close(self) -> None:
        """End the processes; a later call starts new ones."""
        for worker in self._workers:
            worker.close()

    def _each(
        self,
        job: str,
        made: Callable[..., T],
        items: Iterable[tuple[int, Path]],
        arguments: dict[str, Any],
    ) -> Generator[tuple[int, T | str] | None, None, None]:
        """Run a job for each file; None where nothing came for a while."""
        waiting, taking = iter(items), threading.Lock()
        # Bounded, so that decoders do not run ahead of whoever keeps the images. None: a
        # decoder found no more files.
        done: queue.Queue[tuple[int, T | str] | None] = queue.Queue(4 * len(self._workers))
        unwanted = threading.Event()
        errors: list[BaseException] = []

        def hand_over(result: tuple[int, T | str] | None) -> None:
            while not unwanted.is_set():
                try:
                    done.put(result, timeout=_PATIENCE)
                    return
                except queue.Full:
                    continue

        def work(worker: WorkerProcess) -> None:
            try:
                while not unwanted.is_set():
                    with taking:
                        item = next(waiting, None)
                    if item is None:
                        break
                    number, path = item
                    result = self._run(worker, unwanted, job, made, path=str(path), **arguments)
                    hand_over((number, result))
            except BaseException as error:  # it belongs to whoever waits
                errors.append(error)
            finally:
                hand_over(None)

        threads: list[threading.Thread] = []
        try:
            for worker in self._workers:
                thread = threading.Thread(target=work, args=(worker,), daemon=True)
                thread.start()
                threads.append(thread)
            working = len(threads)
            while working:
                try:
                    result = done.get(timeout=_PATIENCE)
                except queue.Empty:
                    yield None
                    continue
                if result is not None:
                    yield result
                elif errors:
                    raise errors[0]
                else:
                    working -= 1
        finally:
            unwanted.set()
            for thread in threads:
                thread.join()

    def _run(
        self,
        worker: WorkerProcess,
        unwanted: threading.Event,
        job: str,
        made: Callable[..., T],
        **arguments: Any,
    ) -> T | str:
        attempts = _within_limits(
            worker, job, self._limits, self._budget, len(self._workers), arguments
        )
        try:
            with closing(attempts) as events:
                while True:
                    next(events)
                    if unwanted.is_set():
                        return 'It was not waited for.'
        except StopIteration as end:
            return made(**end.value)
        except UnreadableImage as error:
            return str(error)
        except JobFailed as error:
            if error.kind != UnreadableImage.__name__ or is_passing(str(error)):
                return _reason(error)
            from napari_cxr.training.training_image import UnusableImage

            return UnusableImage(_reason(error))
        except (WorkerDied, OSError) as error:
            return _reason(error)
        except (TypeError, ValueError, LookupError) as error:  # a decoder that talks nonsense
            return f'It could not be decoded ({type(error).__name__}).'


def listed_images(directory: str | Path) -> list[Path]:
    """Return the files that a DICOMDIR lists, read by a decoder of its own that ends with it.

    Raises
    ------
    UnreadableImage
        See `napari_cxr.dicom.directory.listed_images`.
    """
    with closing(Decoder()) as decoder:
        return decoder.listed(directory)


@cache
def shared_decoder() -> Decoder:
    """Return the decoder that this process uses for single files."""
    return Decoder()


def _limits(timeout: float | None) -> DecoderLimits:
    limits = DecoderLimits.from_environment()
    return limits if timeout is None else replace(limits, seconds=timeout)


def _reason(error: JobFailed | WorkerDied | OSError) -> str:
    """Return the sentence for a file that a decoder gave no image of."""
    if isinstance(error, WorkerDied):
        return f'The decoder gave up on this file. {error}'
    if isinstance(error, OSError):
        return f'No decoder could be started: {error.strerror}.'
    if error.kind == UnreadableImage.__name__:
        return str(error)
    return f'It could not be decoded ({error.kind}).'

"""The child's side: ``python -m napari_cxr.workers ROLE DIRECTORY``, and the jobs of each role."""

from __future__ import annotations

import inspect
import os
import queue
import shutil
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = ['jobs_of', 'main']

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_cxr.messages import Channel


def main(role: str, directory: str) -> None:
    """Take requests from standard input until it closes, one after the other."""
    # A terminal sends Ctrl-C to the parent and to us. What it stops is the parent's to say: a
    # file whose decoder died of it would be one that cannot be read. Before the jobs are
    # imported, which takes a while.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.environ.pop('NAPARI_CXR_BACKGROUND', '') and hasattr(os, 'nice'):
        os.nice(10)  # whoever clicks goes first
    if role == 'decoder':
        # pydicom would import them to fetch its test files: 9 MB, and nothing here fetches.
        for name in ('requests', 'tqdm'):
            sys.modules[name] = None  # type: ignore[assignment]
    from napari_cxr.workers.memory_budget import take_limits

    channel = _take_over_pipes(Path(directory))
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    cancelled: set[int] = set()
    threading.Thread(
        target=_listen, args=(channel, requests, cancelled, directory), daemon=True
    ).start()
    jobs = jobs_of(role)
    while True:
        request = requests.get()
        number = request['number']
        take_limits(request['limits'])
        _enter(request['folder'])
        try:
            result = jobs[request['job']](**request['arguments'])
            if inspect.isgenerator(result):
                result = _run(result, number, channel, cancelled)
            answer = {'number': number, 'result': result}
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # codecs written in Rust panic with a BaseException
            answer = _failure(number, error)
        try:
            channel.send(answer)
        except (OSError, TypeError) as error:  # no room for the result, or it cannot be sent
            channel.send(_failure(number, error))


def _enter(folder: str) -> None:
    """Go where relative paths begin for the parent: a notebook may have changed folders."""
    with suppress(OSError):
        if folder and folder != os.getcwd():
            os.chdir(folder)


def jobs_of(role: str) -> dict[str, Callable[..., Any]]:
    """Return the jobs of a role by name; importing them is what the process is for.

    Parameters
    ----------
    role : {'decoder', 'inference', 'torch', 'downloader'}
        A decoder never imports torch; the next two never see a compressed stream. An inference
        worker imports no torch for the models that `workers.model_worker` gives it; a downloader
        imports it only to convert what it has got.
    """
    if role == 'decoder':
        from napari_cxr.decoding_memory import LATER
        from napari_cxr.workers import decoder_jobs

        return {
            'read': decoder_jobs.bounded(decoder_jobs.read, 0),
            'describe': decoder_jobs.bounded(decoder_jobs.describe, LATER),
            'decode': decoder_jobs.bounded(decoder_jobs.decode, LATER),
            'prepare': decoder_jobs.bounded(decoder_jobs.prepare, LATER),
            'find_lungs': decoder_jobs.find_lungs,
            'installed_decoders': decoder_jobs.installed_decoders,
            'headers': decoder_jobs.bounded(decoder_jobs.headers, 0),
            'identities': decoder_jobs.bounded(decoder_jobs.identities, 0),
            'listed': decoder_jobs.bounded(decoder_jobs.listed, 0),
            'ready': decoder_jobs.ready,
            'tags': decoder_jobs.bounded(decoder_jobs.tags, 0),
            'thumbnail': decoder_jobs.bounded(decoder_jobs.thumbnail, LATER),
        }
    if role in ('inference', 'torch'):
        from napari_cxr.workers import background_jobs, classifier_jobs

        if role == 'torch':
            import torch  # noqa: F401  # at once, so that no job waits for it
        return {
            'audit': background_jobs.audit,
            'device': classifier_jobs.device,
            'check': classifier_jobs.check,
            'classify': classifier_jobs.classify,
            'explain': classifier_jobs.explain,
            'export': classifier_jobs.export,
            'feature_maps': classifier_jobs.feature_maps,
            'load': classifier_jobs.load,
            'evaluate': background_jobs.evaluate,
            'evaluate_scores': background_jobs.evaluate_scores,
            'measure': background_jobs.measure,
            'stages': classifier_jobs.stages,
            'network_names': background_jobs.network_names,
            'predict': classifier_jobs.predict,
            'preview': background_jobs.preview,
            'score': background_jobs.score,
            'survey': background_jobs.survey,
            'train': background_jobs.train,
        }
    if role == 'downloader':
        from napari_cxr.checkpoint.catalog import download_model

        return {'get': download_model}
    raise ValueError(f'there is no worker role {role!r}')


def _failure(number: int, error: BaseException) -> dict[str, Any]:
    return {
        'number': number,
        'error': str(error) or type(error).__name__,
        'kind': type(error).__name__,
        'details': ''.join(traceback.format_exception(error)),
    }


def _run(events: Any, number: int, channel: Channel, cancelled: set[int]) -> Any:
    """Pass on a job's events and return its result; stop between events if cancelled."""
    while True:
        if number in cancelled:
            events.close()
            return None
        try:
            event = next(events)
        except StopIteration as end:
            return end.value
        channel.send({'number': number, 'event': event})


def _listen(
    channel: Channel,
    requests: queue.SimpleQueue[dict[str, Any]],
    cancelled: set[int],
    directory: str,
) -> None:
    try:
        while True:
            message = channel.receive()
            if 'cancel' in message:
                cancelled.add(message['cancel'])
            else:
                requests.put(message)
    finally:
        # The parent has gone, perhaps killed: there is no one left to work for or to clean up.
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(0)


def _take_over_pipes(directory: Path) -> Channel:
    """Keep the pipes for messages, and send whatever libraries print to standard error."""
    from napari_cxr.messages import Channel

    incoming = os.fdopen(os.dup(0), 'rb')
    outgoing = os.fdopen(os.dup(1), 'wb')
    with open(os.devnull, 'rb') as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return Channel(incoming, outgoing, directory, 'c')

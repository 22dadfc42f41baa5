"""A run's figures as TensorBoard reads them.

Written with TensorBoard's own records instead of `torch.utils.tensorboard`, whose files
are named after the machine.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from napari_cxr.training.events import EpochDone

__all__ = ['write_epoch']

#: Their place in TensorBoard: figures that belong together share a chart's group.
_TAGS = {
    'train_loss': 'loss/training',
    'val_loss': 'loss/validation',
    'train_accuracy': 'accuracy/training',
    'val_accuracy': 'accuracy/validation',
    'val_balanced_accuracy': 'balanced accuracy/validation',
    'train_macro_auc': 'macro AUC/training',
    'val_macro_auc': 'macro AUC/validation',
    'val_macro_f1': 'macro F1/validation',
    'learning_rate': 'learning rate',
    'utilisation': 'utilisation',
    'seconds': 'seconds an epoch',
}


def write_epoch(folder: Path, epoch: EpochDone, life: int) -> None:
    """Add an epoch to the event file of a run.

    Parameters
    ----------
    folder : Path
        The run's.
    epoch : EpochDone
        Its figures; the epoch is the step.
    life : int
        How often the run was resumed. Each life has a file of its own, which first tells
        TensorBoard to forget what an earlier one wrote of this epoch and later ones.

    Raises
    ------
    OSError
        If it can't be written.
    """
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    now = time.time()
    found = sorted(folder.glob(f'events.out.tfevents.*.{life}'))
    path = found[0] if found else folder / f'events.out.tfevents.{int(now):010d}.{life}'
    records: list[Any] = []
    if not found:
        start = SessionLog(status=SessionLog.START)
        records.append(Event(wall_time=now, step=epoch.epoch, file_version='brain.Event:2'))
        records.append(Event(wall_time=now, step=epoch.epoch, session_log=start))
    figures = dataclasses.asdict(epoch)
    values = [Summary.Value(tag=tag, simple_value=figures[name]) for name, tag in _TAGS.items()]
    records.append(Event(wall_time=now, step=epoch.epoch, summary=Summary(value=values)))
    with path.open('ab') as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record.SerializeToString())

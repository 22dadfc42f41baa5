"""``napari-cxr score``: many files in, a table out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from napari_cxr.cli.classify_command import load_model
from napari_cxr.cli.command_options import (
    BackendOption,
    DeviceOption,
    FullResolutionOption,
    LabelColumn,
    ModelOption,
    PathColumn,
    PatientColumn,
    PriorOption,
    QuietOption,
    SourceColumn,
    SplitColumn,
    VerboseOption,
    check_backend,
    columns_of,
    prior_of,
)
from napari_cxr.cli.progress_display import ScoringDisplay
from napari_cxr.cli.terminal_output import echo

if TYPE_CHECKING:
    from napari_cxr.scoring import ScoringEvent

__all__ = ['score']

_LARGEST_BATCH = 4096
#: What `napari_cxr.inference.device` knows; whether it is there, only torch can tell.
_DEVICE = re.compile(r'auto|cpu|mps|cuda(:\d+)?')


def score(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar='PATH...',
            help='Images, folders, a DICOMDIR, a .txt list of paths, or a .csv table with a '
            'column of paths.',
            readable=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar='TABLE', help='The table: .csv, .jsonl, or, with pyarrow, .parquet.'),
    ],
    model: ModelOption = '',
    device: DeviceOption = 'auto',
    batch_size: Annotated[
        str, typer.Option(metavar='N|auto', help='Images that the network takes at once.')
    ] = 'auto',
    workers: Annotated[
        int | None,
        typer.Option(min=1, help='Processes that decode; as many as cores by default.'),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar='CSV|folders',
            help='What the images are, to measure by: a table of paths and labels, or the '
            'names of the folders in PATH.',
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            metavar='train|val|test',
            autocompletion=lambda: ['train', 'val', 'test'],
            help='Score the images of one split only: of the table or the folders, or else of '
            'the run that made the model.',
        ),
    ] = '',
    heatmaps: Annotated[
        Path | None,
        typer.Option(
            metavar='DIR',
            help='Save for each file a picture with the heatmap of its class, and the maps of '
            'all classes as numbers.',
        ),
    ] = None,
    lung_share: Annotated[
        bool,
        typer.Option(
            '--lung-share',
            help='Say how much of the heatmap lies in the lungs and in the outer frame, without '
            'a picture of it; --heatmaps says it too.',
        ),
    ] = False,
    precision: Annotated[
        Literal['auto', 'float32', 'bfloat16'],
        typer.Option(
            help='What the network computes in. auto: float32, or bfloat16 if the device has it '
            "and the model's card says that the model was checked in it."
        ),
    ] = 'auto',
    backend: BackendOption = '',
    full_resolution: FullResolutionOption = False,
    resume: Annotated[
        bool,
        typer.Option(
            '--resume',
            help='Resume what was stopped or interrupted; of a finished table score what is new.',
        ),
    ] = False,
    retry_errors: Annotated[
        bool,
        typer.Option('--retry-errors', help='With --resume: score again what had failed.'),
    ] = False,
    decision: Annotated[
        str | None,
        typer.Option(
            metavar='POINT',
            help="An operating point of the model's card, such as sensitivity=0.95 or youden: "
            'a column names the classes that reach it.',
        ),
    ] = None,
    prior: PriorOption = None,
    include_doubtful: Annotated[
        bool,
        typer.Option(
            '--include-doubtful',
            help='Count doubtful images in the metrics: lateral, inverted, mirrored, or not a '
            'chest.',
        ),
    ] = False,
    identify: Annotated[
        bool,
        typer.Option('--identify', help='Add columns that name patient, study and image.'),
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar='ADDRESS',
            help='A Dask scheduler, such as tcp://host:8786, or its scheduler file: its workers '
            'score. It takes the extra dask.',
        ),
    ] = None,
    path_column: PathColumn = '',
    label_column: LabelColumn = '',
    patient_column: PatientColumn = '',
    source_column: SourceColumn = '',
    split_column: SplitColumn = '',
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Score many files into a table with a row for each.

    Rows are kept as they come: what is stopped, killed or cut off goes on with --resume.
    """
    batch = _parse_batch_size(batch_size)
    if not _DEVICE.fullmatch(device):
        raise typer.BadParameter(
            f'There is no device {device!r}: choose auto, cpu, cuda, cuda:N or mps.'
        )
    if backend:
        check_backend(backend, precision)
    drawing = ScoringDisplay(sys.argv[1:], quiet=quiet, verbose=verbose)
    with _saving_on_interrupt(drawing, out):
        from napari_cxr.checkpoint import CheckpointError, catalog, read_card
        from napari_cxr.checkpoint.model_images import ModelImages
        from napari_cxr.inference.stated_prevalence import card_at_prevalence
        from napari_cxr.scoring import (
            Decision,
            DecisionError,
            ListingError,
            ScoringError,
            ScoringSettings,
            check_heatmaps,
            check_out,
            journal_of,
            list_items,
        )
        from napari_cxr.scoring.scoring_inputs import select_split
        from napari_cxr.workers.decoder_pool import DecoderPool, listed_images

        try:  # all that can be seen before torch is imported
            if scheduler is not None:
                from napari_cxr.scoring.cluster.task_dispatch import check_address

                check_address(scheduler)
            check_out(out, resume=resume)
            if heatmaps is not None:
                check_heatmaps(heatmaps, out, paths)
            model = model or catalog.default()
            model_path = catalog.resolve(model)
            card = read_card(model_path)
            if card.demonstration:
                echo(card.demonstration, err=True)
            stated = prior_of(prior)
            try:
                moved = card_at_prevalence(card, stated)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint='--prior') from None
            settings = ScoringSettings(
                batch=batch,
                heatmaps=heatmaps,
                shares=lung_share,
                precision=precision,
                backend=backend,
                decision=None if decision is None else Decision.of_card(decision, moved),
                identify=identify,
                retry_errors=retry_errors,
                full_resolution=full_resolution,
                include_doubtful=include_doubtful,
                images=ModelImages.of_model(model_path, card),
                prior=stated,
            )
            columns = columns_of(
                path=path_column,
                label=label_column,
                patient=patient_column,
                source=source_column,
                split=split_column,
            )
            listed = list_items(paths, labels, listed_images, columns=columns)
            items = select_split(listed, split, settings.images)
        except (CheckpointError, ListingError, DecisionError, ScoringError) as error:
            raise typer.BadParameter(str(error)) from None
        was_finished = resume and os.path.lexists(out) and not journal_of(out).exists()
        if resume and not journal_of(out).exists() and not os.path.lexists(out):
            echo(f'Nothing was begun as {out} yet; it begins now.', err=True)
        if split:
            echo(f'{len(items):,} of {len(listed):,} files are in the split {split!r}.', err=True)
        if labels is not None:
            given = sum(bool(item.truth) for item in items)
            have = 'file has' if len(items) == 1 else 'files have'
            echo(f'{given:,} of {len(items):,} {have} a label.', err=True)
        with closing(DecoderPool(workers)) as decoders:
            if scheduler is None:
                decoders.start(len(items))  # while torch is being imported
                from napari_cxr.scoring import score as run

                classifier = load_model(model, device)
                events = run(items, classifier, out, decoders.prepare, settings, resume=resume)
            else:
                from napari_cxr.scoring.cluster import score_on_cluster

                events = score_on_cluster(
                    items,
                    load_model(model, 'cpu'),  # the workers choose their devices
                    out,
                    scheduler,
                    DecoderPool,
                    settings,
                    model=model,
                    device=device,
                    decoders=workers or 0,
                    resume=resume,
                )
            _show_scoring(drawing, events)
    # What failed on another night has been told then, and does not fail a line of cron for ever.
    failed = drawing.failed - (drawing.failed_before if was_finished else 0)
    if was_finished and drawing.failed_before:
        count = drawing.failed_before
        rows = 'row' if count == 1 else 'rows'
        echo(f'{count:,} {rows} failed before: --retry-errors scores them again.', err=True)
    if failed:
        raise typer.Exit(1)


def _show_scoring(drawing: ScoringDisplay, events: Generator[ScoringEvent, None, None]) -> None:
    """Draw a run to its end; end with the reason where it cannot begin, or go on."""
    from napari_cxr.inference.classifier import OutOfMemory
    from napari_cxr.scoring import ScoringError

    try:
        with closing(events):
            drawing.show(events)
    except (ScoringError, OutOfMemory) as error:
        if not drawing.started:
            raise typer.BadParameter(str(error)) from None
        echo(f'Scoring failed: {error}', err=True)
        raise typer.Exit(1) from None


@contextmanager
def _saving_on_interrupt(drawing: ScoringDisplay, out: Path) -> Iterator[None]:
    """After a Ctrl-C write what is done, say how to go on, and end with status 1 at once."""
    try:
        yield
    except KeyboardInterrupt:
        from napari_cxr.scoring import write_partial_table

        drawing.stopped(out, lambda: write_partial_table(out))
        sys.stdout.flush()
        sys.stderr.flush()
        # Python would wait for batches under way, which are made again, and take seconds to
        # let go of torch. All that shall stay is on the disk.
        os._exit(1)


def _parse_batch_size(words: str) -> int:
    """Return a batch size, 0 for 'auto'."""
    if words == 'auto':
        return 0
    if words.isdecimal() and 1 <= int(words) <= _LARGEST_BATCH:
        return int(words)
    raise typer.BadParameter(
        f"{words!r} is neither 'auto' nor a number from 1 to {_LARGEST_BATCH}.",
        param_hint='--batch-size',
    )

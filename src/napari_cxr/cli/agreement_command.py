"""``napari-cxr agreement``: how far the readers of a table agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from napari_cxr.cli.command_options import AsJson
from napari_cxr.cli.terminal_output import echo

__all__ = ['agreement']


def agreement(
    table: Annotated[
        Path, typer.Argument(help='A table of scores that persons have labelled.', readable=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar='CSV',
            help='Write one row for each image and reader here, and the agreement as JSON '
            'beside it.',
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the labels that readers gave the images of a table in napari.

    Prints on how many images each two agree, with Cohen's kappa (Fleiss' kappa for three and
    more) and its 95 % interval by patient.
    """
    from napari_cxr.scoring.annotation.agreement import agreement_of, readings_of
    from napari_cxr.scoring.annotation.agreement_text import (
        agreement_sentences,
        agreement_statistics,
        reading_sentences,
    )
    from napari_cxr.scoring.annotation.readings_export import agreement_path_of, export_readings
    from napari_cxr.scoring.journal import ScoringError
    from napari_cxr.scoring.table_reader import read_rows

    problems: list[str] = []
    try:
        run, rows = read_rows(table)
        found = list(rows)
        readings = readings_of(table, run.labels, problems)
        if out is None:
            report = agreement_of(readings, found, run)
        elif out.exists() and out.samefile(table):
            raise ScoringError(f'{out} is the table of the scores itself: choose another name.')
        else:
            report = export_readings(out, readings, found, run)
    except ScoringError as error:
        raise typer.BadParameter(str(error)) from None
    for problem in problems:
        echo(problem, err=True)
    if as_json:
        echo(json.dumps(report.to_dict()))
        return
    for line in (
        *reading_sentences(report),
        *agreement_sentences(report),
        *agreement_statistics(report),
    ):
        echo(line)
    if out is not None:
        echo(f'Written: {out} and {agreement_path_of(out)}.')

"""The one way in which commands print: names and titles in it cannot steer the terminal.

Options that are refused are worded by typer, so they are made harmless here as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from napari_cxr.output_text import terminal_line, terminal_text

__all__ = ['SafeGroup', 'echo', 'echo_page', 'echo_path', 'print_line']


def echo(line: object, *, err: bool = False) -> None:
    """Print one line."""
    typer.echo(terminal_line(str(line)), err=err)


def echo_page(text: str) -> None:
    """Print a text of several lines, which ends with a line feed or gets one."""
    typer.echo(terminal_text(text), nl=not text.endswith('\n'))


def echo_path(path: str | Path) -> None:
    """Print a path by itself: exactly as it is for a program, and harmless on a terminal."""
    if sys.stdout.isatty():
        echo(path)
        return
    typer.echo(os.fsencode(path))


def print_line(console: Any, line: str) -> None:
    """Print one line above a progress bar of rich."""
    console.print(terminal_line(line), markup=False)


#: What typer raises where the command line is wrong: its own copy of click's, or click's.
_Refused: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == 'ClickException')


class SafeGroup(TyperGroup):
    """The commands; what typer says of a wrong command line is harmless, too."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the command line."""
        return _harmless(super().make_context, *args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        return _harmless(super().invoke, ctx)


def _harmless(call: Callable[..., Any], *args: Any, **options: Any) -> Any:
    try:
        return call(*args, **options)
    except _Refused as error:
        error.message = terminal_line(error.message)
        raise

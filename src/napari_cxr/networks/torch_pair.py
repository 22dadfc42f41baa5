"""torch and torchvision load only as a pair; what is said where they do not belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

__all__ = ['explained_torch_pair', 'torch_pair_error']

#: What a torchvision built for another torch ends with: its operators are missing from torch,
#: or its library asks torch's for a symbol that is not there.
_MISMATCH = re.compile(
    r'operator torchvision::\w+ does not exist'
    r'|torchvision[^\n]*(undefined symbol|DLL load failed|Symbol not found)'
    r'|partially initialized module .torchvision'
)


def torch_pair_error(text: str) -> str:
    """Return a sentence for a person if an error is that of a pair that does not fit.

    Parameters
    ----------
    text : str
        The error, with or without its traceback.

    Returns
    -------
    str
        Empty if it is another error.
    """
    if not _MISMATCH.search(text):
        return ''
    versions = []
    for name in ('torch', 'torchvision'):
        try:
            versions.append(f'{name} {metadata.version(name)}')
        except metadata.PackageNotFoundError:
            versions.append(name)
    return (
        f'{" and ".join(versions)} were not built for each other. Install both again from the '
        'same place: pip install --force-reinstall torch torchvision'
    )


@contextmanager
def explained_torch_pair() -> Iterator[None]:
    """Turn the error of a torchvision that does not fit torch into a sentence.

    Raises
    ------
    ValueError
        In place of that error; others pass.
    """
    try:
        yield
    except (RuntimeError, ImportError, OSError, AttributeError) as error:
        if text := torch_pair_error(f'{type(error).__name__}: {error}'):
            raise ValueError(text) from error
        raise

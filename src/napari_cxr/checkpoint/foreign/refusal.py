"""Why a file of another program was not read."""

from napari_cxr.checkpoint.card import CheckpointError

__all__ = ['ForeignFileError', 'shortened']

_LONGEST = 80


class ForeignFileError(CheckpointError):
    """A file that is not admitted, is damaged, or does not fit; the message is one sentence."""


def shortened(name: object) -> str:
    """Return what a file names, fit to be printed: short, and without control characters."""
    text = ''.join(c if c.isprintable() else '?' for c in str(name)[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}…'

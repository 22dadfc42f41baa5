"""What the docks of one napari tell each other."""

from __future__ import annotations

from functools import cache

from qtpy.QtCore import QObject, Signal

__all__ = ['Shared', 'shared']


class Shared(QObject):
    """Signals between docks; whoever listens does not know who speaks."""

    #: A model was added to the person's own: its name.
    model_added = Signal(str)
    #: A model shall be chosen in the Classify dock of this viewer: its name or file.
    model_wanted = Signal(object, str)
    #: The settings of a run shall be loaded into the Train dock of this viewer: its folder.
    run_wanted = Signal(object, str)
    #: Labelled images shall be opened in the Train dock of this viewer: a folder or table, and
    #: the pattern that finds the patient in the names of its files, or an empty string.
    images_wanted = Signal(object, str, str)
    #: A run shall be taken up again in the Train dock of this viewer: its folder.
    resume_wanted = Signal(object, str)
    #: A layer will show another radiograph, which its metadata hold already: the layer.
    turning = Signal(object)
    #: What a model says of a radiograph's layer is known without a click: the layer, an
    #: `Answer`, and the class whose heatmap is wanted.
    answered = Signal(object, object, str)
    #: A run has ended: its folder and None; or one of several: the folder that holds
    #: them, and the `RunsDone`.
    run_done = Signal(str, object)


@cache
def shared() -> Shared:
    """Return the one object that the docks of this napari share."""
    return Shared()

"""Several runs that differ in some entries of one recipe: given one by one, or searched."""

from napari_cxr.training.sweep.sweep_plan import Range, Search, Sweep, SweepRun, find, names
from napari_cxr.training.sweep.sweep_runner import PLAN, TABLE, sweep

__all__ = ['PLAN', 'TABLE', 'Range', 'Search', 'Sweep', 'SweepRun', 'find', 'names', 'sweep']

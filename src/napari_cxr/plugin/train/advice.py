"""What the Train dock says of the images below its button."""

from __future__ import annotations

from napari_cxr.plugin.train.recipe_desk import RecipeDesk
from napari_cxr.training.survey import Survey

__all__ = ['advice', 'obstacle']


def obstacle(survey: Survey | None, divides_alike: bool) -> str:
    """Say that nothing can be trained because the images cannot be divided; else ''.

    Parameters
    ----------
    survey : Survey or None
        What was found in the images; None while nobody knows.
    divides_alike : bool
        Whether all runs of the recipe divide them as it says.
    """
    if survey is None or any(survey.splits) or not divides_alike:
        return ''
    return f'{_found(survey)}, but they cannot be divided for training: Images says why.'


def advice(survey: Survey | None, desk: RecipeDesk) -> str:
    """Say what was found, how it is divided, and what the recipe on a desk makes of it."""
    if survey is None:
        return ''
    if not any(survey.splits):
        return obstacle(survey, desk.divides_alike) or (
            f'{_found(survey)}, but they cannot be divided by the settings below: Images '
            'says why. Only runs of the sweep that divide them otherwise will train.'
        )
    left = sum(bool(split) for split in survey.splits)
    found = f'{left:,} images, {len(survey.labels)} classes, split {survey.split_kind}.'
    if desk.sweep is not None:
        runs = f'{len(desk.sweep.runs)} runs' if desk.sweep.runs else 'Several runs'
        found += f' {runs}; what is changed under Settings is changed in each.'
    return found


def _found(survey: Survey) -> str:
    left = len(survey.paths) - int(survey.excluded.sum())
    return f'{left:,} images, {len(survey.labels)} classes'

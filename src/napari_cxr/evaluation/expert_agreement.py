"""How well heatmaps agree with what experts marked, method by method, with intervals."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cxr.checkpoint.model_images import image_digest
from napari_cxr.explain.expert_regions import (
    ENDING,
    ExpertRegions,
    RegionAgreement,
    agreement_with,
    read_regions,
)
from napari_cxr.metrics.confidence_intervals import Interval, mean_interval, proportion_interval

if TYPE_CHECKING:
    from napari_cxr.inference.classifier import Classifier
    from napari_cxr.radiograph import Radiograph

__all__ = ['AgreementRow', 'MethodAgreement', 'find_marked', 'measure_agreement', 'summarise']


@dataclass(frozen=True)
class AgreementRow:
    """One heatmap beside what one reader marked.

    Parameters
    ----------
    image, reader, label, method : str
        Of which; the image by 16 digits of the SHA-256 of its file.
    found : RegionAgreement
        How far they agree.
    patient : str
        A pseudonym of the patient; empty where the file does not say who it is.
    """

    image: str
    reader: str
    label: str
    method: str
    found: RegionAgreement
    patient: str = ''

    @property
    def owner(self) -> str:
        """What is resampled as a whole: the patient where one is known, else the image."""
        return f'patient {self.patient}' if self.patient else f'image {self.image}'


@dataclass(frozen=True)
class MethodAgreement:
    """A method over all images.

    Parameters
    ----------
    method : str
        Its name.
    images : int
        How many images it was measured on.
    hit_rate : Interval
        Of the pointing game.
    hit_rate_by_chance : float
        That of a random place.
    energy, iou : Interval or None
        Means over images with boxes; None without any.
    """

    method: str
    images: int
    hit_rate: Interval
    hit_rate_by_chance: float
    energy: Interval | None
    iou: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers for JSON."""
        return {
            'method': self.method,
            'images': self.images,
            'hit_rate': self.hit_rate.to_list(),
            'hit_rate_by_chance': round(self.hit_rate_by_chance, 4),
            'energy': None if self.energy is None else self.energy.to_list(),
            'iou': None if self.iou is None else self.iou.to_list(),
        }


def find_marked(folder: str | Path) -> tuple[list[tuple[Path, ExpertRegions]], list[str]]:
    """Return the images of a folder that have regions beside them.

    Parameters
    ----------
    folder : str or Path
        With files as `regions_path` names them, and the images beside these.

    Returns
    -------
    found : list of (Path, ExpertRegions)
        Images and what was marked on them.
    problems : list of str
        A sentence for each file that cannot be used.
    """
    found, problems = [], []
    for path in sorted(Path(folder).rglob(f'*{ENDING}')):
        stem = path.name[: -len(ENDING)]
        try:
            regions = read_regions(path)
            images = [
                each
                for each in sorted(path.parent.iterdir())
                if each.stem == stem and each != path and each.is_file()
            ]
            same = [each for each in images if image_digest(each) == regions.image]
        except (OSError, ValueError) as error:
            problems.append(f'{path.name}: {getattr(error, "strerror", None) or error}')
            continue
        if same:
            found.append((same[0], regions))
        elif images:
            problems.append(f'{path.name}: {images[0].name} has changed since it was marked.')
        else:
            problems.append(f'{path.name}: the image is not beside it.')
    return found, problems


def measure_agreement(
    classifier: Classifier,
    images: Iterable[tuple[Radiograph, ExpertRegions]],
    methods: Sequence[str],
) -> Generator[int, None, list[AgreementRow]]:
    """Make heatmaps of all labels that were marked, and compare them.

    Parameters
    ----------
    classifier : Classifier
        The model.
    images : iterable of (Radiograph, ExpertRegions)
        The images, and what was marked on them.
    methods : sequence of str
        Of `napari_cxr.explain.explanation_methods.names`.

    Yields
    ------
    int
        How many images are done.
    """
    rows: list[AgreementRow] = []
    for number, (radiograph, regions) in enumerate(images, start=1):
        labels = [label for label in classifier.labels if regions.of_label(label)]
        if not any(region.label for region in regions.regions) and labels:
            # A finding without a name is explained by what the model answers.
            labels = [classifier.predict([radiograph])[0].leading]
        for method in methods if labels else ():
            _, heatmaps = classifier.explain(radiograph, labels, method=method)
            for heatmap in heatmaps:
                marked = regions.of_label(heatmap.label)
                found = agreement_with(heatmap, marked, radiograph.shape)
                if found is not None:
                    rows.append(
                        AgreementRow(
                            regions.image,
                            regions.reader,
                            heatmap.label,
                            heatmap.method,
                            found,
                            radiograph.provenance.pseudonyms.get('patient', ''),
                        )
                    )
        yield number
    return rows


def summarise(rows: Sequence[AgreementRow]) -> list[MethodAgreement]:
    """Return each method's hit rate and overlap, the best hit rate first.

    Intervals are by patient; an image whose patient is not known counts as another one.
    """
    out = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        people = [row.owner for row in own]
        boxed = [row for row in own if row.found.iou is not None]
        owners = [row.owner for row in boxed]
        out.append(
            MethodAgreement(
                method,
                len({row.image for row in own}),
                proportion_interval(np.array([row.found.hit for row in own]), people),
                float(np.mean([row.found.hit_by_chance for row in own])),
                _mean([row.found.energy for row in boxed], owners),
                _mean([row.found.iou for row in boxed], owners),
            )
        )
    return sorted(out, key=lambda one: -one.hit_rate.value)


def _mean(values: Sequence[float | None], owners: Sequence[str]) -> Interval | None:
    known = [value for value in values if value is not None]
    return mean_interval(np.array(known), owners) if known else None

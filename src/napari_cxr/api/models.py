"""Reading a radiograph, and a model that classifies it and explains its answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, overload

from napari_cxr.api.result_output import export_result
from napari_cxr.api.worker import call
from napari_cxr.radiograph import Radiograph

if TYPE_CHECKING:
    import pandas as pd

    from napari_cxr.checkpoint import Card
    from napari_cxr.explain.heatmap import Heatmap
    from napari_cxr.explain.heatmap_checks import HeatmapChecks
    from napari_cxr.explain.heatmap_location import HeatmapLocation, MarkerFraction
    from napari_cxr.inference.prediction import Prediction

__all__ = ['Explanation', 'Model', 'Result', 'load_model', 'models', 'read']


def read(path: str | Path) -> Radiograph:
    """Read one chest radiograph.

    Parameters
    ----------
    path : str or Path
        A DICOM, PNG, JPEG or TIFF file. What it is, its content decides.

    Returns
    -------
    Radiograph
        Modality values, how to show them, geometry and provenance.

    Raises
    ------
    napari_cxr.radiograph.UnreadableImage
        If the file holds no image that can be read; the message says why.

    Notes
    -----
    The file is decoded in another process, with a limit of time and memory, so that a
    damaged file cannot end this one.

    Examples
    --------
    >>> import napari_cxr as cxr
    >>> image = cxr.read('film.dcm')
    >>> image
    <Radiograph 320 x 320 pixels, DICOM, PA>
    >>> image.to_display().shape
    (320, 320)
    """
    from napari_cxr.workers.decoder_pool import shared_decoder

    return shared_decoder().read(path)


@dataclass(frozen=True, eq=False)
class Result:
    """What a model says about one radiograph.

    Attributes
    ----------
    prediction : napari_cxr.inference.Prediction
        Everything that the answer depends on: logits, thresholds, preprocessing, device.
    image : Radiograph
        What was classified.
    """

    prediction: Prediction
    image: Radiograph = field(repr=False)

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of each label, in the model's order."""
        return dict(zip(self.prediction.labels, self.prediction.probabilities, strict=True))

    @property
    def label(self) -> str:
        """The predicted label."""
        return self.prediction.label

    @property
    def answer(self) -> str:
        """The predicted label, 'cannot say', or 'no class stands out' of a near tie."""
        return self.prediction.answer

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to trust the answer less, the gravest first."""
        return tuple(caution.text for caution in self.prediction.warnings)

    def export(self, path: str | Path, exporter: str = '') -> None:
        """Write the result to a file.

        Parameters
        ----------
        path : str or Path
            The file; one that is there is replaced.
        exporter : str
            'json' (the prediction), 'png' (the radiograph as it looks), or the name of an
            exporter of another installed package; by default the ending of the file's name.

        Raises
        ------
        ValueError
            If there is no such exporter.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import napari_cxr as cxr
        >>> cxr.load_model().predict('film.dcm').export('film.json')
        """
        export_result(Path(path), self.image, self.prediction, {}, exporter)

    def __repr__(self) -> str:
        shown = ', '.join(f'{label}={p:.3f}' for label, p in self.probabilities.items())
        warned = f', {len(self.warnings)} warnings' if self.warnings else ''
        return f'<Result {self.answer!r}: {shown}{warned}>'

    def _repr_html_(self) -> str:
        from napari_cxr.api.result_output import result_page

        return result_page(self.prediction, self.image)


class Explanation(Mapping[str, 'Heatmap']):
    """Where in a radiograph the evidence for each label lies: heatmaps by label.

    Attributes
    ----------
    result : Result
        The prediction that is explained.
    locations : dict of str to HeatmapLocation or None
        Where each heatmap lies by the lungs: its peak, the region of the peak, and how much of
        the area above half of the peak is lung; None for a map without a peak.
    on_markers : dict of str to MarkerFraction
        How much of each heatmap lies on burnt-in text and side markers.
    """

    def __init__(
        self,
        result: Result,
        heatmaps: Sequence[Heatmap],
        locations: Sequence[HeatmapLocation | None],
        on_markers: Sequence[MarkerFraction],
    ) -> None:
        self.result = result
        self._heatmaps = {heatmap.label: heatmap for heatmap in heatmaps}
        self.locations = {
            heatmap.label: location for heatmap, location in zip(heatmaps, locations, strict=True)
        }
        self.on_markers = dict(zip(self._heatmaps, on_markers, strict=True))

    def __getitem__(self, label: str) -> Heatmap:
        return self._heatmaps[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._heatmaps)

    def __len__(self) -> int:
        return len(self._heatmaps)

    def export(self, path: str | Path, exporter: str = '') -> None:
        """Write prediction and heatmaps to a file, as `Result.export`.

        'png' draws the heatmap of the leading label over the radiograph.

        Examples
        --------
        >>> import napari_cxr as cxr
        >>> cxr.load_model().explain('film.dcm').export('heatmap.png')
        """
        result = self.result
        export_result(Path(path), result.image, result.prediction, self._heatmaps, exporter)

    def __repr__(self) -> str:
        return f'<Explanation of {self.result.answer!r}: heatmaps of {", ".join(self)}>'

    def _repr_html_(self) -> str:
        from napari_cxr.api.result_output import result_page

        result = self.result
        return result_page(result.prediction, result.image, self._heatmaps, self.locations)


class Model:
    """A model that classifies radiographs and explains its answers; see `load_model`.

    Attributes
    ----------
    name : str
        As in `models`.
    path : Path
        Its file.
    card : napari_cxr.checkpoint.Card
        What it is, what it was measured on, and what it was not.
    device : str
        'auto', 'cpu', 'cuda', 'cuda:N' or 'mps', as it was asked for.
    """

    def __init__(self, path: Path, card: Card, device: str) -> None:
        self.path, self.card, self.device = path, card, device

    @property
    def name(self) -> str:
        """Its name."""
        return self.card.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the network's outputs."""
        return self.card.labels

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, image: Radiograph | str | Path, prior: Mapping[str, float] | None = None
    ) -> Result: ...

    @overload
    def predict(
        self, image: Iterable[Radiograph | str | Path], prior: Mapping[str, float] | None = None
    ) -> list[Result]: ...

    def predict(
        self,
        image: Radiograph | str | Path | Iterable[Radiograph | str | Path],
        prior: Mapping[str, float] | None = None,
    ) -> Result | list[Result]:
        """Classify a radiograph, or several.

        Parameters
        ----------
        image : Radiograph, str, Path, or an iterable of them
            A radiograph or its file. For whole folders use `score`, which goes on
            where a file cannot be read and where it was stopped.
        prior : mapping of str to float, optional
            The fraction of images that have a class where the model is used, such as
            ``{'pneumonia': 0.05}``: probabilities then hold there. By default that of the card.

        Returns
        -------
        Result, or list of Result
            As many as were given.

        Raises
        ------
        napari_cxr.radiograph.UnreadableImage
            If a file cannot be read.
        napari_cxr.inference.prediction.RefusedImage
            If an image is no projection radiograph.
        ValueError
            If the prevalence cannot be stated for this model.

        Examples
        --------
        >>> import napari_cxr as cxr
        >>> result = cxr.load_model().predict('film.dcm')
        >>> list(result.probabilities)
        ['opacity']
        >>> 0 <= result.probabilities['opacity'] <= 1
        True
        """
        from napari_cxr.inference.stated_prevalence import card_at_prevalence

        if not isinstance(image, (Radiograph, str, Path)):
            return [self.predict(one, prior) for one in image]
        card_at_prevalence(self.card, prior or {})  # what is wrong is said before a file is read
        shown, radiograph = self._read(image)
        found = call(
            'predict',
            radiograph=radiograph,
            model=str(self.path),
            device=self.device,
            prior=dict(prior or {}),
        )
        return Result(found, shown)

    def explain(
        self,
        image: Radiograph | str | Path,
        labels: Sequence[str] | None = None,
        method: str = 'Grad-CAM',
        against: str = '',
    ) -> Explanation:
        """Classify a radiograph and show where the evidence for each label lies.

        Parameters
        ----------
        image : Radiograph, str or Path
            A radiograph or its file.
        labels : sequence of str, optional
            The labels to explain; all by default.
        method : str
            One of `napari_cxr.explain.explanation_methods.names`: 'Grad-CAM', 'Grad-CAM++',
            'HiResCAM', 'LayerCAM', 'EigenCAM', 'ScoreCAM', 'Occlusion', 'Integrated gradients',
            or that of another installed package.
        against : str
            A label to contrast with: each heatmap then shows what makes the image look like
            its label rather than this one.

        Returns
        -------
        Explanation
            A heatmap by label, and the prediction.

        Raises
        ------
        napari_cxr.radiograph.UnreadableImage, napari_cxr.inference.prediction.RefusedImage
            As `predict`.
        ValueError
            If there is no such label or method.

        Examples
        --------
        >>> import napari_cxr as cxr
        >>> maps = cxr.load_model().explain('film.dcm', method='Grad-CAM')
        >>> maps['opacity'].values.ndim
        2
        >>> maps['opacity'].sample_on(maps.result.image.shape).shape
        (320, 320)
        >>> maps.locations['opacity'].in_lungs in (True, False)
        True
        """
        shown, radiograph = self._read(image)
        prediction, heatmaps, _, locations, on_markers = call(
            'explain',
            radiograph=radiograph,
            model=str(self.path),
            device=self.device,
            labels=None if labels is None else list(labels),
            method=method,
            against=against,
        )
        return Explanation(Result(prediction, shown), heatmaps, locations, on_markers)

    def check(
        self,
        image: Radiograph | str | Path,
        label: str,
        method: str = 'Grad-CAM',
        against: str = '',
    ) -> HeatmapChecks:
        """Check whether the heatmap of a label is to be trusted.

        The weights are made random from the head downwards, and pixels are hidden in the order
        of the heatmap; see docs/explanations.md.

        Parameters
        ----------
        image, method, against
            As of `explain`.
        label : str
            The label whose heatmap it is.

        Returns
        -------
        HeatmapChecks
            Correlations, curves, and `verdicts` in words.

        Raises
        ------
        napari_cxr.radiograph.UnreadableImage, napari_cxr.inference.prediction.RefusedImage
            As `predict`.
        ValueError
            If there is no such label or method.

        Examples
        --------
        >>> import napari_cxr as cxr
        >>> checks = cxr.load_model().check('film.dcm', 'opacity')
        >>> [verdict.passed for verdict in checks.verdicts]  # doctest: +SKIP
        [True, True, None]
        """
        _, radiograph = self._read(image)
        checks: HeatmapChecks = call(
            'check',
            radiograph=radiograph,
            model=str(self.path),
            device=self.device,
            label=label,
            method=method,
            against=against,
        )
        return checks

    def _read(self, image: Radiograph | str | Path) -> tuple[Radiograph, Radiograph]:
        """Return the whole radiograph, and as the model is shown it, which `score` decides."""
        from napari_cxr.inference.preprocessing import Preprocessing
        from napari_cxr.workers.decoder_pool import shared_decoder

        if isinstance(image, Radiograph):
            return image, image
        least = Preprocessing.from_dict(self.card.preprocessing).least_decoded
        seen = shared_decoder().read(image, least)
        return (seen if seen.step == 1 else read(image)), seen

    def __repr__(self) -> str:
        return f'<Model {self.name!r}: {", ".join(self.labels)}>'

    def _repr_html_(self) -> str:
        from napari_cxr.api.result_output import card_page

        return card_page(self.card)


def load_model(model: str | Path | None = None, device: str = 'auto') -> Model:
    """Load a model.

    Parameters
    ----------
    model : str or Path, optional
        A name from `models`, or a file; the default model where it is left out.
    device : str
        'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'.

    Returns
    -------
    Model
        The network itself is loaded with the first image.

    Raises
    ------
    napari_cxr.checkpoint.CheckpointError
        If there is no such model, or its file is damaged.

    Examples
    --------
    >>> import napari_cxr as cxr
    >>> cxr.load_model()
    <Model 'cxr-opacity': opacity>
    >>> print(cxr.load_model().card.intended_use)
    Research and demonstration only, not for clinical use.
    """
    from napari_cxr.checkpoint import catalog, read_card

    path = catalog.resolve(catalog.default() if model is None else str(model))
    return Model(path, read_card(path), device)


def models() -> pd.DataFrame:
    """List the models that can be named.

    Returns
    -------
    pandas.DataFrame
        A row for each, the default first, with its labels, the figure that says most about
        it, whether it is a demonstration, and where it comes from.

    Examples
    --------
    >>> import napari_cxr as cxr
    >>> cxr.models().index[0]
    'cxr-opacity'
    """
    import pandas as pd

    from napari_cxr.checkpoint import catalog
    from napari_cxr.checkpoint.card_page import headline

    first = catalog.default()
    entries = sorted(catalog.entries(), key=lambda entry: entry.name != first)
    rows = [
        {
            'name': entry.name,
            'title': entry.card.title if entry.card else entry.summary.get('title', ''),
            'labels': ', '.join(entry.card.labels) if entry.card else '',
            'performance': headline(entry.card) if entry.card else '',
            'demonstration': entry.is_demonstration,
            'where': entry.origin,
            'error': entry.error,
        }
        for entry in entries
    ]
    return pd.DataFrame(rows).set_index('name')

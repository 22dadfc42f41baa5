"""Under which heading a finding stands where there are many."""

from __future__ import annotations

__all__ = ['GROUPS', 'OTHER', 'group_of']

OTHER = 'Other'
#: Findings by group, in lower case and with spaces for '_': those of TorchXRayVision, NIH
#: ChestX-ray14 and CheXpert, and what the bundled models know.
GROUPS: dict[str, tuple[str, ...]] = {
    'Airspace': (
        *('opacity', 'lung opacity', 'airspace opacity', 'consolidation', 'infiltration'),
        *('infiltrate', 'atelectasis', 'edema', 'oedema', 'pneumonia', 'covid19', 'covid-19'),
    ),
    'Pleura': (
        *('effusion', 'pleural effusion', 'pneumothorax', 'pleural thickening'),
        'pleural other',
    ),
    # The hernia of these collections is one of the hiatus.
    'Heart and mediastinum': ('cardiomegaly', 'enlarged cardiomediastinum', 'hernia'),
    'Nodule and mass': ('nodule', 'mass', 'lung lesion'),
    'Chronic': ('emphysema', 'fibrosis', 'tuberculosis'),
    'Bone': ('fracture',),
}


def group_of(finding: str) -> str:
    """Return the group of a finding, whatever the case of its name; `OTHER` for the rest."""
    plain = finding.replace('_', ' ').casefold().strip()
    return next((group for group, names in GROUPS.items() if plain in names), OTHER)

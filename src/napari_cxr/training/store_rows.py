"""What a row of the store of decoded images holds, and a seal that shows damage."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import numpy as np

from napari_cxr.training.cache import Decoded, Unusable
from napari_cxr.training.duplicates import SIDE

__all__ = ['from_json', 'sealed', 'to_json', 'unsealed']

_SEAL = 16  # bytes


def sealed(key: bytes, data: bytes) -> bytes:
    """Return data with a checksum under its key in front."""
    return hashlib.blake2b(data, digest_size=_SEAL, key=key).digest() + data


def unsealed(key: bytes, raw: Any) -> bytes | None:
    """Return the data, or None where they are not what was written under this key."""
    if not isinstance(raw, bytes):
        return None
    data = raw[_SEAL:]
    return data if hmac.compare_digest(sealed(key, data)[:_SEAL], raw[:_SEAL]) else None


def to_json(entry: Decoded | Unusable) -> bytes:
    """Write what is kept of an image besides its pixels, or why it cannot be used."""
    if isinstance(entry, Unusable):
        return json.dumps({'reason': str(entry)}).encode()
    return json.dumps(
        {
            'features': entry.features.tolist(),
            'size': entry.size,
            'thumbnail': base64.b64encode(entry.thumbnail.tobytes()).decode('ascii'),
            'patient': entry.patient,
        }
    ).encode()


def from_json(text: bytes) -> dict[str, Any] | Unusable:
    """Read what `to_json` wrote; arrays are arrays again."""
    entry = json.loads(text)
    if 'reason' in entry:
        return Unusable(entry['reason'])
    pixels = np.frombuffer(base64.b64decode(entry['thumbnail']), np.uint8)
    return {
        **entry,
        'features': np.array(entry['features'], dtype=np.float32),
        'thumbnail': pixels.reshape(SIDE, SIDE),
    }

"""Step 5 of preprocessing: intensity normalisations, one per file.

No library is used: intensity-normalization and torchio work on one file or with global state,
and differ in details that change voxels. Here a learned standard comes from the target's
training scans only, is part of the scans' keys, and is reproducible to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping

from harmbench.errors import UserError
from harmbench.preprocessing.normalization.base import Normalization
from harmbench.preprocessing.normalization.minmax import MinMax
from harmbench.preprocessing.normalization.nyul import Nyul
from harmbench.preprocessing.normalization.percentile import Percentile
from harmbench.preprocessing.normalization.white_stripe import WhiteStripe
from harmbench.preprocessing.normalization.zscore import ZScore

NORMALIZATIONS: Mapping[str, Normalization] = {
    cls.name: cls() for cls in (MinMax, Percentile, ZScore, WhiteStripe, Nyul)
}


def normalization(name: str) -> Normalization:
    """Return the normalisation with this name.

    Raises
    ------
    UserError
        If the name is unknown.
    """
    if name not in NORMALIZATIONS:
        raise UserError.unknown("normalisation", name, NORMALIZATIONS)
    return NORMALIZATIONS[name]

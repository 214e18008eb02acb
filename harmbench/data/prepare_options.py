"""How scans are prepared, as far as their user chooses it; without what does it."""

from __future__ import annotations

from dataclasses import dataclass

from harmbench.errors import UserError

AUTO, NONE = "auto", "none"
SYNTHSTRIP, HD_BET, DEEPBET = "mri_synthstrip", "hd-bet", "deepbet"
EXTRACTION_TOOLS = (SYNTHSTRIP, HD_BET, DEEPBET)
EXTRACTIONS = (AUTO, *EXTRACTION_TOOLS, NONE)


@dataclass(frozen=True)
class PrepareOptions:
    """What is done to a scan beside registering, resampling and normalising it.

    Attributes
    ----------
    brain_extraction
        The tool for scans that have no mask and are not brain-extracted: its name; `"auto"`
        for SynthStrip or HD-BET if installed, otherwise deepbet; or `"none"` for no tool.
    heads
        Whether the head stays around the brain: masks are then of the foreground.
    n4
        Whether the bias field is corrected by N4.

    Raises
    ------
    UserError
        For what is unknown, or makes no sense together.
    """

    brain_extraction: str = AUTO
    heads: bool = False
    n4: bool = False

    def __post_init__(self) -> None:
        if self.brain_extraction not in EXTRACTIONS:
            raise UserError.unknown("brain extraction", self.brain_extraction, EXTRACTIONS)
        if self.heads and self.brain_extraction in EXTRACTION_TOOLS:
            raise UserError(
                "--no-brain-mask keeps heads, so there is no brain to extract: leave out "
                f"--no-brain-mask or --brain-extraction {self.brain_extraction}"
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """Options that are part of a cohort's name: `heads`, `n4`."""
        return tuple(name for name in ("heads", "n4") if getattr(self, name))


DEFAULT_PREPARE_OPTIONS = PrepareOptions()


MINMAX, PERCENTILE = "minmax", "percentile"


def default_normalization(preset: str) -> str:
    """Return the normalisation of a preset without `--normalize`.

    The paper scales each slice by its own maximum, a single noisy voxel. The gain of a slice then
    differs between two scans of one subject, which no method can correct; so all other presets
    scale the volume as a whole.
    """
    return MINMAX if preset == "paper" else PERCENTILE

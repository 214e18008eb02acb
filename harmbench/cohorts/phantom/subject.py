"""What is drawn of a subject: age, shape, tissue properties and lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harmbench.cohorts.phantom.lesions import Lesion, draw_lesions
from harmbench.cohorts.phantom.smooth_field import SmoothField
from harmbench.cohorts.phantom.streams import clipped_normal, subject_generator

# Adults, as in OASIS-1 (18 to 96 years; Marcus et al., J Cogn Neurosci 2007;19:1498).
AGES = (20.0, 90.0)

# What a study would know of the subject: years, and size of the head relative to the template's.
COVARIATES = ("age", "head_size")

# Of all subjects, those with ventricles far above the norm for their age.
_LARGE_VENTRICLES = 0.12


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """All that was drawn of a subject; lengths in mm, angles in degrees.

    Attributes
    ----------
    age
        In years.
    size
        Size of the head relative to the template's. Registration removes it from the scans,
        but the head fills more or less of a scanner's coil.
    scale, turn
        Scale along z, x and y, and rotation left about them, that registration leaves over.
    ventricles
        Widening of the ventricles in [-0.3, 0.75]: 0 leaves the template's.
    large_ventricles
        Whether they are far above the norm for the age.
    asymmetry
        How far right of the midline the ventricles widen most.
    atrophy
        Added to the logit of CSF in the sulci.
    thinning
        Taken off the logit of GM.
    t1, water
        Factors on the T1 of GM and WM, and on the water content of both.
    iron
        Increase of R2* at 3 T in deep grey matter, in 1/s.
    lobes, gyri, sulci
        Velocities of the deformation at three scales (3 channels each).
    folding
        Added to the tissue logits (2 channels: CSF against GM, WM against GM).
    texture
        Variation of T1 in GM and in WM, and of water content (3 channels).
    meninges
        Thickness of what lies between the brain and the bone (2 channels: fluid and dura).
    lesions
        White-matter lesions.
    """

    age: float
    size: float
    scale: tuple[float, float, float]
    turn: tuple[float, float, float]
    ventricles: float
    large_ventricles: bool
    asymmetry: float
    atrophy: float
    thinning: float
    t1: tuple[float, float]
    water: float
    iron: float
    lobes: SmoothField
    gyri: SmoothField
    sulci: SmoothField
    folding: SmoothField
    texture: SmoothField
    meninges: SmoothField
    lesions: tuple[Lesion, ...]

    @property
    def details(self) -> dict[str, object]:
        """The numbers, without the fields, as JSON types."""
        return {
            "age": round(self.age, 1),
            "head_size": round(self.size, 4),
            "head_scale_zxy": [round(value, 4) for value in self.scale],
            "head_turn_zxy_degrees": [round(value, 2) for value in self.turn],
            "ventricle_widening": round(self.ventricles, 3),
            "large_ventricles": self.large_ventricles,
            "atrophy": round(self.atrophy, 3),
            "thinning": round(self.thinning, 3),
            "t1_factor_gm_wm": [round(value, 4) for value in self.t1],
            "water_factor": round(self.water, 4),
            "iron_r2star": round(self.iron, 2),
            "lesions_periventricular": sum(lesion.periventricular for lesion in self.lesions),
            "lesions_deep": sum(not lesion.periventricular for lesion in self.lesions),
        }


def draw_age(name: str) -> float:
    """Draw the age of a subject in years; depends on the name alone."""
    return float(subject_generator(name, "age").uniform(*AGES))


def draw_subject(name: str) -> Subject:
    """Draw a subject; depends on the name alone."""
    age = draw_age(name)
    old = (age - AGES[0]) / (AGES[1] - AGES[0])
    generator = subject_generator(name, "anatomy")

    def normal(mean: float, deviation: float) -> float:
        return clipped_normal(generator, mean, deviation)

    scale = (normal(1, 0.004), normal(1, 0.004), normal(1, 0.004))
    large = bool(generator.random() < _LARGE_VENTRICLES)
    # Ventricles grow slowly until 50 or so and then fast (Walhovd et al., Neurobiol Aging
    # 2011;32:916); grey matter declines over the whole adult life (Good et al., NeuroImage
    # 2001;14:21).
    ventricles = normal(-0.15 + 0.42 * old**2, 0.09) + (normal(0.32, 0.06) if large else 0.0)
    white = (age - 40) / 40
    return Subject(
        age=age,
        # The template is larger than most heads: MNI152 came out of its linear registration
        # about a tenth too long on each axis (Lancaster et al., Hum Brain Mapp 2007;28:1194).
        size=normal(0.92, 0.035),
        scale=scale,
        turn=(normal(0, 1.0), normal(0, 1.0), normal(0, 1.0)),
        ventricles=float(np.clip(ventricles, -0.3, 0.75)),
        large_ventricles=large,
        asymmetry=normal(0, 2.0),
        atrophy=normal(0.8 * old, 0.25),
        thinning=normal(0.3 * old, 0.10),
        # R1 of white matter follows a parabola over life with its peak near 40 years
        # (Yeatman et al., Nat Commun 2014;5:4932). How strong that is, and the scatter, follow
        # from the scatter of GM/WM contrast on real scans.
        t1=(normal(1, 0.010), normal(1, 0.010) * (1 + 0.025 * white**2)),
        water=normal(1, 0.01),
        # Iron of the striatum rises over adult life (Hallgren and Sourander, J Neurochem
        # 1958;3:41), which raises R2* by about 8 /s at 3 T.
        iron=max(0.0, normal(8.0 * old, 1.5)),
        lobes=SmoothField.draw(generator, 45.0, 3),
        gyri=SmoothField.draw(generator, 22.0, 3),
        sulci=SmoothField.draw(generator, 12.0, 3),
        folding=SmoothField.draw(generator, 5.0, 2),
        texture=SmoothField.draw(generator, 12.0, 3),
        meninges=SmoothField.draw(generator, 16.0, 2),
        lesions=draw_lesions(subject_generator(name, "lesions"), age),
    )

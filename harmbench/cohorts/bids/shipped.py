"""Studies of travelling subjects, by recipes that ship with harmbench."""

from __future__ import annotations

from harmbench.cohorts.bids.source import Bids


class OnHarmony(Bids):
    """ON-Harmony (Warrington et al., Imaging Neuroscience 2023;1:1-22): OpenNeuro ds004712."""

    name = "on-harmony"
    summary = "ON-Harmony (ds004712), 20 subjects on 8 scanners: on-harmony:PATH"
    shipped = "on-harmony"


class SpinsTravellers(Bids):
    """SPINS travelling phantoms (Hawco et al., Sci Data 2022;9:332): OpenNeuro ds003011."""

    name = "spins-travellers"
    summary = "SPINS travelling phantoms (ds003011), 4 subjects on 6 scanners"
    shipped = "spins-travellers"


class TravelingHumanPhantom(Bids):
    """Traveling Human Phantom (Magnotta et al., Brain Connect 2012;2:345): OpenNeuro ds000206."""

    name = "traveling-human-phantom"
    summary = "Traveling Human Phantom (ds000206), 5 subjects at 8 sites"
    shipped = "traveling-human-phantom"


class SrpbsTravellers(Bids):
    """SRPBS traveling subjects (Tanaka et al., Sci Data 2021;8:227)."""

    name = "srpbs-ts"
    summary = "SRPBS traveling subjects, 9 subjects on 12 scanners: srpbs-ts:PATH"
    shipped = "srpbs-ts"


class Simon(Bids):
    """SIMON (Duchesne et al., Sci Data 2019;6:245): one subject on many scanners."""

    name = "simon"
    summary = "SIMON, one subject on many scanners, for testing alone: simon:PATH"
    shipped = "simon"

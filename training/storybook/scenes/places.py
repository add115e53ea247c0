"""Where a scene happens: skies, far backgrounds and grounds, as rows; `paint.py` draws them.

Every row has the phrases that may name it. A phrase is a list of words; all of them name the region.
"""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sky:
    name: str
    phrases: tuple[str, ...]  # nouns: "under a ...", "with a ... "
    top: str  # hex colours of the gradient
    bottom: str
    clouds: float = 0.0  # how many, how white
    cloud: str = "#ffffff"
    extra: str = ""  # stars, rain, snow, sunset glow, rainbow
    moments: tuple[str, ...] = ()  # "at night", "in the rain"


@dataclass(frozen=True)
class Ground:
    name: str
    phrases: tuple[str, ...]  # with their preposition: "on the grass"
    near: str
    far: str
    texture: str
    water: bool = False
    indoor: bool = False
    moments: tuple[str, ...] = ()


SKIES = [
    Sky("blue", ("blue sky", "clear blue sky", "bright blue sky"), "#3f97e8", "#bfe4fb", 0.25),
    Sky("cloudy", ("cloudy sky", "sky with clouds", "blue sky with white clouds"), "#5aa5e6", "#cde8f8", 1.0, moments=("on a cloudy day",)),
    Sky("sunset", ("sunset sky", "orange sky", "orange sunset"), "#e8663c", "#ffd98a", 0.4, "#ffb27a", moments=("at sunset",)),
    Sky("sunrise", ("pink sky", "sunrise sky", "pink morning sky"), "#f08fb4", "#ffe3c9", 0.4, "#fff0f0", moments=("at sunrise", "in the morning")),
    Sky("night", ("night sky", "starry sky", "dark sky full of stars"), "#0c1440", "#33427f", 0.0, extra="stars", moments=("at night",)),
    Sky("grey", ("grey sky", "gray sky", "overcast sky"), "#8f9aa6", "#c9d0d6", 0.8, "#b7c0c8"),
    Sky("rain", ("rainy sky", "dark rainy sky"), "#5d6b7c", "#a3b0bb", 0.9, "#7b8998", "rain", ("in the rain", "on a rainy day")),
    Sky("snowfall", ("snowy sky", "sky full of snow"), "#a8bdd2", "#e4edf4", 0.5, "#eef4f8", "snow", ("in the snowfall", "in winter")),
    Sky("purple", ("purple sky", "violet evening sky"), "#5b3aa0", "#e7a8d8", 0.3, "#c99ae0", moments=("in the evening",)),
    Sky("yellow", ("yellow sky", "golden sky"), "#f2b632", "#fff1b8", 0.3, "#fff7d8", moments=("in the afternoon",)),
    Sky("green", ("green sky", "northern lights"), "#0f3550", "#5fd6a0", 0.0, extra="aurora"),
    Sky("storm", ("stormy sky", "storm clouds"), "#2f3746", "#77828f", 1.3, "#4a5464", "lightning", ("in a storm",)),
]

GROUNDS = [
    Ground("grass", ("on the grass", "on green grass", "on a lawn", "in the grass"), "#4fa83a", "#8fd05c", "grass"),
    Ground("meadow", ("in a meadow", "in a field of flowers", "among flowers"), "#57ad40", "#9bd66a", "flowers", moments=("in spring",)),
    Ground("beach", ("on the beach", "on the sand", "at the beach"), "#e6c583", "#f4e0b0", "sand", moments=("in summer",)),
    Ground("snow", ("in the snow", "on the snow", "on snow"), "#dfeaf5", "#f7fbff", "snow", moments=("in winter",)),
    Ground("road", ("on the road", "on a road", "on the street"), "#5f646e", "#868b94", "road"),
    Ground("desert", ("in the desert", "in a sandy desert"), "#d99a4e", "#f0c27e", "dunes"),
    Ground("sea", ("on the water", "in the sea", "on the sea", "on the ocean"), "#1f74bd", "#66b8e6", "waves", water=True),
    Ground("lake", ("on a lake", "on the lake", "in a lake"), "#2f8f9c", "#8fd3d6", "waves", water=True),
    Ground("forest", ("in the forest", "in a forest", "in the woods"), "#4c6a2e", "#6c8f45", "leaves", moments=("in autumn",)),
    Ground("farm", ("on a farm", "in a field", "on a brown field"), "#7a5230", "#a97e4d", "furrows"),
    Ground("ice", ("on the ice", "on ice"), "#a9d8ee", "#dff3fb", "ice"),
    Ground("city", ("in the city", "on the pavement", "in a city street"), "#a9a7a6", "#c9c6c2", "tiles"),
    Ground("room", ("in a room", "on a wooden floor", "in the living room"), "#a4683a", "#c58b56", "planks", indoor=True),
    Ground("kitchen", ("in the kitchen", "on a tiled floor"), "#d8d3cb", "#efece6", "checks", indoor=True),
    Ground("stage", ("on a stage", "on a red carpet"), "#9c1f2c", "#c93a44", "plain", indoor=True),
    Ground("rocks", ("on the rocks", "on rocky ground"), "#7d7872", "#a59f97", "stones"),
]

FARS = {
    "none": (),
    "mountains": ("mountains in the background", "mountains", "tall mountains"),
    "hills": ("hills in the background", "green hills", "rolling hills"),
    "trees": ("trees in the background", "a forest in the background", "distant trees"),
    "city": ("a city in the background", "a skyline", "tall buildings in the background"),
    "sea": ("the sea in the background", "the ocean in the background"),
}

# Plain pictures: one thing on one colour.
PLAIN = {
    "white": "#f7f6f2", "blue": "#8cc4ee", "yellow": "#f8e08a", "pink": "#f6bccd", "green": "#a9d79a",
    "grey": "#c4c6ca", "purple": "#c2aee8", "orange": "#f5b97d", "black": "#2a2b31", "red": "#dd6a5c",
}

"""The two colors of a service and their shares of its traffic."""

from enum import StrEnum


class Color(StrEnum):
    """One of the two environments of a service. The order is the order of every list of target groups."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Color":
        """The color that this one is not."""
        return Color.GREEN if self is Color.BLUE else Color.BLUE


def split(active: Color, canary_weight: int) -> dict[Color, int]:
    """Return each color's percentage in color order: ``canary_weight`` for the idle one, the rest for ``active``."""
    if not 0 <= canary_weight <= 100:
        raise ValueError(f"a canary weight is a percentage, 0 to 100; got {canary_weight}")
    return {color: 100 - canary_weight if color is active else canary_weight for color in Color}

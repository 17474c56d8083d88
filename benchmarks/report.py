"""What the benchmarks say: for each measure the median and the spread of alternating runs, and the ratio of the two."""

from dataclasses import dataclass, field
from statistics import median


@dataclass
class Measure:
    """One line of the table; `unit` says what the figures count, `less_is_better` how to read the ratio."""

    name: str
    peer: str
    unit: str
    less_is_better: bool = False
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def add(self, ours: float | None, theirs: float | None) -> None:
        """One alternating run; None where a side was not measured."""
        if ours is not None:
            self.ours.append(ours)
        if theirs is not None:
            self.theirs.append(theirs)

    @property
    def ratios(self) -> list[float]:
        """Ours to theirs of each run; run by run, since a machine's slow minute hits both."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=False)]


def table(measures: list[Measure]) -> str:
    """A Markdown table of medians, with lowest and highest in brackets."""
    rows = [("measure", "Mailstack", "peer", "ratio"), ("---", "---:", "---:", "---:")]
    for measure in measures:
        note = ", less is better" if measure.less_is_better else ""
        ratio = _spread(measure.ratios, 2)
        rows.append(
            (
                f"{measure.name} ({measure.unit}{note})",
                _spread(measure.ours),
                f"{_spread(measure.theirs)} {measure.peer}",
                f"**{ratio}**" if measure.ratios else "",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _spread(values: list[float], digits: int = 0) -> str:
    if not values:
        return "not measured"
    middle = f"{median(values):,.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} [{min(values):,.{digits}f}–{max(values):,.{digits}f}]"

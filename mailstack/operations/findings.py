"""What `mailstack check` says: a list of findings. Neighbours: the `inspect_…` modules make them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to know, in one line with the mend; `is_wrong` when the host cannot work as it is."""

    what: str
    is_wrong: bool = True

"""The marks of a lab test: that it is one, and which real programs it runs."""

import os

import pytest

from tests.lab.peers import PROGRAMS, missing_package


def needs(*programs: str) -> list[pytest.MarkDecorator]:
    """`pytestmark = needs("swaks")`: marked `lab`, skipped with the package's name where the program is missing."""
    marks = [pytest.mark.lab]
    for program in programs:
        reason = f"{program} is not here: apt-get install {PROGRAMS[program]} (make lab does)"
        marks.append(pytest.mark.skipif(missing_package(program) is not None, reason=reason))
    return marks


def needs_root(why: str) -> pytest.MarkDecorator:
    """For a test that only root can run; `why` completes "only root"."""
    return pytest.mark.skipif(os.geteuid() != 0, reason=f"only root {why}")

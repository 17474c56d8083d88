"""Fixtures of tests in which the server becomes another user."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can reach, as /var/lib is."""
    made = Path(tempfile.mkdtemp(prefix="mailstack-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)

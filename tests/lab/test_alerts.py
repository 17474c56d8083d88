"""The example alerts, read by Prometheus' own checker."""

import subprocess

from tests.lab.needs import needs
from tests.operations.test_metrics import ALERTS

pytestmark = needs("promtool")


def test_prometheus_reads_them() -> None:
    done = subprocess.run(["promtool", "check", "rules", str(ALERTS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

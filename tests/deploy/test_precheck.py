"""The pre-check of ansible/ run against this machine: it passes where nothing is in the way and names what is."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.host import free_ports
from tests.lab.needs import needs

pytestmark = needs("ss")

ROOT = Path(__file__).parents[2]


def run_precheck(folder: Path, **variables: object) -> tuple[int, str]:
    """Run the pre-check here with `variables` of the role; its exit code and all that it said."""
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = folder / "inventory.yml"
    inventory.write_text(json.dumps({"mailstack": {"hosts": {"localhost": host}}}))
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = [playbook, "-i", inventory, "-e", json.dumps(variables), ROOT / "ansible" / "precheck.yml"]
    environment = os.environ | {"LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(folder), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_host_with_nothing_in_the_way_passes_unchanged(tmp_path: Path) -> None:
    code, said = run_precheck(tmp_path, mailstack_ports=free_ports(1), mailstack_free_mib_min=1)
    assert code == 0, said
    assert "changed=0" in said


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as other:
        port = other.getsockname()[1]
        code, said = run_precheck(tmp_path, mailstack_ports=[port], mailstack_free_mib_min=1)
    assert code != 0
    assert f"Another program listens on port {port}" in said


def test_a_full_disk_is_refused_with_both_figures(tmp_path: Path) -> None:
    code, said = run_precheck(tmp_path, mailstack_ports=free_ports(1), mailstack_free_mib_min=10**12)
    assert code != 0
    assert "are free under /var/lib, 1000000000000 are needed" in said

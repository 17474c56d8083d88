"""What of ansible/ can be seen without a host: well-formed playbooks, described variables, a config that loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import yaml

from mailstack.config_file import ConfigError, load_config

ANSIBLE = Path(__file__).parents[2] / "ansible"
ROLE = ANSIBLE / "roles" / "mailstack"


def read(path: str) -> dict:
    return yaml.safe_load((ROLE / path).read_text())


def run_playbook(folder: Path, *arguments: object) -> tuple[int, str]:
    command = [Path(sys.executable).with_name("ansible-playbook"), *arguments]
    environment = os.environ | {"LC_ALL": "C.UTF-8", "ANSIBLE_HOME": str(folder), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("playbook", sorted(ANSIBLE.glob("*.yml")), ids=lambda path: path.name)
def test_a_playbook_is_well_formed(playbook: Path, tmp_path: Path) -> None:
    if playbook.name == "inventory.example.yml":
        assert yaml.safe_load(playbook.read_text())["mailstack"]["hosts"]
        return
    code, said = run_playbook(tmp_path, "--syntax-check", "-i", ANSIBLE / "inventory.example.yml", playbook)
    assert code == 0, said


def test_each_variable_has_one_default_and_a_description() -> None:
    described = {}
    for entry in read("meta/argument_specs.yml")["argument_specs"].values():
        for name, spec in entry["options"].items():
            assert spec["description"]
            assert described.setdefault(name, spec) == spec, f"{name} is described in two ways"
    required = {name for name, spec in described.items() if spec.get("required")}
    assert required == {"mailstack_hostname", "mailstack_wheel"}
    assert {name: spec["default"] for name, spec in described.items() if name not in required} == read(
        "defaults/main.yml"
    )


def test_a_host_without_a_name_is_told_so_before_anything_else(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    inventory.write_text(json.dumps({"mailstack": {"hosts": {"localhost": host}}}))
    code, said = run_playbook(tmp_path, "--check", "-i", inventory, ANSIBLE / "site.yml")
    assert code != 0
    assert "missing required arguments: mailstack_hostname, mailstack_wheel" in said
    assert "changed=0" in said


def write_config(folder: Path, settings: dict) -> Path:
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)  # as Ansible does
    environment.filters["to_json"] = json.dumps
    environment.tests["mapping"] = lambda value: isinstance(value, dict)
    template = environment.from_string((ROLE / "templates" / "mailstack.toml.j2").read_text())
    variables = read("vars/main.yml") | {"mailstack_hostname": "mail.example.org", "mailstack_settings": settings}
    file = folder / "mailstack.toml"
    file.write_text(template.render(variables))
    return file


def test_the_config_says_what_the_inventory_says(tmp_path: Path) -> None:
    settings = {"inline_content": 1024, "listen": {"pop3": []}, "smtp": {"check_sender_domain": False}}
    config = load_config(write_config(tmp_path, settings), {})
    assert (config.hostname, config.data, config.user) == ("mail.example.org", Path("/var/lib/mailstack"), "mailstack")
    assert config.tls.key == Path("/etc/mailstack/tls/key.pem")
    assert (config.inline_content, config.listen.pop3, config.smtp.check_sender_domain) == (1024, (), False)


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give_up_after"):
        load_config(write_config(tmp_path, {"queue": {"giv_up_after": "3d"}}), {})

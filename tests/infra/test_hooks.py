"""azd's files lead where they say, and both hooks do the same."""

import re
import subprocess

import pytest
import yaml

from tests.infra.bicep_file import CHECKOUT, INFRA, BicepFile

AZD = yaml.safe_load((CHECKOUT / "azure.yaml").read_text())
SH = (INFRA / "hooks" / "subscribe.sh").read_text()
PS1 = (INFRA / "hooks" / "subscribe.ps1").read_text()


def test_azd_finds_its_files() -> None:
    """The template, the service's tag and both hooks exist."""
    assert (CHECKOUT / AZD["infra"]["path"] / "main.bicep").is_file()
    (service,) = AZD["services"]
    app = (INFRA / "modules" / "function-app.bicep").read_text()
    assert f"'azd-service-name': '{service}'" in app
    for system in AZD["hooks"]["postdeploy"].values():
        assert (CHECKOUT / system["run"]).is_file()


def test_hooks_read_outputs_that_exist(main_bicep: BicepFile) -> None:
    """Each variable of a hook is an output of the template, which azd puts in its environment."""
    sh = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", SH))
    ps1 = set(re.findall(r"\$env:([A-Z_]+)|\$\(\$env:([A-Z_]+)", PS1))
    assert sh == {name for pair in ps1 for name in pair if name}
    assert sh <= main_bicep.outputs


@pytest.mark.parametrize("template", ["upload-subscription", "job-subscription"])
def test_hooks_give_templates_their_parameters(template: str) -> None:
    """Both pass every parameter that the template requires, and no other."""
    required = {name for name, must in BicepFile(INFRA / f"{template}.bicep").parameters.items() if must}
    for script in (SH, PS1):
        call = script.split(f"{template}.bicep")[1].split("--output")[0]
        assert set(re.findall(r"^\s+(\w+)=", call, re.MULTILINE)) == required


def test_posix_hook_parses() -> None:
    """A plain sh reads the hook, and it is executable."""
    script = INFRA / "hooks" / "subscribe.sh"
    assert script.stat().st_mode & 0o100
    subprocess.run(["sh", "-n", str(script)], check=True)

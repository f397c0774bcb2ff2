"""azd's files lead where they say, and both hooks do the same: see that the app runs, then subscribe."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from tests.infra.bicep_file import CHECKOUT, INFRA, BicepFile

FUNCTIONS = (INFRA / "hooks" / "functions.txt").read_text().split()
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
    ps1 = set(re.findall(r"(?<!`)\$env:([A-Z_]+)|\$\(\$env:([A-Z_]+)", PS1))
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


def test_hooks_say_the_same() -> None:
    """What the POSIX hook says when it fails, the PowerShell hook says, too; both wait equally long."""
    advice = SH.split("Look at, in this order:")[1].split("TEXT")[0]
    assert advice in PS1
    assert "date +%s) + 600)" in SH
    assert "AddSeconds(600)" in PS1
    for call in re.findall(r"az [a-z -]+? (?=--)", SH):
        assert call in PS1


@dataclass
class Azure:
    """The stand-ins for `az`, `sleep` and `date` on PATH, and an app that answers on 127.0.0.1."""

    folder: Path
    url: str
    health: int = 200

    def has(self, functions: list[str]) -> None:
        """Let the app have these functions."""
        listed = "".join(f"an-app/{name}\n" for name in functions)
        (self.folder / "functions").write_text(listed)

    def calls(self) -> list[str]:
        """The calls of `az`."""
        return (self.folder / "calls").read_text().splitlines()

    def run_hook(self, **changed: str) -> subprocess.CompletedProcess[str]:
        """Run the hook as azd does, from the checkout's root."""
        outputs = dict.fromkeys(re.findall(r"\$\{?([A-Z][A-Z_]+)", SH), "some")
        outputs |= {"FUNCTION_APP_NAME": "an-app", "FUNCTION_APP_URL": self.url, **changed}
        return subprocess.run(
            ["sh", str(INFRA / "hooks" / "subscribe.sh")],
            cwd=CHECKOUT,
            env={"PATH": f"{self.folder}:{os.environ['PATH']}", "STAND_INS": str(self.folder), **outputs},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


# Time passes only by sleeping, and while `az` lists what a file has; then a second file takes its place.
STAND_INS = {
    "az": """echo "$*" >> "$STAND_INS/calls"
        case "$*" in
          "functionapp function list"*)
            sleep 50
            cat "$STAND_INS/functions"
            [ ! -e "$STAND_INS/later" ] || mv "$STAND_INS/later" "$STAND_INS/functions" ;;
          "functionapp keys list"*) echo yes ;;
          "deployment group create"*) ;;
          *) exit 3 ;;
        esac""",
    "date": """cat "$STAND_INS/now" """,
    "sleep": """echo $(($(cat "$STAND_INS/now") + $1)) > "$STAND_INS/now" """,
}


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    """An app with all its functions, which answers 200."""
    for name, body in STAND_INS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "now").write_text("1000")

    class App(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(standing.health if self.path == "/api/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), App) as server:
        standing = Azure(tmp_path, f"http://127.0.0.1:{server.server_port}")
        standing.has(FUNCTIONS)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield standing
        server.shutdown()
        thread.join()


def test_an_app_that_runs_is_subscribed(azure: Azure) -> None:
    """With all functions and a good health, three times in a row, uploads are subscribed; jobs on request."""
    done = azure.run_hook(SUBSCRIBE_TO_JOBS="false")
    assert (done.returncode, done.stderr) == (0, "")
    calls = azure.calls()
    assert [call for call in calls if "--name upload-subscription" in call] == calls[-1:]
    assert sum("function list" in call for call in calls) == 3
    # What leads to the first chat, with the names in it, and no key.
    assert f"Page: {azure.url}/\n" in done.stdout
    assert 'FINETUNE_API_KEY="$(az keyvault secret show --vault-name some --name some ' in done.stdout
    azure.run_hook(SUBSCRIBE_TO_JOBS="true")
    assert "--name job-subscription" in azure.calls()[-1]


def test_functions_that_come_late_are_waited_for(azure: Azure) -> None:
    """The list may be empty at first."""
    azure.has([])
    (azure.folder / "later").write_text("".join(f"an-app/{name}\n" for name in FUNCTIONS))
    assert azure.run_hook().returncode == 0
    assert sum("function list" in call for call in azure.calls()) == 4


@pytest.mark.parametrize(
    ("functions", "health", "lacks"),
    [
        ([], 200, " ".join(FUNCTIONS)),
        (FUNCTIONS[1:], 200, f"these functions: {FUNCTIONS[0]} \n"),
        (FUNCTIONS, 503, "/api/health, which gave: 503"),
    ],
    ids=["no functions", "one function fewer", "unhealthy"],
)
def test_an_app_that_does_not_run_fails(azure: Azure, functions: list[str], health: int, lacks: str) -> None:
    """After ten minutes the hook fails, says what is missing and where to look; nothing is subscribed."""
    azure.has(functions)
    azure.health = health
    done = azure.run_hook()
    assert done.returncode == 1
    assert lacks in done.stderr
    assert "Application Insights" in done.stderr
    assert 1000 + 600 <= int((azure.folder / "now").read_text()) < 1000 + 600 + 60
    assert not any("deployment group create" in call for call in azure.calls())


def test_an_app_that_cannot_be_reached_fails(azure: Azure) -> None:
    """No answer is no health."""
    done = azure.run_hook(FUNCTION_APP_URL="http://127.0.0.1:1")
    assert done.returncode == 1
    assert "/api/health, which gave:" in done.stderr


def test_a_list_that_cannot_be_had_fails(azure: Azure) -> None:
    """What `az` complains of is shown."""
    (azure.folder / "az").write_text("#!/bin/sh\necho not signed in >&2\nexit 1\n")
    done = azure.run_hook()
    assert done.returncode == 1
    assert "a list of its functions: not signed in" in done.stderr

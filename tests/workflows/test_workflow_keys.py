"""The keys of an installation: made once, rotated with an overlap, pruned, never shown."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from threatmatrix.model.errors import FormatError, InputError, ThreatmatrixError, UsageError
from threatmatrix.telemetry.inputs.inputs import Inputs
from threatmatrix.workflows.home import Home
from threatmatrix.workflows.keys import prune, rotate, status

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
PROMPT = "what the key protects: a text that is long enough to leave a vector as well"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_first_key_is_made_once_and_for_its_owner_only(home: Home) -> None:
    assert status(home, now=NOW).keys == ()
    assert not home.root.exists()
    first = home.keyring()
    assert home.keyring() == first
    assert (len(first.current.secret), first.previous) == (32, None)
    assert home.keys.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.root.iterdir()] == ["keys.json"]


def test_processes_that_start_together_agree_on_one_key(home: Home) -> None:
    code = "import sys; from pathlib import Path; from threatmatrix.workflows.home import Home;"
    code += "print(Home(Path(sys.argv[1])).keyring().current.secret.hex())"
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(home.root)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert {process.communicate()[0].strip() for process in running} == {home.keyring().current.secret.hex()}


def test_the_key_of_an_older_release_becomes_key_1(home: Home) -> None:
    old = home.ensure().root / "secret.key"
    old.touch(mode=0o600)
    old.write_bytes(bytes(range(32)))
    assert home.has_keys()
    assert (home.keyring().current.id, home.keyring().current.secret) == ("1", bytes(range(32)))
    assert not old.exists()


def test_a_rotation_overlaps_and_ends(home: Home) -> None:
    before = Inputs(home.keyring()).text(PROMPT, NOW)
    told = rotate(home, now=NOW, overlap=2 * DAY)
    assert [(key.id, key.state, key.until) for key in told.keys] == [
        ("2", "current", None),
        ("1", "overlapping", NOW + 2 * DAY),
    ]
    inputs = Inputs(home.keyring())
    during, after = inputs.text(PROMPT, NOW + DAY), inputs.text(PROMPT, NOW + 2 * DAY)
    assert (during.input_fp_prev, during.input_vec_prev) == (before.input_fp, before.input_vec)
    assert (after.input_fp, after.input_fp_prev) == (during.input_fp, None)
    assert during.input_fp != before.input_fp
    with pytest.raises(UsageError, match="keys 2 and 1 still overlap"):
        rotate(home, now=NOW + DAY)
    assert [key.state for key in status(home, now=NOW + 3 * DAY).keys] == ["current", "ended"]
    again = rotate(home, now=NOW + 3 * DAY, overlap=DAY)
    assert [key.id for key in again.keys] == ["3", "2"]
    assert again.pruned == ("1",)


def test_pruning_removes_what_has_ended_and_the_rest_only_when_told(home: Home) -> None:
    assert prune(home, now=NOW).keys == ()
    rotate(home, now=NOW, overlap=DAY)
    assert prune(home, now=NOW).pruned == ()
    assert home.keyring().previous is not None
    assert prune(home, now=NOW, end=True).pruned == ("1",)
    assert home.keyring().previous is None
    assert len(json.loads(home.keys.read_text())["keys"]) == 1
    rotate(home, now=NOW, overlap=0)
    assert prune(home, now=NOW).pruned == ("2",)
    with pytest.raises(UsageError, match="negative"):
        rotate(home, now=NOW, overlap=-1)


def _without_secret(value: dict[str, Any]) -> None:
    del value["keys"][0]["secret"]


def _short_secret(value: dict[str, Any]) -> None:
    value["keys"][0]["secret"] = value["keys"][0]["secret"][:40]


def _twice(value: dict[str, Any]) -> None:
    value["keys"].append(value["keys"][0])


@pytest.mark.parametrize(
    ("damage", "key"),
    [
        (lambda value: value.update(kind="else"), "kind"),
        (lambda value: value.update(version=2), "version"),
        (lambda value: value.update(keys={}), "keys"),
        (lambda value: value.update(keys=[7]), "keys[0]"),
        (lambda value: value["keys"][0].update(id=7), "keys[0].id"),
        (lambda value: value["keys"][0].update(created="x"), "keys[0].created"),
        (lambda value: value["keys"][0].update(until="x"), "keys[0].until"),
        (lambda value: value["keys"][0].update(until=5), "keys"),
        (_without_secret, "keys[0].secret"),
        (_short_secret, "keys[0].secret"),
        (_twice, "keys"),
    ],
)
def test_a_damaged_file_is_named_and_never_replaced(
    home: Home, damage: Callable[[dict[str, Any]], None], key: str
) -> None:
    secret = home.keyring().current.secret.hex()
    value = json.loads(home.keys.read_text())
    damage(value)
    home.keys.write_text(json.dumps(value))
    before = home.keys.read_bytes()
    for use in (home.keyring, lambda: rotate(home, now=NOW), lambda: status(home, now=NOW)):
        with pytest.raises(FormatError) as caught:
            use()
        assert caught.value.key == key
        _tells_nothing(caught.value, secret)
    assert home.keys.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]"])
def test_what_is_no_file_of_keys_is_refused(home: Home, content: bytes) -> None:
    home.ensure()
    home.keys.touch(mode=0o600)
    home.keys.write_bytes(content)
    with pytest.raises(FormatError, match=r"keys\.json.*is not a file of keys"):
        home.keyring()


def test_a_file_that_others_may_read_is_refused(home: Home) -> None:
    secret = home.keyring().current.secret.hex()
    home.keys.chmod(0o640)
    with pytest.raises(InputError, match=r"others may use it \(mode 0640\).*chmod 600") as caught:
        home.keyring()
    _tells_nothing(caught.value, secret)


def test_a_folder_that_cannot_be_written_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ThreatmatrixError, match="home"):
        Home(tmp_path / "home").keyring()


def test_nothing_shows_a_secret(home: Home) -> None:
    told = rotate(home, now=NOW)
    ring = home.keyring()
    assert ring.previous is not None
    for secret in (ring.current.secret, ring.previous.secret):
        for shown in (repr(told), str(told), repr(ring), repr(Inputs(ring))):
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown


def _tells_nothing(error: Exception, secret: str) -> None:
    told = [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    assert not any(secret[start : start + 16] in text for text in told for start in range(0, 48, 16))

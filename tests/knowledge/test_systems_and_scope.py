from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from threatmatrix.knowledge import load_scope, load_systems, scope_template, systems_template
from threatmatrix.knowledge.schemas import SystemsFile
from threatmatrix.knowledge.scopes import is_loopback
from threatmatrix.model.errors import FormatError, ScopeError
from threatmatrix.model.system import TRAITS, ModelEntry, PrincipalMapping, TelemetryEntry

NOW = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_systems_template_loads_as_it_stands(tmp_path: Path) -> None:
    (system,) = load_systems(write(tmp_path / "systems.yaml", systems_template()))
    assert (system.name, system.owner, system.criticality) == ("digits-product", "vision-team", "medium")
    assert system.models[0] == ModelEntry(
        "digits", ("/v2/models/digits/infer", "/v2/models/digits/versions/*/infer")
    )  # fmt: skip
    assert system.telemetry == (TelemetryEntry("gateway", "logs/gateway.jsonl"),)
    assert system.principal == PrincipalMapping()
    assert system.traits == ("predictive", "trained", "public")


def test_what_the_systems_template_leaves_commented_loads_too(tmp_path: Path) -> None:
    keys = "hosts|input_range|header|addresses|- {source"
    text = re.sub(rf"^(\s*)# ({keys})", r"\1\2", systems_template(), flags=re.MULTILINE)
    (system,) = load_systems(write(tmp_path / "systems.yaml", text))
    assert system.hosts == ("models.example.org", "*.vision.svc.cluster.local")
    assert system.models[0].input_range == (0, 255)
    assert [entry.source for entry in system.telemetry] == ["gateway", "nginx", "mapping"]
    assert system.telemetry[2].mapping == "our-columns.yaml"
    assert system.principal.header == "x-consumer-id"
    assert system.principal.addresses == (("10.0.0.0/8", "office"),)


def test_the_systems_template_explains_every_trait() -> None:
    assert all(re.search(rf"# .*\b{trait} +\w", systems_template()) for trait in TRAITS)


def test_the_page_on_systems_loads_and_has_every_key(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "systems.md").read_text(encoding="utf-8")
    block = re.search(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block
    (system,) = load_systems(write(tmp_path / "systems.yaml", block[1]))
    assert system.principal.tell_by == ("principal", "key_id", "src_ip")
    schema = SystemsFile.model_json_schema()
    keys = {key for part in schema["$defs"].values() for key in part["properties"]}
    assert {key for key in keys if f"`{key}`" not in text} == set()
    assert {trait for trait in TRAITS if f"| `{trait}` |" not in text} == set()


def test_two_systems_may_share_a_path_where_their_hosts_differ(tmp_path: Path) -> None:
    text = "systems:\n" + "".join(
        f"  - {{name: {name}, owner: o, criticality: low, hosts: [{name}.example], "
        f"models: [{{name: {name}, endpoints: [/v1/chat/completions]}}]}}\n"
        for name in ("one", "two")
    )
    assert [system.hosts for system in load_systems(write(tmp_path / "systems.yaml", text))] == [
        ("one.example",), ("two.example",),
    ]  # fmt: skip


def test_principals_get_readable_names(tmp_path: Path) -> None:
    text = systems_template().replace("names: {}", "names: {key_1f0c: partner-a, 10.0.0.7: kiosk}")
    (system,) = load_systems(write(tmp_path / "systems.yaml", text))
    assert system.principal.names == (("key_1f0c", "partner-a"), ("10.0.0.7", "kiosk"))


def test_a_template_that_nobody_signed_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "scope.yaml", scope_template())
    with pytest.raises(FormatError, match="owner: string should have at least 1 character") as caught:
        load_scope(path, NOW)
    assert caught.value.line == 2


def test_a_signed_template_loads(tmp_path: Path) -> None:
    path = write(tmp_path / "scope.yaml", scope_template(owner='Ada "red" \\ team', expires="2027-01-31"))
    scope = load_scope(path, NOW, techniques={"ml-model-discovery", "offline-evasion", "online-evasion"})
    assert scope.owner == 'Ada "red" \\ team'
    assert scope.expires == int(datetime(2027, 2, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert (scope.hosts, scope.models, scope.max_queries, scope.rps) == (("127.0.0.1",), ("digits",), 700_000, 5000.0)
    assert scope.file == str(path)
    assert not scope.allow_remote


def test_a_scope_ends_to_the_microsecond(tmp_path: Path) -> None:
    path = write(tmp_path / "scope.yaml", scope_template(owner="Ada", expires="2027-01-01T01:00:00+01:00"))
    assert load_scope(path, NOW - 1).expires == NOW
    with pytest.raises(ScopeError, match="expired at 2027-01-01T01:00:00"):
        load_scope(path, NOW)


def test_a_remote_host_needs_its_owners_word(tmp_path: Path) -> None:
    text = scope_template(owner="Ada", expires="2027-12-31").replace("- 127.0.0.1", "- 192.0.2.7:8080")
    with pytest.raises(ScopeError, match=r"192\.0\.2\.7:8080 is not on this machine"):
        load_scope(write(tmp_path / "scope.yaml", text), NOW)
    allowed = load_scope(write(tmp_path / "scope.yaml", text.replace("remote: false", "remote: true")), NOW)
    assert allowed.hosts == ("192.0.2.7:8080",)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.0.0.1:8080", True), ("127.8.9.1", True), ("localhost:9", True), ("LOCALHOST", True),
        ("::1", True), ("[::1]:8080", True), ("0.0.0.0", False), ("10.0.0.1", False), ("localhost.example.org", False),
        ("127.0.0.1.example.org", False), ("[2001:db8::1]:80", False), ("", False),
    ],
)  # fmt: skip
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected

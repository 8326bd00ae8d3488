"""One bad file for each error, named after it: what is said names the file, the line, the key and the choices."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from threatmatrix.knowledge import load_library, load_scope, load_systems
from threatmatrix.knowledge.check import check
from threatmatrix.knowledge.schemas import KINDS
from threatmatrix.knowledge.yamlfile import load_yaml
from threatmatrix.model.errors import FormatError, InputError, ScopeError, UsageError
from threatmatrix.model.system import TRAITS

BAD = Path(__file__).parent / "bad"
NOW = 1_800_000_000_000_000  # in January 2027
TECHNIQUE = (
    "name, kind, tactics, description, parent, order, year, legacy, needs, telemetry, guidance, atlas, attack, "
    "enables, applies, references, monitors"
)

SYSTEM = "name, owner, criticality, traits, hosts, models, telemetry, principal"
ANY_STEP = "steps[…].technique"  # of the first case that uses it

# file or directory → (line or None, key, what is said)
EXPECTED: dict[str, tuple[int | None, str, str]] = {
    "yaml/syntax": (3, "", "not valid YAML"),
    "yaml/duplicate-key": (3, "name", "stands twice"),
    "yaml/duplicate-nested-key": (3, "a[0].b", "stands twice"),
    "yaml/nested-too-deep": (1, "", "nested deeper than 16"),
    "yaml/tag": (1, "", "python/object/apply:os.system is not accepted"),
    "yaml/merge-key": (3, "", "merge keys"),
    "yaml/self-alias": (1, "", "points to nothing that is complete"),
    "yaml/alias-bomb": (5, "", "more than 20000 values"),
    "yaml/many-aliases": (2, "", "more than 50 aliases"),
    "yaml/two-documents": (2, "", "a second document"),
    "yaml/key-not-text": (1, "", "a key must be text"),
    "yaml/control-character": (None, "", "not valid YAML"),
    "yaml/not-utf8": (None, "", "not UTF-8 text (byte 9)"),
    "technique/empty": (None, "", f"empty (valid: {TECHNIQUE})"),
    "technique/not-a-mapping": (1, "", "a mapping (key: value) belongs here"),
    "technique/unknown-key": (5, "sevrity", f"unknown key (valid: {TECHNIQUE})"),
    "technique/missing-key": (1, "kind", "this key is missing"),
    "technique/bad-kind": (2, "kind", "'orange' is not valid (valid: ml, enterprise)"),
    "technique/bad-slug": (3, "tactics[0]", "does not have the form"),
    "technique/no-tactic": (3, "tactics", "at least 1 item"),
    "technique/order-in-quotes": (5, "order", "valid integer"),
    "technique/bad-relation": (8, "atlas[0].relation", "(valid: exact, close, broader, narrower, partial)"),
    "technique/bad-atlas-id": (6, "atlas[0].id", "does not have the form"),
    "technique/unknown-nested-key": (8, "monitors[0].parms", "unknown key (valid: use, severity, params)"),
    "technique/bad-url": (7, "references[0].url", "does not have the form"),
    "procedure/no-budget": (1, "budget", "this key is missing"),
    "procedure/no-revert": (9, "safety.revert", "this key is missing"),
    "procedure/negative-budget": (7, "budget.max_queries", "greater than or equal to 0"),
    "procedure/bad-norm": (8, "success.norm", "(valid: l2, linf, words, characters, bytes, none)"),
    "procedure/no-steps": (1, "steps", "this key is missing"),
    "procedure/empty-steps": (6, "steps", "at least 1 item"),
    "procedure/unknown-modality": (5, "modality", "(valid: vector, image, text, binary, any)"),
    "procedure/yes-is-text": (9, "safety.idempotent", "valid boolean"),
    "controls/unknown-policy-kind": (4, "[0].policy", "(valid: block, query_budget, input_noise, round_scores, top1)"),
    "controls/unknown-policy-key": (4, "[0].policy.sigmma", "unknown key (valid: kind, sigma)"),
    "controls/missing-policy-key": (4, "[0].policy.sigma", "this key is missing"),
    "controls/share-above-one": (5, "[0].measured.before", "less than or equal to 1"),
    "controls/no-measurement": (1, "[0].measured", "this key is missing"),
    "controls/not-a-list": (1, "", "valid list"),
    "case/no-steps": (7, "steps", "at least 1 item"),
    "case/bad-date": (3, "date", "does not have the form"),
    "case/bad-type": (2, "type", "(valid: incident, exercise)"),
    "replay/no-samples": (1, "samples", "this key is missing"),
    "replay/nested-param": (4, "params.tick", "valid"),
    "matrix/no-tactics": (2, "tactics", "at least 1 item"),
    "systems/unknown-key": (8, "systems[0].owners", f"(valid: {SYSTEM})"),
    "systems/bad-criticality": (4, "systems[0].criticality", "(valid: low, medium, high, critical)"),
    "systems/endpoint-without-slash": (7, "systems[0].models[0].endpoints[0]", "does not have the form ^/"),
    "systems/duplicate-system": (8, "systems[1].name", "the system one stands twice"),
    "systems/duplicate-endpoint": (13, "systems[1].models[0].endpoints[0]", "already belongs to one. Give both"),
    "systems/duplicate-host": (9, "systems[1].hosts[0]", "the host A.example already belongs to one"),
    "systems/duplicate-model": (7, "systems[0].models[1].name", "the model digits stands twice"),
    "systems/no-systems": (1, "systems", "at least 1 item"),
    "systems/bad-principal-field": (8, "systems[0].principal.field", "Write tell_by: [principal, src_ip]"),
    "systems/bad-tell-by": (7, "systems[0].principal.tell_by[1]", "(valid: principal, key_id, session, src_ip)"),
    "systems/tell-by-twice": (7, "systems[0].principal.tell_by[2]", "session stands twice"),
    "systems/empty-tell-by": (7, "systems[0].principal.tell_by", "at least 1 item"),
    "systems/unknown-principal-key": (7, "systems[0].principal.user", "(valid: tell_by, header, names, addresses)"),
    "systems/secret-header": (8, "systems[0].principal.header", "this header holds a secret"),
    "systems/bad-header": (7, "systems[0].principal.header", "does not have the form"),
    "systems/bad-network": (9, "systems[0].principal.addresses.10.1.2.3/8", "is no network. Write CIDR"),
    "systems/network-twice": (9, "systems[0].principal.addresses.2001:db8::/32", "same network as 2001:DB8::/32"),
    "systems/bad-trait": (5, "systems[0].traits[1]", f"'clever' is not valid (valid: {', '.join(TRAITS)})"),
    "systems/trait-twice": (5, "systems[0].traits[2]", "public stands twice"),
    "systems/bad-host": (5, "systems[0].hosts[0]", "does not have the form"),
    "systems/range-upside-down": (7, "systems[0].models[0].input_range", "the least number comes first"),
    "systems/range-of-three": (7, "systems[0].models[0].input_range", "at most 2 items"),
    "systems/mapping-missing": (8, "systems[0].telemetry[1].mapping", "this key is missing: the source mapping needs"),
    "systems/mapping-not-wanted": (7, "systems[0].telemetry[0].mapping", "the source nginx needs none"),
    "systems/bad-source": (7, "systems[0].telemetry[0].source", "does not have the form"),
    "scope/no-owner": (1, "owner", "at least 1 character"),
    "scope/expired": (None, "", "this scope expired at 2020-01-31"),
    "scope/bad-expiry": (2, "expires", "'next week' is no date"),
    "scope/expiry-without-offset": (2, "expires", "no date or time with an offset"),
    "scope/remote-host": (None, "", ":3: hosts[0]: models.example.org is not on this machine"),
    "scope/url-as-host": (3, "hosts[0]", "is not a host or host:port"),
    "scope/unknown-technique": (5, "techniques[0]", "near it: online-evasion"),
    "scope/no-budget": (1, "max_queries", "this key is missing"),
    "scope/rps-zero": (7, "rps", "greater than 0"),
    "overlay/unknown-parent": (5, "parent", "no technique is called 'evasion-atack'; near it: evasion-attack"),
    "overlay/parent-is-sub": (5, "parent", "online-evasion is itself a sub-technique"),
    "overlay/parent-in-another-tactic": (3, "tactics[0]", "does not stand in impact (valid: model-evasion)"),
    "overlay/unknown-tactic": (3, "tactics[0]", "(valid: reconnaissance, initial-access, execution, persistence,"),
    "overlay/unknown-enables": (5, "enables[0]", "near it: online-evasion"),
    "overlay/enables-itself": (5, "enables[0]", "cannot lead to itself"),
    "overlay/duplicate-cell": (3, "tactics[0]", "the cell impact/Defacement is already taken by defacement"),
    "overlay/tactic-twice": (3, "tactics[1]", "is already taken by new-one"),
    "overlay/no-technique-file": (None, "", "this folder has no technique.yaml"),
    "overlay/misspelt-file": (None, "", "(valid: technique.yaml, rules, procedures, playbook.json, controls.yaml,"),
    "overlay/misspelt-folder": (None, "", "(valid: matrix.yaml, techniques, cases, mitigations, vulnerabilities,"),
    "overlay/file-for-a-folder": (None, "", "a folder belongs here"),
    "overlay/wrong-suffix": (None, "", "(valid: .yml, .yaml)"),
    "overlay/duplicate-procedure": (None, "", "the procedure square stands in "),
    "overlay/procedure-id-not-file-name": (1, "id", "the file's name asks for the id mine"),
    "overlay/duplicate-control": (8, "[1].id", "the control example stands twice"),
    "overlay/control-without-id": (1, "[0]", "each entry needs an id"),
    "overlay/case-unknown-procedure": (11, "steps[0].procedures[0]", "no procedure is called 'sqare'; near it: square"),
    "overlay/case-unknown-technique": (8, "steps[0].technique", "near it: online-evasion"),
    "overlay/case-unknown-tactic": (9, "steps[0].tactic", "no tactic is called 'evasion'"),
    "overlay/case-not-a-cell": (9, "steps[0].tactic", "online-evasion does not stand in impact (valid: model-evasion)"),
    "overlay/case-of-a-disabled-technique": (None, ANY_STEP, "microsoft-edge-ai"),
    "overlay/replay-judges-what-no-step-runs": (3, "judged", "no step of the case runs the procedure 'hop-skip-jump'"),
    "overlay/disabled-is-no-word": (1, "disabled", "(valid: true, false)"),
    "mitigation/no-technique": (7, "techniques", "at least 1 item"),
    "mitigation/bad-category": (3, "category", "(valid: technical-ml, technical-cyber, policy)"),
    "mitigation/no-cost": (1, "cost", "this key is missing"),
    "mitigation/bad-phase": (4, "lifecycle[0]", "(valid: planning, data, training, evaluation, deployment, operation)"),
    "vulnerability/no-product": (1, "product", "this key is missing"),
    "vulnerability/bad-cve": (7, "cve", "'CVE-20-1' does not have the form"),
    "vulnerability/bad-cwe": (7, "cwe[0]", "valid string"),
    "overlay/trace-of-an-unknown-field": (8, "telemetry[0].fields[1]", "no field 'input_vector'. Near it: input_vec"),
    "overlay/mitigation-unknown-technique": (8, "techniques[0].technique", "'fishing'; near it: phishing"),
    "overlay/mitigation-names-a-technique-twice": (9, "techniques[1].technique", "phishing stands twice"),
    "overlay/mitigation-unknown-control": (9, "controls[0]", "'query-budgte'; near it: query-budget"),
    "overlay/vulnerability-unknown-technique": (7, "techniques[0]", "'fishing'; near it: phishing"),
    "overlay/case-unknown-vulnerability": (7, "vulnerabilities[0]", "no vulnerability is called 'cve-1999-1'"),
    "overlay/duplicate-tactic": (3, "tactics[1].slug", "the tactic impact stands twice"),
}  # fmt: skip
SCOPE_ERRORS = {"scope/expired", "scope/remote-host"}
INPUT_ERRORS = {"yaml/not-utf8"}


def load(name: str) -> None:
    kind = name.split("/", maxsplit=1)[0]
    if kind == "overlay":
        load_library(BAD / name)
        return
    path = BAD / f"{name}.yaml"
    if kind == "systems":
        load_systems(path)
    elif kind == "scope":
        load_scope(path, NOW, techniques=load_library().techniques)
    else:
        document = load_yaml(path)
        if kind != "yaml":
            check(document, KINDS[kind])


@pytest.mark.parametrize("name", EXPECTED)
def test_the_error_names_file_line_key_and_choices(name: str) -> None:
    line, key, text = EXPECTED[name]
    with pytest.raises(UsageError) as caught:
        load(name)
    error = caught.value
    said = str(error)
    assert text in said
    assert "\n" not in said
    if name in SCOPE_ERRORS:
        assert isinstance(error, ScopeError)
    elif name in INPUT_ERRORS:
        assert isinstance(error, InputError)
    else:
        assert isinstance(error, FormatError)
        assert re.fullmatch(r"steps\[\d+\]\.technique", error.key) if key == ANY_STEP else error.key == key
        assert error.line == line or name == "overlay/case-of-a-disabled-technique"  # that line is the library's
        assert str(BAD / name) in said or name == "overlay/case-of-a-disabled-technique"


def test_every_bad_file_is_expected_here() -> None:
    files = {f"{kind}/{path.stem}" for kind in {*KINDS, "yaml"} for path in BAD.glob(f"{kind}/*.yaml")}
    directories = {f"overlay/{path.name}" for path in (BAD / "overlay").iterdir()}
    assert files | directories == set(EXPECTED)

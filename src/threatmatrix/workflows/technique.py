"""A contributor's technique: a folder to start from, and the checks that the shipped library passes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from threatmatrix.detect.engines.duckdb import RuleEngine
from threatmatrix.detect.monitors import MONITORS, build_monitor
from threatmatrix.detect.sigma.compile import RuleSet, compile_rules
from threatmatrix.emulate.attacks import attack_kinds
from threatmatrix.knowledge.index import load_index
from threatmatrix.knowledge.library import Library
from threatmatrix.model.detection import Severity
from threatmatrix.model.errors import InputError, ThreatmatrixError, UsageError
from threatmatrix.model.matrix import RuleSource, Technique
from threatmatrix.respond.cacao import load_playbook
from threatmatrix.telemetry.reading import read_events
from threatmatrix.workflows.contribute import load_with
from threatmatrix.workflows.rule_files import RuleFiles
from threatmatrix.workflows.rule_tests import RehearsedRule, rehearse_files

__all__ = ["Check", "check_technique", "start_technique"]

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_STEP = Severity.informational  # of rules that honest traffic may meet: a chain counts them
_TEMPLATES = Path(__file__).resolve().parent.parent / "library" / "templates" / "technique"


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of a technique's folder, kept, broken or not yet made."""

    what: str
    result: Literal["pass", "fail", "absent"]
    said: str = ""


def start_technique(
    folder: Path, library: Library, *, name: str = "", tactic: str = "", kind: str = "ml"
) -> list[Path]:
    """Write a folder that passes ``technique test`` and says in comments what to change. Returns its files.

    Raises UsageError (the folder's name is no slug, or taken), UnknownNameError (no such tactic), InputError.
    """
    slug = folder.resolve().name
    if not _SLUG.fullmatch(slug):
        hint = "Lower case, words joined by hyphens: slow-probing"
        raise UsageError(f"{slug!r} cannot be a technique's slug", hint=hint)
    if slug in library.techniques:
        raise UsageError(f"the library has a technique {slug} already", hint="Choose another name for the folder")
    column = library.tactic(tactic) if tactic else library.tactics[0]
    called = " ".join(name.split()) or slug.replace("-", " ").capitalize()
    words = {
        "@NAME@": json.dumps(called, ensure_ascii=False),  # YAML quotes as JSON does
        "@SLUG@": slug,
        "@SNAKE@": slug.replace("-", "_"),
        "@TACTIC@": column.slug,
        "@KIND@": kind,
        "@UUID@": str(uuid4()),
    }
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(f"{folder} exists already", hint="Name a folder that does not") from None
    except OSError as error:
        raise InputError(folder, f"cannot be created ({error.strerror})", hint="Name another folder") from error
    made = []
    for template in sorted(path for path in _TEMPLATES.rglob("*") if path.is_file()):
        text = template.read_text(encoding="utf-8")
        for word, value in words.items():
            text = text.replace(word, value)
        path = folder / template.relative_to(_TEMPLATES)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        made.append(path)
    return made


def check_technique(folder: Path, overlay: Path | None = None) -> list[Check]:
    """Every check of one technique's folder. Raises InputError where there is no technique in it."""
    slug = folder.resolve().name
    try:
        with load_with(folder, overlay) as (library, files):
            if f"techniques/{slug}/technique.yaml" not in files:
                raise InputError(folder, "holds no technique.yaml", hint="Start with: threatmatrix technique new DIR")
            checks = _checks(library, library.technique(slug))
            return [Check("files load and agree with the library", "pass"), *checks]
    except InputError:
        raise
    except ThreatmatrixError as error:
        return [Check("files load and agree with the library", "fail", str(error))]


def _checks(library: Library, technique: Technique) -> Iterator[Check]:
    yield from _words(technique)
    yield from _ids(technique)
    yield from _rules(library, technique)
    yield _one("monitors exist and take their numbers", technique.monitors, lambda: _monitors(technique))
    yield _one("procedures name an attack, a budget and a revert", technique.procedures, lambda: _procedures(technique))
    yield _one("controls have a measured effect", technique.controls, lambda: _controls(technique))
    yield _one("playbook is CACAO 2.0 and its graph closes", technique.playbook, lambda: _playbook(technique))
    mitigations = library.mitigations_of(technique.slug)
    yield _one("mitigations name the technique", mitigations, lambda: "")


def _one(what: str, there: object, problem: Callable[[], str]) -> Check:
    """``problem`` says what is wrong, or nothing."""
    if not there:
        return Check(what, "absent")
    try:
        said = problem()
    except ThreatmatrixError as error:
        said = str(error)
    return Check(what, "fail" if said else "pass", said)


def _words(technique: Technique) -> Iterator[Check]:
    sentences = re.findall(r"[.!?](?:\s|$)", technique.description)
    short = len(sentences) < 2 or len(technique.description) < 100
    said = "two sentences and 100 characters at least" if short else ""
    yield Check("description is for somebody who never trained a model", "fail" if short else "pass", said)
    for what, there in (
        ("says what the adversary needs", technique.needs),
        ("says what it leaves in telemetry", technique.telemetry),
        ("guidance to detect, respond and remediate", technique.guidance),
        ("references name their sources", technique.references),
    ):
        yield Check(what, "pass" if there else "absent")


def _ids(technique: Technique) -> Iterator[Check]:
    index = load_index()
    wrong = []
    for item in (*technique.atlas, *technique.attack):
        entry = index.get(item.id)
        if entry is None:
            wrong.append(f"{item.id} is not in the index")
        elif item.name not in entry.names and item.name.rpartition(": ")[2] not in entry.names:
            wrong.append(f"{item.id} is called {entry.names[0]}, not {item.name}")
    yield _one(
        "ATLAS and ATT&CK ids exist under their names", (*technique.atlas, *technique.attack), lambda: _list(wrong)
    )


def _list(problems: Sequence[str]) -> str:
    return "; ".join(problems)


def _rules(library: Library, technique: Technique) -> Iterator[Check]:
    """A correlation may count what a rule of another technique finds, so all rules are compiled together."""
    if not technique.rules:
        yield Check("rules compile", "absent")
        return
    own = {rule.file: Path(rule.file).name for rule in technique.rules}
    every = library.rules()
    report = rehearse_files(RuleFiles(technique.rules), [rule for rule in every if rule.file not in own], library)
    said = [str(error).replace(error.file, own[error.file]) for error in report.refused]
    yield Check("rules compile", "fail" if said else "pass", _list(said))
    if said:
        return
    checks: list[Check] = []
    sampled = False
    for rule in technique.rules:
        tested = [each for each in report.rules if each.file == rule.file]
        if any(each.results for each in tested):
            checks.append(_tested(own[rule.file], tested))
        else:
            sampled = True
            checks.append(_sampled(technique, f"{own[rule.file]} fires on its", rule.text, [rule], every))
    yield from checks
    samples = technique.samples
    whole = samples and samples.attack and samples.benign and not sampled
    if whole and all(check.result == "pass" for check in checks):
        text = "".join(rule.text for rule in technique.rules)
        yield _sampled(technique, "a rule fires on the", text, technique.rules, every)


def _tested(name: str, rules: Sequence[RehearsedRule]) -> Check:
    """Every rule of the file has a test that fires and one that must not, and they all pass."""
    wrong = []
    for rule in rules:
        wrong += [f"{rule.title}: {item.name}: {item.problem}" for item in rule.results if not item.passed]
        sides = {item.expected for item in rule.results}
        wrong += [f"{rule.title}: no test that fires"] if True not in sides else []
        wrong += [f"{rule.title}: no test that must not fire"] if False not in sides else []
    return Check(f"{name} passes the tests that it carries", "fail" if wrong else "pass", _list(wrong))


def _sampled(
    technique: Technique, what: str, text: str, rules: Sequence[RuleSource], every: Sequence[RuleSource]
) -> Check:
    """Whether any rule of ``text`` fires on the attack sample, and none that is more than a step on the benign one."""
    what += " attack sample and not on the benign one"
    samples = technique.samples
    if samples is None or not samples.attack or not samples.benign:
        return Check(
            what, "fail", "a rule carries tests, or samples/attack.jsonl and samples/benign.jsonl lie beside it"
        )
    try:
        alone = compile_rules(rules)
        ruleset = compile_rules(every) if alone.refused else alone
        ids = set(re.findall(r"^id:\s*(\S+)", text, flags=re.MULTILINE))
        attack, benign = (_fired(ruleset, path) for path in (samples.attack, samples.benign))
    except ThreatmatrixError as error:
        return Check(what, "fail", str(error))
    wrong = [] if ids & attack.keys() else ["silent on the attack sample"]
    wrong += ["fires on the benign one"] if any(benign[key] > _STEP for key in ids & benign.keys()) else []
    return Check(what, "fail" if wrong else "pass", _list(wrong))


def _fired(ruleset: RuleSet, path: str) -> dict[str, Severity]:
    """Id of a rule that makes a finding of a sample → how severe."""
    with RuleEngine(ruleset) as engine:
        found = [finding for batch in read_events([Path(path)], "gateway") for finding in engine.feed(batch)]
        found += engine.finish()
    return {finding.detector.removeprefix("rule:"): finding.severity for finding in found}


def _monitors(technique: Technique) -> str:
    unknown = [spec.use for spec in technique.monitors if spec.use not in MONITORS]
    if unknown:
        return f"no monitor is called {unknown[0]} (valid: {', '.join(MONITORS)})"
    for spec in technique.monitors:
        build_monitor(spec, technique.slug)
    return ""


def _procedures(technique: Technique) -> str:
    known = {kind.use for kind in attack_kinds()}
    wrong = [
        f"{item.id} uses {step.use!r}"
        for item in technique.procedures
        for step in (*item.warm_up, *item.steps)
        if step.use not in known
    ]
    if wrong:
        return f"{wrong[0]}, which no attack is called (valid: {', '.join(sorted(known))})"
    return _list([f"{item.id} has no budget" for item in technique.procedures if item.max_queries <= 0])


def _controls(technique: Technique) -> str:
    worse = [item.id for item in technique.controls if item.measured["after"] > item.measured["before"]]
    few = [item.id for item in technique.controls if item.measured["n"] < 20]
    return _list([f"{name} does not help" for name in worse] + [f"{name} was measured on under 20" for name in few])


def _playbook(technique: Technique) -> str:
    load_playbook(technique.playbook)
    return ""

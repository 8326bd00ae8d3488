"""A target's file: what is read, what is refused and where, and that secrets come from the environment alone."""

from __future__ import annotations

import pytest

from threatmatrix.emulate.targets import TemplateSpec
from threatmatrix.model.errors import FormatError, InputError, ThreatmatrixError, UsageError
from threatmatrix.workflows.target_files import load_template, read_target

GOOD = """\
model: mail-gate
url: http://127.0.0.1:8080/score
headers:
  authorization: Bearer ${GATE_KEY}
body: {message: "{{row}}", tenant: "${TENANT}", tags: [1, "x ${TENANT}"]}
input: {kind: text}
classes: [ham, spam]
answer: {label: /verdict, scores: /score, scale: [1, 999]}
"""
ENVIRONMENT = {"GATE_KEY": "s3cr3t-of-the-gate", "TENANT": "a1"}


def read(tmp_path, text: str, environment: dict[str, str] | None = None) -> TemplateSpec:
    file = tmp_path / "service.yaml"
    file.write_text(text)
    return load_template(file, ENVIRONMENT if environment is None else environment)


def test_a_file_and_its_environment_make_a_template(tmp_path):
    spec = read(tmp_path, GOOD)
    assert (spec.model, spec.method, spec.url) == ("mail-gate", "POST", "http://127.0.0.1:8080/score")
    assert spec.headers == (("authorization", "Bearer s3cr3t-of-the-gate"),)
    assert spec.body == {"message": "{{row}}", "tenant": "a1", "tags": [1, "x a1"]}
    assert (spec.form.classes, spec.form.class_names, spec.form.input_shape) == (2, ("ham", "spam"), ())
    assert (spec.label_at, spec.scores_at, spec.text_at, spec.scale) == ("/verdict", "/score", None, (1.0, 999.0))
    assert spec.secrets == ("s3cr3t-of-the-gate",)
    assert "s3cr3t" not in repr(spec)
    assert not spec.together


def test_numbers_have_a_shape_and_texts_come_out(tmp_path):
    numbers = GOOD.replace("input: {kind: text}", "input: {kind: numbers, shape: [8, 8], bounds: [-1, 1]}")
    spec = read(tmp_path, numbers.replace("classes: [ham, spam]", "classes: 10"))
    assert (spec.form.input_shape, spec.form.bounds, spec.form.classes) == ((8, 8), (-1.0, 1.0), 10)
    writes = read(tmp_path, GOOD.replace("label: /verdict, scores: /score, scale: [1, 999]", "text: /reply"))
    assert writes.form.gives_text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model: mail-gate", "modell: mail-gate", "modell: unknown key"),
        ("url: http://127.0.0.1:8080/score", "url: ftp://127.0.0.1", "url: "),
        ("http://127.0.0.1:8080/score", "http://127.0.0.1:8080/${GATE_KEY}", "url: an environment variable"),
        ("  authorization: B", '  "bad header": B', "headers"),
        ("input: {kind: text}", "input: {kind: image}", "input.kind: "),
        ("input: {kind: text}", "input: {kind: numbers}", "numbers need a shape"),
        ("input: {kind: text}", "input: {kind: text, shape: [3]}", "input.shape: a text has no shape"),
        ("input: {kind: text}", "input: {kind: numbers, shape: [0]}", "input.shape"),
        ("classes: [ham, spam]", "classes: 0", "classes"),
        ("label: /verdict, scores: /score, scale: [1, 999]", "rows: /all", "answer: one of label, scores and text"),
        ("/verdict", "verdict", "answer.label: "),
        ("scale: [1, 999]", "scale: [9, 9]", "answer.scale: the first number must be below"),
        ('body: {message: "{{row}}", tenant: "${TENANT}", tags: [1, "x ${TENANT}"]}', "encoding: form", "body: a form"),
        ("classes: [ham, spam]", "classes: !!python/object:os.system [x]", "tag"),
        ("classes: [ham, spam]", "", "classes: this key is missing"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(FormatError) as error:
        read(tmp_path, GOOD.replace(old, new))
    assert "service.yaml" in str(error.value)
    assert said in str(error.value)


def test_a_variable_that_is_not_set_is_named_and_no_other_is_shown(tmp_path):
    with pytest.raises(UsageError, match=r"service\.yaml: the environment variable TENANT is not set") as error:
        read(tmp_path, GOOD, {"GATE_KEY": "s3cr3t-of-the-gate"})
    assert "s3cr3t" not in str(error.value)


def test_a_target_of_the_command_line_is_read_with_its_file(tmp_path, monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "service.yaml").write_text(GOOD)
    spec, template = read_target(f"template:{tmp_path}/service.yaml")
    assert template == read(tmp_path, GOOD)
    assert (spec.model, spec.url) == ("mail-gate", "http://127.0.0.1:8080")
    assert str(spec) == f"template:{tmp_path}/service.yaml"
    assert read_target("reference:digits") == (spec.__class__("reference", "digits"), None)


def test_other_files_are_none(tmp_path):
    for text in ("", "[]", "3", "a: &a [*a]"):
        with pytest.raises(ThreatmatrixError):
            read(tmp_path, text)
    with pytest.raises(InputError, match="no such file"):
        load_template(tmp_path / "absent.yaml", {})

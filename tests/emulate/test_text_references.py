"""The reference targets of mail, domain names and request headers, and the models that they are made of."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.emulate.text_world import fresh, small

from threatmatrix.emulate.reference.dga import FAMILIES, Seed
from threatmatrix.emulate.reference.header_text import Wire
from threatmatrix.emulate.target import texts
from threatmatrix.emulate.text_models import Grams, TextModel, Words, bag
from threatmatrix.emulate.text_training import fit_grams

ADDRESSES = ("192.0.2.", "198.51.100.", "203.0.113.")

PUBLISHED = {  # written down with the arithmetic of the published analyses, for the seed below
    "corebot": "n5xi6s4qpe276srq2w", "dircrypt": "ybeiyskapw", "fobber": "hztmhlyqhwoejvkcr", "kraken": "zrtbyoas",
    "locky": "scxjmhw", "necurs": "jhlhhxcya", "pushdo": "patnokkakode", "ramdo": "kuiouwiicouiwuqc",
    "ramnit": "jyhwseovdmumxcv", "ranbyus": "wcdawlyyhqcjlvdac", "suppobox": "wrawho",
}  # fmt: skip


@pytest.mark.parametrize("family", sorted(PUBLISHED))
def test_an_algorithm_computes_what_was_published(family: str) -> None:
    words = [f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(384)]
    assert FAMILIES[family](Seed(0x1A2B3C4D, 2021, 9, 17, words), 3)[0] == PUBLISHED[family]


def test_banjori_bends_the_first_four_letters_as_in_its_analysis() -> None:
    seed = Seed(0, 2021, 9, 17, ("earnestnessbiophysicalohax",))
    expected = ["kwtoestnessbiophysicalohax", "rvcxestnessbiophysicalohax", "hjbtestnessbiophysicalohax"]
    assert FAMILIES["banjori"](seed, 3) == expected


@settings(max_examples=10, deadline=None)
@given(st.integers(2**16, 2**32 - 1), st.integers(1, 12), st.integers(1, 28))
def test_every_algorithm_gives_labels_that_dns_allows(number: int, month: int, day: int) -> None:
    seed = Seed(number, 2020, month, day, ("alpha", "bravo", "charlie"))
    for compute in FAMILIES.values():
        for label in compute(seed, 3):
            assert 0 < len(label) <= 63
            assert label.isalnum()
            assert label.islower()


@pytest.mark.parametrize("name", ["mail", "domains", "headers"])
def test_a_reference_is_built_alike_twice_and_judges_what_it_never_saw(name: str) -> None:
    first = small(name)
    again = fresh(name)
    assert np.array_equal(first.model.answer(first.attacker.x).scores, again.model.answer(again.attacker.x).scores)
    assert first.accuracy > 0.85
    caught = first.model.answer(first.attacker.x).labels == first.attacker.y
    assert caught.mean() > 0.75
    assert first.model.answer(first.calibration).labels.mean() > 0.75
    assert not set(first.calibration) & set(first.attacker.x)


@pytest.mark.parametrize("name", ["mail", "domains", "headers"])
def test_honest_users_come_in_order_each_from_an_address_of_its_own(name: str) -> None:
    reference = small(name)
    visits = list(islice(reference.honest(clients=12, seed=3), 150))
    assert visits[0].account.startswith("honest-")
    assert [v.at for v in visits] == sorted(v.at for v in visits)
    home = {v.account: v.address for v in visits}
    assert len(set(home.values())) == len(home) == 12
    assert all(v.address == home[v.account] and v.address.startswith(ADDRESSES) for v in visits)
    rows = [str(row) for v in visits for row in v.rows]
    assert len(set(rows)) < len(rows)  # people come back to what they know
    repeated = islice(reference.honest(clients=12, seed=3), 150)
    assert [v.rows.tolist() for v in repeated] == [v.rows.tolist() for v in visits]


def test_a_mail_score_is_whole_points_and_its_middle_decides() -> None:
    reference = small("mail")
    answer = reference.model.answer(reference.attacker.x)
    assert answer.scores is not None
    points = answer.scores[:, 1] * 1000
    assert np.allclose(points, np.round(points))
    assert points.min() >= 1
    assert points.max() <= 999
    assert np.array_equal(answer.labels, (points >= 499.9).astype(int))


@pytest.mark.parametrize("name", ["mail", "domains"])
def test_numbers_are_no_texts(name: str) -> None:
    reference = small(name)
    with pytest.raises(ValueError, match="each row must be a text"):
        reference.model.answer(np.zeros((2, 3)))


def test_requests_name_each_field_once_and_malware_says_where_it_reports_to() -> None:
    wire = Wire(np.random.default_rng(0))
    for request in np.concatenate([wire.honest(60), wire.malware(24)]):
        first, *lines = str(request).split("\n")
        names = [line.partition(": ")[0].lower() for line in lines]
        assert first.split(" ")[0] in ("GET", "POST")
        assert len(set(names)) == len(names)
        assert "host" in names
        assert "{" not in str(request)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="ab.\ncé", max_size=12), min_size=1, max_size=5), st.sampled_from(["", "."]))
def test_plain_counts_come_out_alike_with_and_without_sorting(rows: list[str], until: str) -> None:
    grams = Grams((1, 2, 3), 64, until=until)
    matrix = np.random.default_rng(0).normal(size=(64, 3))
    assert np.allclose(grams.times(rows, matrix), bag(grams.cells(rows), matrix))
    alone = np.concatenate([grams.times([row], matrix) for row in rows])
    assert np.allclose(grams.times(rows, matrix), alone)  # no n-gram reaches into the next text


def test_only_the_first_label_counts_where_the_features_end_at_a_dot() -> None:
    grams = Grams((2, 3), 256, until=".")
    eye = np.eye(256)
    assert np.array_equal(grams.times(["shop.com"], eye), grams.times(["shop.example.org"], eye))
    assert not np.array_equal(grams.times(["shop.com"], eye), grams.times(["shops.com"], eye))


def test_word_features_have_length_one_and_know_what_they_learned() -> None:
    words = Words.learn(["good day", "good night", "good good"], least=1)
    x = words.of(["Good, good night!", "unseen"])
    assert np.linalg.norm(x[0]) == pytest.approx(1.0)
    assert not x[1].any()


@pytest.mark.parametrize("hidden", [0, 4])
def test_a_model_on_n_grams_learns_what_tells_two_kinds_apart(hidden: int) -> None:
    rng = np.random.default_rng(0)
    rows = texts("".join(rng.choice(list(kind), 8)) for kind in ("abcd", "wxyz") * 100)
    y = np.tile(np.array([0, 1]), 100)
    model: TextModel = fit_grams(Grams((1, 2), 128), rows[:150], y[:150], hidden=hidden, seed=1)
    assert np.mean(model.labels(rows[150:]) == y[150:]) > 0.95
    assert np.allclose(model.scores(rows).sum(axis=1), 1.0)

"""Sigma rules by the thousand, in the shapes that SigmaHQ's rules have, over the records of ``engine_world``.

The shares follow SigmaHQ's main rules: more than half are about programs started, with a list of endings of the
program's path and a list of pieces of its command line; two of five have a filter behind ``not``; a few per cent have
wildcards within a value, regular expressions, networks, or no text at all. A value is a word that innocent records
know (a common program, an ordinary option) in one of four places, and otherwise one that only attackers type, of which
most never occur: as in a real network, most rules never match, some match a few records, one in a hundred is noisy.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import yaml

from benchmarks.engine_world import FRAGMENTS, OPERATIONS, PARENTS, PROGRAMS, TOOLS, WORDS

__all__ = ["sigma_rules"]

Detection = dict[str, Any]
_UNSEEN = ("xq", "jv", "zk", "wq", "qz")  # no word of the world has these


class _Maker:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._shapes: tuple[tuple[float, str, Callable[[], Detection]], ...] = (
            (0.34, "process", self._program_and_pieces),
            (0.14, "process", self._pieces),
            (0.08, "process", self._parent),
            (0.16, "http", self._request),
            (0.04, "http", self._agent),
            (0.12, "api_activity", self._operations),
            (0.05, "inference", self._prompt),
            (0.02, "process", self._wildcards),
            (0.03, "process", self._regex),
            (0.01, "api_activity", self._network),
            (0.01, "inference", self._numbers),
        )

    def rule(self, number: int) -> dict[str, Any]:
        weights = [share for share, _, _ in self._shapes]
        _, category, shape = self._random.choices(self._shapes, weights)[0]
        detection = shape()
        return {
            "title": f"Generated rule {number}",
            "name": f"generated_{number}",
            "logsource": {"category": category},
            "detection": detection,
            "level": "medium",
        }

    def _few(self, make: Callable[[], str], most: int = 6) -> list[str]:
        """A list as analysts write them: mostly short, some long."""
        count = min(1 + int(self._random.expovariate(0.5)), most * 3)
        return list(dict.fromkeys(make() for _ in range(count)))

    def _rare(self) -> str:
        kind = self._random.random()
        if kind < 0.25:
            return self._random.choice(FRAGMENTS[: len(TOOLS)]).split()[0]
        dash, word = self._random.choice(("", "-", " --", ".")), self._random.choice(WORDS)
        return f"{dash}{word}{self._random.choice(_UNSEEN)}{self._random.choice(WORDS)}"

    def _piece(self) -> str:
        common = self._random.random() < 0.25
        return f"{self._random.choice((' -', '--', '/'))}{self._random.choice(WORDS)}" if common else self._rare()

    def _program(self) -> str:
        if self._random.random() < 0.5:
            path = self._random.choice(PROGRAMS)
            return path[max(path.rfind("\\"), path.rfind("/")) :]
        return f"\\{self._random.choice(TOOLS)}.exe"

    def _filtered(self, detection: Detection, condition: str) -> Detection:
        if self._random.random() < 0.4:
            detection["filter_known"] = {"parent_image|endswith": self._few(self._program, 2)}
            if self._random.random() < 0.4:
                detection["filter_account"] = {"principal|startswith": f"user{self._random.randint(1, 300)}@"}
            condition += " and not 1 of filter_*"
        return {**detection, "condition": condition}

    def _program_and_pieces(self) -> Detection:
        both = self._random.random() < 0.3
        values = self._few(self._piece)
        pieces = {f"command_line|contains{'|all' if both and len(values) > 1 else ''}": values}
        image = {"image|endswith": self._few(self._program, 3)}
        if self._random.random() < 0.3:
            name = [program[1:] for program in image["image|endswith"]]
            return self._filtered({"img": [image, {"original_name": name}], "cli": pieces}, "img and cli")
        return self._filtered({"selection": {**image, **pieces}}, "selection")

    def _pieces(self) -> Detection:
        more = {"cli2": {"command_line|contains": self._few(self._piece)}} if self._random.random() < 0.3 else {}
        condition = "all of cli*" if more else "cli1"
        return self._filtered({"cli1": {"command_line|contains": self._few(self._rare)}, **more}, condition)

    def _parent(self) -> Detection:
        path = self._random.choice(PARENTS)
        parent = path[max(path.rfind("\\"), path.rfind("/")) :]
        return self._filtered(
            {
                "selection": {
                    "parent_image|endswith": parent,
                    "image|endswith": self._few(lambda: f"\\{self._rare()}.exe"),
                }
            },
            "selection",
        )

    def _request(self) -> Detection:
        where = self._random.choice(("endpoint", "query", "query"))
        web = FRAGMENTS[len(TOOLS) : len(TOOLS) + 170]
        values = self._few(lambda: self._random.choice(web) if self._random.random() < 0.3 else self._rare())
        selection: Detection = {f"{where}|contains": values}
        if self._random.random() < 0.4:
            selection["method"] = self._random.choice(("GET", "POST"))
        if self._random.random() < 0.2:
            selection["status"] = self._random.choice(([200, 201], [200, 302], 500))
        return {"selection": selection, "condition": "selection"}

    def _agent(self) -> Detection:
        modifier = self._random.choice(("|contains", "|startswith", ""))
        return {"selection": {f"user_agent{modifier}": self._few(self._rare)}, "condition": "selection"}

    def _operations(self) -> Detection:
        selection: Detection = {
            "operation": sorted(set(self._random.choices(OPERATIONS, k=self._random.randint(1, 4))))
        }
        selection["object|contains"] = self._few(self._rare)
        if self._random.random() < 0.3:
            selection["status"] = 200
        condition, known = "selection", {}
        if self._random.random() < 0.3:
            known = {"filter": {"user_agent|contains": "curl/"}}
            condition += " and not filter"
        return {"selection": selection, **known, "condition": condition}

    def _prompt(self) -> Detection:
        say = FRAGMENTS[len(TOOLS) + 170 :]
        values = self._few(lambda: self._random.choice(say) if self._random.random() < 0.3 else self._rare())
        return {"selection": {"prompt|contains": values}, "condition": "selection"}

    def _wildcards(self) -> Detection:
        return self._filtered({"selection": {"command_line": [f"*{self._rare()}*{self._rare()}*"]}}, "selection")

    def _regex(self) -> Detection:
        pattern = rf"{self._random.choice(('', '(?i)'))}{self._random.choice(WORDS)}\s+[a-z]{{2,}}[0-9]+x"
        return self._filtered({"selection": {"command_line|re": pattern}}, "selection")

    def _network(self) -> Detection:
        network = f"10.{self._random.randint(0, 6)}.{self._random.randint(0, 80)}.0/24"
        return {"s": {"src_ip|cidr": network, "operation|startswith": "Delete", "status": 403}, "condition": "s"}

    def _numbers(self) -> Detection:
        selection = {"tokens_out|gte": self._random.randint(2600, 2950), "status": 500, "tokens_in|lt": 20}
        return {"selection": selection, "condition": "selection"}


def sigma_rules(count: int, seed: int = 5) -> list[str]:
    """The first ``count`` of one endless list of rules, as YAML documents."""
    maker = _Maker(seed)
    return [yaml.safe_dump(maker.rule(number), sort_keys=False) for number in range(count)]

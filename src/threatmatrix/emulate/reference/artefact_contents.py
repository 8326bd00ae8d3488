"""What lies in the artefact store, in two furnishings, each with the one mistake that its case study turned on.

``service``
    The storage behind a model service: weights, training data, another team's things. A contractor's account may read
    everything and needs no second factor; its password is known to the attacker.
``recognition``
    A code host with open registration, and a storage with recordings of people, apps and training data. Whoever
    registers may read the one repository, and in its files stand keys: one of production, which may read and write
    everywhere, one that was revoked, and a chat's.

Files are made from the seed. Recordings and apps are noise behind the first bytes of their format: nothing in them
runs or plays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from threatmatrix.emulate.artefacts import AccessKey, Credentials, write_table, write_weights
from threatmatrix.emulate.reference.artefact_audit import TENANT
from threatmatrix.emulate.reference.artefact_vault import code_of, new_vault, secret_of
from threatmatrix.emulate.reference.mlp import MLP
from threatmatrix.emulate.stage import Samples
from threatmatrix.model.errors import UnknownNameError

__all__ = ["FURNISHINGS", "PART", "Furnished", "furnish"]

PART = 50  # rows in one file of training data
RECORDINGS, APPS = 72, 8
_ALL = "list read write"
_READ = "list read"


@dataclass(frozen=True, slots=True)
class Furnished:
    """A store that is ready to serve.

    ``config``: for ``store_app``, but for the paths of its logs. ``known``: what the attacker holds at the beginning,
    by the names under which steps look for it. ``owner``: the credential of whoever runs the store, for clean-up and
    for looking after. ``people``: honest ones, not the one whose password leaked. ``credentials``: (account, access
    key) of programs, for ``principals``.
    """

    kind: str
    config: Mapping[str, Any]
    known: Mapping[str, Any]
    owner: str
    people: Mapping[str, tuple[str, str]] = field(repr=False)  # name → password, code of the second factor
    credentials: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _Room:
    """A furnishing in the making."""

    seed: int
    accounts: dict[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    roles: list[str] = field(default_factory=list)
    keys: list[tuple[str, str, str, Mapping[str, str] | None]] = field(default_factory=list)
    objects: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def word(self, what: str, length: int = 20) -> str:
        """A password or secret, the same for the same seed."""
        return hashlib.sha256(f"{self.seed}:{what}".encode()).hexdigest()[:length]

    def person(self, name: str, **rights: str) -> None:
        self.accounts[name] = (self.word(f"password of {name}"), {k.rstrip("_"): v for k, v in rights.items()})

    def program(self, name: str, rights: Mapping[str, str], *, role: bool = True) -> AccessKey:
        """An account for a program, with an access key and no password that anybody knows."""
        self.accounts[name] = (self.word(f"password of {name}", 40), rights)
        if role:
            self.roles.append(name)
        key = AccessKey("AKIA" + self.word(f"key of {name}", 16).upper(), self.word(f"secret of {name}", 40))
        self.keys.append((key.key_id, key.secret, name, None))
        return key

    def noise(self, what: str, size: int, start: bytes) -> bytes:
        digest = hashlib.sha256(f"{self.seed}:{what}".encode()).digest()
        return start + np.random.default_rng(list(digest[:8])).bytes(size - len(start))


def furnish(kind: str, root: Path, *, seed: int, model: MLP, training: Samples, name: str = "digits") -> Furnished:
    """Fill an empty folder: ``model`` is the one that is served, ``training`` what it was trained on.

    Raises UnknownNameError for a furnishing that there is not.
    """
    if kind not in FURNISHINGS:
        raise UnknownNameError("furnishing of the artefact store", kind, FURNISHINGS)
    room = _Room(seed)
    owner = room.program("owner", {"*": _ALL}, role=False)
    newcomers, known = FURNISHINGS[kind](room, model, training, name)
    leaked = known.get("credentials")
    not_people = {account for _, _, account, _ in room.keys} | {leaked.account if leaked else ""}
    room.objects.setdefault("scratch", {"README.md": b"Whatever is no longer needed tomorrow.\n"})
    root.mkdir(parents=True, exist_ok=True)
    new_vault(
        root,
        secret=secret_of(seed),
        accounts=room.accounts,
        roles=room.roles,
        second_factor=set(room.accounts) - not_people,
        keys=room.keys,
        newcomers=newcomers,
        objects=room.objects,
    )
    return Furnished(
        kind=kind,
        config={"root": str(root), "seed": seed, "tenant": TENANT, "replayed": True},
        known=known,
        owner=f"{owner.key_id}:{owner.secret}",
        people={
            name: (password, code_of(secret_of(seed), name))
            for name, (password, _) in room.accounts.items()
            if name not in not_people
        },
        credentials=tuple((account, f"{key}:{secret}") for key, secret, account, _ in room.keys),
    )


def _service(
    room: _Room, model: MLP, training: Samples, name: str
) -> tuple[Mapping[str, str] | None, Mapping[str, Any]]:
    for person in ("ana", "ben", "chen"):
        room.person(person, models=_READ, datasets=_ALL, scratch=_ALL)
    room.person("mira", **{"*": _READ, "scratch": _ALL})  # a contractor: nobody knew which rights it would take
    room.program("ml-train", {"models": _ALL, "datasets": _READ, "scratch": _ALL})
    room.program("ml-serve", {"models": _READ})
    rng = np.random.default_rng([room.seed, 0xA27F])
    other = MLP.of([rng.normal(size=(20, 8)), rng.normal(size=(8, 3))], [np.zeros(8), np.zeros(3)])
    rows = Samples(rng.normal(size=(120, 20)).round(3), rng.integers(0, 3, 120))
    room.objects["models"] = {
        f"{name}/3/model.safetensors": write_weights(model),
        f"{name}/3/README.md": f"# {name}, version 3\n\nIn production. Trained on datasets/{name}/train.\n".encode(),
        "parcels/1/model.safetensors": write_weights(other),
        "parcels/1/README.md": b"# parcels, version 1\n\nA trial of another team.\n",
    }
    room.objects["datasets"] = {
        **_parts(f"{name}/train", training),
        **_parts("parcels/train", rows),
        "README.md": b"One folder for each model; tables of 50 rows, the label first.\n",
    }
    return None, {"credentials": Credentials("mira", room.word("password of mira"))}


def _recognition(
    room: _Room, model: MLP, training: Samples, name: str
) -> tuple[Mapping[str, str] | None, Mapping[str, Any]]:
    repository = "recognition.git"
    rights = {repository: _READ, "training": _ALL, "models": _READ, "apps": _READ, "scratch": _ALL}
    for person in ("dana", "eli", "farid"):
        room.person(person, **rights)
    production = room.program("production", {"*": _ALL}, role=False)
    room.program("ml-train", {"models": _ALL, "training": _READ, "scratch": _ALL})
    room.program("ci", {repository: _READ, "apps": _ALL, "scratch": _ALL})
    revoked = AccessKey("AKIA" + room.word("revoked", 16).upper(), room.word("revoked secret", 40))
    room.objects[repository] = _code(room, production, revoked)
    room.objects["recordings"] = {
        f"lobby/2020-0{1 + i // 24}-{1 + i % 24:02d}-camera-{1 + i % 3}.mp4": room.noise(
            f"recording {i}", 2048, b"\x00\x00\x00\x18ftypmp42"
        )
        for i in range(RECORDINGS)
    }
    kinds = (("ios/search-{}.ipa", b"PK\x03\x04"), ("android/search-{}.apk", b"PK\x03\x04"), ("windows/{}.exe", b"MZ"))
    room.objects["apps"] = {
        kinds[i % 3][0].format(f"0.{i}"): room.noise(f"app {i}", 4096, kinds[i % 3][1]) for i in range(APPS)
    }
    room.objects["training"] = _parts(f"{name}/train", training)
    room.objects["models"] = {f"{name}/1/model.safetensors": write_weights(model)}
    return {repository: _READ}, {}


def _code(room: _Room, production: AccessKey, revoked: AccessKey) -> dict[str, bytes]:
    """A repository as many look: the keys beside the code."""
    files = {
        "README.md": "# recognition\n\nWho is on this picture? See deploy/ for how it runs.\n",
        "serving/app.py": "from serving.settings import BUCKETS\n\n\ndef answer(picture):\n    return best(picture)\n",
        "serving/settings.py": 'BUCKETS = ("training", "models", "recordings")\nTHRESHOLD = 0.62\n',
        "serving/tests/test_app.py": 'KEY = "AKIAEXAMPLE"  # not a key\n\n\ndef test_answer():\n    assert KEY\n',
        "deploy/production.env": (
            "STORAGE_HOST=artefacts.example\n"
            f"AWS_ACCESS_KEY_ID={production.key_id}\nAWS_SECRET_ACCESS_KEY={production.secret}\n"
        ),
        "deploy/old/staging.env": f"AWS_ACCESS_KEY_ID={revoked.key_id}\nAWS_SECRET_ACCESS_KEY={revoked.secret}\n",
        "tools/notify.yaml": f"chat:\n  token: xoxb-{room.word('chat token', 24)}\n  channel: builds\n",
        "mobile/ios/settings.json": json.dumps({"host": "artefacts.example", "version": "0.6"}) + "\n",
    }
    return {path: text.encode() for path, text in files.items()}


def _parts(folder: str, samples: Samples) -> dict[str, bytes]:
    starts = range(0, len(samples), PART)
    return {
        f"{folder}/part-{i:03d}.csv": write_table(Samples(samples.x[at : at + PART], samples.y[at : at + PART]))
        for i, at in enumerate(starts)
    }


_Furnishing = Callable[[_Room, MLP, Samples, str], tuple[Mapping[str, str] | None, Mapping[str, Any]]]

FURNISHINGS: MappingProxyType[str, _Furnishing] = MappingProxyType({"service": _service, "recognition": _recognition})
"""Name → what is put into the store; returns the rights of whoever registers, and what the attacker knows."""

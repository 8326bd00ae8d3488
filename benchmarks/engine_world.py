"""The records that the engine is measured on: seeded, the same on each run, made by DuckDB in the size asked for.

What real logs look like was the model, not what an engine likes. Four kinds of record lie mixed, in order of time:

* ``process``, 30 %: programs started on 500 hosts. 160 programs and 40 parents, very uneven (the k-th most frequent
  falls off as in Zipf's law), 2,500 users; command lines from 60 patterns whose numbers, paths, ids and base64 blocks
  differ from start to start, so that seven of ten are unlike every other.
* ``http``, 35 %: requests at a web front. Paths from 40 patterns, most with ids; query strings that are nearly all
  different; 400 user agents, 20,000 addresses, status codes as servers give them.
* ``inference``, 25 %: requests to models, six of ten with a prompt of 6 to 40 words drawn unevenly from a vocabulary
  of 1,200; token counts and latencies are log-normal.
* ``api_activity``, 10 %: calls of a cloud's or a registry's interface: 300 operations, resource names with ids.

One record in 400 holds a fragment of what attackers type (:data:`FRAGMENTS`), a Zipf draw among 600 of them, in the
command line, the query or the prompt of its kind: rules have something to find and nearly all records are innocent, as
on a network where the tool is worth buying. Text keeps its case; fields that a kind does not have are NULL.
"""

from __future__ import annotations

import random
from pathlib import Path

import duckdb

from threatmatrix.detect.sigma.schema import Schema

__all__ = ["CATEGORIES", "FRAGMENTS", "OPERATIONS", "PARENTS", "PROGRAMS", "SCHEMA", "TOOLS", "WORDS", "make_world"]

START = 1_767_571_200_000_000  # 2026-01-05, µs
CATEGORIES = ("process", "http", "inference", "api_activity")

_random = random.Random(20261122)
_SYLLABLES = [
    *("ra", "ko", "mi", "ten", "sol", "var", "ne", "lu", "pha", "dor", "qui", "ban", "est", "cor"),
    *("ila", "mun", "der", "ost", "pre", "gal", "tri", "onu", "kes", "wa", "bel", "hym", "zor"),
]


def _word(low: int = 2, high: int = 4) -> str:
    return "".join(_random.choice(_SYLLABLES) for _ in range(_random.randint(low, high)))


def _words(count: int, low: int = 2, high: int = 4) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < count:
        found[_word(low, high)] = None
    return list(found)


WORDS = _words(1_200, 1, 4)
_NAMES = _words(400, 2, 3)
PROGRAMS = [
    *(rf"C:\Windows\System32\{name}.exe" for name in ("svchost", "cmd", "conhost", "rundll32", "reg", "net", "sc")),
    r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
    *("/usr/bin/python3", "/usr/bin/bash", "/usr/bin/curl", "/usr/sbin/sshd", "/usr/bin/nvidia-smi", "/usr/bin/git"),
    *(rf"C:\Program Files\{name.title()}\{name}.exe" for name in _NAMES[:86]),
    *(f"/opt/{name}/bin/{name}d" for name in _NAMES[86:146]),
]
PARENTS = PROGRAMS[:20] + PROGRAMS[40:60]
TOOLS = [f"{name}{_random.choice(('cat', 'dump', 'hound', 'spray', 'exec', 'kit'))}" for name in _words(260, 2, 3)]
OPERATIONS = [
    verb + "".join(word.title() for word in _random.sample(_NAMES, _random.randint(1, 2)))
    for verb in ("Get", "List", "Describe", "Put", "Create", "Delete", "Update", "Assume", "Stop", "Attach")
    for _ in range(30)
]
FRAGMENTS = [
    *(f"{tool} {_random.choice(('--', '-', '/'))}{_word()}" for tool in TOOLS),
    *(
        f"{_random.choice(('../', '%2e%2e/', 'union+select+', '${jndi:', '<script>', ';wget '))}{_word()}"
        for _ in range(170)
    ),
    *(f"ignore {_random.choice(('all', 'the', 'your'))} {' '.join(_random.sample(WORDS, 3))}" for _ in range(170)),
]
_CLIENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (Windows NT 10.0; Win64)", "python-requests/2", "curl/8")
_AGENTS = [
    f"{_random.choice(_CLIENTS)} {name.title()}/{_random.randint(1, 140)}.0.{_random.randint(0, 6000)}"
    for name in _NAMES
]
_COMMANDS = [
    " ".join(
        _random.choice(
            (
                f"--{_word()}",
                f"-{_word(1, 1)[0]}",
                f"/{_word(1, 2)}:{{n}}",
                f"--{_word()}={{hex}}",
                _word(),
                "{path}",
                "{n}",
            )
        )
        for _ in range(_random.randint(1, 9))
    )
    + _random.choice(("", "", "", " {b64}"))
    for _ in range(60)
]
_PATHS = [
    "/"
    + "/".join(_random.choice((_word(), _word(), "v1", "api", "{n}", "{hex}")) for _ in range(_random.randint(1, 5)))
    for _ in range(40)
]
_FIELDS = {
    **dict.fromkeys(("event_id", "category", "host", "principal", "image", "command_line", "parent_image"), "VARCHAR"),
    **dict.fromkeys(("parent_command_line", "original_name", "directory", "integrity"), "VARCHAR"),
    **dict.fromkeys(
        ("src_ip", "method", "endpoint", "query", "referer", "user_agent", "operation", "object"), "VARCHAR"
    ),
    **dict.fromkeys(("model", "prompt", "output_label", "session"), "VARCHAR"),
    **dict.fromkeys(("time", "process_id", "status", "bytes", "tokens_in", "tokens_out"), "BIGINT"),
    "latency_ms": "DOUBLE",
}
SCHEMA = Schema(
    fields=_FIELDS,
    categories=CATEGORIES,
    keywords=("command_line", "parent_command_line", "query", "prompt", "object"),
)

# One table of values per name; drawn(name, salt) picks one for a record, the k-th with a share that falls as 1 / k.
_TABLES = {
    "programs": PROGRAMS,
    "parents": PARENTS,
    "commands": _COMMANDS,
    "paths": _PATHS,
    "agents": _AGENTS,
    "operations": OPERATIONS,
    "fragments": FRAGMENTS,
    "words": WORDS,
    "names": _NAMES,
}
_MACROS = (
    "CREATE MACRO draw(i, salt) AS (hash(i * 1000003 + salt) % 1000000007) / 1000000007.0",
    "CREATE MACRO zipf(i, salt, n) AS CAST(floor(exp(draw(i, salt) * ln(n + 1.0))) AS INTEGER)",  # 1 … n
    """CREATE MACRO filled(text, i) AS replace(replace(replace(replace(text,
        '{n}', CAST(hash(i * 7 + 1) % 99991 AS VARCHAR)), '{hex}', substr(md5(CAST(i AS VARCHAR)), 1, 16)),
        '{path}', 'C:\\Users\\u' || (hash(i * 7 + 2) % 2500) || '\\AppData\\Local\\'
        || substr(md5(CAST(i + 1 AS VARCHAR)), 1, 8)),
        '{b64}', to_base64(unhex(md5(CAST(i AS VARCHAR)) || md5(CAST(i * 3 AS VARCHAR)))))""",
)
_RECORDS = """
    WITH drawn AS (SELECT i, {start} + CAST(i * {step} AS BIGINT) AS time, draw(i, 1) AS kind,
        draw(i, 2) * 400 < 1 AS planted, fragments[zipf(i, 3, len(fragments))] AS fragment, tables.*
        FROM range({first}, {last}) AS r(i), tables),
    kinds AS (SELECT *, CASE WHEN kind < .3 THEN 'process' WHEN kind < .65 THEN 'http'
        WHEN kind < .9 THEN 'inference' ELSE 'api_activity' END AS category FROM drawn)
    SELECT substr(md5(CAST(i AS VARCHAR)), 1, 16) AS event_id, category, time,
        'srv-' || zipf(i, 4, 500) AS host,
        'user' || zipf(i, 5, 2500) || CASE category WHEN 'process' THEN '@corp.example' ELSE '' END AS principal,
        CASE category WHEN 'process' THEN programs[zipf(i, 6, len(programs))] END AS image,
        CASE category WHEN 'process' THEN programs[zipf(i, 6, len(programs))] || ' '
            || filled(commands[zipf(i, 7, len(commands))], i) || if(planted, ' ' || fragment, '') END AS command_line,
        CASE category WHEN 'process' THEN parents[zipf(i, 8, len(parents))] END AS parent_image,
        CASE category WHEN 'process' THEN parents[zipf(i, 8, len(parents))] || ' '
            || filled(commands[zipf(i, 9, len(commands))], i // 50) END AS parent_command_line,
        CASE category WHEN 'process' THEN programs[zipf(i, 6, len(programs))].regexp_extract('[^/\\\\]+$') END
            AS original_name,
        CASE category WHEN 'process' THEN 'C:\\Users\\u' || zipf(i, 10, 2500) END AS directory,
        CASE category WHEN 'process' THEN ['Medium', 'System', 'High', 'Low'][zipf(i, 11, 4)] END AS integrity,
        CASE category WHEN 'process' THEN CAST(hash(i * 11) % 65536 AS BIGINT) END AS process_id,
        CASE WHEN category <> 'process' THEN '10.' || (zipf(i, 12, 20000) % 7) || '.' || (zipf(i, 12, 20000) // 250)
            || '.' || (zipf(i, 12, 20000) % 250) END AS src_ip,
        CASE category WHEN 'http' THEN ['GET', 'POST', 'HEAD', 'PUT', 'OPTIONS'][zipf(i, 13, 5)] END AS method,
        CASE category WHEN 'http' THEN filled(paths[zipf(i, 14, len(paths))], i // 3)
            WHEN 'inference' THEN '/v2/models/' || names[zipf(i, 15, 60)] || '/infer' END AS endpoint,
        CASE category WHEN 'http' THEN names[zipf(i, 16, 400)] || '=' || (hash(i) % 999983) || '&'
            || names[zipf(i, 17, 400)] || '=' || words[zipf(i, 18, 1200)]
            || if(planted, '&q=' || fragment, '') END AS query,
        CASE WHEN category = 'http' AND draw(i, 19) < .4 THEN 'https://www.' || names[zipf(i, 20, 400)]
            || '.example/' END AS referer,
        CASE WHEN category <> 'process' THEN agents[zipf(i, 21, len(agents))] END AS user_agent,
        CASE category WHEN 'api_activity' THEN operations[zipf(i, 22, len(operations))] END AS operation,
        CASE category WHEN 'api_activity' THEN 'arn:cloud:' || names[zipf(i, 23, 40)] || ':eu-1:'
            || (hash(i // 9) % 1000003) || '/' || words[zipf(i, 24, 1200)]
            || if(planted, '/' || fragment, '') END AS object,
        CASE category WHEN 'inference' THEN names[zipf(i, 15, 60)] END AS model,
        CASE WHEN category = 'inference' AND draw(i, 25) < .6 THEN array_to_string(list_transform(
            range(6 + CAST(hash(i * 13) % 35 AS BIGINT)), lambda j: words[zipf(i * 64 + j, 26, 1200)]), ' ')
            || if(planted, ' ' || fragment, '') END AS prompt,
        CASE category WHEN 'inference' THEN CAST(zipf(i, 27, 10) AS VARCHAR) END AS output_label,
        CASE WHEN category <> 'process' THEN substr(md5(CAST(i // 20 AS VARCHAR)), 1, 12) END AS session,
        CASE WHEN category <> 'process' THEN [200, 304, 404, 401, 403, 500, 302, 429][zipf(i, 28, 8)] END AS status,
        CASE category WHEN 'http' THEN CAST(exp(4 + 8 * draw(i, 29)) AS BIGINT) END AS bytes,
        CASE category WHEN 'inference' THEN CAST(exp(2 + 5 * draw(i, 30)) AS BIGINT) END AS tokens_in,
        CASE category WHEN 'inference' THEN CAST(exp(2 + 6 * draw(i, 31)) AS BIGINT) END AS tokens_out,
        CASE WHEN category IN ('http', 'inference') THEN exp(1 + 6 * draw(i, 32)) END AS latency_ms
    FROM kinds ORDER BY i
"""


def make_world(path: Path, events: int, *, piece: int = 1_000_000) -> None:
    """Write ``events`` records as Parquet files of ``piece`` records each into the folder ``path``."""
    path.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as con:
        con.execute("SET threads = 2")
        for macro in _MACROS:
            con.execute(macro)
        columns = ", ".join(f"?::VARCHAR[] AS {name}" for name in _TABLES)
        con.execute(f"CREATE TABLE tables AS SELECT {columns}", list(_TABLES.values()))
        for first in range(0, events, piece):
            last = min(first + piece, events)
            sql = _RECORDS.format(start=START, step=40_000, first=first, last=last)
            name = path / f"part-{first // piece:03}.parquet"
            con.execute(f"COPY ({sql}) TO '{name}' (FORMAT parquet, COMPRESSION zstd)")

"""Linux: who logged in and who tried, from ``/var/log/auth.log`` (``/var/log/secure``) or ``journalctl -o json``.

Lines: RFC 3164 (``Nov 21 17:00:00 host sshd[1]: …``), the RFC 3339 times of newer rsyslog, journal entries as JSON
(systemd.journal-fields(7)). Messages: OpenSSH's sshd (auth.c, auth2.c), sudo's log (sudoers(5), "LOG FORMAT"),
su, and PAM's pam_unix for every other service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from threatmatrix.model.errors import FormatError
from threatmatrix.model.event import Category, Event, Outcome
from threatmatrix.telemetry.readers.base import (
    NOTHING_ASKED,
    Form,
    Options,
    Reader,
    Where,
    content_id,
    reject,
    top_level_keys,
    without_secrets,
)
from threatmatrix.telemetry.readers.lines import Clock, journal_entry, json_line, split_time

__all__ = ["LinuxAuthReader"]

_HEAD = re.compile(
    r"(?P<host>\S{1,255}) (?P<program>[^\s\[:]{1,64})(?:\[(?P<pid>[0-9]{1,10})\])?: (?P<said>.*)",
    re.DOTALL,
)
_REPEATED = re.compile(r"message repeated (?P<times>[0-9]{1,4}) times: \[ ?(?P<said>.*?) ?\]", re.ASCII)
_MOST_REPEATS = 1000

# A user name is what a client typed, " from 10.0.0.1 port 22 ssh2" included: every pattern is held to the end of the
# line, and the last " from … port …" is the real one. Only an account that exists is ever accepted.
_IP = r"(?P<ip>[^ ]{2,64})"
_FROM = rf"from {_IP} port [0-9]{{1,5}}"
_HOW = r"(?P<how>[a-z-]{1,40}(?:/[a-z]{1,20})?)"
_USER = r"(?:invalid user |illegal user )?(?P<user>.*)"
_GAVE_UP = r"(?:Connection (?:closed|reset) by|Disconnected from)"
_SSHD_SAYS: tuple[tuple[str, str, Outcome], ...] = (
    (rf"Accepted {_HOW} for (?P<user>.{{1,255}}?) {_FROM}(?: ssh2?)?(?:: \S+ (?P<key>\S+).*)?", "", "success"),
    (rf"Failed {_HOW} for {_USER} {_FROM}(?: ssh2?)?(?:: [A-Z0-9-]+ (?P<key>\S+))?", "", "failure"),
    (rf"(?:Invalid|Illegal) user (?P<user>.*?) ?{_FROM}", "invalid_user", "failure"),
    (rf"(?:Invalid|Illegal) user (?P<user>.*?) ?from {_IP}", "invalid_user", "failure"),
    (
        rf"(?:error: )?maximum authentication attempts exceeded for {_USER} {_FROM}(?: ssh2?)? \[preauth\]",
        "max_attempts",
        "failure",
    ),
    (
        rf"{_GAVE_UP} (?:authenticating|invalid) user (?P<user>.*) {_IP} port [0-9]{{1,5}} \[preauth\]",
        "preauth",
        "failure",
    ),
    (rf"{_GAVE_UP} {_IP} port [0-9]{{1,5}} \[preauth\]", "preauth", "failure"),
    (rf"User (?P<user>.*) from {_IP} not allowed because [^;]*", "not_allowed", "failure"),
)
_SSHD = tuple((re.compile(pattern + "$"), operation, outcome) for pattern, operation, outcome in _SSHD_SAYS)
_SUDO = re.compile(r"\s*(?P<user>[^ :]{1,255}) : (?:(?P<why>[^;=]{1,120}) ; )?(?P<rest>[A-Z]+=.*)")
_SUDO_USER = re.compile(r"(?:^|; )USER=([^ ;]{1,255}) ;")
_SU: tuple[tuple[re.Pattern[str], Outcome], ...] = (
    (re.compile(r"FAILED SU \(to (?P<to>[^)]{1,255})\) (?P<user>\S{1,255}) on .*"), "failure"),
    (re.compile(r"\(to (?P<to>[^)]{1,255})\) (?P<user>\S{1,255}) on .*"), "success"),
    (re.compile(r"Successful su for (?P<to>\S{1,255}) by (?P<user>\S{1,255})"), "success"),
    (re.compile(r"FAILED su for (?P<to>\S{1,255}) by (?P<user>\S{1,255})"), "failure"),
)
_PAM = r"pam_\w{1,32}\((?P<service>[\w.-]{1,64}):"
_PAM_FAILED = re.compile(rf"{_PAM}auth\): authentication failure; .*? rhost=(?P<ip>\S*)(?:\s+user=(?P<user>.*))?")
_PAM_OPENED = re.compile(rf"{_PAM}session\): session opened for user (?P<user>[^( ]{{1,255}}).*")
_SPEAKING = ("sshd", "sudo", "sudo-i", "su", "su-l")  # PAM would say the same attempt again
_NOBODYS = ("cron", "crond", "atd", "systemd-user", "runuser", "runuser-l", "polkit-1")  # sessions without a login
_SSHD_NAMES = ("sshd", "sshd-session", "sshd-auth")
_OURS = frozenset({*_SSHD_NAMES, "sudo", "su", "login", "systemd-logind", "CRON"})

_GIVES = {
    "event_id": "`linux-auth:` + journal cursor, or a hash of the line",
    "time": "what the line begins with, or `__REALTIME_TIMESTAMP`",
    "source": "`linux-auth`",
    "category": "`authentication`",
    "operation": "the method (`publickey` …), or what happened (`invalid_user`, `preauth` …), `sudo`, `su`, `pam`",
    "principal": "the account that logs in, or that asks for another's rights",
    "key_id": "fingerprint of the SSH key",
    "src_ip": "address of the SSH client, or `rhost` of PAM",
    "host": "the host that wrote the line",
    "object": "the account whose rights are asked for (sudo, su); the service (PAM)",
    "row": "count within `message repeated N times`",
    "rows": "N of `message repeated N times`",
    "outcome": "success or failure, as the line says",
}


class _Said(NamedTuple):
    """What a message says, by the names that the event has for it."""

    operation: str
    outcome: Outcome
    principal: str | None
    src_ip: str | None = None
    object: str | None = None
    key_id: str | None = None


class LinuxAuthReader:
    """Logins of a Linux host. Lines about anything else (cron, services) are valid and give no event."""

    name = "linux-auth"
    description = "Linux logins: auth.log or secure (sshd, sudo, su, PAM), or journalctl -o json"
    form: Form = "text"
    gives: Mapping[Category, Mapping[str, str]] = {"authentication": _GIVES}

    def __init__(self, options: Options = NOTHING_ASKED) -> None:
        self._clock = Clock(options.written, options.zone)
        self._inputs = options.inputs

    def recognises(self, first_lines: Sequence[str]) -> bool:
        """True where a line has syslog's head, or the fields of a journal entry."""
        if any({"__REALTIME_TIMESTAMP", "MESSAGE"} <= keys for keys in top_level_keys(first_lines)):
            return True
        return any(map(self._is_ours, first_lines))

    def _is_ours(self, line: str) -> bool:
        try:
            time, rest = split_time(line, self._clock, Where())
        except FormatError:
            return False
        head = None if time is None else _HEAD.match(rest)
        return head is not None and (head["program"] in _OURS or head["said"].startswith("pam_unix("))

    def with_options(self, options: Options) -> Reader:
        """A reader that knows when the log ended and in which zone its host lives."""
        return LinuxAuthReader(options)

    def parse(self, line: str, where: Where) -> Sequence[Event]:
        """One line → its event; several where a line stands for several; ``()`` where nobody logs in."""
        if line.startswith("{"):
            entry = journal_entry(json_line(line, where), where)
            event_id = f"linux-auth:{entry.cursor}" if entry.cursor else content_id("linux-auth", line)
            return self._events(entry.host, entry.program, entry.message, entry.time, event_id)
        time, rest = split_time(line, self._clock, where)
        head = _HEAD.match(rest)
        if time is None or head is None:
            raise reject(where, "", "no line of syslog: it needs a time, a host and a program")
        return self._events(head["host"], head["program"], head["said"], time, content_id("linux-auth", line))

    def _events(self, host: str | None, program: str, message: str, time: int, event_id: str) -> Sequence[Event]:
        times = 1
        if repeated := _REPEATED.fullmatch(message):
            message, times = repeated["said"], max(1, min(int(repeated["times"]), _MOST_REPEATS))
        said = _said(program, message)
        if said is None:
            return ()
        fields = without_secrets(said._asdict(), self._inputs)
        return [
            Event(
                event_id=f"{event_id}:{row}" if times > 1 else event_id,
                time=time,
                source="linux-auth",
                category="authentication",
                host=host,
                row=row if times > 1 else None,
                rows=times if times > 1 else None,
                **fields,
            )
            for row in range(times)
        ]


def _said(program: str, message: str) -> _Said | None:
    if message.startswith("pam_"):
        return _pam(message)
    if program in _SSHD_NAMES:
        return _sshd(message)
    if program == "sudo":
        return _sudo(message)
    return _su(message) if program in ("su", "su-l") else None


def _sshd(message: str) -> _Said | None:
    for pattern, operation, outcome in _SSHD:
        if match := pattern.match(message):
            said = match.groupdict()
            operation = operation or said["how"]  # noqa: PLW2901 - the message names it
            return _Said(operation, outcome, said.get("user") or None, said["ip"], key_id=said.get("key"))
    return None


def _sudo(message: str) -> _Said | None:
    """A directory or a command may itself hold ``; USER=``: where several stand there, root counts before others."""
    match = _SUDO.fullmatch(message)
    users = _SUDO_USER.findall(match["rest"]) if match else []
    if match is None or not users:
        return None
    account = "root" if "root" in users else users[0]
    return _Said("sudo", "failure" if match["why"] else "success", match["user"], object=account)


def _su(message: str) -> _Said | None:
    for pattern, outcome in _SU:
        if match := pattern.fullmatch(message):
            return _Said("su", outcome, match["user"], object=match["to"])
    return None


def _pam(message: str) -> _Said | None:
    """What PAM says of services that say nothing themselves: login, a desktop's greeter, an FTP server."""
    match, outcome = _PAM_FAILED.fullmatch(message), "failure"
    if match is None:
        match, outcome = _PAM_OPENED.fullmatch(message), "success"
    if match is None or match["service"].lower() in _SPEAKING or match["service"].lower() in _NOBODYS:
        return None
    address = match["ip"] or None if outcome == "failure" else None
    return _Said(
        "pam", "failure" if outcome == "failure" else "success", match["user"] or None, address, match["service"]
    )

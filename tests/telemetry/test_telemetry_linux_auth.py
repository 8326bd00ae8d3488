"""Linux logins: what each line says, whose word it is, and the year that syslog leaves out."""

from __future__ import annotations

import calendar
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threatmatrix.model.errors import FormatError, UsageError
from threatmatrix.model.event import Event
from threatmatrix.telemetry.readers import Options, Where, detect_reader, get_reader
from threatmatrix.telemetry.reading import Progress, read_events

YEAR_2026 = 1_767_225_600_000_000


def micro(*date: int) -> int:
    return calendar.timegm((*date, 0, 0, 0)[:6]) * 1_000_000


def parse(
    message: str, program: str = "sshd[9]", *, written: int | None = micro(2026, 1, 31), **changes: Any
) -> list[Event]:
    reader = get_reader("linux-auth", Options(written=written, **changes))
    return list(reader.parse(f"Jan  1 00:00:00 train-1 {program}: {message}", Where("auth.log", 4)))


def only(message: str, program: str = "sshd[9]") -> tuple[Any, ...]:
    (event,) = parse(message, program)
    assert (event.category, event.source, event.host) == ("authentication", "linux-auth", "train-1")
    return event.operation, event.outcome, event.principal, event.src_ip, event.object


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Accepted password for ana from 10.0.0.1 port 5 ssh2", ("password", "success", "ana", "10.0.0.1")),
        (
            "Accepted keyboard-interactive/pam for ana from 10.0.0.1 port 5 ssh2",
            ("keyboard-interactive/pam", "success", "ana", "10.0.0.1"),
        ),
        (
            "Accepted publickey for ana from 2001:db8::1 port 5 ssh2: RSA SHA256:abc",
            ("publickey", "success", "ana", "2001:db8::1"),
        ),
        (
            "Accepted password for HOUSE\\a b from 10.0.0.1 port 5 ssh2",
            ("password", "success", "HOUSE\\a b", "10.0.0.1"),
        ),
        ("Failed password for root from 10.0.0.1 port 5 ssh2", ("password", "failure", "root", "10.0.0.1")),
        (
            "Failed password for invalid user oracle from 10.0.0.1 port 5 ssh2",
            ("password", "failure", "oracle", "10.0.0.1"),
        ),
        ("Failed none for invalid user  from 10.0.0.1 port 5 ssh2", ("none", "failure", None, "10.0.0.1")),
        ("Invalid user oracle from 10.0.0.1 port 5", ("invalid_user", "failure", "oracle", "10.0.0.1")),
        ("Invalid user  from 10.0.0.1 port 5", ("invalid_user", "failure", None, "10.0.0.1")),
        ("Invalid user oracle from 10.0.0.1", ("invalid_user", "failure", "oracle", "10.0.0.1")),
        (
            "Disconnected from authenticating user root 10.0.0.1 port 5 [preauth]",
            ("preauth", "failure", "root", "10.0.0.1"),
        ),
        ("Connection closed by invalid user a b 10.0.0.1 port 5 [preauth]", ("preauth", "failure", "a b", "10.0.0.1")),
        ("Connection reset by 10.0.0.1 port 5 [preauth]", ("preauth", "failure", None, "10.0.0.1")),
        (
            "error: maximum authentication attempts exceeded for invalid user x from 10.0.0.1 port 5 ssh2 [preauth]",
            ("max_attempts", "failure", "x", "10.0.0.1"),
        ),
        (
            "User root from 10.0.0.1 not allowed because not listed in AllowUsers",
            ("not_allowed", "failure", "root", "10.0.0.1"),
        ),
    ],
)
def test_sshd(message: str, expected: tuple[Any, ...]) -> None:
    for program in ("sshd[9]", "sshd-session[9]"):
        assert only(message, program) == (*expected, None)


def test_the_fingerprint_of_the_key_is_kept() -> None:
    (event,) = parse("Accepted publickey for ana from 10.0.0.1 port 5 ssh2: ED25519 SHA256:Zm9v")
    assert event.key_id == "SHA256:Zm9v"


@pytest.mark.parametrize(
    "user",
    [
        "x from 6.6.6.6 port 22 ssh2",
        "root from 6.6.6.6 port 22 ssh2: RSA SHA256:abc",
        "a [preauth]",
        "from",
        "invalid user y",
    ],
)
def test_a_user_name_cannot_put_another_address_into_the_log(user: str) -> None:
    for message in (
        f"Failed password for invalid user {user} from 10.0.0.1 port 5 ssh2",
        f"Invalid user {user} from 10.0.0.1 port 5",
        f"Connection closed by invalid user {user} 10.0.0.1 port 5 [preauth]",
    ):
        (event,) = parse(message)
        assert (event.src_ip, event.outcome) == ("10.0.0.1", "failure")


@pytest.mark.parametrize(
    ("message", "program", "expected"),
    [
        (
            "  ana : TTY=pts/0 ; PWD=/home/ana ; USER=root ; COMMAND=/usr/bin/id",
            "sudo",
            ("sudo", "success", "ana", None, "root"),
        ),
        (
            "ana : user NOT in sudoers ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
            "sudo",
            ("sudo", "failure", "ana", None, "root"),
        ),
        (
            "ana : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=ml ; COMMAND=list",
            "sudo[4]",
            ("sudo", "failure", "ana", None, "ml"),
        ),
        (
            "ana : PWD=/tmp/x ; USER=nobody ; COMMAND=id ; USER=root ; COMMAND=/bin/sh",
            "sudo",
            ("sudo", "success", "ana", None, "root"),
        ),
        ("(to root) ana on pts/1", "su[4]", ("su", "success", "ana", None, "root")),
        ("FAILED SU (to root) ana on pts/1", "su", ("su", "failure", "ana", None, "root")),
        ("Successful su for root by ana", "su", ("su", "success", "ana", None, "root")),
        (
            "pam_unix(login:auth): authentication failure; logname=L uid=0 euid=0 tty=tty1 ruser= rhost=  user=ana",
            "login",
            ("pam", "failure", "ana", None, "login"),
        ),
        (
            "pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=x rhost=10.0.0.1",
            "vsftpd",
            ("pam", "failure", None, "10.0.0.1", "vsftpd"),
        ),
        (
            "pam_unix(gdm-password:session): session opened for user ana(uid=1000) by (uid=0)",
            "gdm-password]",
            ("pam", "success", "ana", None, "gdm-password"),
        ),
    ],
)
def test_sudo_su_and_pam(message: str, program: str, expected: tuple[Any, ...]) -> None:
    assert only(message, program) == expected


@pytest.mark.parametrize(
    ("message", "program"),
    [
        ("pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)", "CRON[1]"),
        ("pam_unix(sshd:session): session opened for user ana(uid=1000) by (uid=0)", "sshd[1]"),
        (
            "pam_unix(sudo:auth): authentication failure; logname=ana uid=1 euid=0 tty=pts/0 ruser= rhost=  user=ana",
            "sudo",
        ),
        ("Server listening on 0.0.0.0 port 22.", "sshd[1]"),
        ("Received disconnect from 10.0.0.1 port 5:11: Bye Bye [preauth]", "sshd[1]"),
        ("New session 5 of user ana.", "systemd-logind[1]"),
        ("ana : (command continued) --flag", "sudo"),
    ],
)
def test_lines_about_something_else_give_no_event(message: str, program: str) -> None:
    assert parse(message, program) == []


def test_a_repeated_message_stands_for_as_many_attempts() -> None:
    events = parse("message repeated 3 times: [ Failed password for root from 10.0.0.1 port 5 ssh2]")
    assert [(event.row, event.rows, event.principal) for event in events] == [(n, 3, "root") for n in range(3)]
    assert len({event.event_id for event in events}) == 3
    assert len(parse("message repeated 9999 times: [ Failed password for root from 10.0.0.1 port 5 ssh2]")) == 1000


@pytest.mark.parametrize(
    ("line", "written", "time"),
    [
        ("Nov 21 17:00:00", micro(2026, 11, 21, 18), micro(2026, 11, 21, 17)),
        ("Dec 31 23:59:59", micro(2027, 1, 1), micro(2026, 12, 31, 23, 59, 59)),  # a log that goes over New Year
        ("Jan  1 00:00:00", micro(2027, 1, 1), micro(2027, 1, 1)),
        ("Jan  1 05:00:00", micro(2026, 12, 31, 22), micro(2027, 1, 1, 5)),  # the host's clock is ahead of UTC
        ("Jan  3 00:00:00", micro(2026, 12, 31), micro(2026, 1, 3)),
        ("Feb 29 12:00:00", micro(2026, 6, 1), micro(2024, 2, 29, 12)),
    ],
)
def test_the_year_comes_from_the_end_of_the_log(line: str, written: int, time: int) -> None:
    reader = get_reader("linux-auth", Options(written=written))
    (event,) = reader.parse(f"{line} h sshd[1]: Invalid user x from 10.0.0.1 port 1", Where())
    assert event.time == time


def test_the_year_comes_from_the_file_where_nothing_else_is_said(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text(
        "Dec 31 23:59:00 h sshd[1]: Invalid user x from 10.0.0.1 port 1\n"
        "Jan  1 00:01:00 h CRON[1]: pam_unix(cron:session): session closed for user root\n"
        "Jan  1 00:02:00 h sshd[1]: Invalid user x from 10.0.0.1 port 2\n"
        "what is this\n"
    )
    os.utime(log, (micro(2021, 1, 2) // 10**6,) * 2)
    seen: list[Progress] = []
    events = [event for batch in read_events([log], on_progress=seen.append) for event in batch]
    assert [event.time for event in events] == [micro(2020, 12, 31, 23, 59), micro(2021, 1, 1, 0, 2)]
    assert (seen[-1].events, seen[-1].passed, seen[-1].dead_letters) == (2, 1, 1)


def test_the_zone_of_the_host() -> None:
    (event,) = parse("Invalid user x from 10.0.0.1 port 1", zone="Europe/Berlin")
    assert event.time == YEAR_2026 - 3600 * 10**6
    with pytest.raises(UsageError, match="time zone"):
        parse("x", zone="Europe/Atlantis")


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("<86>2026-01-01T00:00:00Z", YEAR_2026),
        ("2026-01-01T02:00:00.250000+02:00", YEAR_2026 + 250_000),
        ("2026-01-01T00:00:00Z", YEAR_2026),
        ("2026-01-01T00:00:00", YEAR_2026),
    ],
)
def test_rfc_3339(stamp: str, time: int) -> None:
    (event,) = get_reader("linux-auth").parse(f"{stamp} h sshd[1]: Invalid user x from 10.0.0.1 port 1", Where())
    assert event.time == time


def journal(**changes: Any) -> str:
    entry = {
        "__CURSOR": "s=1;i=2",
        "__REALTIME_TIMESTAMP": "1767225600250000",
        "_HOSTNAME": "train-1",
        "SYSLOG_IDENTIFIER": "sshd",
        "MESSAGE": "Failed password for root from 10.0.0.1 port 5 ssh2",
    }
    return json.dumps({**entry, **changes})


def test_journal_entries() -> None:
    reader = get_reader("linux-auth")
    (event,) = reader.parse(journal(), Where())
    assert (event.event_id, event.time, event.host) == ("linux-auth:s=1;i=2", YEAR_2026 + 250_000, "train-1")
    (event,) = reader.parse(journal(MESSAGE=list(b"Invalid user \xff from 10.0.0.1 port 5")), Where())
    assert event.principal == "\ufffd"
    assert reader.parse(journal(MESSAGE=None), Where()) == ()
    assert detect_reader("log", [journal()]).name == "linux-auth"


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("no syslog at all", ""),
        ("Jan 32 00:00:00 h sshd[1]: x", "time"),
        ("Xxx  1 00:00:00 h sshd[1]: x", "time"),
        ("2026-02-30T00:00:00Z h sshd[1]: x", "time"),
        (journal(MESSAGE=[300]), "MESSAGE"),
        (journal(MESSAGE={}), "MESSAGE"),
        (journal(__REALTIME_TIMESTAMP="soon"), "__REALTIME_TIMESTAMP"),
        (journal(__REALTIME_TIMESTAMP=None), "__REALTIME_TIMESTAMP"),
        ("{", ""),
    ],
)
def test_refuses_by_key(line: str, key: str) -> None:
    with pytest.raises(FormatError) as error:
        get_reader("linux-auth").parse(line, Where("auth.log", 4))
    assert (error.value.key, error.value.line) == (key, 4)


@given(user=st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=60))
def test_no_user_name_hides_its_attempt(user: str) -> None:
    (event,) = parse(f"Failed password for invalid user {user} from 10.0.0.1 port 5 ssh2")
    assert (event.src_ip, event.outcome, event.operation) == ("10.0.0.1", "failure", "password")

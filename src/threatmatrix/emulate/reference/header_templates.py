"""Requests as templates: of browsers, of programs, of malware. Written for this; how they are filled: header_text.py.

``{name}`` is drawn once for each request, so that a host named twice is the same one. A line that begins with ``~.3``
is there in three requests of ten.
"""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["CHOICES", "MALWARE", "PEOPLE", "PROGRAMS"]

CHROME_IMAGE = """GET {path} HTTP/1.1
Host: {site}
Connection: keep-alive
sec-ch-ua: "Chromium";v="{chrome}", "Google Chrome";v="{chrome}", "Not-A.Brand";v="99"
sec-ch-ua-mobile: ?0
sec-ch-ua-platform: "{platform}"
User-Agent: Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0 Safari/537.36
Accept: */*
Sec-Fetch-Site: {fetch_site}
Sec-Fetch-Mode: no-cors
Sec-Fetch-Dest: {fetch_dest}
Referer: https://{site}/
~.05 Cache-Control: no-cache
~.05 Pragma: no-cache
Accept-Encoding: gzip, deflate, br
Accept-Language: {language}
~.6 Cookie: session={session}"""

CHROME_PAGE = """GET {path} HTTP/1.1
Host: {site}
Connection: keep-alive
~.3 Cache-Control: max-age=0
sec-ch-ua: "Chromium";v="{chrome}", "Google Chrome";v="{chrome}", "Not-A.Brand";v="99"
sec-ch-ua-mobile: ?0
sec-ch-ua-platform: "{platform}"
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{chrome}.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Sec-Fetch-Site: none
Sec-Fetch-Mode: navigate
Sec-Fetch-Dest: document
Accept-Encoding: gzip, deflate, br
Accept-Language: {language}
~.6 Cookie: session={session}; _ga=GA1.2.{visitor}"""

FIREFOX = """GET {path} HTTP/1.1
Host: {site}
User-Agent: Mozilla/5.0 ({system}; rv:{firefox}) Gecko/20100101 Firefox/{firefox}
Accept: {accept}
Accept-Language: {language}
Accept-Encoding: gzip, deflate, br
~.6 Referer: https://{site}/
~.3 DNT: 1
Connection: keep-alive
~.6 Cookie: session={session}
~.4 Upgrade-Insecure-Requests: 1
Sec-Fetch-Dest: empty
Sec-Fetch-Mode: cors
Sec-Fetch-Site: same-origin"""

SAFARI = """GET {path} HTTP/1.1
Host: {site}
Accept: */*
Accept-Encoding: gzip, deflate, br
Accept-Language: {language}
~.6 Cookie: session={session}
User-Agent: Mozilla/5.0 ({apple}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{safari} Safari/604.1
Referer: https://{site}/
Connection: keep-alive"""

PEOPLE = (CHROME_IMAGE, CHROME_IMAGE, CHROME_PAGE, FIREFOX, SAFARI)

PROGRAMS = (
    """GET {path} HTTP/1.1
Host: {site}
User-Agent: curl/8.5.0
Accept: */*""",
    """GET {path} HTTP/1.1
Host: {site}
User-Agent: python-requests/2.32.3
Accept-Encoding: gzip, deflate
Accept: */*
Connection: keep-alive""",
    """GET {path} HTTP/1.1
Host: {site}
User-Agent: Debian APT-HTTP/1.3 (2.6.1)
If-Modified-Since: Mon, {day} Jul 2024 08:00:00 GMT
Cache-Control: max-age=0""",
    """GET {path} HTTP/1.1
Connection: Keep-Alive
Accept: */*
User-Agent: Microsoft-CryptoAPI/10.0
If-None-Match: "{tag}"
Host: {site}""",
    """GET {path} HTTP/1.1
Authorization: Bearer {token}
Accept: application/json
Host: {site}
Connection: Keep-Alive
Accept-Encoding: gzip
User-Agent: okhttp/4.{minor}.0""",
    """GET {path} HTTP/1.1
Accept: */*
Accept-Language: en-us
User-Agent: {old}
Host: {site}
Connection: Keep-Alive
Cache-Control: no-cache""",
    """POST {path} HTTP/1.1
Host: {site}
User-Agent: UpdateAgent/7.2 (Windows 11)
Content-Type: application/json
Accept: application/json
Content-Length: {length}
Connection: Keep-Alive
Cache-Control: no-cache""",
    """GET {path} HTTP/1.1
Host: {site}
User-Agent: Go-http-client/1.1
Accept-Encoding: gzip""",
)

MALWARE = (
    # a bot that posts to its gate
    """POST /{folder}/{gate}.php HTTP/1.0
Host: {server}
Accept: */*
User-Agent: {old}
Content-Type: application/x-www-form-urlencoded
Content-Length: {length}
Connection: close
Cache-Control: no-cache""",
    # a beacon that speaks in its cookie
    """GET /{tag} HTTP/1.1
Accept: */*
Cookie: {blob}=
User-Agent: {old}
Host: {server}
Connection: Keep-Alive
Cache-Control: no-cache""",
    # a bot that asks for its task
    """GET /{task}.php?id={identity}&ver={minor}.{digit}&os={windows} HTTP/1.1
Host: {server}
User-Agent: Mozilla/5.0
Pragma: no-cache
Connection: Keep-Alive""",
    # a downloader
    """GET /{folder}/{tag}.{payload} HTTP/1.1
Accept: */*
Accept-Encoding: gzip, deflate
User-Agent: {old}
Host: {server}
Connection: Keep-Alive""",
    # a backdoor with an old browser's agent
    """POST /{token} HTTP/1.1
Host: {server}
Connection: Keep-Alive
Content-Type: application/octet-stream
User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{stale}
Content-Length: {length}
Cache-Control: no-cache""",
    # a stager in a script
    """GET /{short}?k={session} HTTP/1.1
User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.{build}
Host: {server}
Connection: Keep-Alive""",
    # a worm on small devices
    """GET /bins/{folder}.{machine} HTTP/1.1
Host: {server}
User-Agent: {device}
Accept: */*
Connection: close""",
    # a thief that uploads what it found
    """POST /{cover}/{token}.{script} HTTP/1.1
Accept: */*
Referer: http://{server}/
User-Agent: {old}
Content-Type: multipart/form-data; boundary={tag}
Content-Length: {length}
Host: {server}
Pragma: no-cache
Connection: Keep-Alive""",
)

CHOICES = MappingProxyType(
    {
        "chrome": ("124", "126", "128", "129", "130", "131"),
        "firefox": ("115.0", "127.0", "128.0", "130.0", "131.0", "132.0"),
        "safari": ("16.6", "17.4", "17.6", "18.0"),
        "system": ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"),
        "platform": ("Windows", "macOS", "Linux"),
        "apple": ("iPhone; CPU iPhone OS 17_6 like Mac OS X", "Macintosh; Intel Mac OS X 10_15_7"),
        "language": (
            "en-US,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8", "en-GB,en;q=0.5", "fr-FR,fr;q=0.8,en;q=0.6", "en-US,en;q=0.5",
        ),
        "accept": ("*/*", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        "fetch_site": ("same-origin", "cross-site"),
        "fetch_dest": ("image", "script", "style"),
        "old": (
            "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.1; Trident/7.0; .NET4.0C; .NET4.0E)",
            "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)",
            "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; WOW64; Trident/4.0; SLCC2)",
            "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
        ),
        "gate": ("gate", "panel", "login", "order"),
        "task": ("check", "ping", "task", "cmd"),
        "windows": ("6.1", "10.0"),
        "payload": ("exe", "dat", "bin", "jpg"),
        "short": ("a", "x", "load", "news", "update"),
        "machine": ("arm7", "mips", "x86", "sh"),
        "device": ("Wget", "Hello, world", "curl/7.17", "wget (dlr)"),
        "cover": ("images", "news", "wp-content", "jquery"),
        "script": ("php", "gif", "asp"),
    }
)  # fmt: skip
"""Placeholder → what it may be."""

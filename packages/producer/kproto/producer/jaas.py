"""User and password out of Java's sasl.jaas.config: one login module and its options.

Layer: producer. Never shows what it reads: errors name an option, not its value.
Source: org.apache.kafka.common.security.JaasConfig, java.io.StreamTokenizer.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kproto.client import ConfigError

__all__ = ["JaasLogin", "parse_jaas"]

MECHANISMS: Final = {
    "PlainLoginModule": ("PLAIN",),
    "ScramLoginModule": ("SCRAM-SHA-256", "SCRAM-SHA-512"),
}
ELSEWHERE: Final = {
    "OAuthBearerLoginModule": "pass sasl_oauth_token_provider, a callable that returns a token",
    "Krb5LoginModule": "GSSAPI is not supported; use SCRAM-SHA-512, PLAIN over TLS, or OAUTHBEARER",
}
OPTIONS: Final = ("username", "password")

GAP: Final = r"(?>[\x00-\x20]+|//[^\r\n]*|/\*.*?\*/)*+"
WORD: Final = r"""[^\x00-\x20=;"'/]++"""
HEAD: Final = re.compile(rf"{GAP}({WORD}){GAP}(required|requisite|sufficient|optional)(?!{WORD}){GAP}", re.I | re.S)
OPTION: Final = re.compile(
    rf"""({WORD}){GAP}={GAP}(?:"((?:\\.|[^"\\\r\n])*+)"|'((?:\\.|[^'\\\r\n])*+)'|((?!-){WORD})){GAP}""", re.S
)  # a bare value that begins with - is the beginning of a number to Kafka's tokenizer
TAIL: Final = re.compile(rf";{GAP}", re.S)
ESCAPE: Final = re.compile(r"\\([0-3][0-7]{0,2}|[4-7][0-7]?|.)", re.S)
ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "a": "\a", "v": "\v"}


class JaasLogin(NamedTuple):
    """What a login module says. mechanisms: those of SASL that it serves; user and password: None where not given."""

    mechanisms: tuple[str, ...]
    username: str | None
    password: str | None

    def __repr__(self) -> str:
        return f"JaasLogin({', '.join(self.mechanisms)})"


def parse_jaas(text: str) -> JaasLogin:
    """Read `class required name="value" ...;`. Raises ConfigError, whose text holds no value.

    >>> parse_jaas('org.example.PlainLoginModule required username="me" password="x";').username
    'me'
    """
    head = HEAD.match(text)
    if head is None:
        raise _malformed("a class and the word required")
    module = head[1].rpartition(".")[2]
    if module not in MECHANISMS:
        reason = ELSEWHERE.get(module, f"user and password are read from {' and '.join(MECHANISMS)}")
        raise ConfigError(f"sasl.jaas.config: {reason}")
    options: dict[str, str] = {}
    at = head.end()
    while option := OPTION.match(text, at):
        name, *quoted, bare = option.groups()
        if name not in OPTIONS:
            raise ConfigError(f"sasl.jaas.config: {module} takes {' and '.join(OPTIONS)}, and no other option here")
        options[name] = bare or ESCAPE.sub(_unescaped, quoted[0] or quoted[1] or "")
        at = option.end()
    if TAIL.fullmatch(text, at) is None:
        raise _malformed("options and one semicolon at the end")
    return JaasLogin(MECHANISMS[module], options.get("username"), options.get("password"))


def _unescaped(found: re.Match[str]) -> str:
    char = found[1]
    return chr(int(char, 8)) if char[0] in "01234567" else ESCAPED.get(char, char)


def _malformed(missing: str) -> ConfigError:
    return ConfigError(
        f'sasl.jaas.config: {missing} are expected: ...PlainLoginModule required username="..." password="...";'
    )

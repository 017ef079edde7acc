"""Certificates and keys of the settings, as a context for TLS.

Layer: client. Reads the files that it is given, once.
Source: KIP-651 (PEM); names of the settings as in the other Python clients.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from kproto.client.errors import ConfigError

__all__ = ["make_ssl_context"]


def make_ssl_context(
    *,
    cafile: str | None = None,
    certfile: str | None = None,
    keyfile: str | None = None,
    password: str | None = None,
    check_hostname: bool = True,
) -> ssl.SSLContext:
    """A context for clients: TLS 1.2 or newer, certificates checked. Reads the files now.

    cafile: the only authorities to trust, the system's where None. certfile, keyfile: the client's own certificate
    and key, which may stand in one file; password: the key's, where it is encrypted. Raises ConfigError that names
    the setting (`ssl_cafile` ...), never the password.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # Kafka never asks for it
    context.check_hostname = check_hostname
    if cafile is None:
        context.load_default_certs()
    else:
        _load_authorities(context, "ssl_cafile", cafile)
    if certfile is not None:
        _load_own(context, certfile, keyfile, password)
    elif keyfile is not None or password is not None:
        setting = "ssl_password" if keyfile is None else "ssl_keyfile"
        raise ConfigError(f"{setting} without ssl_certfile: set the certificate that it belongs to, or leave it out")
    return context


def _load_authorities(context: ssl.SSLContext, setting: str, path: str) -> None:
    _check_readable(setting, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(f"{setting}: no certificate in PEM form can be read from {path}") from None


def _load_own(context: ssl.SSLContext, certfile: str, keyfile: str | None, password: str | None) -> None:
    asked = False

    def key_password() -> str:  # without it OpenSSL would ask at the terminal
        nonlocal asked
        asked = True
        if password is None:
            raise ConfigError(f"{key_setting}: the key in {keyfile or certfile} is encrypted: set ssl_password")
        return password

    key_setting = "ssl_certfile" if keyfile is None else "ssl_keyfile"
    _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "ssl_certfile", certfile)  # tells which file is at fault
    if keyfile is not None:
        _check_readable("ssl_keyfile", keyfile)
    problem = f"{key_setting}: no private key in PEM form can be read from {keyfile or certfile}"
    try:
        context.load_cert_chain(certfile, keyfile, key_password)
        return
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            problem = f"{key_setting}: the key in {keyfile or certfile} is not that of the certificate in {certfile}"
        elif asked:
            problem = f"ssl_password does not open the key in {keyfile or certfile}"
    except ConfigError:
        raise
    except ValueError:  # longer than OpenSSL takes, or not UTF-8
        problem = "ssl_password is longer than 1024 bytes, or not text"
    raise ConfigError(problem)  # outside the handlers: the context of a UnicodeEncodeError holds the password


def _check_readable(setting: str, path: str) -> None:
    try:
        Path(path).open("rb").close()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{setting}: cannot read {path!r}: {getattr(error, 'strerror', None) or error}") from None

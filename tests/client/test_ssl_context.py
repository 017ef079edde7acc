"""Files to a context: what is trusted, and which setting is wrong when a file cannot be used."""

from __future__ import annotations

import ssl

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from kproto.client.errors import ConfigError
from kproto.client.ssl_context import make_ssl_context

PASSWORD = "correct horse"
CA = trustme.CA()
CERT = CA.issue_cert("me")
OTHER = CA.issue_cert("me")
FORMATS = {
    "pkcs8": serialization.PrivateFormat.PKCS8,
    "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Name -> path of a PEM file."""
    folder = tmp_path_factory.mktemp("pem")
    CA.cert_pem.write_to_path(folder / "ca")
    CERT.cert_chain_pems[0].write_to_path(folder / "cert")
    CERT.private_key_pem.write_to_path(folder / "key")
    CERT.private_key_and_cert_chain_pem.write_to_path(folder / "both")
    OTHER.private_key_pem.write_to_path(folder / "other_key")
    key = serialization.load_pem_private_key(CERT.private_key_pem.bytes(), None)
    for name, form in FORMATS.items():
        encryption = serialization.BestAvailableEncryption(PASSWORD.encode())
        (folder / name).write_bytes(key.private_bytes(serialization.Encoding.PEM, form, encryption))
    (folder / "garbage").write_text("hello")
    (folder / "empty").write_text("")
    (folder / "damaged").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    return {path.name: str(path) for path in folder.iterdir()} | {"folder": str(folder), "gone": str(folder / "gone")}


def refusal(**settings) -> str:
    with pytest.raises(ConfigError) as caught:
        make_ssl_context(**settings)
    error: BaseException | None = caught.value
    while error is not None:  # tracebacks show the whole chain
        assert PASSWORD not in str(error) + repr(vars(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return str(caught.value)


def test_tls_1_the_defaults_check_everything():
    context = make_ssl_context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.options & ssl.OP_NO_RENEGOTIATION


def test_the_authorities_given_are_the_only_ones(files):
    (trusted,) = make_ssl_context(cafile=files["ca"]).get_ca_certs()
    assert dict(pair[0] for pair in trusted["subject"])["organizationName"].startswith("trustme")


def test_names_need_not_be_checked_but_authorities_are(files):
    context = make_ssl_context(cafile=files["ca"], check_hostname=False)
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_certificate_with_its_key_beside_it_or_behind_it(files):
    make_ssl_context(certfile=files["cert"], keyfile=files["key"])
    make_ssl_context(certfile=files["both"])
    make_ssl_context(certfile=files["both"], password="for nothing")


@pytest.mark.parametrize("form", FORMATS)
def test_an_encrypted_key_opens_with_its_password(files, form):
    make_ssl_context(certfile=files["cert"], keyfile=files[form], password=PASSWORD)


@pytest.mark.parametrize("form", FORMATS)
def test_an_encrypted_key_without_password_asks_nobody_at_the_terminal(files, form):
    path = files[form]
    text = refusal(certfile=files["cert"], keyfile=path)
    assert text == f"ssl_keyfile: the key in {path} is encrypted: set ssl_password"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("password", ["wrong" + PASSWORD, ""])
def test_a_wrong_password_is_not_shown(files, form, password):
    path = files[form]
    text = refusal(certfile=files["cert"], keyfile=path, password=password)
    assert text == f"ssl_password does not open the key in {path}"


@pytest.mark.parametrize("password", [PASSWORD * 200, PASSWORD + "\ud800"])
def test_a_password_that_openssl_cannot_take_is_not_shown(files, password):
    text = refusal(certfile=files["cert"], keyfile=files["pkcs8"], password=password)
    assert text == "ssl_password is longer than 1024 bytes, or not text"


@pytest.mark.parametrize("name", ["gone", "folder"])
@pytest.mark.parametrize("setting", ["cafile", "certfile", "keyfile"])
def test_a_file_that_cannot_be_read(files, setting, name):
    settings = {"certfile": files["cert"], "keyfile": files["key"]} | {setting: files[name]}
    reason = {"gone": "No such file or directory", "folder": "Is a directory"}[name]
    assert refusal(**settings) == f"ssl_{setting}: cannot read {files[name]!r}: {reason}"


def test_a_path_that_cannot_be():
    assert refusal(cafile="a\0b") == "ssl_cafile: cannot read 'a\\x00b': embedded null byte"


@pytest.mark.parametrize("name", ["garbage", "empty", "damaged", "key"])
@pytest.mark.parametrize("setting", ["cafile", "certfile"])
def test_a_file_without_a_certificate(files, setting, name):
    settings = {"certfile": files["cert"], "keyfile": files["key"]} | {setting: files[name]}
    assert refusal(**settings) == f"ssl_{setting}: no certificate in PEM form can be read from {files[name]}"


@pytest.mark.parametrize("name", ["garbage", "empty", "cert"])
def test_a_file_without_a_key(files, name):
    text = refusal(certfile=files["cert"], keyfile=files[name])
    assert text == f"ssl_keyfile: no private key in PEM form can be read from {files[name]}"
    assert refusal(certfile=files["cert"]).startswith("ssl_certfile: no private key in PEM form can be read from ")


def test_a_key_of_another_certificate(files):
    text = refusal(certfile=files["cert"], keyfile=files["other_key"])
    assert text.startswith(f"ssl_keyfile: the key in {files['other_key']} is not that of the certificate in ")


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"keyfile": "k"}, "ssl_keyfile"),
        ({"password": PASSWORD}, "ssl_password"),
        ({"keyfile": "k", "password": PASSWORD}, "ssl_keyfile"),
    ],
)
def test_a_key_or_password_without_certificate(settings, setting):
    assert refusal(**settings) == (
        f"{setting} without ssl_certfile: set the certificate that it belongs to, or leave it out"
    )

"""A witness for the journal: a time stamp authority signs its end, once a day (RFC 3161).

    .faxdrop/journal/witness/000012.tsr     the authority's answer for the end at line 12

The authority signs the hash of a line, as 64 hexadecimal digits, and learns nothing else. Needs the
package rfc3161-client (``pip install 'faxdrop[witness]'``).
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import requests

from faxdrop.journal.lines import Head
from faxdrop.spool.disk import open_ordinary
from faxdrop.words import _

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_LONGEST_ANSWER = 1 << 20  # bytes
_TIMEOUT = 30.0  # seconds


class WitnessError(Exception):
    """There is no time stamp, or it is wrong; says why."""


class Stamped(NamedTuple):
    """A time stamp that was found beside the journal."""

    path: Path
    seq: int
    answer: bytes


def is_installed() -> bool:
    """Return whether the package for time stamps is installed."""
    try:
        import rfc3161_client  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return False
    return True


def ask(url: str, head: Head, http: requests.Session) -> bytes:
    """Have an authority sign the end of a journal. Raises WitnessError."""
    from rfc3161_client import (  # noqa: PLC0415 - an extra
        HashAlgorithm,
        PKIStatus,
        TimestampRequestBuilder,
        decode_timestamp_response,
    )

    wanted = (
        TimestampRequestBuilder()
        .data(head.hash.encode())
        .hash_algorithm(HashAlgorithm.SHA256)
        .build()
    )
    try:
        with http.post(
            url,
            data=wanted.as_bytes(),
            headers={"Content-Type": "application/timestamp-query"},
            timeout=_TIMEOUT,
            stream=True,
            allow_redirects=False,
        ) as answer:
            if answer.status_code != requests.codes.ok:
                raise WitnessError(
                    _("the time stamp authority answers {status}").format(status=answer.status_code)
                )
            data = answer.raw.read(_LONGEST_ANSWER + 1, decode_content=True)
    except (requests.RequestException, OSError) as error:
        raise WitnessError(
            _("the time stamp authority cannot be reached ({why})").format(why=type(error).__name__)
        ) from None
    try:
        found = decode_timestamp_response(data)
        is_granted = PKIStatus(found.status) == PKIStatus.GRANTED
        is_ours = found.tst_info.nonce == wanted.nonce
    except ValueError:
        raise WitnessError(_("the time stamp authority did not send a time stamp")) from None
    if not is_granted or not is_ours:
        raise WitnessError(_("the time stamp authority signed nothing"))
    return data


def stamped(journal: Path) -> Iterator[Stamped]:
    """Yield the time stamps beside a journal, the oldest first."""
    for path in sorted((journal / "witness").glob("*.tsr")):
        with contextlib.suppress(ValueError, OSError), open_ordinary(path) as file:
            yield Stamped(path, int(path.stem), file.read())


def check(answer: bytes, line_hash: str, roots: Sequence["Certificate"]) -> datetime:
    """Return when an authority saw a line, as it says. Raises WitnessError.

    Without ``roots`` the stamp is compared with the line, but its signature is not checked.
    """
    from rfc3161_client import (  # noqa: PLC0415 - an extra
        VerificationError,
        VerifierBuilder,
        decode_timestamp_response,
    )

    try:
        found = decode_timestamp_response(answer)
        if not roots:
            digest = hashlib.sha256(line_hash.encode()).digest()
            if found.tst_info.message_imprint.message != digest:
                raise WitnessError(_("it is the time stamp of another line"))
            return found.tst_info.gen_time
        verifier = VerifierBuilder()
        for root in roots:
            verifier = verifier.add_root_certificate(root)
        verifier.build().verify_message(found, line_hash.encode())
    except VerificationError as error:
        raise WitnessError(_("it is not valid: {why}").format(why=error)) from None
    except ValueError:
        raise WitnessError(_("it is not a time stamp")) from None
    return found.tst_info.gen_time


def roots_in(path: Path) -> list["Certificate"]:
    """Return the certificates in a PEM file. Raises WitnessError, and OSError."""
    from cryptography import x509  # noqa: PLC0415 - an extra

    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError:
        raise WitnessError(
            _("{path} contains no certificates in PEM format").format(path=path)
        ) from None

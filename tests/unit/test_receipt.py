"""The receipt: its schema, its words, and the same bytes for the same job."""

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from faxdrop.fax.job import Job, State, StatusSeen
from faxdrop.fax.receipt import Receipt, make_receipt, schema, to_bytes
from tests.kit.jobs import GOLDEN, failed, golden_jobs, job, sent

ENDS = {"sent": sent(job("Größe.pdf", "Dr. Müller")), "failed": failed(job())}


@pytest.mark.parametrize("name", ENDS)
def test_a_receipt_is_written_as_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same job always gives the same bytes, and old receipts stay readable."""
    monkeypatch.setattr("faxdrop.fax.receipt.__version__", "0.1.0")  # which wrote the golden files
    written = (GOLDEN / f"receipt-2-{name}.json").read_bytes()
    assert to_bytes(make_receipt(ENDS[name])) == written
    assert to_bytes(Receipt.model_validate_json(written)) == written
    assert written.endswith(b"}\n")


@pytest.mark.parametrize("name", ENDS)
def test_a_receipt_of_version_1_is_read(name: str) -> None:
    """Archives keep receipts for decades: what version 1 did not say is null, the rest is there."""
    written = json.loads((GOLDEN / f"receipt-1-{name}.json").read_bytes())
    number, faxline = written["recipient"]["number"], written["faxline"]
    dialled = {"number_dialled": number, "faxline": faxline}
    expected = {
        **written,
        "format": "faxdrop-receipt/2",
        "faxed": None,
        "attempts": [{**each, **dialled} for each in written["attempts"]],
        "clock_set_back": None,
        "report": None,
        "language": "en",
    }
    assert json.loads(to_bytes(Receipt.model_validate(written))) == expected


@pytest.mark.parametrize(
    "path", sorted(GOLDEN.glob("receipt-2-*.json")), ids=lambda path: path.name
)
def test_receipts_keep_to_their_schema(path: Path) -> None:
    """What is written is what ``faxdrop receipt-schema`` says; anything else is not."""
    jsonschema.Draft202012Validator.check_schema(schema())
    receipt = json.loads(path.read_bytes())
    jsonschema.validate(receipt, schema())
    for key in receipt:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**receipt, key: ["of a wrong type"]}, schema())
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({each: receipt[each] for each in receipt if each != key}, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**receipt, "more": 1}, schema())


def test_a_receipt_says_what_the_job_says() -> None:
    """Times in UTC with Z, every attempt with its statuses, and how its id was found."""
    receipt = json.loads(to_bytes(make_receipt(ENDS["sent"])))
    assert receipt["format"] == "faxdrop-receipt/2"
    assert receipt["status"] == "sent"
    assert receipt["reason"] is None
    assert receipt["document"]["name"] == "Größe.pdf"
    assert receipt["document"]["changes"] == ["decrypted", "flattened"]
    assert receipt["claimed_at"] == "2026-03-02T08:00:00.123Z"
    assert [each["outcome"] for each in receipt["attempts"]] == ["FAILED", "SENT"]
    assert [each["number_dialled"] for each in receipt["attempts"]] == ["+493023125100"] * 2
    assert [each["faxline"] for each in receipt["attempts"]] == ["f0", "f0"]
    assert receipt["faxed"] == {"sha256": "cd" * 32, "bytes": 47000, "pages": 2}
    assert (receipt["report"], receipt["language"]) == (None, "en")
    assert receipt["clock_set_back"] is None
    assert [each["found_in_history"] for each in receipt["attempts"]] == [False, True]
    assert receipt["attempts"][0]["statuses"][0] == {
        "status": "PENDING",
        "at": "2026-03-02T08:01:05.123Z",
    }


def test_a_receipt_says_what_was_done_to_what_was_faxed() -> None:
    """What the copy went through in the end counts, not what the check foresaw."""
    one = ENDS["sent"]
    faxed = one.attempts[-1].faxed
    assert faxed is not None
    drawn = faxed.model_copy(update={"changes": ("flattened", "rasterized")})
    latest = one.attempts[-1].model_copy(update={"faxed": drawn})
    receipt = make_receipt(one.model_copy(update={"attempts": (one.attempts[0], latest)}))
    assert receipt.document.changes == ("flattened", "rasterized")
    assert make_receipt(ENDS["failed"]).faxed is None


@pytest.mark.parametrize("seconds", [-3600.0, -86400.0 * 400])
@pytest.mark.parametrize("after", ["claimed", "submitted", "seen"])
def test_no_receipt_ends_before_it_began(after: str, seconds: float) -> None:
    """Where the clock was set back meanwhile, no instant is told as earlier than one before it."""
    one, back = ENDS["sent"], timedelta(seconds=seconds)
    assert one.finished_at is not None
    update: dict[str, object] = {"finished_at": one.finished_at + back}
    if after != "seen":
        attempts = [
            each.model_copy(
                update={
                    "submitted_at": each.submitted_at + back * (after == "claimed"),
                    "statuses": tuple(
                        StatusSeen(status=seen.status, at=seen.at + back) for seen in each.statuses
                    ),
                }
            )
            for each in one.attempts
        ]
        update["attempts"] = tuple(attempts)
    receipt = make_receipt(one.model_copy(update=update))
    instants = [receipt.claimed_at]
    for attempt in receipt.attempts:
        instants += [attempt.submitted_at, *(seen.at for seen in attempt.statuses)]
    instants.append(receipt.finished_at)
    assert instants == sorted(instants)
    assert receipt.clock_set_back is not None
    assert -seconds - 300 < receipt.clock_set_back <= -seconds


@pytest.mark.parametrize("state", [State.QUEUED, State.ACCEPTED, State.UNKNOWN])
def test_what_has_no_end_has_no_receipt(state: State) -> None:
    """A receipt exists only for a job that has ended."""
    one: Job = golden_jobs()["claimed"].model_copy(update={"state": state})
    with pytest.raises(ValueError, match="not final"):
        make_receipt(one)

"""The receipt: its schema, its words, and the same bytes for the same job."""

import json
from pathlib import Path

import jsonschema
import pytest

from faxdrop.job import Job, State
from faxdrop.receipt import Receipt, make_receipt, schema, to_bytes
from tests.test_spool import GOLDEN, failed, golden_jobs, job, sent

ENDS = {"sent": sent(job("Größe.pdf", "Dr. Müller")), "failed": failed(job())}


@pytest.mark.parametrize("name", ENDS)
def test_a_receipt_is_written_as_ever(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same job gives the bytes that it always gave, and they are read for ever."""
    monkeypatch.setattr("faxdrop.receipt.__version__", "0.1.0")  # which wrote the golden files
    written = (GOLDEN / f"receipt-1-{name}.json").read_bytes()
    assert to_bytes(make_receipt(ENDS[name])) == written
    assert to_bytes(Receipt.model_validate_json(written)) == written
    assert written.endswith(b"}\n")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("receipt-*.json")), ids=lambda path: path.name)
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
    assert receipt["format"] == "faxdrop-receipt/1"
    assert receipt["status"] == "sent"
    assert receipt["reason"] is None
    assert receipt["document"]["name"] == "Größe.pdf"
    assert receipt["document"]["changes"] == ["decrypted", "flattened"]
    assert receipt["claimed_at"] == "2026-03-02T08:00:00.123Z"
    assert [each["outcome"] for each in receipt["attempts"]] == ["FAILED", "SENT"]
    assert [each["found_in_history"] for each in receipt["attempts"]] == [False, True]
    assert receipt["attempts"][0]["statuses"][0] == {
        "status": "PENDING",
        "at": "2026-03-02T08:01:05.123Z",
    }


@pytest.mark.parametrize("state", [State.QUEUED, State.ACCEPTED, State.UNKNOWN])
def test_what_has_no_end_has_no_receipt(state: State) -> None:
    """A receipt is written at the end, and never before."""
    one: Job = golden_jobs()["claimed"].model_copy(update={"state": state})
    with pytest.raises(ValueError, match="not final"):
        make_receipt(one)

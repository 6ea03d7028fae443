"""The page of reasons lists whatever can fail a document, and nothing else."""

import ast
from pathlib import Path

import pytest

from faxdrop.fax.events import AnswerLost, NotTaken, Refused, Taken
from faxdrop.fax.reasons import PERMANENT, TEMPORARY, WAYS, ReasonCode, Stage
from faxdrop.fax.sentences import in_short
from faxdrop.queue.meaning import MEANINGS, Effect
from faxdrop.sipgate import Answer, Outcome
from faxdrop.sipgate.outcome import PostResult, decide

PACKAGE = Path(__file__).parents[2] / "faxdrop"


def written(*modules: str) -> set[ReasonCode]:
    """Return the codes that modules name, given as patterns below the package."""
    paths = {path for module in modules for path in PACKAGE.glob(module)}
    assert paths
    return {
        ReasonCode[node.attr]
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "ReasonCode"
        and node.attr.isupper()
    }


def of(stage: Stage) -> set[ReasonCode]:
    """Return the codes that the page has for a stage."""
    return {code for code, way in WAYS.items() if stage in way.stages}


def test_every_way_to_fail_is_on_the_page() -> None:
    """Each code is there once, as permanent or temporary, and some module writes it."""
    assert set(WAYS) == set(ReasonCode)
    assert not PERMANENT.keys() & TEMPORARY.keys()
    assert written("documents/**/*.py", "fax/recipient.py", "fax/sentences.py") == set(ReasonCode)


def test_every_reason_has_a_few_words_for_tables() -> None:
    """Every code has a few words for people; an unknown code is shown as it is."""
    short = {in_short(code) for code in ReasonCode}
    assert len(short) == len(ReasonCode)
    assert not short & set(ReasonCode)
    assert in_short("of_tomorrow") == "of_tomorrow"


def test_a_reason_is_found_where_the_page_says() -> None:
    """A room writes no reason of another one."""
    assert written("documents/opening.py", "documents/verdict.py", "documents/pdf/*.py") == of(
        Stage.DOCUMENT
    )
    assert written("fax/recipient.py") == of(Stage.RECIPIENT)
    assert written("documents/assess.py") <= of(Stage.RECIPIENT)
    assert written("fax/sentences.py") == (of(Stage.POST) | of(Stage.HISTORY) | of(Stage.QUEUE))


# The design's table: the outcome of a POST, and what becomes of the fax and of the queue.
DESIGN = [
    (PostResult(200, session_id="s1"), Taken, Effect.RELEASE, None),
    (PostResult(200), AnswerLost, Effect.COUNT, None),
    *[(PostResult(code), Refused, Effect.RELEASE, ReasonCode.REJECTED) for code in (400, 413)],
    (PostResult(407), Refused, Effect.RELEASE, ReasonCode.NUMBER_REJECTED),
    *[(PostResult(code), NotTaken, Effect.HOLD, None) for code in (401, 402, 403, 404, 405, 415)],
    (PostResult(429), NotTaken, Effect.HOLD, None),
    (PostResult(503, retry_after=1.0), NotTaken, Effect.HOLD, None),
    (PostResult(None, handed_over=False), NotTaken, Effect.HOLD, None),
    (PostResult(None), AnswerLost, Effect.COUNT, None),
    (PostResult(500), AnswerLost, Effect.COUNT, None),
    (PostResult(503), AnswerLost, Effect.COUNT, None),
    (PostResult(302), AnswerLost, Effect.COUNT, None),
    (PostResult(999), AnswerLost, Effect.COUNT, None),
]


@pytest.mark.parametrize(("came", "event", "effect", "code"), DESIGN)
def test_an_outcome_means_what_the_design_says(
    came: PostResult, event: type, effect: Effect, code: ReasonCode | None
) -> None:
    """The outcome of a POST fails the fax, holds the queue or leaves it open, as one table says."""
    outcome = decide(came)
    meaning = MEANINGS[outcome]
    said = meaning.event(Answer(outcome, came.session_id, came.status, "words", came.retry_after))
    assert type(said) is event
    assert meaning.effect is effect
    assert (said.reason.code if isinstance(said, Refused) else None) == code


def test_what_sipgate_refuses_is_on_the_page() -> None:
    """The reasons that an answer to a POST can be are those that the page has for it."""
    answers = [Answer(outcome, "s1", 200, "words", None) for outcome in Outcome]
    said = [MEANINGS[answer.outcome].event(answer) for answer in answers]
    assert {event.reason.code for event in said if isinstance(event, Refused)} == of(Stage.POST)

"""``faxdrop check --notify`` sends a test notice to each address and reports the result."""

from pathlib import Path

import jsonschema
import pytest
from pydantic import SecretStr

from faxdrop.config.settings import Config, NotifySettings
from faxdrop.followers.post import Post
from faxdrop.setup import check
from faxdrop.setup.check_notify import notices
from faxdrop.setup.findings import Finding, Level
from tests.kit.mail import PASSWORD, MailServer
from tests.kit.world import config_of

# It cannot know that the connection is encrypted from its first byte.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")


def told(root: Path, **addresses: SecretStr) -> Config:
    """Return a config with these addresses."""
    config = config_of(root, "http://127.0.0.1:9/v2")
    secrets = config.secrets.model_copy(update={"notify": addresses})
    notify = {name: NotifySettings() for name in addresses}
    return config.model_copy(update={"secrets": secrets, "notify": notify})


def test_each_address_has_its_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test mail arrives; one that does not is a fault with its reason, and stops no fax."""
    with MailServer(tmp_path) as mail:
        monkeypatch.setenv("SSL_CERT_FILE", str(mail.authority))
        mail.refused = {"gone@office.example"}
        right = mail.address("anna@office.example")
        wrong = SecretStr(right.get_secret_value().replace(PASSWORD, "wr0ng"))
        half = mail.address("bert@office.example", "gone@office.example")
        config = told(tmp_path, office=right, boss=wrong, both=half)
        findings = list(notices(config, Post()))
    assert [each.level for each in findings] == [Level.OK, Level.FAULT, Level.FAULT]
    assert findings[0].words == "office: the test notice was accepted."
    assert "password" in findings[1].words
    assert "NOTIFY_BOSS" in findings[1].advice
    assert findings[2].words.endswith("1 of its recipients accepted the test notice.")
    assert [to for to, _ in mail.mails] == ["anna@office.example", "bert@office.example"]
    report = check.report_of(config, findings, user="somebody")
    assert report.would_fax
    data = report.model_dump(mode="json")
    jsonschema.validate(data, check.schema())
    for secret in (PASSWORD, "wr0ng", "office.example"):
        assert secret not in str(data)


@pytest.mark.parametrize("simulate", [True, False])
def test_where_nobody_is_told(tmp_path: Path, *, simulate: bool) -> None:
    """Without [notify.NAME], and in a rehearsal, nothing is sent, and a note says so."""
    config = (
        told(tmp_path, office=SecretStr("json://127.0.0.1:9/x")) if simulate else told(tmp_path)
    )
    expected = Finding(
        topic="notify",
        level=Level.NOTE,
        words="A rehearsal notifies nobody."
        if simulate
        else "Nobody is notified: the config has no [notify.NAME].",
    )
    assert list(notices(config, Post(), simulate=simulate)) == [expected]

"""Notices reach a real mail server, or the reason is told; an address is never shown."""

import email
import email.policy
import http.server
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from faxdrop.followers.post import Post
from tests.kit.mail import PASSWORD, USER, MailServer
from tests.kit.rawserver import closed_port
from tests.kit.waiting import PATIENCE

# It cannot know that the connection is encrypted from its first byte.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")
ANNA, BERT = "anna@office.example", "bert@office.example"


@pytest.fixture(name="mail")
def _mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with MailServer(tmp_path) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        yield server


def test_a_mail_arrives_as_it_was_written(mail: MailServer) -> None:
    """Subject and text arrive letter for letter, also those that would be a header or a code."""
    subject = r"Ärger.pdf \r\nBcc: x@y.example <b>{x}</b> :smile: %0A"
    body = "Erste Zeile\n\n<b>zweite</b> & \\n *dritte* :smile:\n"
    assert Post().send(mail.address(ANNA), subject, body).done
    ((to, content),) = mail.mails
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert to == ANNA
    assert message["Subject"] == subject
    assert message["Bcc"] is None
    assert message.get_content_type() == "text/plain"
    assert message.get_content().split() == body.split()
    assert message.get_content().splitlines()[:3] == body.splitlines()[:3]


def test_starttls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that begins without encryption gets the password only after it has begun."""
    with MailServer(tmp_path, starttls=True) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
        assert Post().send(server.address(ANNA), "a", "b").done
        assert [to for to, _ in server.mails] == [ANNA]


def test_who_has_a_notice_does_not_get_it_again(mail: MailServer) -> None:
    """A refused or greylisted recipient delays no other, and nobody gets a mail twice."""
    mail.refused, mail.later = {"gone@office.example"}, {BERT}
    address = mail.address(ANNA, "gone@office.example", BERT)
    first = Post().send(address, "a", "b")
    assert [to for to, _ in mail.mails] == [ANNA]
    second = Post().send(address, "a", "b", first.taken)
    assert [to for to, _ in mail.mails] == [ANNA, BERT]
    mail.refused.clear()
    assert Post().send(address, "a", "b", second.taken).done
    assert sorted(to for to, _ in mail.mails) == [ANNA, BERT, "gone@office.example"]
    assert "refuses a recipient" in second.why
    assert ANNA not in str(first)


def test_what_went_wrong_is_said_without_the_address(
    mail: MailServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each failure has its sentence: wrong password, no server, no trust, or a refusal."""
    right = mail.address(ANNA).get_secret_value()
    mail.refused = {BERT}
    closed = right.replace(str(mail.port), str(closed_port()))
    said = {
        "password": Post().send(SecretStr(right.replace(PASSWORD, "wr0ng")), "a", "b"),
        "cannot be reached": Post().send(SecretStr(closed), "a", "b"),
        "refuses a recipient": Post().send(mail.address(BERT), "a", "b"),
        "cannot be used": Post().send(SecretStr("nosuch://x"), "a", "b"),
    }
    monkeypatch.delenv("SSL_CERT_FILE")
    said["certificate is not trusted"] = Post().send(mail.address(ANNA), "a", "b")
    out = "".join(capfd.readouterr())
    for words, delivery in said.items():
        assert words in delivery.why
        assert not delivery.taken
        for secret in (PASSWORD, "wr0ng", USER, "office.example", "localhost"):
            assert secret not in f"{delivery}{out}"
    assert not mail.mails


@pytest.mark.parametrize("ends_it", ["time", "close"])
def test_a_server_that_never_answers_holds_nothing_up(ends_it: str) -> None:
    """Sending ends at its time limit, and at once when the daemon stops."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        post = Post(seconds=1.0 if ends_it == "time" else 10 * PATIENCE)
        said = []
        url = SecretStr(f"mailtos://u:p@127.0.0.1:{port}?from=a@b.example&to=c@d.example")
        sending = threading.Thread(target=lambda: said.append(post.send(url, "a", "b")))
        sending.start()
        if ends_it == "close":
            connection, _ = silent.accept()  # it has begun
            post.close()
            sending.join(PATIENCE)  # a tenth of the time limit
            assert not sending.is_alive()
            connection.close()
        sending.join(PATIENCE)
        assert not sending.is_alive()
        assert said[0].why
        assert "address" not in said[0].why


def test_no_token_and_no_address_in_the_senders_environment(
    mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that talks to servers of others has neither sipgate's token nor an address."""
    monkeypatch.setenv("TOKEN", "sipgates")
    monkeypatch.setenv("NOTIFY_OFFICE", "secret")
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        post = Post()
        port = silent.getsockname()[1]
        url = SecretStr(f"mailto://u:p4ss@127.0.0.1:{port}?from=a@b.example&to=c@d.example")
        sending = threading.Thread(target=post.send, args=(url, "a", "b"))
        sending.start()
        connection, _ = silent.accept()
        for child in psutil.Process().children():
            with suppress(OSError):  # another one that ends meanwhile
                if os.geteuid() == 0:  # for its memory is closed to its own user
                    seen.append(Path(f"/proc/{child.pid}/environ").read_bytes())
                seen.append(Path(f"/proc/{child.pid}/cmdline").read_bytes())
        post.close()
        connection.close()
        sending.join(PATIENCE)
    assert any(b"faxdrop.followers.sender" in each for each in seen)
    assert not any(secret in each for each in seen for secret in (b"sipgates", b"secret", b"p4ss"))
    assert not mail.mails


@pytest.fixture(name="web")
def _web() -> Iterator[Callable[[], tuple[int, list[bytes]]]]:
    """Yield what starts a web server that answers with this status, and shows what it was told."""
    servers = []

    def serve(status: int = 200, location: str = "") -> tuple[int, list[bytes]]:
        told: list[bytes] = []

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.end_headers()
                self.wfile.write(b"you are " + str(self.headers).encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        servers.append(server)
        return server.server_port, told

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_webhooks_and_ntfy(web: Callable[..., tuple[int, list[bytes]]]) -> None:
    """Services other than mail get subject and text, too, and a refusal is reported."""
    port, told = web()
    assert Post().send(SecretStr(f"json://u:p4ss@127.0.0.1:{port}/x"), "Über", "two\nlines").done
    assert (json.loads(told[0])["title"], json.loads(told[0])["message"]) == ("Über", "two\nlines")
    assert Post().send(SecretStr(f"ntfy://127.0.0.1:{port}/fax"), "a", "b").done
    assert len(told) == 2
    port, _ = web(500)
    refused = Post().send(SecretStr(f"json://u:p4ss@127.0.0.1:{port}/x"), "a", "b")
    assert refused.why
    assert "p4ss" not in str(refused)


def test_no_redirect_is_followed(web: Callable[..., tuple[int, list[bytes]]]) -> None:
    """What a notice names goes to its own address only, unless that asks for more."""
    elsewhere, led_to = web()
    port, _ = web(307, f"http://127.0.0.1:{elsewhere}/y")
    assert not Post().send(SecretStr(f"json://127.0.0.1:{port}/x"), "a", "b").done
    assert not led_to
    assert Post().send(SecretStr(f"json://127.0.0.1:{port}/x?redirect=yes"), "a", "b").done

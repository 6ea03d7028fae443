"""An archive as faxdrop leaves it, without a daemon; and a real time stamp authority."""

import hashlib
import http.server
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from faxdrop.fax.receipt import make_receipt, to_bytes
from faxdrop.journal.chain import Journal
from faxdrop.journal.flaws import Verification
from faxdrop.journal.lines import ended
from faxdrop.journal.verify import verify
from tests.kit.jobs import failed, job, sent
from tests.kit.renderers import needs

START = datetime(2026, 10, 30, 8, 0, tzinfo=UTC)
FAXES = 8


class Archive:
    """A root with filed documents, their receipts and their journal."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.journal = root / ".faxdrop" / "journal"
        self.journal.parent.mkdir(parents=True)
        self.at = START
        self.chain = Journal(self.journal, lambda: self.at)
        self.documents: list[Path] = []
        for number in range(FAXES):
            self.file(f"letter {number}.pdf")

    def file(self, name: str, folder_name: str = "+492111234567", *, refused: bool = False) -> Path:
        """File a document, nine hours after the one before; every third has failed.

        One that is ``refused`` is a link: there is nothing to read.
        """
        number = len(self.documents)
        content = f"%PDF {number}".encode()
        done = (failed if number % 3 == 0 or refused else sent)(job(name, folder_name))
        facts = done.document
        assert facts is not None
        digest = hashlib.sha256(content).hexdigest()
        known = facts.model_copy(update={"sha256": digest, "bytes": len(content)})
        facts = None if refused else known
        done = done.model_copy(
            update={"job_id": f"20261030-080000-{number:08x}", "document": facts}
        )
        self.at += timedelta(hours=9)
        receipt = make_receipt(done)
        folder = self.root / receipt.status / folder_name
        folder.mkdir(parents=True, exist_ok=True)
        if refused:
            (folder / name).symlink_to("/etc/passwd")
        else:
            (folder / name).write_bytes(content)
        (folder / f"{name}.json").write_bytes(to_bytes(receipt))
        path = str((folder / name).relative_to(self.root))
        self.head = self.chain.append(ended(receipt, to_bytes(receipt), path))
        self.documents.append(folder / name)
        return folder / name

    def receipt(self, number: int) -> Path:
        """Return the receipt of a document."""
        path = self.documents[number]
        return path.with_name(path.name + ".json")

    def lines(self, change: Callable[[list[bytes]], list[bytes]], month: str = "2026-11") -> None:
        """Change the lines of a month."""
        path = self.journal / f"{month}.jsonl"
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    def verify(self, *archives: Path, head: str | None = None) -> Verification:
        """Verify everything."""
        return verify(self.root, self.journal, archives, head=head)

    def kinds(self, *archives: Path, head: str | None = None) -> list[str]:
        """Return what is wrong."""
        return sorted({found.kind for found in self.verify(*archives, head=head).findings})


class _Authority(http.server.BaseHTTPRequestHandler):
    folder: Path

    def do_POST(self) -> None:
        """Answer a time stamp request, by openssl-ts(1)."""
        (self.folder / "query.tsq").write_bytes(
            self.rfile.read(int(self.headers["Content-Length"]))
        )
        subprocess.run(
            shlex.split("openssl ts -reply -config tsa.cnf -queryfile query.tsq -out reply.tsr"),
            cwd=self.folder,
            check=True,
            capture_output=True,
        )
        answer = (self.folder / "reply.tsr").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


TSA = """
[tsa]
default_tsa = here
[here]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
certs = tsa.pem
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha512
ess_cert_id_alg = sha256
"""


@contextmanager
def authority(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Run a real time stamp authority; yield its address and its certificate."""
    needs("openssl")
    folder = tmp_path / "tsa"
    folder.mkdir()
    (folder / "tsa.cnf").write_text(TSA)
    (folder / "serial").write_text("01\n")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "tsa.key",
            "-out",
            "tsa.pem",
            "-days",
            "2",
            "-subj",
            "/CN=Authority",
            "-addext",
            "extendedKeyUsage=critical,timeStamping",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    handler = type("Here", (_Authority,), {"folder": folder})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", folder / "tsa.pem"
        server.shutdown()
        thread.join()

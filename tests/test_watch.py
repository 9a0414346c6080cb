"""``semiseg watch``: what is served, to whom, and in a real Chromium that the page looks again."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from chromium import launched
from conftest import HANGS, tiny
from typer.testing import CliRunner

from semiseg.app.watch import WatchServer
from semiseg.cli import app
from semiseg.errors import SemisegError, UsageError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    tiny(tmp_path / "photos", path).save(path / "config.yaml")
    return path


@pytest.fixture
def served(run: Path) -> Iterator[WatchServer]:
    with WatchServer(run, 0, 0) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(HANGS)


def ask(server: WatchServer, path: str, host: str | None = None, method: str = "GET") -> tuple[int, str, str]:
    """Status, body and policy."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=HANGS)
    connection.putrequest(method, path, skip_host=True)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode(), answer.headers["Content-Security-Policy"]


def test_the_page_and_where_the_run_stands(served: WatchServer) -> None:
    status, page, policy = ask(served, "/", "localhost:7861")
    assert status == 200 and "Stopped at step 0 of 4" in page and policy == "frame-ancestors 'none'"
    status, state, _ = ask(served, "/state", "127.0.0.1:7861")
    assert status == 200 and json.loads(state)["version"] == "0.0.ended"
    assert ask(served, "/", "localhost", "HEAD")[:2] == (200, "")
    assert sorted(path.name for path in served.run.iterdir()) == ["config.yaml"], "nothing is written"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7861", "localhost.evil.example", "", None])
def test_other_names_are_refused(served: WatchServer, host: str | None) -> None:
    for path in ("/", "/state"):
        status, body, _ = ask(served, path, host)
        assert status == 421 and "Stopped" not in body


@pytest.mark.parametrize("path", ["/config.yaml", "/../run/config.yaml", "//etc/passwd", "/state/x"])
def test_nothing_else_is_served(served: WatchServer, path: str) -> None:
    assert ask(served, path, "localhost")[0] == 404
    assert ask(served, "/", "localhost", "POST")[0] == 501


def test_it_listens_on_this_machine_alone(served: WatchServer) -> None:
    assert served.server_address[0] == "127.0.0.1" and served.url.startswith("http://127.0.0.1:")


def test_the_page_is_made_again_only_where_it_differs(served: WatchServer) -> None:
    first = served.page()
    assert served.page() is first
    (served.run / "metrics.jsonl").write_text('{"kind": "validation", "iteration": 2, "miou": 40.0}\n')
    assert json.loads(served.state())["version"] == "1.10.ended"


def test_a_folder_that_goes_away_is_a_line(served: WatchServer) -> None:
    (served.run / "config.yaml").unlink()
    status, body, _ = ask(served, "/", "localhost")
    assert status == 503 and "is no run folder" in body and len(body.splitlines()) == 1


def test_misuse_is_one_line(served: WatchServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run folder"):
        WatchServer(tmp_path, 0, 0)
    with pytest.raises(SemisegError, match="choose another --port"):
        WatchServer(served.run, served.server_address[1], 0)
    done = CliRunner().invoke(app, ["watch", str(served.run), "--port", str(served.server_address[1])])
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1


def test_the_command_says_where_and_ends_quietly(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(server: WatchServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(WatchServer, "serve_forever", interrupted)
    done = CliRunner().invoke(app, ["watch", str(run), "--port", "17861"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == "open http://127.0.0.1:17861 (Ctrl-C ends; the training goes on)\n"


def test_an_open_page_follows_the_run(served: WatchServer) -> None:
    with launched() as browser:
        page, said = browser.new_page(), []
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(served.url)
        assert "step 0 of 4" in page.inner_text("#live")
        line = {"kind": "train", "iteration": 2, "loss": 1.0}
        (served.run / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        page.wait_for_event("load", timeout=1000 * HANGS)
        assert "step 2 of 4" in page.inner_text("#live") and page.locator("[data-chart]").count() > 0
    assert said == []

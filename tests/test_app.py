"""The page of ``semiseg app``: what it shows, and in a real Chromium where that and two libraries are there."""

import builtins
import http.client
import json
import os
import shutil
import socket
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import launched
from commands import call
from conftest import HANGS, tiny, write_picture
from PIL import Image

import semiseg
from semiseg import app as pages
from semiseg.app import guard, server, several
from semiseg.app import image as shown_of
from semiseg.app import page as page_of
from semiseg.app.example import example_image
from semiseg.errors import SemisegError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("app")
    for i in range(6):
        write_picture(base / "photos", f"photo{i}", i, mask=i < 5, size=(64, 96))
    (base / "photos" / "dataset.yaml").write_text("classes: [road, <b>sky</b>, tree & leaf]\n")
    config = tiny(base / "photos", base / "run", training__iterations=2, training__validate_every=2)
    semiseg.train(config, progress=False)
    return base / "run"


@pytest.fixture(scope="module")
def predictor(run: Path) -> semiseg.Predictor:
    return semiseg.Predictor(run, device="cpu")


def photo(run: Path) -> Path:
    return run.parent / "photos" / "images" / "photo5.png"


# ---- what is shown


def test_what_is_shown_is_what_the_predictor_says(run: Path, predictor: semiseg.Predictor) -> None:
    expected = predictor(photo(run))
    found = shown_of.describe(predictor, str(photo(run)))
    assert np.array_equal(found.classes, expected.mask) and np.array_equal(found.picture, expected.image)
    assert np.array_equal(found.whole, expected.mask) and found.colours == predictor.info.colours
    assert np.array_equal(found.grey, np.rint(expected.confidence * 255))
    assert found.line == f"96 × 64 pixels; mean confidence {100 * expected.confidence.mean():.1f} %"
    assert found.shares == expected.shares


def test_shares_are_sorted_escaped_and_without_absent_classes() -> None:
    table = shown_of.shares_html({"a": 0.25, "<i>": 0.75, "none": 0.0}, dict.fromkeys(("a", "<i>", "none"), (1, 2, 3)))
    assert table.index("&lt;i&gt;") < table.index("<td>a</td>") and "none" not in table
    assert "75.0 %" in table and "rgb(1, 2, 3)" in table


def test_a_large_picture_is_tiled_and_shown_smaller(
    run: Path, predictor: semiseg.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown_of, "WHOLE_BYTES", 64 * 96 * 3 * 4 - 1)
    monkeypatch.setattr(shown_of, "TILE", 32)
    monkeypatch.setattr(shown_of, "SHOWN_SIDE", 50)
    found = shown_of.describe(predictor, str(photo(run)))
    assert "in tiles of 32" in found.line and found.whole.shape == (64, 96)
    assert found.classes.shape == found.grey.shape == (32, 48) and found.picture.shape == (32, 48, 3)
    assert shown_of.plan_for(predictor, 64, 96).tile == 32 and shown_of.plan_for(predictor, 64, 95).tile is None
    monkeypatch.setattr(shown_of, "WHOLE_PIXELS", 64 * 94)
    assert shown_of.plan_for(predictor, 64, 95).tile == 32 and shown_of.plan_for(predictor, 64, 94).tile is None
    monkeypatch.setattr(
        predictor, "plan", semiseg.inference.plan.InferencePlan(resize=(32, 48))
    )  # the network sees less
    assert shown_of.plan_for(predictor, 64, 95).tile is None


def test_tiles_without_the_training_images_keep_the_size_of_a_whole_image(
    predictor: semiseg.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(config: Any) -> tuple[float, float]:
        raise SemisegError("gone")

    monkeypatch.setattr(shown_of, "training_scale", gone)
    monkeypatch.setattr(shown_of, "WHOLE_BYTES", 0)
    assert shown_of.plan_for(predictor, 50, 80).scale == (1, 1)
    monkeypatch.setattr(predictor, "plan", semiseg.inference.plan.InferencePlan(resize=(25, 20)))
    assert shown_of.plan_for(predictor, 50, 80).scale == (0.5, 0.25)
    monkeypatch.setattr(predictor, "plan", semiseg.inference.plan.InferencePlan(resize=25))
    assert shown_of.plan_for(predictor, 50, 80).scale == (0.5, 0.5)


@pytest.mark.parametrize("content", [b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"])
def test_no_image_and_no_postscript_is_opened(tmp_path: Path, predictor: semiseg.Predictor, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SemisegError, match="cannot identify image"):
        shown_of.describe(predictor, str(tmp_path / "a.png"))


# ---- the command


def test_help_and_mistakes(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = call("app", "--help")
    assert code == 0 and "Example: semiseg app" in out and "127.0.0.1" in out
    assert "--share" not in out
    code, _, err = call("app", run, "--share", "always")
    assert code == 2 and "no public link is ever made" in err and "--host" in err
    assert call("app", run, "--port", 99999)[0] == 2
    code, _, err = call("app", run.parent / "nothing")
    assert code == 1 and "no checkpoint" in err


def test_the_command_serves_this_machine_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[Any, ...]] = []
    more: list[dict[str, Any]] = []
    monkeypatch.setattr(pages, "serve", lambda *words, **named: (given.append(words), more.append(named)))
    assert call("app", run, "--teacher")[0] == 0
    assert given[0][2:4] == ("127.0.0.1", 7860)
    assert more[0]["example"].shape == (64, 96, 3) and "of the pixels get the right class" in more[0]["meaning"][0]
    code, _, err = call("app", run, "--share", "never")  # as earlier versions asked for
    assert code == 0 and "can be left out" in err and given.pop()[2] == "127.0.0.1"
    code, out, _ = call("app", run, "--host", "0.0.0.0", "--port", 8000)
    assert code == 0 and given[1][2:4] == ("0.0.0.0", 8000) and "no password" in out


def test_without_gradio_the_message_names_the_extra(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "gradio":
            raise ModuleNotFoundError("No module named 'gradio'", name="gradio")
        return real(name, *rest, **more)

    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.setattr(builtins, "__import__", refuse)
    code, _, err = call("app", run)
    assert code == 1 and 'pip install "semiseg[app]"' in err and len(err.strip().splitlines()) == 1


# ---- what is not answered


@pytest.mark.parametrize(
    ("header", "host", "own"),
    [
        ("127.0.0.1:7860", "127.0.0.1", True), ("localhost:7860", "127.0.0.1", True), ("LOCALHOST", "127.0.0.1", True),
        ("[::1]:7860", "::1", True), ("::1", "::1", True), ("192.168.1.7:80", "0.0.0.0", True),
        (socket.gethostname(), "0.0.0.0", True), ("lab:7860", "lab", True),
        ("evil.example:7860", "127.0.0.1", False), ("evil.example", "0.0.0.0", False), ("", "127.0.0.1", False),
        (None, "127.0.0.1", False), ("localhost.evil.example", "127.0.0.1", False), ("127.0.0.1.evil", "lab", False),
        ("lab@evil.example", "lab", False), ("[evil]:7860", "lab", False),
    ],
)  # fmt: skip
def test_which_names_are_this_machine(header: str | None, host: str, own: bool) -> None:
    assert guard.is_own_host(header, host) is own


def answer(address: str, path: str = "/", host: str | None = None, body: Any = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*address.removeprefix("http://").strip("/").split(":"), timeout=HANGS)
    headers = {"content-type": "application/json"} | ({} if host is None else {"host": host})
    connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
    found = connection.getresponse()
    return found.status, found.read()


def test_a_foreign_host_is_not_answered(address: str) -> None:
    assert answer(address)[0] == 200 == answer(address, host="localhost")[0]
    status, text = answer(address, host="rebound.example:7860")
    assert status == 421 and b"own machine" in text
    assert answer(address, "/gradio_api/queue/join", "rebound.example", {})[0] == 421


def asked(address: str, path: str) -> bytes:
    """What the page answers when it is asked for the prediction of a file."""
    config = json.loads(answer(address, "/config")[1])
    number = next(row["id"] for row in config["dependencies"] if len(row["inputs"]) == 2 and len(row["outputs"]) == 6)
    data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, 0.5]
    body = {"fn_index": number, "session_hash": f"test{len(path)}", "data": data}
    assert answer(address, "/gradio_api/queue/join", body=body)[0] == 200
    return answer(address, f"/gradio_api/queue/data?session_hash={body['session_hash']}")[1]


def test_a_file_that_was_sent_is_predicted(address: str, run: Path) -> None:
    httpx = pytest.importorskip("httpx")
    sent = httpx.post(f"{address}gradio_api/upload", files={"files": ("a.png", photo(run).read_bytes())})
    told = asked(address, sent.json()[0])
    assert b"mean confidence" in told and b'"success":true' in told


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "https://example.com/a.png", "a\0b"])
def test_a_file_that_nobody_sent_is_one_line(address: str, path: str, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    LOOKED_UP.clear()
    assert b'"success":false' in asked(address, path)
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err and err.count("\n") == 1 and err.startswith("semiseg: a request was refused")
    assert "example.com" not in LOOKED_UP


# ---- in the browser


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


LOOKED_UP: list[str] = []


@pytest.fixture(scope="module")
def address(predictor: semiseg.Predictor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'semiseg[app]'")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("uploads")))
        patch.setattr(server, "MAX_MEGABYTES", 1)
        real = socket.getaddrinfo
        patch.setattr(
            socket, "getaddrinfo", lambda host, *rest, **more: (LOOKED_UP.append(host), real(host, *rest, **more))[1]
        )
        page = pages.serve(predictor, "semiseg: test", port=free_port(), wait=False)
        yield page.local_url
        page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as started:
        yield started


def pixels(page: Any, name: str) -> np.ndarray:
    """The picture that the browser shows, decoded by the browser."""
    script = """async id => {
        const image = document.querySelector(`#${id} img`); await image.decode();
        const canvas = document.createElement('canvas');
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
        return [canvas.height, canvas.width, ...context.getImageData(0, 0, canvas.width, canvas.height).data];
    }"""
    height, width, *values = page.evaluate(script, name)
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def test_in_chromium(address: str, browser: Any, run: Path, predictor: semiseg.Predictor, tmp_path: Path) -> None:
    expected = predictor(photo(run))
    page = browser.new_page(viewport={"width": 1100, "height": 1250})
    problems: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(address)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    page.locator("#image input[type=file]").wait_for(state="attached")
    page.locator("#image input[type=file]").set_input_files(photo(run))
    page.locator("#confidence img").wait_for()
    page.locator("#overlay img").wait_for()
    assert np.array_equal(pixels(page, "overlay"), expected.overlay(0.5))
    assert np.array_equal(pixels(page, "mask"), np.array(predictor.info.colours, np.uint8)[expected.mask])
    assert np.array_equal(pixels(page, "confidence")[..., 0], np.rint(expected.confidence * 255))
    table = page.locator("#shares").inner_text()
    for name, share in expected.shares.items():
        assert not share or (name in table and f"{100 * share:.1f} %" in table)
    before = page.locator("#overlay img").get_attribute("src")
    number = page.locator("#opacity input[type=number]")
    number.fill("1")
    number.press("Enter")
    page.wait_for_function("before => document.querySelector('#overlay img')?.src !== before", arg=before)
    assert np.array_equal(pixels(page, "overlay"), np.array(predictor.info.colours, np.uint8)[expected.mask])
    page.screenshot(path=tmp_path / "app.png")
    assert Image.open(tmp_path / "app.png").size == (1100, 1250)
    assert problems == []
    outside = [url for url in asked if not url.startswith((address, "data:", "blob:"))]
    assert outside == [] and len(asked) > 5
    assert set(LOOKED_UP) <= {"127.0.0.1", "localhost", b"127.0.0.1"}, "the program itself calls nobody either"
    page.close()


def test_what_is_no_image_or_too_large_is_refused_in_chromium(address: str, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    assert (tmp_path / "large.png").stat().st_size > 2**20
    for name, text in (("a.png", "cannot be read as an image"), ("large.png", "maximum")):
        page = browser.new_page()
        page.goto(address)
        chooser = page.locator("#image input[type=file]")
        chooser.wait_for(state="attached")
        assert "image/" in chooser.get_attribute("accept")
        chooser.set_input_files(tmp_path / name)
        toast = page.locator(".toast-body")
        toast.wait_for()
        assert text in toast.inner_text().lower() and str(tmp_path) not in toast.inner_text()
        assert page.locator("#overlay img").count() == 0
        page.close()


def test_a_refused_image_takes_the_last_ones_pictures_away_in_chromium(
    address: str, browser: Any, run: Path, tmp_path: Path
) -> None:
    page = browser.new_page()
    page.goto(address)
    chooser = page.locator("#image input[type=file]")
    chooser.wait_for(state="attached")
    chooser.set_input_files(photo(run))
    page.locator("#overlay img").wait_for()
    (tmp_path / "a.png").write_bytes(b"no image")
    chooser.set_input_files(tmp_path / "a.png")
    page.locator(".toast-body").wait_for()
    page.locator("#overlay img").wait_for(state="detached")
    page.locator("#mask img").wait_for(state="detached")
    page.wait_for_function("!document.querySelector('#shares table')")
    page.close()


def opened(browser: Any, address: str, **context: Any) -> Any:
    """A page of its own, whose errors fail the test when it is closed."""
    page = browser.new_page(**context)
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(address)
    page.locator("#image input[type=file]").wait_for(state="attached")
    return page


@pytest.mark.parametrize(
    "context",
    [
        {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "is_mobile": True, "has_touch": True},
    ],
    ids=["desktop", "phone"],
)
def test_the_page_opens_on_an_example_and_says_what_the_run_is_worth(
    predictor: semiseg.Predictor, browser: Any, context: dict[str, Any], tmp_path: Path
) -> None:
    picture = example_image(predictor)
    assert picture is not None
    words = ["The unlabelled images bought <b>5</b> points.", "More masks of sign & pole."]
    served = pages.serve(predictor, "test", port=free_port(), wait=False, meaning=words, example=picture)
    try:
        page = opened(browser, served.local_url, **context)
        page.locator("#overlay img").wait_for()
        expected = predictor(picture)
        assert np.array_equal(pixels(page, "overlay"), expected.overlay(0.5))
        assert page.locator("#meaning p").all_inner_texts() == words
        assert page.evaluate("document.documentElement.scrollWidth") == context["viewport"]["width"]
        ink, paper = page.evaluate(
            "[getComputedStyle(document.querySelector('#meaning p')).color, getComputedStyle(document.body)"
            ".backgroundColor]"
        )
        assert (sum(channels(ink)) > sum(channels(paper))) == (context["color_scheme"] == "dark")
        assert len(page.screenshot(path=tmp_path / "app.png")) > 20_000
        page.close()
    finally:
        served.close()


def channels(colour: str) -> list[float]:
    return [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]


def test_several_images_and_their_masks_in_one_file_in_chromium(
    address: str, browser: Any, run: Path, predictor: semiseg.Predictor, tmp_path: Path
) -> None:
    photos = sorted((run.parent / "photos" / "images").iterdir())[:2]
    (tmp_path / "bad.png").write_bytes(b"no image")
    page = opened(browser, address)
    page.locator("#several button").first.click()
    page.locator("#files input[type=file]").set_input_files([*photos, tmp_path / "bad.png"])
    page.locator("#gallery img").nth(1).wait_for()
    toast = page.locator(".toast-body")
    toast.wait_for()
    assert "bad.png" in toast.inner_text() and "cannot be read" in toast.inner_text()
    with page.expect_download() as waiting:
        page.locator("#masks").click()
    waiting.value.save_as(tmp_path / "masks.zip")
    page.close()
    with zipfile.ZipFile(tmp_path / "masks.zip") as archive:
        assert sorted(archive.namelist()) == ["masks/photo0.png", "masks/photo1.png", "shares.csv"]
        for path in photos:
            with archive.open(f"masks/{path.stem}.png") as file:
                assert np.array_equal(np.array(Image.open(file)), predictor(path).mask)
        assert len(archive.read("shares.csv").splitlines()) == 3


def test_masks_of_one_name_are_both_kept_and_the_hundred_and_first_is_named(
    run: Path, predictor: semiseg.Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = []
    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        twice.append(shutil.copy(photo(run), tmp_path / folder / "x.png"))
    monkeypatch.setattr(several, "MOST", 2)
    told: list[tuple[int, int]] = []
    pictures, file, left_out = several.predict_several(
        predictor, list(map(str, twice)), tmp_path, lambda *n: told.append(n)
    )
    assert file is not None and told == [(1, 3), (2, 3), (3, 3)] and len(pictures) == 2
    assert left_out == ["x.png: 2 images are shown at once; semiseg predict takes any number"]
    with zipfile.ZipFile(file) as archive:
        assert sorted(archive.namelist()) == ["masks/x-2.png", "masks/x.png", "shares.csv"]
    shares = predictor(photo(run)).shares
    first = max(shares, key=lambda name: shares[name])
    assert pictures[0][1].startswith(f"x.png: {first} {100 * shares[first]:.0f} %")
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert several.predict_several(predictor, [str(tmp_path / "bad.png")], tmp_path)[:2] == ([], None)


def test_no_example_without_the_data_or_of_other_pixels(
    run: Path, predictor: semiseg.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert example_image(predictor) is not None
    moved = predictor.config.model_copy(deep=True)
    moved.data.root = str(run / "gone")
    with monkeypatch.context() as patch:
        patch.setattr(predictor, "config", moved)
        assert example_image(predictor) is None
    monkeypatch.setattr(predictor, "pixels", object())
    assert example_image(predictor) is None


def handlers(predictor: semiseg.Predictor, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[str]]:
    """The function behind an upload, and what it warns of."""
    gradio = pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'semiseg[app]'")
    told: list[str] = []
    monkeypatch.setattr(gradio, "Warning", lambda text, **more: told.append(text))
    page = pages.build(predictor, "test")
    return next(block.fn for block in page.fns.values() if block.fn.__name__ == "show"), told


def test_what_cannot_be_shown_leaves_nothing_on_the_page(
    predictor: semiseg.Predictor, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show, told = handlers(predictor, monkeypatch)
    assert show(str(photo(run)), 0.5)[-1] is not None and told == []
    (tmp_path / "a.png").write_bytes(b"no image")
    assert show(str(tmp_path / "a.png"), 0.5) == ("", "", None, None, None, None)
    assert told[0].startswith("the file cannot be read as an image")

    def full(*words: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(page_of, "describe", full)
    assert show(str(photo(run)), 0.5) == ("", "", None, None, None, None) and "does not fit in memory" in told[1]
    monkeypatch.setattr(page_of, "describe", lambda *words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        show(str(photo(run)), 0.5)


def test_the_page_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org,localhost")
    monkeypatch.delenv("no_proxy", raising=False)
    server._without_proxy("10.0.0.7")
    assert os.environ["NO_PROXY"] == "example.org,localhost,127.0.0.1,10.0.0.7"
    assert os.environ["no_proxy"] == "127.0.0.1,localhost,10.0.0.7"


def test_a_page_that_does_not_answer_is_one_line(predictor: semiseg.Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    gradio = pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'semiseg[app]'")

    def fails(*words: object, **more: object) -> None:
        raise ValueError("When localhost is not accessible\na link must be made")

    monkeypatch.setattr(gradio.Blocks, "launch", fails)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    with pytest.raises(SemisegError, match=r"does not answer \(When localhost is not accessible\)"):
        pages.serve(predictor, port=free_port(), wait=False)


def test_a_port_that_is_taken(predictor: semiseg.Predictor) -> None:
    pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'semiseg[app]'")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SemisegError, match=rf"port {port} .*--port"):
            pages.serve(predictor, port=port, wait=False)

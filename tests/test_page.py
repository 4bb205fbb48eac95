"""The server's page in a real browser, asked of a real server with a tiny bundle."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.command import BAD, COMMAND, GOOD, LONG, QUESTION
from tests.tiny import build_bundle

playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page is tested in chromium, which is not on the PATH")

expect = playwright.expect
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
OTHER = "The sky is the sky."
MARKUP = "<img src=x onerror=alert(1)><b>bold</b>"
TOKEN = "a-token-of-this-test"
TRUSTED = "relevance"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}

CONTRAST = """element => {
    const parts = color => color.match(/[\\d.]+/g).map(Number);
    const luminance = color => parts(color).slice(0, 3)
        .map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    let behind = element;
    while ((parts(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const [dark, light] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor]
        .map(luminance).sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
}"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """The tiny bundle, with one contribution that is not experimental."""
    folder = build_bundle(tmp_path_factory.mktemp("page") / "tiny")
    manifest = folder / "prefmodel.json"
    content = json.loads(manifest.read_text())
    content["training"]["accuracy"]["trusted"] = [TRUSTED]
    manifest.write_text(json.dumps(content))
    return folder


@contextlib.contextmanager
def serving(bundle: Path, log: Path, **environment: str) -> Iterator[str]:
    """Run the server on a free port; yield its address once it listens."""
    command = [*COMMAND, "serve", "--model", str(bundle), "--port", "0", "--threads", "1"]
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, env=os.environ | environment)
    try:
        deadline = time.monotonic() + 120
        while not (address := listens(log)):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "the server has not started"
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def listens(log: Path) -> str | None:
    """Return the address that the server said, once it answers there."""
    if not (said := re.search(r"on (http://\S+)\n", log.read_text())):
        return None
    try:
        with urlopen(f"{said[1]}/health"):
            return said[1]
    except OSError:
        return None


@pytest.fixture(scope="module")
def server(bundle, tmp_path_factory) -> Iterator[str]:
    with serving(bundle, tmp_path_factory.mktemp("open") / "log") as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    expect.set_options(timeout=30_000)  # a busy machine takes its time
    with playwright.sync_playwright() as driver:
        # Without a sandbox of its own, as in the containers in which tests run.
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *QUIET])
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of. Whoever provokes an error takes it out."""
    return []


@pytest.fixture
def page(browser, server, complaints, request):
    """The page as it is after loading. It must not complain, open a dialog, or ask another host."""
    with browser.new_context(**{"viewport": DESKTOP} | getattr(request, "param", {})) as context:
        page = context.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: message.type in ("error", "warning") and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.goto(server)
        expect(page.locator("#model")).not_to_be_empty()
        yield page
        hosts = {f"{url.scheme}://{url.netloc}" for url in map(urlsplit, asked) if url.scheme != "data"}
        assert hosts == {server}
        assert complaints == []


def ask(page, path: str, **body) -> dict:
    """Return the answer of the server itself."""
    address = f"{page.url}{path}"
    response = page.request.post(address, data=body) if body else page.request.get(address)
    assert response.ok
    return response.json()


def fill(page, question: str, *answers: str) -> None:
    page.get_by_label("Question").fill(question)
    while page.locator("#answers textarea").count() < len(answers):
        button(page, "Add an answer").click()
    for i, answer in enumerate(answers):
        answer_field(page, i).fill(answer)


def score(page, *texts: str) -> None:
    fill(page, *texts)
    button(page, "Score").click()
    expect(page.locator("#results")).to_be_visible()


def button(page, name: str):
    return page.get_by_role("button", name=name)


def answer_field(page, i: int):
    return page.get_by_label(f"Answer {'ABC'[i]}", exact=True)


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def readable(page, *selectors: str) -> None:
    for selector in selectors:
        assert page.locator(selector).first.evaluate(CONTRAST) >= 4.5, selector


def widths(bars) -> list[float]:
    return bars.evaluate_all("bars => bars.map(bar => parseFloat(getComputedStyle(bar, '::before').width))")


@pytest.mark.parametrize("answers", [(BAD, GOOD), (BAD, GOOD, OTHER)])
def test_scores_and_probabilities(page, answers):
    score(page, QUESTION, *answers)
    values = ask(page, "score", question=QUESTION, answers=answers)["scores"]
    order = sorted(range(len(answers)), key=lambda i: -values[i])

    rows = page.locator("#scores > li")
    assert rows.locator(".letter").all_text_contents() == ["ABC"[i] for i in order]
    assert rows.locator(".number").all_text_contents() == [signed(values[i]) for i in order]
    assert rows.locator(".excerpt").all_text_contents() == [answers[i] for i in order]
    lengths = widths(rows.locator(".bar"))
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == len(answers)
    assert lengths[-1] > 0

    best, *others = order
    chances = [ask(page, "compare", question=QUESTION, a=answers[best], b=answers[i])["probability"] for i in others]
    rows = page.locator("#chances > li")
    assert rows.locator(".number").all_text_contents() == [f"{100 * chance:.1f}%" for chance in chances]
    assert [text[:9] for text in rows.all_text_contents()] == [f"{'ABC'[best]} beats {'ABC'[i]}" for i in others]
    whole = rows.locator(".bar").first.bounding_box()["width"]
    assert widths(rows.locator(".bar")) == pytest.approx([whole * chance for chance in chances], abs=1)
    expect(page.get_by_role("status")).to_contain_text(f"probability of {100 * chances[0]:.1f}%")
    expect(page.get_by_text("relative to the answers on this page")).to_be_visible()


def test_contributions(page):
    score(page, QUESTION, GOOD, BAD)
    info = ask(page, "info")
    explained = [ask(page, "explain", question=QUESTION, answer=answer)["contributions"] for answer in (GOOD, BAD)]
    groups = page.locator("#contributions > li")
    assert groups.count() == len(info["contributions"])
    for group, name in zip(groups.all(), info["contributions"], strict=True):
        tag = "experimental" if name in info["experimental"] else ""
        assert group.get_by_role("heading").text_content() == name + tag
        assert group.locator(".number").all_text_contents() == [signed(values[name]) for values in explained]
        zero = group.locator(".bar").first.evaluate("bar => parseFloat(getComputedStyle(bar, '::after').left)")
        for bar, values in zip(group.locator(".bar").all(), explained, strict=True):
            start, width = bar.evaluate(
                "bar => { const { left, width } = getComputedStyle(bar, '::before');"
                " return [parseFloat(left), parseFloat(width)]; }"
            )
            assert (start if values[name] > 0 else start + width) == pytest.approx(zero, abs=0.5)
    assert TRUSTED not in info["experimental"]
    expect(page.locator("#experimental")).to_contain_text("was not shown to judge better than the others")


def test_what_was_cut(page):
    score(page, QUESTION, GOOD, BAD)
    expect(page.get_by_text("Nothing was cut")).to_be_visible()
    assert page.locator(".cut").count() == 0

    score(page, LONG, GOOD, LONG)
    expect(page.get_by_text("Nothing was cut")).to_be_hidden()
    cut = ask(page, "score", question=LONG, answers=[GOOD, LONG])
    assert cut["answer_cut"][0] == 0 < cut["answer_cut"][1]
    rows = {row.locator(".letter").text_content(): row.locator(".cut") for row in page.locator("#scores > li").all()}
    expect(rows["A"]).to_have_text(f"Cut: the model did not see {cut['question_cut'][0]} tokens of the question.")
    expect(rows["B"]).to_have_text(
        f"Cut: the model did not see {cut['answer_cut'][1]} tokens of the answer"
        f" and {cut['question_cut'][1]} tokens of the question."
    )


def test_one_click_shows_the_example(page):
    button(page, "Score").click()
    expect(page.get_by_role("status")).to_contain_text("probability")
    button(page, "Clear").click()
    assert page.get_by_label("Question").input_value() == ""
    expect(page.locator("#results")).to_be_hidden()
    expect(page.get_by_role("status")).to_be_empty()
    button(page, "Fill in an example").click()
    assert page.get_by_label("Question").input_value().endswith("?")


def test_keyboard_alone(page):
    press, write = page.keyboard.press, page.keyboard.insert_text

    def walk_to(locator, key: str = "Tab") -> None:
        for _ in range(12):
            press(key)
            if locator.evaluate("element => element === document.activeElement"):
                outline = locator.evaluate("element => getComputedStyle(element).outlineStyle")
                assert outline == "solid"  # the focus can be seen
                return
        raise AssertionError(f"{key} does not lead to it")

    walk_to(button(page, "Clear"))
    press("Enter")
    walk_to(page.get_by_label("Question"), "Shift+Tab")
    write(QUESTION)
    press("Tab")
    write(BAD)
    press("Tab")
    write(GOOD)
    press("Control+Enter")
    expect(page.locator("#scores > li")).to_have_count(2)
    expect(page.get_by_role("status")).to_contain_text("probability")
    expect(answer_field(page, 1)).to_be_focused()

    walk_to(button(page, "Add an answer"))
    press("Enter")
    expect(answer_field(page, 2)).to_be_focused()
    write(OTHER)
    press("Meta+Enter")
    expect(page.locator("#scores > li")).to_have_count(3)

    walk_to(button(page, "Remove answer B"), "Shift+Tab")
    press("Space")
    expect(answer_field(page, 1)).to_be_focused()
    assert answer_field(page, 1).input_value() == OTHER
    walk_to(button(page, "Score"))
    press("Space")
    expect(page.locator("#scores > li")).to_have_count(2)


def test_changed_texts_are_told(page):
    score(page, QUESTION, GOOD, BAD)
    status = page.get_by_role("status")
    expect(status).to_contain_text("probability")
    fill(page, QUESTION, GOOD, OTHER)
    expect(status).to_contain_text("have changed")
    fill(page, QUESTION, GOOD, BAD)
    expect(status).to_contain_text("probability")


def test_markup_stays_text(page):
    score(page, MARKUP, MARKUP, GOOD)
    expect(page.locator("#scores .excerpt").get_by_text(MARKUP, exact=True)).to_have_count(1)
    assert page.locator("img, main b:not(.letter)").count() == 0


def test_empty_texts(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    fill(page, QUESTION, GOOD, " \n")
    button(page, "Score").click()
    expect(page.get_by_role("alert")).to_have_text("Answer B is empty.")
    field = answer_field(page, 1)
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("Answer B is empty.")
    fill(page, "", GOOD, BAD)
    button(page, "Score").click()
    expect(page.get_by_role("alert")).to_have_text("Question is empty.")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    assert asked == []
    score(page, QUESTION, GOOD, BAD)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_a_text_that_the_server_refuses(page, complaints):
    fill(page, QUESTION, GOOD, "x" * 100_001)
    button(page, "Score").click()
    expect(page.get_by_role("alert")).to_have_text("Answer B has 100001 characters; allowed: up to 100000")
    expect(answer_field(page, 1)).to_be_focused()
    assert "422" in complaints.pop()


def test_a_busy_server_is_asked_again(page, complaints):
    refused = []

    def refuse_once(route):
        if refused:
            return route.fallback()
        refused.append(route.request.url)
        return route.fulfill(status=503, headers={"Retry-After": "2"}, json={"error": {"message": "full"}})

    page.route("**/score", refuse_once)
    button(page, "Score").click()
    expect(page.get_by_role("status")).to_contain_text("Trying again in 2 s")
    expect(page.get_by_role("status")).to_contain_text("probability")
    assert "503" in complaints.pop()


def test_a_server_that_stays_busy(page, complaints):
    page.route("**/score", lambda route: route.fulfill(status=503, json={}))
    button(page, "Score").click()
    expect(page.get_by_role("alert")).to_contain_text("The server is still busy.")
    assert len(complaints) == 3
    assert all("503" in complaint for complaint in complaints)
    complaints.clear()


def test_nothing_is_asked_after_a_failure(page, complaints):
    fill(page, QUESTION, GOOD, BAD)
    page.route(
        "**/explain", lambda route: route.fulfill(status=500 if GOOD in route.request.post_data else 503, json={})
    )
    button(page, "Score").click()
    expect(page.get_by_role("alert")).to_have_text("The server failed with status 500.")
    page.wait_for_timeout(1500)  # longer than the pause after which a busy server is asked again
    assert len(complaints) <= 2
    expect(page.get_by_role("status")).to_be_empty()
    expect(page.locator("#results")).to_be_hidden()
    complaints.clear()


def test_a_server_that_is_gone(page, complaints):
    page.route("**/score", lambda route: route.abort("connectionrefused"))
    button(page, "Score").click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    expect(page.get_by_role("status")).to_be_empty()
    assert "ERR_CONNECTION_REFUSED" in complaints.pop()


def test_token(browser, bundle, tmp_path):
    with (
        serving(bundle, tmp_path / "log", PREFMODEL_TOKEN=TOKEN) as address,
        browser.new_context() as context,
    ):
        page = context.new_page()
        page.goto(address)
        field = page.get_by_label("Access token")
        expect(field).to_be_visible()
        button(page, "Score").click()
        expect(page.get_by_role("alert")).to_contain_text("Enter the access token")
        expect(field).to_be_focused()
        for wrong in ("wrong", "ключ"):
            field.fill(wrong)
            field.press("Enter")
            expect(page.get_by_role("alert")).to_have_text("The server refuses this token.")
        field.fill(TOKEN)
        field.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("probability")
        expect(page.get_by_role("alert")).to_be_hidden()
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_no_token_is_asked_for_without_need(page):
    expect(page.get_by_label("Access token")).to_be_hidden()


@pytest.mark.parametrize("page", [{"viewport": PHONE}], indirect=True)
def test_phone(page):
    def overflow() -> int:
        return page.evaluate("document.documentElement.scrollWidth - innerWidth")

    assert overflow() <= 0
    score(page, QUESTION, GOOD, "x" * 300, LONG)
    assert overflow() <= 0
    boxes = [box.bounding_box() for box in page.locator("#answers > *").all()]
    assert len({box["x"] for box in boxes}) == 1
    assert all(box["x"] + box["width"] <= PHONE["width"] for box in boxes)
    expect(page.locator("#scores > li").first).to_be_in_viewport()


def test_desktop_has_answers_side_by_side(page):
    fill(page, QUESTION, GOOD, BAD, OTHER)
    boxes = [box.bounding_box() for box in page.locator("#answers > *").all()]
    assert len({box["y"] for box in boxes}) == 1
    assert len({box["x"] for box in boxes}) == 3


@pytest.mark.parametrize("page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True)
def test_contrast(page, request):
    score(page, QUESTION, GOOD, BAD)
    dark = request.node.callspec.params["page"]["color_scheme"] == "dark"
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ground))) < 64) == dark
    readable(page, "body", "h1", "h2", "h3", "label", "textarea", "kbd", ".primary", "#add", ".muted")
    readable(page, "#status", ".letter", ".best .letter", ".excerpt", ".number", ".tag")
    fill(page, "", GOOD, BAD)
    button(page, "Score").click()
    expect(page.get_by_role("alert")).to_be_visible()
    readable(page, "#problem", "#status", ".best .letter")  # of results that are no longer those of the texts


@pytest.mark.parametrize("page", [{"reduced_motion": "reduce"}], indirect=True)
def test_nothing_moves_for_those_who_want_none(page):
    score(page, QUESTION, GOOD, BAD)
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"

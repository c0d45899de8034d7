"""Draws on the page of `cargo digits serve` in a headless Chromium: by mouse, by touch, by keyboard.

    apt-get install chromium; pip install playwright
    cargo digits serve &
    python digits/tests/page/browser.py http://127.0.0.1:7028/ SCREENSHOTS

Screenshots at 1280 and 390 pixels go into the folder SCREENSHOTS. Anything wrong is an AssertionError.
"""

import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

URL, FOLDER = sys.argv[1], Path(sys.argv[2])

# Strokes in the unit square, x to the right and y down.
SEVEN = [[(0.25, 0.22), (0.72, 0.22), (0.45, 0.82)]]
THREE = [[(0.3, 0.2), (0.5, 0.13), (0.68, 0.25), (0.62, 0.4), (0.45, 0.47), (0.62, 0.53), (0.7, 0.7), (0.52, 0.85), (0.28, 0.78)]]
FOUR = [[(0.35, 0.15), (0.28, 0.5), (0.68, 0.5)], [(0.62, 0.15), (0.6, 0.85)]]
SMALL_TWO = [[(0.62, 0.68), (0.68, 0.62), (0.75, 0.64), (0.75, 0.72), (0.62, 0.86), (0.78, 0.86)]]


def points(stroke, box, steps=6):
    """Places on the screen along a stroke."""
    place = lambda p: (box["x"] + p[0] * box["width"], box["y"] + p[1] * box["height"])
    yield place(stroke[0])
    for (x0, y0), (x1, y1) in zip(stroke, stroke[1:]):
        for i in range(1, steps + 1):
            yield place((x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps))


def draw_by_mouse(page, strokes):
    box = page.locator("#pad").bounding_box()
    for stroke in strokes:
        first, *rest = points(stroke, box)
        page.mouse.move(*first)
        page.mouse.down()
        for at in rest:
            page.mouse.move(*at)
        page.mouse.up()


def draw_by_touch(page, strokes):
    box = page.locator("#pad").bounding_box()
    client = page.context.new_cdp_session(page)
    touch = lambda kind, at: client.send(
        "Input.dispatchTouchEvent",
        {"type": kind, "touchPoints": [{"x": at[0], "y": at[1]}] if at else []},
    )
    for stroke in strokes:
        first, *rest = points(stroke, box)
        touch("touchStart", first)
        for at in rest:
            touch("touchMove", at)
        touch("touchEnd", None)


def draw_by_keys(page):
    """A one, with the arrows."""
    page.locator("#pad").focus()
    page.keyboard.press("Space")
    for _ in range(17):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")


def reads(page, digit, what):
    """Waits until the page shows the digit, with everything that belongs to it."""
    deadline = time.time() + 10
    while page.locator("#answer").inner_text() != str(digit):
        assert time.time() < deadline, f"{what}: reads {page.locator('#answer').inner_text()}, not {digit}"
        time.sleep(0.05)
    page.wait_for_function("document.querySelectorAll('#nearest canvas').length === 8")
    assert page.locator("#bars li.first").count() == 1
    labels = page.locator("#nearest li").all_inner_texts()
    assert labels.count(str(digit)) >= 5, f"{what}: the nearest are {labels}"
    for name in ["image", "slope"]:
        inked = page.evaluate(
            f"Array.from(document.getElementById('{name}').getContext('2d').getImageData(0, 0, 28, 28).data)"
            ".some((v, i) => i % 4 < 3 && v > 100)"
        )
        assert inked, f"{what}: nothing in {name}"
    assert page.locator("#wrong").inner_text() == ""
    print(f"{what}: read as {digit}; {page.locator('#time').inner_text()}")


def check_page(browser, width, height, touch):
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=touch)
    page = context.new_page()
    wrong, hosts = [], set()
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(URL)
    page.wait_for_function("document.querySelectorAll('.layer canvas').length > 0")
    fits = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert fits, f"{width}: the page is wider than the window"
    page.screenshot(path=FOLDER / f"{width}-empty.png", full_page=True)
    draw = draw_by_touch if touch else draw_by_mouse
    for name, strokes, digit in [("seven", SEVEN, 7), ("three", THREE, 3), ("four", FOUR, 4), ("small two in a corner", SMALL_TWO, 2)]:
        draw(page, strokes)
        reads(page, digit, f"{width}, {'touch' if touch else 'mouse'}, {name}")
        if name == "three":
            page.screenshot(path=FOLDER / f"{width}.png", full_page=True)
        page.locator("#clear").click()
        assert page.locator("#answer").inner_text() == "–"
        assert page.locator("#nearest li").count() == 0
    if not touch:
        draw_by_keys(page)
        reads(page, 1, f"{width}, keyboard, one")
        page.keyboard.press("Escape")
        assert page.locator("#answer").inner_text() == "–"
    assert page.evaluate("scrollY") == 0 or not touch, "drawing by touch scrolls the page"
    assert not wrong, wrong
    assert hosts == {URL.split("/")[2]}, hosts
    context.close()


with sync_playwright() as playwright:
    FOLDER.mkdir(parents=True, exist_ok=True)
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    check_page(browser, 1280, 900, touch=False)
    check_page(browser, 390, 844, touch=True)
    browser.close()
    print("all is well")

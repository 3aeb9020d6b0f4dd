"""The local application in a real browser: describe, mend an error, run, cancel, compare, export; a reload keeps the state.

app_test.py PROGRAM [FOLDER]: screenshots go into FOLDER where one is given."""

import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import driver  # noqa: E402

HERE = pathlib.Path(__file__).parent


def until(what, browser, script, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := browser.script(script):
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: did not come; the page says {browser.script('return document.body.innerText')[:600]!r}")


def explore(browser, address, folder, shots):
    took = {}
    start = time.monotonic()
    browser.shape(1200)
    browser.open(address)
    until("start", browser, "return document.getElementById('facts').textContent && !document.getElementById('run').disabled")
    took["start"] = time.monotonic() - start

    # A fault is told while one types, with its line; mended, it is gone.
    browser.script("const t = document.getElementById('text'); t.value = 'clustr {}\\n' + t.value; t.dispatchEvent(new Event('input'))")
    until("fault", browser, "return /did you mean/.test(document.getElementById('faults').textContent)")
    assert browser.script("return document.getElementById('run').disabled")
    browser.script("const t = document.getElementById('text'); t.value = t.value.slice(10); t.dispatchEvent(new Event('input'))")
    until("mended", browser, "return !document.getElementById('run').disabled && !document.getElementById('faults').children.length")

    browser.keys("#run", "\ue007")  # by keyboard
    until("first run", browser, "return state.runs.length === 1 && document.getElementById('told').textContent === 'done'")

    # A field found by its description, changed, and what it changes.
    browser.keys("#find", "schedule")
    until("fields", browser, "return [...document.querySelectorAll('.field label')].some(l => l.textContent === 'training.schedule')")
    browser.script("const l = [...document.querySelectorAll('.field label')].find(l => l.textContent === 'training.schedule');"
                   "const i = document.getElementById(l.htmlFor); i.value = '1f1b'; i.dispatchEvent(new Event('change'))")
    until("checked", browser, "return state.sets['training.schedule'] === '1f1b' && !document.getElementById('run').disabled")
    start = time.monotonic()
    browser.keys("#run", "\ue007")
    until("second run", browser, "return state.runs.length === 2 && !document.getElementById('difference').hidden")
    took["edit to difference"] = time.monotonic() - start
    rows = browser.script("return document.querySelectorAll('#difference tbody tr').length")
    assert rows > 3, rows
    assert "--set training.schedule=1f1b" in browser.script("return document.getElementById('command').textContent")
    if shots:
        browser.picture(shots / "app.png")

    browser.keys("#causes", "\ue007")
    until("causes", browser, "return state.runs.length === 3", 60)

    # The state is in the address and in the tab.
    before = browser.script("return [location.hash, state.runs.length]")
    browser.script("window.old = true; location.reload()")
    until("reload", browser, "return window.old === undefined && typeof state === 'object' && state.runs.length === 3"
                             " && document.getElementById('sets').textContent.includes('1f1b')")
    assert browser.script("return [location.hash, state.runs.length]") == before
    for what in ("json", "csv", "html"):
        size = browser.do("POST", "/execute/async", {"args": [what], "script":
                          "const [what, done] = arguments; fetch(what === 'html' ? 'page?id=1' : what + '?id=1')"
                          ".then(a => a.text()).then(t => done(t.length))"})
        assert size > 1000, (what, size)

    # A long run is cancelled.
    browser.script("state.sets = {'training.batch.sequences': '1966080'}; changed()")
    until("checked", browser, "return !document.getElementById('run').disabled")
    time.sleep(0.5)
    browser.keys("#run", "\ue007")
    until("going on", browser, "return !document.getElementById('cancel').disabled")
    browser.keys("#cancel", "\ue007")
    until("cancelled", browser, "return document.getElementById('told').textContent === 'cancelled'")

    browser.script("document.getElementById('file').value = 'mine'; document.getElementById('save').click()")
    until("saved", browser, "return /saved/.test(document.getElementById('told').textContent)")
    assert (folder / "mine.textproto").is_file()
    for width in (390, 800, 1200, 2000):
        for dark in (False, True):
            browser.shape(width, dark=dark)
            wide = browser.script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide[0] <= wide[1], (width, wide)
            if shots:
                browser.picture(shots / f"app_{width}_{'dark' if dark else 'light'}.png")
    said = [message for message in browser.console()]
    assert not said, said
    return took


def main():
    program, shots = sys.argv[1], pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    if missing := driver.missing():
        print("skipped: there is no", ", no ".join(missing))
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        app = subprocess.Popen([program, "app", "--folder", name], stdout=subprocess.PIPE, text=True)
        browser = None
        try:
            address = next(found[0] for line in app.stdout if (found := re.search(r"http://\S+", line)))
            browser = driver.Browser()
            took = explore(browser, address, folder, shots)
            print(", ".join(f"{what}: {seconds:.2f} s" for what, seconds in took.items()))
        finally:
            if browser:
                browser.close()
            app.send_signal(signal.SIGINT)
            code = app.wait(20)
    assert code == 0, code
    return 0


if __name__ == "__main__":
    sys.exit(main())

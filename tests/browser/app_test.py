"""The local application in a real browser: describe, mend an error, run, cancel, compare, sweep, plan, move passes, export;
by keyboard; two browsers; a reload and a new start keep the state.

app_test.py PROGRAM [FOLDER]: screenshots go into FOLDER where one is given."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import driver  # noqa: E402

ENTER, ALT, LEFT, RIGHT, TAB = "\ue007", "\ue00a", "\ue012", "\ue014", "\ue004"
READY = "return document.getElementById('facts')?.textContent && !document.getElementById('run').disabled"


def until(what, browser, script, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := browser.script(script):
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what}: did not come; the page says {browser.script('return document.body.innerText')[:900]!r}")


def start(program, folder):
    app = subprocess.Popen([program, "app", "--folder", folder], stdout=subprocess.PIPE, text=True)
    return app, next(found[0] for line in app.stdout if (found := re.search(r"http://\S+", line)))


def end(app):
    app.send_signal(signal.SIGINT)
    code = app.wait(20)
    assert code == 0, code


def told(browser, id):
    return browser.script(f"return document.getElementById('{id}').textContent")


def pick(browser):
    """What the library has stands on the first screen; words find a scenario in it, a press loads it."""
    until("library", browser, "return document.querySelectorAll('#library .cards button').length > 40")
    browser.keys("#library_find", "V3 2,048 H800")
    until("found", browser, "return document.querySelectorAll('#library .cards button').length < 10")
    browser.script("document.querySelector('#library .cards button[title=deepseek_v3_2048_h800]').click()")
    until("loaded", browser, "return state.name === 'deepseek_v3_2048_h800' && document.activeElement.id === 'run'")
    # What the scenario states can be changed at once: no search is needed.
    until("fields", browser, "return [...document.querySelectorAll('.field label')].some(l => l.textContent === 'training.plan.pipeline')")
    assert browser.script("return document.querySelectorAll('.field').length") < 40


def describe_and_run(browser):
    """A fault is told while one types, with its line; mended, it is gone; a run; a field changed; what it changes."""
    took = {}
    typed = "const t = document.getElementById('text'); t.value = {}; t.dispatchEvent(new Event('input'))"
    browser.script(typed.format("'clustr {}\\n' + t.value"))
    until("fault", browser, "return /line 1.*did you mean/.test(document.getElementById('faults').textContent)")
    assert browser.script("return document.getElementById('run').disabled")
    browser.script(typed.format("t.value.slice(10)"))
    until("mended", browser, "return !document.getElementById('run').disabled && !document.getElementById('faults').children.length")
    browser.keys("#run", ENTER)
    until("first run", browser, "return runs.length === 1 && document.getElementById('told').textContent === 'done'")
    # A form half filled, and a value that is none.
    browser.keys("#find", "training.schedule")
    until("fields", browser, "return [...document.querySelectorAll('.field label')].some(l => l.textContent === 'training.schedule')")
    browser.script("state.sets['training.plan.pipeline'] = '1x'; changed()")
    until("half filled", browser, "return /training.plan.pipeline/.test(document.getElementById('faults').textContent)")
    browser.script("delete state.sets['training.plan.pipeline']; changed()")
    until("mended", browser, READY)
    browser.script("const l = [...document.querySelectorAll('.field label')].find(l => l.textContent === 'training.schedule');"
                   "const i = document.getElementById(l.htmlFor); i.value = '1f1b'; i.dispatchEvent(new Event('change'))")
    until("checked", browser, "return state.sets['training.schedule'] === '1f1b' && !document.getElementById('run').disabled")
    # From the edit to the picture on the screen.
    took["edit to picture"] = browser.do("POST", "/execute/async", {"args": [], "script": """
        const done = arguments[0], start = performance.now(), frame = document.getElementById('page');
        frame.addEventListener('load', () => requestAnimationFrame(() => setTimeout(() => done((performance.now() - start) / 1000))), { once: true });
        document.getElementById('run').click();"""})
    until("second run", browser, "return runs.length === 2 && !document.getElementById('difference').hidden")
    rows = browser.script("return document.querySelectorAll('#difference tbody tr').length")
    assert rows > 3, rows
    assert "--set training.schedule=1f1b" in told(browser, "command")
    return took


def compare(browser):
    browser.keys("#causes", ENTER)
    until("causes", browser, "return runs.some(r => r.kind === 'comparison' && r.state === 'done')")
    browser.keys("#tab_result", RIGHT)  # from view to view by arrows
    until("side by side", browser, "return document.querySelectorAll('#side tbody tr').length > 3")
    text = told(browser, "side")
    assert "1f1b" in text and "step" in text, text[:500]


def sweep(browser):
    browser.keys("#tab_compare", RIGHT)
    browser.keys("#axis0", "training.batch.sequences")
    browser.keys("#values0", "7680,15360,30720")
    browser.keys("#axis1", "training.schedule")
    browser.keys("#values1", "1f1b,dualpipe,nothing")
    browser.keys("#sweep", ENTER)
    until("sweep", browser, "return /^done: 9 candidates, 3 without/.test(document.getElementById('explore_told').textContent)")
    assert browser.script("return document.querySelectorAll('svg.cloud circle').length") == 6
    assert "nothing" in told(browser, "cloud_table") and "flopcast sweep" in told(browser, "cloud_command")
    # A point by keyboard, and from there to the scenario.
    browser.keys("svg.cloud circle[tabindex='0']", ENTER)
    until("picked", browser, "return /Take it as the scenario/.test(document.getElementById('picked').textContent)")
    browser.keys("#picked button", ENTER)
    until("taken", browser, "return 'training.batch.sequences' in state.sets && 'training.schedule' in state.sets")
    size = browser.do("POST", "/execute/async", {"args": [], "script": "const done = arguments[0]; fetch(document.getElementById('cloud_csv').href).then(a => a.text()).then(t => done(t.split('\\n').length))"})
    assert size == 11, size
    # Fields that make no study.
    browser.script("state.axes = [['', ''], ['', '']]")
    browser.keys("#sweep", ENTER)
    until("no axis", browser, "return /found none, expected 1 to/.test(document.getElementById('explore_told').textContent)")


def plan(browser):
    browser.do("POST", "/execute/async", {"args": [], "script": "const done = arguments[0]; load('h100_llama_3_1_8b_bf16_64').then(done)"})
    until("loaded", browser, READY)
    browser.script("open_tab('explore')")
    browser.keys("#plan", ENTER)
    until("plan", browser, "return /^done/.test(document.getElementById('explore_told').textContent) && document.querySelectorAll('svg.cloud circle').length > 10", 120)
    assert browser.script("return cloud.points.filter(p => p.replayed).length") > 5


def move_passes(browser, shots):
    browser.script("state.text = `title: 'toy' cluster { node: 'hgx-h100' nodes: 2 fabric: 'rail-ft2' } model: 'llama-3.1-8b' training { plan { pipeline: 4 data: 4 } schedule: '1f1b' batch { sequences: 32 sequence_length: 4096 } }`;"
                   "state.name = 'toy'; state.edited = true; state.sets = {}; document.getElementById('text').value = state.text; changed()")
    until("toy", browser, READY)
    browser.keys("#run", ENTER)
    until("toy run", browser, "return runs.at(-1).label === 'toy' && runs.at(-1).state === 'done' && document.getElementById('told').textContent === 'done'")
    # A text of another title is not what was loaded.
    browser.script("const t = document.getElementById('text'); t.value = t.value.replace('toy', 'top'); t.dispatchEvent(new Event('input'))")
    assert browser.script("return state.name") == ""
    browser.script("const t = document.getElementById('text'); t.value = t.value.replace('top', 'toy'); t.dispatchEvent(new Event('input')); state.name = 'toy'")
    browser.script("open_tab('schedule')")
    until("passes", browser, "return plan && plan.rows === 4 && /bubble/.test(document.getElementById('schedule_told').textContent)")
    if shots:
        browser.picture(shots / "app_schedule.png")
    before = browser.script("return JSON.stringify(plan.parsed.ranks)")
    # By mouse: the second forward of the first rank behind the third.
    browser.script("""const b = plan.rowed[0][1], c = plan.rowed[0][2], box = document.getElementById('pipe').getBoundingClientRect(),
        at = (block, share) => ({ clientX: box.left + 34 + (block[4] + share * (block[5] - block[4])) * plan.scale, clientY: box.top + 10, pointerId: 1, bubbles: true });
        const pipe = document.getElementById('pipe'); pipe.setPointerCapture = () => {};
        pipe.dispatchEvent(new PointerEvent('pointerdown', at(b, .5))); pipe.dispatchEvent(new PointerEvent('pointermove', at(c, .8))); pipe.dispatchEvent(new PointerEvent('pointerup', at(c, .8)));""")
    until("moved", browser, "return /before: step/.test(document.getElementById('schedule_told').textContent)")
    assert browser.script("return JSON.stringify(plan.parsed.ranks)") != before
    # By keyboard, what cannot be: a backward before its forward.
    browser.script("mark = [3, 1]; document.getElementById('pipe').focus()")
    browser.keys("#pipe", ALT + LEFT)
    until("refused", browser, "return /stays as it was/.test(document.getElementById('schedule_faults').textContent)")
    browser.keys("#undo", ENTER)
    until("undone", browser, f"return JSON.stringify(plan.parsed.ranks) === {json.dumps(before)}")


def explore(browser, address, folder, shots):
    browser.shape(1200)
    pick(browser)
    if shots:
        browser.picture(shots / "app_library.png")
    took = describe_and_run(browser)
    if shots:
        browser.picture(shots / "app.png")
    compare(browser)
    if shots:
        browser.picture(shots / "app_compare.png")
    sweep(browser)
    if shots:
        browser.picture(shots / "app_sweep.png")

    # A reload keeps the state; the address alone gives it to another window.
    browser.script("open_tab('result')")
    before = browser.script("return [location.hash, runs.length, JSON.stringify(state.sets)]")
    browser.script("window.old = true; location.reload()")
    until("reload", browser, "return window.old === undefined && typeof runs === 'object' && runs.length && !document.getElementById('run').disabled")
    assert browser.script("return [location.hash, runs.length, JSON.stringify(state.sets)]") == before
    until("fields again", browser, "return fields.length > 100")
    for what in ("json", "csv", "svg", "page"):
        size = browser.do("POST", "/execute/async", {"args": [what], "script":
                          "const [what, done] = arguments; fetch(what + '?id=1').then(a => a.text()).then(t => done(t.length))"})
        assert size > 1000, (what, size)

    # A long run: another browser sees it, this one goes away in the middle and comes back, and cancels it.
    browser.script("state.sets = {'training.batch.sequences': '1966080'}; changed()")
    until("checked", browser, READY)
    time.sleep(0.3)
    browser.keys("#run", ENTER)
    until("going on", browser, "return going !== null")
    second = browser.do("POST", "/window/new", {"type": "tab"})["handle"]
    first = browser.do("GET", "/window")
    browser.do("POST", "/window", {"handle": second})
    browser.open(address)
    until("seen by both", browser, "return typeof going !== 'undefined' && going !== null")
    browser.do("DELETE", "/window")
    browser.do("POST", "/window", {"handle": first})
    browser.open("about:blank")
    browser.open(address)
    until("found again", browser, "return typeof going !== 'undefined' && going !== null")
    browser.keys("#cancel", ENTER)
    until("cancelled", browser, "return document.getElementById('told').textContent === 'cancelled'")

    plan(browser)
    move_passes(browser, shots)
    browser.script("document.getElementById('file').value = 'mine'; document.getElementById('save').click()")
    until("saved", browser, "return /saved/.test(document.getElementById('told').textContent)")
    assert (folder / "mine.textproto").is_file()
    for tab in ("library", "result", "compare", "explore", "schedule"):
        for width in (390, 800, 1200, 2000):
            for dark in (False, True):
                browser.shape(width, dark=dark)
                browser.script(f"open_tab('{tab}')")
                wide = browser.script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
                assert wide[0] <= wide[1], (tab, width, wide)
                if shots:
                    browser.picture(shots / f"app_{tab}_{width}_{'dark' if dark else 'light'}.png")
    return took


def by_keyboard(browser):
    """Everything that can be pressed is reached by the tabulator, and what has the focus shows it."""
    browser.shape(1200)
    browser.script("open_tab('result'); document.body.focus(); document.activeElement?.blur()")
    seen, rounds = set(), 0
    for _ in range(400):
        browser.do("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": [
            {"type": "keyDown", "value": TAB}, {"type": "keyUp", "value": TAB}]}]})
        id = browser.script("const e = document.activeElement; return e.id || e.tagName")
        rounds += id in ("BODY", "HTML")
        if rounds == 2:  # where it begins is wherever was pressed last: once round from the top
            break
        seen.add(id)
    wanted = set(browser.script("return [...document.querySelectorAll('#left button[id], #left input[id], #left textarea, #more button[id], #more input[id], #tabs [tabindex=\"0\"], #view_result button[id], #view_result a[id]')]"
                                ".filter(e => e.checkVisibility() && !e.disabled && !/^field\\d/.test(e.id)).map(e => e.id)"))
    assert wanted <= seen, wanted - seen


def refuses(address):
    """What other sites and guesses get."""
    def status(url, **headers):
        try:
            return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10).status
        except urllib.error.HTTPError as error:
            return error.code
    root = address.rsplit("/", 2)[0]
    assert status(address) == 200
    assert status(root + "/") == 403 and status(root + "/x/begin") == 403
    assert status(address + "begin", Host="evil.example") == 403
    assert status(address + "begin", Origin="https://evil.example") == 403
    assert status(address + "begin", **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert status(address + "scenario?name=..%2F..%2Fetc%2Fpasswd") == 404


def main():
    program, shots = sys.argv[1], pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    if missing := driver.missing():
        print("skipped: there is no", ", no ".join(missing))
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        browser = driver.Browser()
        try:
            browser.shape(1200)
            browser.open("about:blank")
            begin = time.monotonic()
            app, address = start(program, name)
            browser.open(address)
            until("start", browser, READY)
            took = {"start": time.monotonic() - begin}
            refuses(address)
            port = re.search(r":(\d+)/", address)[1]
            taken = subprocess.run([program, "app", "--port", port], capture_output=True, text=True)
            assert taken.returncode == 2 and "a port that is free" in taken.stderr, taken
            took |= explore(browser, address, folder, shots)
            by_keyboard(browser)
            said = [message for message in browser.console()]
            assert not said, said
            # The program ends and is started again with the folder: what was asked for is still known.
            end(app)
            browser.script("document.getElementById('load').click()")
            until("gone", browser, "return /does not answer/.test(document.getElementById('told').textContent)")
            app, address = start(program, name)
            browser.script("sessionStorage.clear()")
            browser.open(address)
            until("session", browser, "return /not run since/.test(document.getElementById('runs').textContent)")
            print(", ".join(f"{what}: {seconds:.2f} s" for what, seconds in took.items()))
            end(app)
        finally:
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Are pages whole at every width, light and dark: nothing cut, nothing on top of anything, no word on the console?

pages_test.py PROGRAM [FOLDER]: screenshots go into FOLDER where one is given."""

import pathlib
import sys
import tempfile
import subprocess

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import driver  # noqa: E402

HERE = pathlib.Path(__file__).parent
WIDTHS = (390, 800, 1200, 2000)
PAGES = {
    "training": ["run", "deepseek_v3_2048_h800"],
    "dense": ["run", "llama_3_1_8b_64_h100"],
    "serving": ["run", "deepseek_v3_decode_unit"],
    "collective": ["run", "all_reduce_64_h100"],
    "life": ["run", "llama_3_405b_54_days"],
    "compare": ["compare", "deepseek_v3_2048_h800", "deepseek_v3_2048_h20"],
    "four": ["compare", *(f"h100_llama_3_1_8b_{name}" for name in ("bf16_8", "bf16_16", "bf16_64", "fp8_64"))],
    "loop": ["run", "rl_llama_8b_16_h100"],
    "validate": ["validate"],
    "cost": ["cost", "deepseek_v3_programme", "--price-model", "all"],
    "classify": ["policy", "classify", "h800-sxm"],
    "chips": ["policy", "classify", "--date", "2024-01-01"],
    "frontier": ["policy", "frontier", "deepseek_v3_2048_h800", "--rule", "R2023_10"],
    "claims": ["claims", "cache-57x"],
    "plan": ["plan", "h100_llama_3_1_8b_bf16_64", "--open", "all", "--why", "plan.tensor=8"],
    "explain": ["explain", "deepseek_v3_2048_h800"],
    "explain_loop": ["explain", "rl_llama_8b_16_h100"],
    "services": ["compare", "deepseek_v3_serving_h800", "deepseek_v3_serving_h20"],
    "fleet": ["fleet", "deepseek_fleet", "--draws", "200"],
    "size": ["size", "llama_3_1_8b_azure_conversation", "--slo", "ttft=2s,tpot=50ms"],
    "curve": ["curve", "deepseek_r1_distill_llama_8b_one_gpu", "llama_3_1_8b_azure_conversation", "--users", "1,4,16,64"],
}


def main():
    program, shots = sys.argv[1], pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    if missing := driver.missing():
        print("skipped: there is no", ", no ".join(missing))
        return 77
    measure = (HERE / "measure.js").read_text()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        browser = driver.Browser()
        try:
            for name, command in PAGES.items():
                page = pathlib.Path(folder) / f"{name}.html"
                subprocess.run([program, *command, "--html", page], check=True, stdout=subprocess.DEVNULL)
                if page.stat().st_size > 2_000_000:
                    faults.append(f"{name}: {page.stat().st_size} bytes")
                for dark in (False, True):
                    for width in WIDTHS:
                        browser.shape(width, dark=dark)
                        browser.open(page.as_uri())
                        # Viewers are made when they come into sight.
                        browser.do("POST", "/execute/async", {"args": [], "script": """
                            const done = arguments[0], all = [...document.querySelectorAll('.viewer')];
                            const next = () => { const v = all.shift(); if (!v) { scrollTo(0, 0); return setTimeout(done, 50); }
                              v.parentElement.scrollIntoView(); const wait = () => v.hidden ? setTimeout(wait, 20) : next(); wait(); };
                            next();"""})
                        where = f"{name}, {width} px, {'dark' if dark else 'light'}"
                        faults += [f"{where}: {fault}" for fault in browser.script(measure)]
                        faults += [f"{where}: console: {message}" for message in browser.console()]
                        if shots:
                            browser.picture(shots / f"{name}_{width}_{'dark' if dark else 'light'}.png")
                        if width == 1200 and not dark:
                            paint = browser.script("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
                            print(f"{name}: {page.stat().st_size / 1e3:.0f} kB, first paint after {paint:.0f} ms")
                if name == "training":
                    faults += true_to_scale(browser)
                    faults += by_keyboard(browser)
        finally:
            browser.close()
    for fault in faults[:60]:
        print(fault)
    print(f"{len(faults)} faults on {len(PAGES)} pages")
    return 1 if faults else 0


def true_to_scale(browser):
    """The timeline shows as much of each kind of work on a phone as on a wide screen, where blocks are seen one by one."""
    shares = {}
    for width in (390, 2000):
        browser.shape(width)
        # It is drawn anew with the next frame.
        browser.do("POST", "/execute/async", {"args": [], "script": """
            const done = arguments[0]; setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done())), 200);"""})
        shares[width] = browser.script("""
            const root = [...document.querySelectorAll('.viewer')].at(-1), canvas = root.querySelector('canvas');
            const pen = canvas.getContext('2d'), kinds = ['forward', 'backward', 'weight', 'communication'], found = {};
            const pixels = pen.getImageData(0, 0, canvas.width, canvas.height).data;
            const rgb = kinds.map(k => { pen.fillStyle = getComputedStyle(root).getPropertyValue('--' + k).trim();
              return [1, 3, 5].map(i => parseInt(pen.fillStyle.slice(i, i + 2), 16)); });
            const count = kinds.map(() => 0);
            for (let i = 0; i < pixels.length; i += 4) rgb.forEach((c, k) => {
              if (Math.abs(pixels[i] - c[0]) + Math.abs(pixels[i + 1] - c[1]) + Math.abs(pixels[i + 2] - c[2]) < 40) ++count[k]; });
            const all = count.reduce((a, b) => a + b);
            return Object.fromEntries(kinds.map((k, i) => [k, count[i] / all]));""")
    browser.console()  # reading pixels back is told there, and is ours alone
    print("timeline, shares of colours at 390 and 2,000 px:", shares[390], shares[2000])
    return [f"timeline: {kind} is {100 * shares[390][kind]:.1f} % at 390 px, {100 * shares[2000][kind]:.1f} % at 2,000 px"
            for kind in shares[390] if abs(shares[390][kind] - shares[2000][kind]) > 0.05]


def by_keyboard(browser):
    """The pipeline is walked through without a mouse."""
    told = "return document.querySelector('.told').textContent"
    before = browser.script(told)
    browser.keys(".viewer canvas", "nn")
    first = browser.script(told)
    browser.keys(".viewer canvas", "n")
    second = browser.script(told)
    browser.keys(".viewer canvas", "++-0p")
    third = browser.script(told)
    faults = []
    if before == first or "rank 0" not in first or "micro-batch" not in first:
        faults.append(f"keyboard: after n the viewer says {first!r}")
    if first == second or third != first:
        faults.append(f"keyboard: {first!r}, then {second!r}, back to {third!r}")
    if not browser.script("document.querySelector('summary').focus(); return document.activeElement.tagName === 'SUMMARY'"):
        faults.append("keyboard: tables cannot be reached")
    return faults


if __name__ == "__main__":
    sys.exit(main())

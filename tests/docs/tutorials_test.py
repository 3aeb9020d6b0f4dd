"""Do the tutorials work when they are pasted? Every command of docs/tutorial_*.md is executed, in a folder of its own.

tutorials_test.py PROGRAM DOCS"""

import pathlib
import re
import subprocess
import sys
import tempfile

SAVE = re.compile(r"[Ss]ave this as `([\w.]+)`|this as `([\w.]+)`")


def steps(text):
    """Files to save, (name, text), and commands, in the order of the page. A block below a sentence that names a file is that file."""
    name, block = None, []
    for line in text.splitlines() + [""]:
        if line.startswith("    "):
            block.append(line[4:])
            continue
        if block and not line.strip():
            block.append("")  # a blank line within or behind it
            continue
        if block:
            yield from ended(name, block)
            name, block = None, []
        for found in SAVE.finditer(line):
            name = found[1] or found[2]
    if block:
        yield from ended(name, block)


def ended(name, block):
    lines = "\n".join(block).strip("\n").split("\n")
    commands = [line for line in lines if line.startswith("./flopcast")]
    if name and not all(line.startswith("./flopcast") for line in lines):
        yield ("file", name, "\n".join(line for line in lines if not line.startswith("./flopcast")) + "\n")
    for command in commands:
        yield ("command", command.split("  #")[0], "")


def main():
    program, docs = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    faults, run = [], 0
    for page in sorted(docs.glob("tutorial_*.md")):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "flopcast").symlink_to(program)
            for kind, what, text in steps(page.read_text()):
                if kind == "file":
                    (pathlib.Path(folder) / what).write_text(text)
                    continue
                if what == "./flopcast app":  # waits for a browser: tests/browser/app_test.py drives it
                    continue
                run += 1
                try:
                    done = subprocess.run(what, shell=True, cwd=folder, capture_output=True, text=True, timeout=240)
                except subprocess.TimeoutExpired:
                    faults.append(f"{page.name}: {what}: takes more than four minutes")
                    continue
                if done.returncode != 0 or not (done.stdout or "--html" in what):
                    faults.append(f"{page.name}: {what}: code {done.returncode}: {done.stderr.strip()[:600]}")
            missing = [name for name in re.findall(r"--(?:html|trace|picture|json|output) ([\w.]+)", page.read_text())
                       if not (pathlib.Path(folder) / name).exists()]
            faults += [f"{page.name}: {name} was not written" for name in missing]
        for link in re.findall(r"\]\(([\w./]+\.md)\)", page.read_text()):
            if not (docs / link).resolve().is_file():
                faults.append(f"{page.name}: there is no {link}")
    for fault in faults:
        print(fault)
    print(f"{run} commands, {len(faults)} faults")
    return 1 if faults or run < 20 else 0


if __name__ == "__main__":
    sys.exit(main())

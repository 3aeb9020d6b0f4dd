"""Does every file that READMEs, docs and comments name exist? A map that names files where they once were sends its reader nowhere.

paths_test.py ROOT

A file may be named by the end of its path (`serving/session/session.h`). NAME, KIND, yours, mine and * stand for any name: some such file has to exist.
Checked are C++ files and protos wherever they are named, and every other file that is named from a top-level folder of the project on."""

import fnmatch
import pathlib
import re
import sys

TOP = ("sim", "hwmodels", "workloads", "scenarios", "analysis", "include", "cmake")
OURS = (".h", ".cc", ".proto")
PATH = re.compile(r"(?<![\w./<-])((?:[\w*-]+/)*[\w*-]+\.(?:h|cc|proto|csv|textproto|py|md|sh|cmake))(?![\w/])")
FOLDER = re.compile(r"(?<![\w./<-])((?:%s)/(?:[\w-]+/)+)(?![\w*{])" % "|".join(TOP))
WILD = re.compile(r"\b(NAME|yours|mine)(?![a-z])")
# Files of other projects that comments name, and a schema by the name of its message's old file.
FOREIGN = {"et_def.proto", "schema/protobuf/et_def.proto", "descriptor.proto", "src/graph/tuning.cc", "src/graph/search.cc"}


def texts(root):
    """(file, line number, text) of all documentation and of all comments."""
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root)
        if place.parts[0] in ("build", "output") or any(part.startswith(".") for part in place.parts) or not path.is_file():
            continue
        page = path.suffix == ".md"
        if not page and path.suffix not in (".h", ".cc", ".proto", ".py", ".sh", ".cmake") and path.name != "CMakeLists.txt":
            continue
        mark = "//" if path.suffix in OURS else "#"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if page:
                for quoted in re.findall(r"`([^`]+)`", line):
                    yield place, number, quoted
            elif mark in line and not line.startswith("#include"):
                yield place, number, line[line.index(mark):]


def main(root):
    root = pathlib.Path(root).resolve()
    files = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "build" not in path.relative_to(root).parts[:1]]
    ends = {"/".join(parts[first:]) for parts in (file.split("/") for file in files) for first in range(len(parts))}
    missing = checked = 0
    for place, number, text in texts(root):
        for name in PATH.findall(text):
            ours = name.endswith(OURS) or name.split("/")[0] in TOP and "/" in name
            if not ours or name in FOREIGN:
                continue
            checked += 1
            pattern = WILD.sub("*", name)
            if name in ends or ("*" in pattern and any(fnmatch.fnmatchcase(end, pattern) for end in ends)):
                continue
            print(f"{place}:{number}: there is no {name}")
            missing += 1
        for name in FOLDER.findall(text):
            checked += 1
            if "/KIND/" not in name and not (root / name).is_dir():
                print(f"{place}:{number}: there is no folder {name}")
                missing += 1
    assert checked > 100, f"only {checked} files were named: the test does not see them"
    print(f"{checked} files named, {missing} of them not there")
    return missing != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

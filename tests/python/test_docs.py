"""Does the worked example of docs/python.md run as it stands there?"""
import pathlib
import re

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "python.md"


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.M | re.S)
    assert len(blocks) > 5
    exec(compile("\n".join(blocks), str(DOCS), "exec"), {"__name__": "example"})

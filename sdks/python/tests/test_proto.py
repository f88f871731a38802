"""The generated code is that of the protocol."""

import importlib.util
import pathlib

GENERATE = pathlib.Path(__file__).resolve().parent.parent / "generate.py"


def test_the_generated_code_is_current() -> None:
    spec = importlib.util.spec_from_file_location("generate", GENERATE)
    assert spec is not None and spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.stale() == []

"""Writes src/ostler/_proto from the worker protocol. Needs `pip install grpcio-tools==1.76.0`.

python generate.py            writes the files
python generate.py --check    exits 1 when they are not what the protocol gives
"""

import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"
SOURCE = "ostler/worker/v1/worker.proto"
TARGET = HERE / "src" / "ostler" / "_proto"
FILES = ("worker_pb2.py", "worker_pb2.pyi")


def generate() -> dict[str, bytes]:
    """The generated files, by name."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--python_out={folder}", f"--pyi_out={folder}"]
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}"]
        subprocess.run([*protoc, *outputs, SOURCE], check=True)
        made = pathlib.Path(folder) / pathlib.Path(SOURCE).parent
        return {name: (made / name).read_bytes() for name in FILES}


def stale() -> list[str]:
    """Committed files that differ from what the protocol gives now."""
    made = generate().items()
    return [name for name, text in made if (TARGET / name).read_bytes() != text]


def main() -> int:
    if "--check" in sys.argv[1:]:
        for name in (names := stale()):
            print(f"{name} is stale: run generate.py", file=sys.stderr)
        return 1 if names else 0
    for name, text in generate().items():
        (TARGET / name).write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

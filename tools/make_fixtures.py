#!/usr/bin/env python3
"""Copy the golden cases the tests read into the repository, with a manifest of what came from where.

Nothing is generated here: the folder given was recorded by running PyTorch, and this tool only selects. It keeps every
path, so `tools/golden` runs over the copy as it runs over the original.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP_FOLDERS = ("backbones", "base", "hub", "orig", "units")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example: tools/make_fixtures.py ~/golden")
    parser.add_argument("golden", type=Path, help="a golden folder: backbones, base, hub, orig, units, versions.json")
    parser.add_argument("--output", type=Path, default=HERE.parent / "Tests" / "Fixtures" / "golden")
    parser.add_argument("--families", nargs="+", default=["t5", "bert", "roberta"], metavar="FAMILY",
                        help="`model_type` of the backbones whose cases are copied (default: t5 bert roberta)")
    parser.add_argument("--limit-bytes", type=int, default=6_000_000, help="refuse to copy more than this")
    return parser.parse_args()


def family_of(root: Path, path: Path) -> str | None:
    """`model_type` of the case `path` belongs to, nothing if it belongs to every family."""
    parts = path.relative_to(root).parts
    if len(parts) < 3:
        return None
    case = root / parts[0] / parts[1]
    described = {
        "backbones": case / "config.json",
        "base": root / "backbones" / parts[1] / "config.json",
        "hub": case / "adapter" / "adapter_config.json",
        "orig": case / "output_dir" / "config.json",
    }.get(parts[0])
    return json.loads(described.read_text())["model_type"] if described else None


def provenance_of(root: Path) -> dict[str, str]:
    """One sentence per kind of case, with the library versions the golden folder records."""
    library = json.loads((root / "versions.json").read_text())
    text = (f"transformers {library['transformers']}, adapters {library['adapters']}, torch {library['torch']}, "
            f"Python {library['python']}; CPU, float32, {library['threads']} thread, fixed seeds")
    sentences = dict.fromkeys(("backbones", "base", "hub", "units"), f"recorded with {text}")
    authors = root / "versions_orig.json"
    if authors.exists():
        library = json.loads(authors.read_text())
        sentences["orig"] = (f"recorded with the Compacter authors' code at commit {library['compacter_commit']}, "
                             f"transformers {library['transformers']}, torch {library['torch']}, "
                             f"Python {library['python']}; CPU, float32, fixed seeds")
    return sentences


def main() -> int:
    arguments = parse_arguments()
    root: Path = arguments.golden.resolve()
    if not (root / "versions.json").exists() or not (root / "backbones").is_dir():
        print(f"{root}: not a golden folder (no versions.json or no backbones)", file=sys.stderr)
        return 66
    provenance = provenance_of(root)
    chosen = [path for top in TOP_FOLDERS for path in sorted((root / top).rglob("*"))
              if path.is_file() and family_of(root, path) in (None, *arguments.families)]
    chosen += sorted(root.glob("versions*.json"))
    total = sum(path.stat().st_size for path in chosen)
    if total > arguments.limit_bytes:
        print(f"{total:,} bytes chosen, the limit is {arguments.limit_bytes:,}", file=sys.stderr)
        return 65

    if arguments.output.exists():
        shutil.rmtree(arguments.output)
    files = []
    for path in chosen:
        relative = path.relative_to(root)
        target = arguments.output / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        files.append({"path": relative.as_posix(), "bytes": path.stat().st_size,
                      "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                      "provenance": provenance.get(relative.parts[0], "versions of the libraries named here")})
    (arguments.output / "MANIFEST.json").write_text(json.dumps({"files": files}, indent=1) + "\n")
    print(f"{len(files)} files, {total:,} bytes in {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

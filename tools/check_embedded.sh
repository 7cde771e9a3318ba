#!/usr/bin/env bash
# Build the engine as Embedded Swift, run it on the example file, and hold the program's size to a limit.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=400000

TUSK_EMBEDDED=1 swift build --scratch-path .build-embedded -c release --product tusk-nano
program=.build-embedded/release/tusk-nano
if ldd "$program" | grep -i swift; then
  echo "an Embedded Swift program must not need the Swift runtime" >&2
  exit 1
fi
"$program" formats/examples/nano.tusk --input-ids 3,1
strip -o "$program.stripped" "$program"
bytes=$(stat -c %s "$program.stripped")
echo "stripped: $bytes"
[ "$bytes" -le "$limit" ]

#!/usr/bin/env bash
# Build the engine as Embedded Swift, hold its answers on the example file to those of ordinary Swift, and its size to a
# limit.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=400000

TUSK_EMBEDDED=1 swift build --scratch-path .build-embedded -c release --product tusk-nano --disable-local-rpath
swift build --product tusk-nano
embedded=.build-embedded/release/tusk-nano
ordinary=.build/debug/tusk-nano

if ldd "$embedded" | grep -i swift; then
  echo "an Embedded Swift program must not need the Swift runtime" >&2
  exit 1
fi
for text in 'a text' '' 'http://tusk'; do
  diff <("$embedded" formats/examples/nano.tusk "$text") <("$ordinary" formats/examples/nano.tusk "$text")
done
"$embedded" formats/examples/nano.tusk --measure --source-tokens 8 --max-new-tokens 4

strip -o "$embedded.stripped" "$embedded"
bytes=$(stat -c %s "$embedded.stripped")
echo "stripped: $bytes"
[ "$bytes" -le "$limit" ]

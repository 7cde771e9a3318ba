#!/usr/bin/env bash
# Compile everything with every warning an error: Swift as the manifest says, C once more with -Wall -Wextra, which
# SwiftPM does not pass on.
set -euo pipefail
cd "$(dirname "$0")/.."

# A target may include what any other offers, and CTuskBackward the vectors of CTuskKernels, as the manifest says.
includes=(-iquote Sources/CTuskKernels/lanes)
for folder in Sources/C*/include; do includes+=("-I$folder"); done
files=0
for target in Sources/C* Tests/C*; do
  for file in "$target"/*.c; do
    [ -e "$file" ] || continue
    clang -std=gnu17 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$target/include" "${includes[@]}" -fsyntax-only "$file"
    files=$((files + 1))
  done
done
swift build --build-tests
echo "warnings: 0 in $files C files and all Swift modules"

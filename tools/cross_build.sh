# Sourced by tools/cross from the package folder: compiles the engine as Embedded Swift for another machine.
# shellcheck shell=bash

# What Package.swift gives the Embedded modules; SwiftPM itself has no way to a target without an operating system.
swift_options=(
  -swift-version 6 -package-name tusk -parse-as-library -wmo -Osize -Xfrontend -function-sections
  -enable-experimental-feature Embedded -enable-experimental-feature Lifetimes
  -enable-upcoming-feature ExistentialAny -enable-upcoming-feature MemberImportVisibility -warnings-as-errors
)
c_options=(-std=gnu17 -O2 -ffunction-sections -fdata-sections -Wall -Wextra -Werror -Wno-psabi
  -ISources/CTuskKernels/include -ISources/CTuskSystem/include)
swift_modules=(TuskFormat TuskTokenizer TuskEngine)

# The C modules as Swift imports them: every header of their include folder.
write_module_maps() {
  local output=$1 module header
  for module in CTuskKernels CTuskSystem; do
    {
      echo "module $module {"
      for header in "Sources/$module/include"/*.h; do echo "  header \"$PWD/$header\""; done
      echo "  export *"
      echo "}"
    } >"$output/$module.modulemap"
  done
}

# compile_c OUTPUT FILE... -- OPTION...
compile_c() {
  local output=$1 files=() file
  shift
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  shift
  for file in "${files[@]}"; do
    clang "${c_options[@]}" "$@" -c "$file" -o "$output/$(basename "$(dirname "$file")")-$(basename "$file" .c).o"
  done
}

# compile_swift OUTPUT MODULE FOLDER OPTION...
compile_swift() {
  local output=$1 module=$2 folder=$3 sources=()
  shift 3
  mapfile -t sources < <(find "$folder" -name '*.swift' | sort)
  swiftc "${swift_options[@]}" -I "$output" -Xcc "-fmodule-map-file=$output/CTuskKernels.modulemap" \
    -Xcc "-fmodule-map-file=$output/CTuskSystem.modulemap" -module-name "$module" -emit-module \
    -emit-module-path "$output/$module.swiftmodule" "$@" -c "${sources[@]}" -o "$output/$module.o"
}

# Sourced by tools/cross from the package folder: the engine for machines without an operating system.
# shellcheck shell=bash

embedded_model=formats/examples/nano.tusk
embedded_text='a text'
embedded_source_tokens=32
embedded_new_tokens=16
# What the plan of that takes, and the objects of Swift.
embedded_arena_bytes=131072
embedded_heap_bytes=65536

# What the objects of one target leave to the program: the C library's memory functions, and what the compiler calls for
# arithmetic the processor has no instructions for.
check_undefined() {
  local output=$1 allowed=$2 undefined
  undefined=$(ld.lld --gc-sections --warn-unresolved-symbols -e tusk_embedded_answer -o "$output/linked" \
    "$output"/objects/*.o 2>&1 | sed -n 's/.*undefined symbol: //p' | sort -u)
  echo "undefined:" $undefined
  local unknown
  unknown=$(grep -vxE "memcpy|memmove|memset|memcmp|strcmp|strlen|$allowed" <<<"$undefined" || true)
  [ -z "$unknown" ] || fail "not in tools/embedded/README.md:" $unknown
}


cross_embedded() {
  local target=$1 output=.build-cross/$1 machine=() allowed module missing=()
  [ -e /usr/lib/arm-none-eabi/include/errno.h ] || missing+=(libnewlib-arm-none-eabi)
  case $target in
    armv7em)
      command -v arm-none-eabi-gcc >/dev/null || missing+=(gcc-arm-none-eabi)
      command -v qemu-system-arm >/dev/null || missing+=(qemu-system-arm)
      machine=(-mcpu=cortex-m4 -mthumb -mfloat-abi=softfp -mfpu=fpv4-sp-d16)
      allowed='__aeabi_[a-z0-9_]+' ;;
    riscv32)
      machine=(-march=rv32imac -mabi=ilp32)
      allowed='sqrtf|__[a-z]+[sdt][fi][sdt]?[fi]?[23]?' ;;
  esac
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
  require_python
  mkdir -p "$output/objects"
  rm -f "$output"/objects/*

  say "compiling"
  write_module_maps "$output"
  printf 'module CTuskEmbedded {\n  header "%s"\n  export *\n}\n' "$PWD/tools/embedded/tusk_embedded.h" \
    >"$output/CTuskEmbedded.modulemap"
  compile_c "$output/objects" Sources/CTuskKernels/*.c Sources/CTuskSystem/{math,checksum}.c tools/embedded/machine.c \
    -- --target="$target-none-eabi" -ffreestanding -Os "${machine[@]}" -Itools/embedded \
    -isystem /usr/lib/arm-none-eabi/include
  local options=(-target "$target-none-none-eabi" -Xfrontend -disable-stack-protector -Xcc -isystem -Xcc
    /usr/lib/arm-none-eabi/include -Xcc "-fmodule-map-file=$output/CTuskEmbedded.modulemap")
  for module in "${swift_modules[@]}"; do compile_swift "$output" "$module" "Sources/$module" "${options[@]}"; done
  compile_swift "$output" Answer tools/embedded "${options[@]}"
  for module in "${swift_modules[@]}" Answer; do mv "$output/$module.o" "$output/objects/"; done
  check_undefined "$output" "$allowed"
  if [ "$target" = armv7em ]; then run_on_cortex_m4 "$output" "${machine[@]}"; fi
  report_code "$output" "$target"
}

# Bytes of code and constants by module, of what the linker keeps; all together as tools/embedded/README.md says, within 5 %.
report_code() {
  local output=$1 target=$2
  ld.lld --gc-sections --warn-unresolved-symbols -e tusk_embedded_answer -Map="$output/map" -o "$output/linked" \
    "$output"/objects/*.o 2>/dev/null
  python3 - "$output/map" "$target" tools/embedded/README.md <<'PYTHON'
import collections, pathlib, re, sys

kept = collections.Counter()
for line in open(sys.argv[1]):
    part = re.match(r"\s*\w+\s+\w+\s+(\w+)\s+\d+\s+\S*/([A-Za-z]+)[^/]*\.o:\(\.(?:text|rodata|s?data|srodata|ARM)", line)
    if part:
        kept[part[2]] += int(part[1], 16)
for name, count in kept.most_common():
    print(f"{name:14} {count:7,} bytes")
total = sum(kept.values())
print(f"{'all':14} {total:7,} bytes")
rows = {cells[0]: cells[1:] for line in pathlib.Path(sys.argv[3]).read_text().splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 3}
recorded = int(rows["all"][rows[""].index(sys.argv[2])].replace(",", ""))
if abs(total - recorded) > 0.05 * recorded:
    sys.exit(f"{sys.argv[3]} says {recorded:,} bytes")
PYTHON
}

run_on_cortex_m4() {
  local output=$1 expected found
  shift
  say "running in qemu"
  # The debugger's channel comes out on standard error.
  clang --target=armv7em-none-eabi -ffreestanding -O2 "$@" -Itools/embedded -Wall -Wextra -Werror \
    -DMODEL="$embedded_model" -DTEXT="\"$embedded_text\"" -DSOURCE_TOKENS="$embedded_source_tokens" \
    -DNEW_TOKENS="$embedded_new_tokens" -DARENA_BYTES="$embedded_arena_bytes" -DHEAP_BYTES="$embedded_heap_bytes" \
    -c tools/embedded/cortex-m4.c -o "$output/cortex-m4.o"
  # lld, since the objects of Swift have symbols that GNU ld refuses; the libraries are those of Debian's gcc.
  ld.lld --gc-sections -T tools/embedded/cortex-m4.ld "$output/cortex-m4.o" "$output"/objects/*.o \
    "$(arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -print-file-name=libc.a)" \
    "$(arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -print-libgcc-file-name)" -o "$output/cortex-m4.elf"
  found=$(timeout 120 qemu-system-arm -machine mps2-an386 -nographic -semihosting-config enable=on,target=native \
    -kernel "$output/cortex-m4.elf" </dev/null 2>&1)
  swift build --product tusk-nano >&2
  expected=$(.build/debug/tusk-nano "$embedded_model" "$embedded_text" --source-tokens "$embedded_source_tokens" \
    --max-new-tokens "$embedded_new_tokens")
  echo "answer on a Cortex-M4: $found"
  [ "$found" = "$expected" ] || fail "this machine answers: $expected"
}

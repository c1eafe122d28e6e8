#!/usr/bin/env bash
# tests/order.c on x86-64 with each instruction set, and for 64-bit Arm (NEON) under qemu-user: the same digests, or 1.
# bench/order_machines.sh [--plain]   of x86-64 the plain set alone: tests/test_order.py compares the others with it
# Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
set -euo pipefail
cd "$(dirname "$0")/.."
option=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-std=c11 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -DFO_STATIC -Icsrc"
common="tests/order.c"
for source in csrc/*.c; do
    case $source in csrc/rules.c | csrc/linear.c | csrc/solvers.c) ;; *) common="$common $source" ;; esac  # those: once for each set, below
done

build() { # folder, compiler, definitions, sets as "name: options"
    local folder=$work/$1 compiler=$2 definitions=$3 objects=""
    shift 3
    mkdir "$folder"
    for set in "$@"; do
        for source in rules linear solvers; do
            $compiler $flags ${set#*:} -DFO_SET="${set%%:*}" -c "csrc/$source.c" -o "$folder/${set%%:*}_$source.o"
            objects="$objects $folder/${set%%:*}_$source.o"
        done
    done
    $compiler $flags $definitions $common $objects -static -lm -o "$folder/order"
}

this_machine() {
    if [ "$(uname -m)" = x86_64 ] && [ "$option" != --plain ]; then
        avx512="-mavx2 -mfma -mavx512f -mavx512dq -mavx512bw -mavx512vl -mprefer-vector-width=512"
        build x86 "${CC:-cc}" -DFO_X86_SETS plain: "avx2:-mavx2 -mfma" "avx512:$avx512"
        for without in none avx512 avx512,avx2; do "$work/x86/order" "$without" >"$work/x86-$without.txt"; done
    else
        build own "${CC:-cc}" "" plain:
        "$work/own/order" >"$work/own.txt"
    fi
}

arm() {
    build arm aarch64-linux-gnu-gcc "" plain:
    aarch64-linux-gnu-objdump -d "$work/arm/plain_linear.o" >"$work/arm/code"
    if ! grep -q 'fmla.*\.4s' "$work/arm/code"; then
        echo "the loops for Arm have no NEON"
        exit 1
    fi
    qemu-aarch64 "$work/arm/order" >"$work/arm.txt"
}

this_machine &
if command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; then
    arm
else
    echo "no aarch64: aarch64-linux-gnu-gcc and qemu-aarch64 are not both here"
fi
wait $!
first=$(ls "$work"/*.txt | head -1)
for other in "$work"/*.txt; do
    diff "$first" "$other" >"$work/difference" || { echo "$(basename "$first") and $(basename "$other") differ:"; head "$work/difference"; exit 1; }
done
echo "$(wc -l <"$first") digests are the same in $(cd "$work" && ls -m ./*.txt)"

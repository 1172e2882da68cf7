#!/usr/bin/env bash
# How much it helps that waiting kernel threads sleep: the demo on idle and on busy cores, with and without.
# Takes some minutes: the program is built a second time, in a folder of its own, unless SPINNING
# names one that was built before.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
load=()
finish() { kill "${load[@]}" 2>/dev/null || true; rm -rf "$work"; }
trap finish EXIT

cargo build --quiet --release --manifest-path "$root/Cargo.toml"
if [ -z "${SPINNING:-}" ]; then
    git -C "$root" archive HEAD | tar -x -C "$work"
    # Without the shim: _mm_pause as it is.
    echo '#pragma once' > "$work/crates/trifold-build/shim/relax.h"
    CARGO_TARGET_DIR="$work/target" cargo build --quiet --release --manifest-path "$work/Cargo.toml"
    SPINNING="$work/target/release/trifold"
fi

run() {
    local from=$EPOCHREALTIME
    "$1" demo --quiet --json --output "$work/demo" >/dev/null
    local to=$EPOCHREALTIME
    awk -v a="$from" -v b="$to" 'BEGIN { printf "%.2f\n", b - a }'
}
compare() {
    for round in 1 2 3; do
        spin=$(run "$SPINNING")
        sleep=$(run "$root/target/release/trifold")
        awk -v w="$1" -v r="$round" -v s="$spin" -v y="$sleep" \
            'BEGIN { printf "%s, round %d: spinning %.1f s, sleeping %.1f s, ratio %.2f\n", w, r, s, y, s / y }'
    done
}
compare idle
for _ in $(seq $(($(nproc) * 2))); do
    (while :; do :; done) &
    load+=($!)
done
compare busy

#!/usr/bin/env bash
# Plants each bug of this folder into a clone of HEAD and says which test catches it. `make planted` runs it.
#
# A bug is a patch with some words before it, and a line "Caught by: BINARY TEST" that names a test which has to fail.
# A line "With: NAME=value" has that test run with these variables.
# It fails itself if it does not apply or compile any more, and if that test passes.
# ONLY="words" plants those whose name has one of these words in it. FIND=yes tries all tests where the one that is named
# passes, the cheap ones first, and says which catches it, so that the line can be mended: an hour where none does.
set -uo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}/planted
clone=$target/clone
testbed=${TESTBED:?the program of the testbed}
# A tree of its own, so that nobody's build is disturbed.
export CARGO_TARGET_DIR=$target/build
# A simulation stops at the first seed that fails, and so needs few.
export SIM_SEEDS=${SEEDS:-200} RUST_BACKTRACE=0

mkdir -p "$target"
[ -d "$clone" ] || git clone --quiet --shared --no-checkout "$here" "$clone"
git -C "$clone" fetch --quiet "$here" HEAD
git -C "$clone" checkout --quiet --force --detach FETCH_HEAD
cd "$clone" || exit 1

which() {
    case $1 in
        lib) echo --lib ;;
        *) echo --test "$1" ;;
    esac
}

compiles() {
    cargo test --quiet --profile planted --locked $(which "$1") --no-run 2>"$target/$name.log"
}

# All tests of a binary, or those that are named.
only() {
    local binary=$1
    shift
    timeout 1200 cargo test --quiet --profile planted --locked $(which "$binary") -- ${1:+--exact "$@"}
}

run() {
    case $1 in
        cluster)
            # Without the demo's tests, which run programs of the whole workspace.
            local filter="not test(first_minutes)"
            [ $# -eq 1 ] || filter=$(printf 'test(=%s) or ' "${@:2}")
            timeout 1800 "$testbed" run --controller-manager --with helm,kstatus -- cargo nextest run --cargo-profile planted --locked --test cluster --fail-fast -E "${filter% or }"
            ;;
        # A bug shows at every fifth step, in a fifth of the time.
        sim) (export SIM_EVERY=5 ${with:-}; only "$@") ;;
        *) only "$@" ;;
    esac >"$target/$name.$1.log" 2>&1
}

# Whether tests of a binary fail: those are their exit codes, and what hangs counts. What cannot run is no catch.
catches() {
    run "$@"
    case $? in
        0) return 1 ;;
        100 | 101 | 124) return 0 ;;
        *)
            echo "the tests of $1 cannot be run: $target/$name.$1.log"
            exit 1
            ;;
    esac
}

# Without a bug all tests of a binary, or those that are named, have to pass.
pass() {
    name=none
    if catches "$@"; then
        echo "tests of $1 fail without a bug: $target/none.$1.log"
        exit 1
    fi
}

# The line of a patch that names the test which catches it: "BINARY TEST".
caught_by() { sed -n 's/^Caught by: //p' "$1"; }

# Which test sees the bug that is planted: the first binary, and in it the first test that fails.
find_any() {
    local binary planted=$name
    found=NOBODY
    # The real thing takes minutes: only for what nothing else sees.
    for binary in lib pure client plans model sim cluster; do
        if [ -z "${passed[$binary]:-}" ]; then
            git stash --quiet
            pass "$binary"
            name=$planted passed[$binary]=yes
            git stash pop --quiet
        fi
        compiles "$binary"
        if catches "$binary"; then
            found="$binary $(sed -nE 's/^---- (.*) stdout ----$/\1/p' "$target/$name.$binary.log" | head -n1)"
            return
        fi
    done
}

wanted() {
    local word
    for word in ${ONLY:-$1}; do
        [[ $1 == *"$word"* ]] && return 0
    done
    return 1
}

patches=()
for patch in "$here"/tests/planted/*.patch; do
    wanted "$(basename "$patch" .patch)" && patches+=("$patch")
done

echo "== planted bugs: first the tests that are to catch them, which have to pass"
begun=$SECONDS
declare -A passed named
for patch in "${patches[@]}"; do
    read -r binary test < <(caught_by "$patch")
    named[${binary:-lib}]+=" ${test:-}"
done
for binary in "${!named[@]}"; do
    mapfile -t tests < <(tr ' ' '\n' <<<"${named[$binary]}" | sort -u | grep .)
    pass "$binary" "${tests[@]}"
done
echo "== $((SECONDS - begun)) s"

failed=0
for patch in "${patches[@]}"; do
    name=$(basename "$patch" .patch)
    begun=$SECONDS
    read -r binary test < <(caught_by "$patch")
    with=$(sed -n 's/^With: //p' "$patch")
    if ! git apply "$patch" 2>"$target/$name.log"; then
        said="DOES NOT APPLY: $(head -1 "$target/$name.log")"
    elif ! compiles "${binary:-lib}"; then
        said="DOES NOT COMPILE: $(grep -m1 '^error' "$target/$name.log")"
    elif [ -n "${test:-}" ] && catches "$binary" "$test"; then
        said=
    elif [ "${FIND:-}" = yes ]; then
        find_any
        said="NOT CAUGHT BY $binary $test, BUT BY: $found"
    else
        said="NOT CAUGHT BY $binary $test"
    fi
    [ -z "$said" ] || failed=$((failed + 1))
    printf '%-40s %s (%d s)\n' "$name" "${said:-$binary $test}" $((SECONDS - begun))
    git checkout --quiet --force
done
echo "== ${#patches[@]} bugs planted, $failed failed"
[ "${#patches[@]}" -gt 0 ] && [ "$failed" -eq 0 ]

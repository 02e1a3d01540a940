#!/usr/bin/env bash
# Plants each bug of this folder into a clone of HEAD and says which tests catch it. `make planted` runs it.
#
# A bug is a patch with some words before it. One that does not apply or compile any more fails, and so does one that
# no test catches. ONLY="words" plants those whose name has one of these words in it;
# ALL=1 goes on after the first tier that catches one.
set -uo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
target=${CARGO_TARGET_DIR:-$here/target}/planted
clone=$target/clone
testbed=${TESTBED:?the program of the testbed}
# A tree of its own, so that nobody's build is disturbed.
export CARGO_TARGET_DIR=$target/build
# A simulation stops at the first seed that fails, and so needs few.
export SIM_SEEDS=${SEEDS:-500} RUST_BACKTRACE=0

mkdir -p "$target"
[ -d "$clone" ] || git clone --quiet --shared --no-checkout "$here" "$clone"
git -C "$clone" fetch --quiet "$here" HEAD
git -C "$clone" checkout --quiet --force --detach FETCH_HEAD
cd "$clone" || exit 1

# The tests of a tier: the cheap ones first.
tests() {
    case $1 in
        units) echo --lib --test pure --test client ;;
        *) echo --test "$1" ;;
    esac
}

# The cheap ones are built anew for each bug and run for seconds; the others are optimised, and run for minutes.
profile() {
    case $1 in
        units | plans) echo dev ;;
        *) echo sim ;;
    esac
}

only() { timeout 1200 cargo test --quiet --profile "$(profile "$1")" --locked $(tests "$1") --no-fail-fast; }

run() {
    case $1 in
        # Without the demo's tests, which run programs of the whole workspace.
        cluster) timeout 1800 "$testbed" run --controller-manager --with helm,kstatus -- cargo nextest run --cargo-profile sim --locked --test cluster --fail-fast -E 'not test(first_minutes)' ;;
        # Most bugs show at every fifth step, in a fifth of the time.
        sim) SIM_EVERY=5 only sim && only sim ;;
        *) only "$1" ;;
    esac >"$target/$name.$1.log" 2>&1
}

compiles() { cargo test --quiet --profile "$(profile "$1")" --locked $(tests "$1") --no-run 2>"$target/$name.log"; }

# Whether the tests of a tier fail: those are their exit codes, and what hangs counts. A tier that cannot run is no catch.
catches() {
    run "$1"
    case $? in
        0) return 1 ;;
        100 | 101 | 124) return 0 ;;
        *)
            echo "the tests of the tier $1 cannot be run: $target/$name.$1.log"
            exit 1
            ;;
    esac
}

passes_without_a_bug() {
    git stash --quiet
    name=none
    if catches cluster; then
        echo "the tests fail without a bug: $target/none.cluster.log"
        exit 1
    fi
    git stash pop --quiet
    name=$(basename "$patch" .patch)
    passes=yes
}

echo "== planted bugs: building the tests of HEAD, which have to pass"
begun=$SECONDS
name=none
for tier in units plans model sim; do
    if catches $tier; then
        echo "the tests fail without a bug: $target/none.$tier.log"
        exit 1
    fi
done
echo "== $((SECONDS - begun)) s"

wanted() {
    local word
    for word in ${ONLY:-$1}; do
        [[ $1 == *"$word"* ]] && return 0
    done
    return 1
}

planted=0 failed=0
for patch in "$here"/tests/planted/*.patch; do
    name=$(basename "$patch" .patch)
    wanted "$name" || continue
    begun=$SECONDS
    planted=$((planted + 1))
    caught=
    if ! git apply "$patch" 2>"$target/$name.log"; then
        caught="DOES NOT APPLY: $(head -1 "$target/$name.log")"
        failed=$((failed + 1))
    else
        # The real thing takes minutes: only for what nothing else sees, and only if it passes without a bug.
        for tier in units plans model sim cluster; do
            [ -z "$caught" ] || { [ -n "${ALL:-}" ] && [ "$tier" != cluster ]; } || break
            if ! compiles "$tier"; then
                caught=" DOES NOT COMPILE: $(grep -m1 '^error' "$target/$name.log")"
                failed=$((failed + 1))
                break
            fi
            [ "$tier" != cluster ] || [ -n "${passes:-}" ] || passes_without_a_bug
            catches "$tier" && caught="$caught $tier"
        done
        if [ -z "$caught" ]; then
            caught=" NOBODY"
            failed=$((failed + 1))
        fi
    fi
    git checkout --quiet --force
    printf '%-40s%s (%d s)\n' "$name" "$caught" $((SECONDS - begun))
done
echo "== $planted bugs planted, $failed failed"
[ "$planted" -gt 0 ] && [ "$failed" -eq 0 ]

#!/usr/bin/env bash
# Makes all that a release is, in one folder. `make release` starts it.
#
# The image is made twice, in two folders, and has to have the same bytes. It is pushed with the chart to REGISTRY, such as
# ghcr.io/someone, with the credentials that docker and helm keep; left out, to a registry on loopback that ends with this.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${OUT:?the folder to put it into} arch=${ARCH:-amd64}
work=$(mktemp -d)
registry=
# However it ends; a registry that is gone already is no fault.
finish() {
  [ -z "$registry" ] || { kill "$registry" && wait "$registry"; } 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
say() { printf '== %s\n' "$*" >&2; }
refuse() { echo "release: $*" >&2; exit 1; }
# Without what the caller's make and shell would set.
clean() { env -u CARGO_TARGET_DIR -u IMAGE -u OUT -u MAKEFLAGS -u RUSTFLAGS "$@"; }

[ -z "$(git status --porcelain)" ] || refuse "files differ from the last commit; commit them, or put them aside with git stash"
name=spideriq-operator
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n1)
for file in charts/$name/Chart.yaml charts/$name-crds/Chart.yaml Dockerfile; do
  grep -q "ersion[:=] *\"\?$version\"\?$" "$file" || refuse "$file is not of version $version"
done
commit=$(git rev-parse HEAD)
epoch=$(git log -1 --format=%ct "$commit")

say "the image, twice"
for folder in one in/another; do
  git clone --quiet --no-hardlinks --no-checkout . "$work/$folder"
  # Somebody may commit meanwhile.
  git -C "$work/$folder" checkout --quiet --detach "$commit"
  clean make --no-print-directory -C "$work/$folder" image ARCH="$arch" >"$work/said"
  digest=$(grep '^sha256:' "$work/said")
  say "$digest"
done
diff -r "$work/one/target/image" "$work/in/another/target/image" || refuse "made twice, the image has not the same bytes"

say "what is published, in $out"
rm -rf "$work/release"
cp -r "$work/one/target/image" "$work/release"
for one in ${arch//,/ }; do
  clean make --no-print-directory -C "$work/one" root ARCH="$one" ROOT="$work/root-$one"
  install -D "$work/root-$one/usr/local/bin/$name" "$work/archive-$one/$name"
  cp -r "$work/root-$one/licenses" "$work/archive-$one/"
  tar --create --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --mode=go-w --directory "$work/archive-$one" . |
    gzip -n9 >"$work/release/$name-$version-linux-$one.tar.gz"
done
for crd in crds/*.yaml; do echo ---; cat "$crd"; done >"$work/release/$name-$version-crds.yaml"
cp -r charts "$work/charts"
# Whoever installs the chart that is published gets the image that is published.
[ -z "${REGISTRY:-}" ] || sed -i "s|^  repository: .*|  repository: $REGISTRY/$name|" "$work/charts/$name/values.yaml"
for chart in "$name" "$name-crds"; do helm package "$work/charts/$chart" --destination "$work/release" >&2; done
(cd "$work/release" && sha256sum -- * >SHA256SUMS)
mkdir -p "$out"
cp "$work/release"/* "$out/"

to=${REGISTRY:-}
if [ -z "$to" ]; then
  say "a registry on loopback"
  cat >"$work/registry.yaml" <<END
version: 0.1
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: "127.0.0.1:0"}
END
  registry serve "$work/registry.yaml" >"$work/registry.log" 2>&1 &
  registry=$!
  for _ in $(seq 100); do
    port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/registry.log")
    [ -z "$port" ] || break
    kill -0 "$registry" 2>/dev/null || { cat "$work/registry.log" >&2; refuse "the registry did not start"; }
    sleep 0.1
  done
  to=127.0.0.1:${port:?the registry did not say its port}/tried
fi

say "to $to"
mkdir "$work/layout"
tar --extract --file "$work/release/$name-$version.oci.tar" --directory "$work/layout"
crane push "$work/layout" "$to/$name:$version" >&2
case $to in 127.0.0.1:* | localhost:*) plain=--plain-http ;; *) plain= ;; esac
for chart in "$name" "$name-crds"; do helm push $plain "$work/release/$chart-$version.tgz" "oci://$to/charts" >&2; done
there=$(crane digest "$to/$name:$version")
[ "$there" = "$digest" ] || refuse "the registry calls the image $there, and not $digest"
crane pull --format oci "$to/$name:$version" "$work/pulled" >&2
crane validate --remote "$to/$name:$version" >&2
for chart in "$name" "$name-crds"; do
  helm pull $plain "oci://$to/charts/$chart" --version "$version" --destination "$work" >&2
  cmp "$work/$chart-$version.tgz" "$work/release/$chart-$version.tgz"
done
say "$to/$name:$version is what was made"
echo "$digest"

#!/usr/bin/env bash
# Makes the site of the docs, in the folder that is named: `make docs`.
# The pages are laid out as in the repository, so that their links are the same on both.
set -euo pipefail
cd "${0%/*}/.."
site=$(realpath -m "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src/docs"
cp docs/book.toml docs/site.css "$work/"
cp ./*.md "$work/src/"
cp -r docs/*.md docs/adr docs/how-to docs/pictures docs/reference "$work/src/docs/"
# Beside the pages, and not in docs/: mdBook takes the list of pages for the root of all links.
sed -E 's|\]\(\.\./|](|; t; s|\]\(([a-z])|](docs/\1|' docs/SUMMARY.md >"$work/src/SUMMARY.md"
rm "$work/src/docs/SUMMARY.md"
# mdBook makes index.html of a README, but leaves the links to it.
mv "$work/src/README.md" "$work/src/index.md"
find "$work/src" -name '*.md' -exec sed -i -E 's|\]\(((\.\./)*)README\.md|](\1index.md|g' {} +
mdbook build "$work" --dest-dir "$site"
echo "the site is in $site: open $site/index.html"

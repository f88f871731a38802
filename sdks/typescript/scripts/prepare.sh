#!/bin/sh
# Builds `dist` for whoever installs this folder. npm links a folder without what it needs to be
# built, so that is fetched here.
set -eu
cd "$(dirname "$0")/.."
[ -x node_modules/.bin/tsc ] || npm ci --ignore-scripts --no-audit --no-fund
npm run build

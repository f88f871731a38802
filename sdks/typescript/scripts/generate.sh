#!/bin/sh
# Generates the codec of the worker protocol into the folder named. The tools are pinned in
# package.json, so the same proto gives the same file.
set -eu
out=$(realpath -m "$1")
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"
options='"esModuleInterop=true", "importSuffix=.js", "env=node", "forceLong=bigint", "oneof=unions-value", "enumsAsLiterals=true", "removeEnumPrefix=true", "outputJsonMethods=false", "outputPartialMethods=false", "outputServices=none", "outputTypeRegistry=false"'
template="{\"version\": \"v2\", \"plugins\": [{\"local\": \"protoc-gen-ts_proto\", \"out\": \"$out\", \"opt\": [$options]}]}"
buf generate ../../proto --template "$template"

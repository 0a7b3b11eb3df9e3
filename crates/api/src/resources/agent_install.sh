#!/bin/sh
# Installs the agent of Guardian. What it fetches is believed for its SHA-256 in the command line alone, never for the
# certificate of the server: most machines do not know who signed that one. The enrolment token comes by the standard input.
set -eu
umask 077

fail() {
  echo "guardian-agent: $*" >&2
  exit 1
}

server="" wanted=""
machine=$(uname -m)
case "$machine" in
  amd64) machine=x86_64 ;;
  arm64) machine=aarch64 ;;
esac
set -f
pass=""
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || fail "$1 needs a value"
  case "$2" in
    *[!A-Za-z0-9:/._=+@%-]* | "") fail "$1: this value cannot be used" ;;
  esac
  case "$1" in
    --server) server=$2 ;;
    --program) case "$2" in "$machine":*) wanted=${2#*:} ;; esac ;;
    --name | --proxy | --release-key | --script-key | --evidence-key | --no-response | --root) pass="$pass $1 $2" ;;
    *) fail "$1 is not known" ;;
  esac
  shift 2
done
[ -n "$server" ] || fail "--server is missing"
[ -n "$wanted" ] || fail "there is no program for $machine"
[ "$(uname -s)" = Linux ] || fail "this program is for Linux"
token=$(cat)
[ -n "$token" ] || fail "the enrolment token is expected on the standard input"

# Where programs may be started: /tmp often is not such a place.
for base in /var/lib /run "${TMPDIR:-/tmp}"; do
  if [ ! -d "$base" ] || [ ! -w "$base" ]; then continue; fi
  folder=$(mktemp -d "$base/guardian-agent-install.XXXXXX") || continue
  break
done
[ -n "${folder:-}" ] || fail "there is no folder for the download"
# This file too is one that the command made for the moment.
trap 'rm -rf "$folder"; case "$0" in */tmp.*) rm -f -- "$0" ;; esac' EXIT
program=$folder/guardian-agent

url=$server/api/v1/agents/programs/$wanted
if command -v curl >/dev/null 2>&1; then
  curl -fsSk --retry 3 -o "$program" "$url" || fail "$url cannot be fetched"
elif command -v wget >/dev/null 2>&1; then
  wget -q --no-check-certificate -O "$program" "$url" || fail "$url cannot be fetched"
else
  fail "neither curl nor wget is there"
fi
found=$(sha256sum "$program" | cut -d ' ' -f 1)
[ "$found" = "$wanted" ] || fail "what came is not the program that was meant: its SHA-256 is $found"
chmod 700 "$program"
# The values were looked at above: none has a space in it.
# shellcheck disable=SC2086
GUARDIAN_ENROLL_TOKEN=$token "$program" install --server "$server" $pass

#!/usr/bin/env bash
# Shows the cluster of this machine: which instances run, whether they are ready, and how much they do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/cluster_common.sh
. scripts/cluster_common.sh

usage() {
    cat <<'USAGE'
usage: scripts/status.sh [--json]

  balancer   up: gets new sessions; down: keeps what it has (scripts/nginx_upstreams.sh)
  state      ok, starting, draining, unready, stalled: what the instance says; silent: it runs and does not answer; ended: it does
             not run
  sessions   places that are taken, of how many

Ends with 0 if every instance is ready, with 1 if one is not, with 3 if there is no cluster.
USAGE
}

form=table
case "${1:-}" in
    "") ;;
    --json) form=json ;;
    -h | --help) usage && exit 0 ;;
    *) printf 'error: unknown option %s\n\n' "$1" >&2 && usage >&2 && exit 2 ;;
esac

# One line for each: name, service, address, balancer, process (or nothing).
known() {
    local service name address state
    if [ -e "$list" ]; then
        while IFS=$'\t' read -r service name address state; do
            printf '%s\t%s\t%s\t%s\t%s\n' "$name" "$service" "$address" "$state" "$(pid_of "$name" || true)"
        done <"$list"
    fi
    for name in nginx watch; do
        ! pid=$(pid_of "$name") || printf '%s\t%s\t\t\t%s\n' "$name" "$name" "$pid"
    done
    # Started, and not yet ready: not in the list.
    for file in "$cluster"/*-*.pid; do
        name=$(basename "$file" .pid)
        if [ -e "$file" ] && ! grep -qs $'\t'"$name"$'\t' "$list" && pid=$(pid_of "$name"); then
            printf '%s\t%s\t127.0.0.1:%s\t\t%s\n' "$name" "${name%%-*}" "${name##*-}" "$pid"
        fi
    done
}

known | "${PYTHON:-python3}" -c '
import json, os, sys, urllib.error, urllib.request

no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def health(address):
    try:
        return json.load(no_proxy.open(f"http://{address}/health", timeout=2))
    except urllib.error.HTTPError as error:
        return json.load(error)
    except (OSError, ValueError):
        return {"status": "silent"}


def memory(pid):
    """Of a process and its children: nginx has its workers."""
    total = 0
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/stat") as file:
                fields = file.read().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if number == pid or fields[1] == pid:
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return total


rows = []
for line in sys.stdin.read().splitlines():
    name, service, address, balancer, pid = line.split("\t")
    said = health(address) if pid and address else {}
    rows.append({
        "name": name, "service": service, "address": address or None, "balancer": balancer or None, "pid": int(pid) if pid else None,
        "state": said.get("status", "ok" if pid else "ended"), "ready": bool(pid) and said.get("status", "ok") == "ok",
        "draining": said.get("draining", False), "sessions": said.get("connections"), "max_sessions": said.get("max_connections"),
        "uptime_s": said.get("uptime_s"), "memory_bytes": memory(pid) if pid else None})

if sys.argv[1] == "json":
    print(json.dumps({"instances": rows}, indent=2))
else:
    def or_dash(value, form="{}"):
        return "-" if value is None else form.format(value)

    table = [("instance", "process", "balancer", "state", "sessions", "uptime", "memory")]
    for it in rows:
        sessions = None if it["sessions"] is None else "{sessions} of {max_sessions}".format(**it)
        memory_mib = None if it["memory_bytes"] is None else it["memory_bytes"] / (1 << 20)
        table.append((it["name"], or_dash(it["pid"]), or_dash(it["balancer"]), it["state"], or_dash(sessions),
                      or_dash(it["uptime_s"], "{} s"), or_dash(memory_mib, "{:.0f} MiB")))
    widths = [max(len(row[idx]) for row in table) for idx in range(len(table[0]))]
    if rows:
        for row in table:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    else:
        print("No cluster runs here.")
sys.exit(3 if not rows else 0 if all(it["ready"] for it in rows) else 1)
' "$form"

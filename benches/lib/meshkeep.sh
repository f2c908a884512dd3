# meshkeep, driven over its API by this shell itself, so that no client's start is measured. Sourced, never run.
# shellcheck shell=bash disable=SC2154

# A new server on a new data directory, with one service from the given image: bench_server NAME IMAGE [COMMAND].
bench_server() {
    local name=$1 image=$2 command=${3:-} answer
    dir=$work/$name
    port=$(free_port 15680)
    mkdir -p "$dir"
    answer=$("$bin" init --data-dir "$dir/data" --json)
    project=$(jq -r .project_id <<<"$answer")
    MESHAGENT_API_KEY=$(jq -r .api_key <<<"$answer")
    export MESHAGENT_API_KEY MESHAGENT_API_URL=http://127.0.0.1:$port MESHAGENT_PROJECT_ID=$project
    background server "$dir" "$bin" serve --data-dir "$dir/data" --listen "127.0.0.1:$port" --insecure-registry "$registry"
    wait_for 30 bench_answers || { tail -n 5 "$dir/server.log" >&2; die "meshkeep did not become ready"; }
    pull_secret=$(printf %s "$registry_password" |
        "$bin" secret docker create bench --server "$registry" --username "$registry_user" --password-stdin --json | jq -r .id)
    service=$("$bin" service create --json --file /dev/stdin <<YAML | jq -r .id
version: v1
kind: Service
metadata: { name: bench }
container:
  image: $registry/$image
  pull_secret: $pull_secret
${command:+  command: $command}
YAML
    )
}

bench_answers() { [[ $(http_status "http://127.0.0.1:$port/readyz") == 200 ]]; }

bench_server_ends() {
    "$bin" session terminate --all >/dev/null || true
    end_background "$dir/server.pid"
    rm -rf --one-file-system "$dir"
}

# The body of one request's answer.
api() {
    local method=$1 path=$2
    exec {wire}<>"/dev/tcp/127.0.0.1/$port"
    printf '%s /accounts/projects/%s/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' \
        "$method" "$project" "$path" "$MESHAGENT_API_KEY" >&"$wire"
    sed '1,/^\r$/d' <&"$wire"
    exec {wire}>&-
}

# One launch in a room: milliseconds from the request to the line; fails when no line came within a minute.
launch_meshkeep() {
    local room=$1 began answer
    api POST "rooms/$room/connect" >/dev/null    # makes the room
    began=$(now_us)
    answer=$(api POST "rooms/$room/sessions")
    first_line_after "$began" "$(grep -o '"id":"[^"]*"' <<<"$answer" | head -n 1 | cut -d'"' -f4)"
}

# first_line_after BEGAN SESSION
first_line_after() {
    local line end=$((SECONDS + 60))
    until line=$(api GET "sessions/$2/services/$service/logs" | grep -ao 'first-line [0-9]*' | head -n 1) && [[ -n $line ]]; do
        ((SECONDS < end)) || { echo "session $2 wrote nothing" >&2; return 1; }
        sleep 0.05
    done
    milliseconds "$1" "${line#first-line }"
}

# Numbers of the processes of this server: itself and the supervisors of its workloads. Those are executed through a mount
# of their own and have no path; they are known by how they are called.
own_processes() {
    local file
    for file in /proc/[0-9]*/exe; do
        if [[ $(readlink "$file") == "$bin" ]] || is_supervisor "${file%/exe}"; then echo "${file//[!0-9]/}"; fi
    done
}

is_supervisor() { [[ $(tr '\0' ' ' <"$1/cmdline" 2>/dev/null) == 'meshkeep runtime-child ' ]]; }

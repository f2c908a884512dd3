# The demo's steps that set things up. Sourced by scripts/demo.
# shellcheck shell=bash disable=SC2154

build_packages=(gcc libc6-dev pkg-config libseccomp-dev ca-certificates)
demo_packages=(docker-registry apache2-utils iproute2 nftables curl jq)

install() {
    need_packages "${build_packages[@]}" "${demo_packages[@]}"
    [[ -n ${MESHKEEP_BIN:-} ]] || need_rust
}

build() {
    if [[ -n ${MESHKEEP_BIN:-} ]]; then
        bin=$MESHKEEP_BIN
        say "not needed: $bin is used"
    else
        say "cargo build --release (the first time takes some minutes)"
        cargo build --release --locked --quiet -p meshkeep
        bin=$(cargo metadata --format-version 1 --no-deps --offline | jq -r .target_directory)/release/meshkeep
    fi
    [[ -x $bin ]] || die "there is no program $bin"
    echo "$bin" >"$demo/binary"
}

# Values are random, are never written by this script, and only travel through pipes.
random_text() { head -c "$1" /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '='; }

make_registry() {
    registry_port=$(free_port "${DEMO_REGISTRY_PORT:-4690}")
    registry=127.0.0.1:$registry_port
    registry_password=$(random_text 24)
    printf %s "$registry_password" | start_registry registry "$demo" "$registry_port" "$registry_user"
    say "Debian's docker-registry answers on $registry"

    local digest
    scripts/lib/make-image "$demo/image" "$(static_busybox "$demo/busybox")" examples/weather-image/start.sh
    digest=$(printf '%s:%s\n' "$registry_user" "$registry_password" |
        scripts/lib/push-image "http://$registry" acme/weather 1.0 "$demo/image/config.json" "$demo/image/layer.tar.gz")
    say "pushed $registry/acme/weather:1.0, a busybox and one script ($digest)"

    local status
    status=$(http_status "http://$registry/v2/acme/weather/manifests/1.0")
    [[ $status == 401 ]] || die "the registry should answer 401 to someone without a password, and answered $status"
    proven "without a password the registry answers 401"
}

start_server() {
    local port answer
    port=$(free_port "${DEMO_PORT:-4680}")
    answer=$("$bin" init --data-dir "$data" --json)
    cat >"$demo/environment" <<TEXT
export MESHAGENT_API_URL=http://127.0.0.1:$port
export MESHAGENT_PROJECT_ID=$(jq -r .project_id <<<"$answer")
export MESHAGENT_API_KEY=$(jq -r .api_key <<<"$answer")
export PATH=$(dirname "$bin"):\$PATH
TEXT
    unset answer
    printf 'port=%s\nregistry=%s\n' "$port" "$registry" >"$demo/server.settings"
    run_server || die "meshkeep did not become ready (its last lines are above)"
    say "meshkeep answers on http://127.0.0.1:$port; its root key is in $data.root-key, outside the database"
}

# On the data directory that start_server made; fails when the server ends or does not become ready.
run_server() {
    local port registry
    # shellcheck source=/dev/null
    . "$demo/server.settings"
    # shellcheck source=/dev/null
    . "$demo/environment"
    background server "$demo" "$(cat "$demo/binary")" serve --data-dir "$data" --listen "127.0.0.1:$port" --insecure-registry "$registry"
    wait_for 30 server_answers_or_ended "$port"
    server_answers "$port" || { tail -n 20 "$demo/server.log" >&2; return 1; }
}

server_answers() { is_running "$demo/server.pid" && [[ $(http_status "http://127.0.0.1:$1/readyz") == 200 ]]; }
server_answers_or_ended() { server_answers "$1" || ! is_running "$demo/server.pid"; }

save_secrets() {
    declare -gA values=(
        [WEATHER_API_KEY]=$(random_text 32)
        [WEATHER_PASSPHRASE]="$(random_text 12) \$HOME \"quoted\" \\ # $(random_text 12)"
        [WEATHER_SIGNING_KEY]=$(printf -- '-----BEGIN KEY-----\n%s\n%s\n-----END KEY-----' "$(random_text 48)" "$(random_text 48)")
    )
    secret_key=$(env_text | "$bin" secret keys create weather-api-credentials --from-env-file /dev/stdin --json | jq -r .id)
    say "secret key weather-api-credentials ($secret_key): ${!values[*]}"
    say "   one of them has quotes and a dollar sign, one has four lines; they arrive byte for byte or the demo fails"
    pull_secret=$(printf %s "$registry_password" |
        "$bin" secret docker create acme-priv-registry --server "$registry" --username "$registry_user" --password-stdin --json | jq -r .id)
    say "pull secret acme-priv-registry ($pull_secret): $registry_user at $registry"
}

# The values as .env text, in single quotes, where all but a single quote is literal.
env_text() {
    local name
    for name in "${!values[@]}"; do printf "%s='%s'\n" "$name" "${values[$name]}"; done
}

launch_service() {
    manifest | "$bin" service create --file /dev/stdin >/dev/null
    say "service weather, from examples/weather-service.yaml, bound to both"
    session=$("$bin" session launch "$room" --json | jq -r .id)
    echo "$session" >"$demo/session"
    wait_for 60 session_is "$session" ready ||
        { show_workloads "$session"; die "the session did not become ready"; }
    say "room $room: session $session is ready"
}

manifest() {
    sed -e "s|REGISTRY/|$registry/|" -e "s|SECRET_KEY_ID|$secret_key|" -e "s|PULL_SECRET_ID|$pull_secret|" examples/weather-service.yaml
}

session_is() { [[ $("$bin" session show "$1" --json | jq -r .state) == "$2" ]]; }

show_workloads() {
    "$bin" session show "$1" --json |
        jq -r '.workloads[] | "\(.service_name): \(.state)" + (if .reason then ": \(.reason.message). \(.reason.hint)" else "" end)' | indent
}

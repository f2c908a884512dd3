# Debian's docker-registry on loopback, asking for a password. Sourced, never run.
# shellcheck shell=bash

# start_registry NAME DIR PORT USER: one user, whose password comes on stdin; files under DIR/NAME.
start_registry() {
    local name=$1 dir=$2 port=$3 user=$4
    mkdir -p "$dir/$name"
    htpasswd -inB -C 5 "$user" >"$dir/$name/htpasswd"
    cat >"$dir/$name/config.yml" <<YAML
version: 0.1
log: { level: warn, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $dir/$name/data }, delete: { enabled: true } }
http: { addr: "127.0.0.1:$port", secret: "$(head -c 24 /dev/urandom | base64)" }
auth: { htpasswd: { realm: "$name", path: $dir/$name/htpasswd } }
YAML
    run_registry "$name" "$dir" "$port"
}

# run_registry NAME DIR PORT: on the files that start_registry made.
run_registry() {
    local name=$1 dir=$2 port=$3
    OTEL_TRACES_EXPORTER=none background "$name" "$dir" docker-registry serve "$dir/$name/config.yml"
    wait_for 20 registry_answers "$port" || { tail -n 5 "$dir/$name.log" >&2; die "the registry did not start"; }
    is_running "$dir/$name.pid" || die "something else answers on port $port"
}

registry_answers() { [[ $(http_status "http://127.0.0.1:$1/v2/") == 401 ]]; }

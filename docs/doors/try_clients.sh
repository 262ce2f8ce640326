#!/usr/bin/env bash
# Plays in a served shop by the clients of others, each in a virtual environment of its own:
#   docs/doors/try_clients.sh SHOP [FOLDER]
# FOLDER (by default a new temporary one) keeps the environments, some 3 GB, for the next time. AgentGym's client is read
# from its repository, cloned there. Run it from the repository, with its own environment active. About ten minutes.
set -euo pipefail
shop=$1
folder=${2:-$(mktemp -d)}
here=$(dirname "$0")
port=${PORT:-8765}
mkdir -p "$folder"

installed() { # NAME PACKAGE...: the Python of an environment that has them
    local name=$1
    shift
    if [ ! -e "$folder/$name/done" ]; then
        python -m venv "$folder/$name" >&2
        "$folder/$name/bin/pip" install --quiet "$@" >&2
        touch "$folder/$name/done"
    fi
    echo "$folder/$name/bin/python"
}

python jobs/serve_environment.py --shop "$shop" --port "$port" &
server=$!
trap 'kill $server' EXIT
until curl --silent --fail "http://127.0.0.1:$port/health" >/dev/null; do sleep 1; done

for package in openenv==0.10.0 openenv-core==0.3.0; do
    echo "== $package"
    "$(installed "$package" "$package")" "$here/clients/openenv_client.py" "http://127.0.0.1:$port"
done
echo "== openenv validate"
"$folder/openenv==0.10.0/bin/openenv" validate --url "http://127.0.0.1:$port"
echo "== verifiers==0.4.0"
"$(installed verifiers 'verifiers[openenv]==0.4.0')" "$here/clients/verifiers_client.py" "http://127.0.0.1:$port"
echo "== AgentGym"
[ -d "$folder/AgentGym" ] || git clone --quiet --depth 1 https://github.com/WooooDyy/AgentGym "$folder/AgentGym"
PYTHONPATH="$folder/AgentGym/agentenv${PYTHONPATH:+:$PYTHONPATH}" \
    python "$here/clients/agentgym_client.py" "http://127.0.0.1:$port"
echo "== trl==1.16.0"
# This environment's packages, and two more: an appended path is looked in last.
if [ ! -e "$folder/trl/done" ]; then
    python -m venv "$folder/trl"
    python -c "import sysconfig; print(sysconfig.get_paths()['purelib'])" >"$folder/packages"
    cp "$folder/packages" "$(echo "$folder"/trl/lib/python3*/site-packages)/zz.pth"
    "$folder/trl/bin/pip" install --quiet trl==1.16.0
    touch "$folder/trl/done"
fi
PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} "$folder/trl/bin/python" "$here/clients/trl_grpo.py" "ws://127.0.0.1:$port"

# What the tests of the examples share. The first argument is the program; work goes on in a folder that goes away.
set -euo pipefail
program=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() { echo "FAILED: $*"; tail -n 20 "$folder"/out "$folder"/err; exit 1; }

# expect CODE TEXT flags...: the program ends so, and says that on either stream.
expect() {
  local code=$1 text=$2 got=0
  shift 2
  "$program" "$@" >out 2>err || got=$?
  [ "$got" = "$code" ] || fail "exit code $got, not $code: $*"
  grep -qF -- "$text" out err || fail "does not say '$text': $*"
}

# until_epoch PID: the training there has begun; fails if it ends instead.
until_epoch() {
  for _ in $(seq 400); do
    if grep -q "Epoch" out err; then return; fi
    kill -0 "$1" || break
    sleep 0.05
  done
  fail "no training began"
}

# kill_in_training flags...: the program dies in the middle of training.
kill_in_training() {
  "$program" "$@" >out 2>err &
  local pid=$!
  until_epoch $pid
  kill -KILL $pid
  wait $pid 2>/dev/null || true
}

# interrupt flags...: Ctrl-C in the middle of training ends the program in order, with the model saved and the trace whole.
interrupt() {
  local got=0 pid
  rm -f stopped.safetensors stopped.json
  "$program" --save stopped.safetensors --trace stopped.json "$@" >out 2>err &
  pid=$!
  until_epoch $pid
  kill -INT $pid
  wait $pid || got=$?
  [ "$got" = 130 ] || fail "exit code $got after an interrupt, not 130"
  grep -q '"name": "step 0"' stopped.json && [ "$(tail -n 1 stopped.json)" = "]}" ] || fail "an interrupt left no whole trace"
  [ -s stopped.safetensors ] || fail "an interrupt saved no model"
}

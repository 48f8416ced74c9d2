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

# until_it_says PID TEXT: the program there has said so; fails if it ends instead.
until_it_says() {
  for _ in $(seq 1000); do
    if grep -qF "$2" out err; then return; fi
    kill -0 "$1" || break
    sleep 0.02
  done
  fail "it never said '$2'"
}
until_epoch() { until_it_says "$1" "Epoch"; }

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

# interrupt_evaluation flags...: so does Ctrl-C in the last evaluation, which must take a second or more. Nothing is reported.
interrupt_evaluation() {
  local got=0 pid
  "$program" --save stopped.safetensors "$@" >out 2>err &
  pid=$!
  until_it_says $pid "saved the model"
  kill -INT $pid
  wait $pid || got=$?
  [ "$got" = 130 ] || fail "exit code $got after an interrupt of the evaluation, not 130"
  ! grep -q "test accuracy" err || fail "a part of the test is reported as the whole"
}

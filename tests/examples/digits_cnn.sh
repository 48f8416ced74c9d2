. "$(dirname "$0")/common.sh"

# IDX files of images of a bright band, whose height is the digit.
word() { printf "\\x00\\x00\\x$(printf %02x $(($1 / 256)))\\x$(printf %02x $(($1 % 256)))"; }
bright() { head -c "$1" /dev/zero | tr '\0' '\310'; }
write_part() {  # PREFIX IMAGES
  { printf '\x00\x00\x08\x03'; word "$2"; word 28; word 28; } >"mnist/$1-images-idx3-ubyte"
  { printf '\x00\x00\x08\x01'; word "$2"; } >"mnist/$1-labels-idx1-ubyte"
  for i in $(seq "$2"); do
    local digit=$((i % 10))
    head -c $((digit * 56)) /dev/zero
    bright 56
    head -c $((784 - digit * 56 - 56)) /dev/zero
  done >>"mnist/$1-images-idx3-ubyte"
  for i in $(seq "$2"); do printf "\\x0$((i % 10))"; done >>"mnist/$1-labels-idx1-ubyte"
}
mkdir mnist
write_part train 200
write_part t10k 40

expect 0 '"test_accuracy"' --data mnist --epochs 12 --lr 0.003 --json
grep -q '"test_accuracy": \(1\|0.9\)' out || fail "it did not learn"
tail -n 1 out | python3 -c 'import json, sys; assert json.loads(sys.stdin.read())["samples_per_second"] > 0'
[ -s digits_cnn.safetensors ] || fail "it saved no model"

# A rate that no training survives: the JSON stays JSON, and the program has failed.
expect 1 "diverged" --data mnist --epochs 1 --lr 1e6 --save "" --json
tail -n 1 out | python3 -c 'import json, sys
def refuse(name): raise ValueError(name)
assert json.loads(sys.stdin.read(), parse_constant=refuse)["test_loss"] is None' || fail "not JSON, or not null"

expect 0 "conv2d" --data mnist --epochs 0 --save "" --plan
expect 3 "nowhere" --data nowhere
head -c 1000 mnist/train-images-idx3-ubyte >cut && mv cut mnist/train-images-idx3-ubyte
expect 3 "train-images-idx3-ubyte" --data mnist

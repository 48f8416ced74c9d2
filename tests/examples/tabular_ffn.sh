. "$(dirname "$0")/common.sh"

# Ten measurements, of which the first two tell the classes apart.
write_table() {  # FILE ROWS
  echo "a,b,c,d,e,f,g,h,i,j,benign" >"$1"
  for i in $(seq "$2"); do
    if [ $((i % 3)) = 0 ]; then echo "-2,1$i,1,2,3,4,5,6,$((i % 7)),$((i % 5)),0"; else echo "2,-1$i,3,4,5,6,7,8,$((i % 7)),$((i % 5)),1"; fi
  done >>"$1"
}
mkdir cells
write_table cells/train.csv 90
write_table cells/test.csv 30

expect 0 '"test_accuracy": 1,' --data cells --epochs 8 --lr 0.01 --json
tail -n 1 out | python3 -c 'import json, sys; line = json.loads(sys.stdin.read()); assert line["test_loss"] < 0.5 and line["seconds"] > 0, line'
[ -s tabular_ffn.safetensors ] || fail "it saved no model"
expect 0 "shared arena" --data cells --epochs 0 --save "" --plan --summary
expect 0 '"counted_in"' --data cells --epochs 0 --save "" --plan-json
python3 -c 'import json; assert json.load(open("out"))["layers"]' || fail "the plan is no JSON"

# Where nothing can be saved is told before training.
early() { expect 3 "$@"; if grep -q "Epoch" out err; then fail "it trained first: $*"; fi; }
early "cannot save to /proc/x" --data cells --save /proc/x
early "no regular file" --data cells --save .
early "there is no folder" --data cells --save nowhere/model.safetensors
[ "$(ls)" = "$(printf '%s\n' cells err out tabular_ffn.safetensors)" ] || fail "it left files behind: $(ls)"

expect 2 "there is no device 'nosuch'" --data cells --device nosuch
expect 2 "there is no device 'null'" --data cells --device null
expect 2 "there is no device 'cuda:x'" --data cells --device cuda:x
expect 2 "there is no device 'h1000'" --data cells --plan-for h1000
expect 2 "not in range" --data cells --epochs -1
expect 3 "train.csv" --data nowhere
mkdir nine
cut -d, -f2- cells/train.csv >nine/train.csv
cut -d, -f2- cells/test.csv >nine/test.csv
expect 3 "input 0 of the data is [9]" --data nine
interrupt --data cells --epochs 1000000

. "$(dirname "$0")/common.sh"

for i in $(seq 400); do echo "abcdefgh ijklmnop ü"; done >text.txt

expect 0 '"test_accuracy"' --data text.txt --epochs 16 --lr 0.01 --length 60 --prime "abc" --temperature 0.3 --json
grep -q '"test_accuracy": 0.9[89]\|"test_accuracy": 1,' out || fail "it did not learn"
grep -qF "abcdefgh ijklmnop ü" out || fail "it does not write what it read"
tail -n 1 out | grep -q '^{"test_accuracy"' || fail "the JSON is not the last line"
grep -A 10 '^abc' out | sed '$d' >written
expect 0 "abcdefgh ijklmnop ü" --load char_rnn.safetensors --length 60 --prime "abc" --temperature 0.3
cmp -s out written || fail "the loaded model writes otherwise"
expect 0 "" --load char_rnn.safetensors --length 0 --prime "abc"
expect 0 '{"text": "abcdefgh ijklmnop ü\u000aabcdefgh' --load char_rnn.safetensors --length 30 --prime "abc" --temperature 0.0005 --json
(echo Q; cat text.txt) >one_q.txt
expect 0 "test accuracy" --data one_q.txt --epochs 1 --length 30 --prime "abc" --temperature 0.0005 --save ""
if grep -q Q out; then fail "a cold model that is sure of nothing writes what is rarest"; fi
if "$(dirname "$program")/review_gru" --load char_rnn.safetensors --predict x >out 2>err; then fail "it judges by the model of another program"; fi
grep -q "char_rnn.safetensors is no model that review_gru saved" err || fail "the model of another program is not refused"
kill_in_training --data <(tr 'a-p' 'A-P' <text.txt) --epochs 1000000
expect 0 "abcdefgh ijklmnop ü" --load char_rnn.safetensors --length 60 --prime "abc" --temperature 0.3
cmp -s out written || fail "a training that was killed changed what the model before writes"

printf 'label\ttext\n' >table.tsv
for i in $(seq 60); do printf '1\tsentence number %d.\n' "$i"; done >>table.tsv
expect 0 "test accuracy" --data table.tsv --epochs 1 --length 5

printf 'ab\xFF' >broken.txt
expect 3 "broken.txt:1: byte 3 (0xFF) is not UTF-8" --data broken.txt
: >empty.txt
expect 3 "the part for training (nine tenths) of the text has fewer than 101 characters: 0" --data empty.txt
head -c 700 text.txt | iconv -c -f utf-8 -t ascii >short.txt
expect 3 "the part for the test (the last tenth) of the text has fewer than 101 characters" --data short.txt
expect 2 "temperature" --temperature 0
expect 2 "prime" --prime ""
expect 3 "nowhere.txt" --data nowhere.txt
interrupt --data text.txt --epochs 1000000

. "$(dirname "$0")/common.sh"

# Sentences that are easy to tell apart.
write_part() {  # FILE LINES
  printf 'label\ttext\n' >"$1"
  for i in $(seq "$2"); do
    if [ $((i % 3)) = 0 ]; then printf '0\tA dull, stupid film number %d.\n' "$i"; else printf '1\tA "wonderful" film, number %d!\n' "$i"; fi
  done >>"$1"
}
mkdir reviews
write_part reviews/train.tsv 240
write_part reviews/validation.tsv 30
write_part reviews/test.tsv 30

expect 0 '"majority_accuracy": 0.66666' --data reviews --epochs 4 --lr 0.005 --json --predict "Wonderful" --predict "Dull, stupid"
grep -q '"test_accuracy": 1,' out || fail "it did not learn"
[ "$(grep -c '^positive .*  Wonderful$' out)" = 1 ] && [ "$(grep -c '^negative .*  Dull, stupid$' out)" = 1 ] || fail "wrong predictions"
grep '^positive\|^negative' out >trained

expect 0 "positive" --load review_gru.safetensors --predict "Wonderful" --predict "Dull, stupid" --data nowhere
cmp -s out trained || fail "the loaded model answers otherwise"
expect 0 '{"predictions": [{"text": "[A \"dull\", stupid]", "probability": ' --load review_gru.safetensors --predict '[A "dull", stupid]' --json
grep -q '"label": "negative"}]}$' out && [ "$(wc -l <out)" = 2 ] || fail "what stands in brackets is not one sentence"
expect 2 "required" --load review_gru.safetensors --predict
expect 0 '"test_accuracy": 1,' --load review_gru.safetensors --data reviews --json

expect 0 "test accuracy" --data reviews --epochs 1 --save ""
"$program" --data reviews --epochs 0 --save "" --json >/dev/full 2>err && fail "a full disk under its output is not told"
grep -q "standard output" err || fail "a full disk under its output is not told"

# A training of other reviews that does not come to its end leaves model and vocabulary as they were.
mkdir others
for part in train validation test; do tr 'a-x' 'c-z' <reviews/$part.tsv | sed 1d | cat <(printf 'label\ttext\n') - >others/$part.tsv; done
kill_in_training --data others --epochs 1000000
expect 0 "positive" --load review_gru.safetensors --predict "Wonderful" --predict "Dull, stupid"
cmp -s out trained || fail "a training that was killed changed the answers of the model before"
expect 0 "saved" --data others --epochs 1 --save others.safetensors
cp others.vocabulary.json review_gru.vocabulary.json
expect 3 "review_gru.vocabulary.json is not the vocabulary that review_gru.safetensors was trained with" --load review_gru.safetensors --predict x

expect 2 "not expected" --predikt "x"
expect 3 "nowhere/train.tsv" --data nowhere
expect 3 "none.safetensors" --load none.safetensors
expect 3 "there is no folder" --data reviews --save nowhere/model.safetensors
expect 3 "byte 1 (0xFF) is not UTF-8" --load others.safetensors --predict $'\xFF'
cp review_gru.safetensors broken.safetensors
echo '{}' >broken.vocabulary.json
expect 3 "not a vectorizer" --load broken.safetensors --predict x
mkdir broken
cp reviews/*.tsv broken
printf '1\tgr\xFCn\n' >>broken/train.tsv
expect 3 "train.tsv:242:2: byte 3 (0xFC) is not UTF-8" --data broken
interrupt --data reviews --epochs 1000000
mkdir large
cp reviews/*.tsv large
write_part large/test.tsv 60000
interrupt_evaluation --data large --epochs 1

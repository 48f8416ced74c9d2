// Whole models over sequences: equal bits on any number of threads, state, saving, initial weights, and every
// mistake with its name.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "tests/support/files.hpp"
#include "tests/train/helpers.hpp"

namespace gpunn {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::int64_t kSteps = 11, kVocabulary = 40;

Tensor tokens(std::int64_t samples, std::int64_t steps = kSteps) {
  Tensor ids({samples, steps}, Dtype::i32);
  const auto values = ids.data<std::int32_t>();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<std::int32_t>(uniform01({.seed = 5}, i) * static_cast<float>(kVocabulary));
  for (std::int64_t n = 0; n < samples; ++n) {  // padded behind, by 0 to 4 steps
    for (std::int64_t t = steps - n % 5; t < steps; ++t) values[static_cast<std::size_t>(n * steps + t)] = 0;
  }
  return ids;
}

Tensor early(const Tensor& ids) {
  Tensor y({ids.shape()[0], 1});
  const std::int64_t steps = ids.shape()[1];
  for (std::int64_t n = 0; n < ids.shape()[0]; ++n) {
    const bool low = ids.data<std::int32_t>()[static_cast<std::size_t>(n * steps)] < kVocabulary / 2;
    y.data<float>()[static_cast<std::size_t>(n)] = low ? 1.0f : 0.0f;
  }
  return y;
}

// Every layer and most options in one model.
Sequential every_layer(ModelOptions options) {
  const Layer backward = LSTM(5, {.activation = relu, .return_sequences = true, .go_backwards = true});
  Sequential model(
      {Input({kSteps}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 9, {.mask_zero = true}),
       Bidirectional(LSTM(5, {.dropout = 0.2, .recurrent_dropout = 0.3, .return_sequences = true}),
                     {.merge_mode = MergeMode::sum, .backward_layer = backward}),
       TimeDistributed(Dense(6, {.activation = relu})),
       GRU(7, {.recurrent_dropout = 0.1, .return_sequences = true, .reset_after = false}),
       SimpleRNN(6, {.dropout = 0.1, .return_sequences = true, .go_backwards = true}), Bidirectional(GRU(4)),
       Dense(1, {.activation = sigmoid})},
      std::move(options));
  model.compile({.optimizer = Adam({.learning_rate = 0.01}), .loss = BinaryCrossentropy()});
  return model;
}

TEST(Sequences, WeightsDoNotDependOnThreads) {
  const Tensor x = tokens(50);  // the last batch is short
  const auto trained = [&](int threads) {
    Sequential model = every_layer({.device = "cpu", .threads = threads, .seed = 3});
    model.fit(x, early(x), quietly({.epochs = 3, .batch_size = 24}));
    return weights(model);
  };
  const std::vector<float> reference = trained(1);
  for (const int threads : {2, 3, 8})
    EXPECT_TRUE(same_bits(reference, trained(threads))) << threads << " threads";
}

TEST(Sequences, LearnWhatTheFirstTokenSays) {
  const Tensor x = tokens(320);
  Sequential model(
      {Input({kSteps}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 16),
       GRU(16, {.dropout = 0.1, .return_sequences = true}), LSTM(16), Dense(1, {.activation = sigmoid})},
      {.device = "cpu", .seed = 1});
  model.compile(
      {.optimizer = Adam({.learning_rate = 0.01}), .loss = BinaryCrossentropy(), .metrics = {accuracy}});
  const History history = model.fit(x, early(x), quietly({.epochs = 25}));
  EXPECT_GT(history["accuracy"].back(), 0.95);
}

TEST(Sequences, DropoutActsInTrainingAlone) {
  const Tensor x = tokens(32);
  const auto first_loss = [&](double dropout, double recurrent) {
    Sequential model(
        {Input({kSteps}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 8),
         GRU(8, {.dropout = dropout, .recurrent_dropout = recurrent}), Dense(1, {.activation = sigmoid})},
        {.device = "cpu", .seed = 1});
    model.compile({.optimizer = SGD({.learning_rate = 0.0}), .loss = BinaryCrossentropy()});
    const double evaluated = model.evaluate(x, early(x))["loss"];
    return std::pair{model.train_on_batch(x, early(x))["loss"], evaluated};
  };
  const auto [plain, evaluated] = first_loss(0, 0);
  EXPECT_NEAR(plain, evaluated, 1e-6);
  for (const auto& [dropout, recurrent] : {std::pair{0.5, 0.0}, {0.0, 0.5}}) {
    const auto [trained, untouched] = first_loss(dropout, recurrent);
    EXPECT_GT(std::abs(trained - plain), 1e-4);
    EXPECT_EQ(untouched, evaluated);
  }
}

// Two halves of a sequence, one after the other, are the whole.
TEST(Sequences, StatefulLayersGoOnWhereTheyWere) {
  const std::int64_t batch = 6;
  Sequential whole({Input({8, 3}), GRU(5, {.return_sequences = true}), LSTM(4)},
                   {.device = "cpu", .seed = 2});
  Sequential half(
      {Input({4, 3}), GRU(5, {.return_sequences = true, .stateful = true, .stateful_batch_size = batch}),
       LSTM(4, {.stateful = true, .stateful_batch_size = batch})},
      {.device = "cpu", .seed = 2});
  for (const std::string& name : whole.weight_names()) {  // the state is between them: seeds do not help
    const auto from = whole.weight(name).data<float>();
    Tensor to = half.weight(name);
    std::copy(from.begin(), from.end(), to.data<float>().begin());
  }
  Tensor x({batch, 8, 3}), first({batch, 4, 3}), second({batch, 4, 3});
  for (std::size_t i = 0; i < x.data<float>().size(); ++i) {
    x.data<float>()[i] = uniform01({.seed = 8}, i) - 0.5f;
    const std::size_t row = i / 24, at = i % 24;
    (at < 12 ? first : second).data<float>()[row * 12 + at % 12] = x.data<float>()[i];
  }
  const PredictOptions one_batch{.batch_size = batch};
  const std::vector<float> want = elements(whole.predict(x, one_batch));
  const std::vector<float> begun = elements(half.predict(first, one_batch));
  EXPECT_TRUE(same_bits(elements(half.predict(second, one_batch)), want));
  half.reset_states();
  EXPECT_TRUE(same_bits(elements(half.predict(first, one_batch)), begun));

  // Training moves the state too, and so does evaluation; saved models keep it.
  half.compile({.optimizer = SGD({.learning_rate = 0.0}), .loss = MeanSquaredError()});
  half.reset_states();
  half.train_on_batch(first, Tensor({batch, 4}));
  EXPECT_TRUE(same_bits(elements(half.predict(second, one_batch)), want));
  EXPECT_THAT(message_of<ShapeError>([&] { half.predict(first, {.batch_size = 4}); }),
              HasSubstr("is stateful with batches of 6 samples, not 4"));
}

Sequential stateful(std::int64_t batch) {
  Sequential model({Input({4, 3}), GRU(5, {.return_sequences = true}),
                    LSTM(4, {.stateful = true, .stateful_batch_size = batch})},
                   {.device = "cpu", .seed = 2});
  model.compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = MeanSquaredError()});
  return model;
}

Tensor noise(const Shape& shape) {
  Tensor x(shape);
  for (std::size_t i = 0; i < x.data<float>().size(); ++i)
    x.data<float>()[i] = uniform01({.seed = 8}, i) - 0.5f;
  return x;
}

// The default batch_size is larger; six is no power of two.
TEST(Sequences, StatefulLayersPredictExactlyTheirBatch) {
  const Tensor x = noise({6, 4, 3});
  Sequential model = stateful(6), other = stateful(6);
  const std::vector<float> first = elements(model.predict(x)), second = elements(model.predict(x));
  EXPECT_TRUE(same_bits(first, elements(other.predict(x, {.batch_size = 6}))));
  EXPECT_TRUE(same_bits(second, elements(other.predict(x, {.batch_size = 6}))));
  EXPECT_FALSE(same_bits(first, second));
}

// Train with many samples side by side, go on with one.
TEST(Sequences, WeightsWithoutStatesFitAnyBatch) {
  const TempDir folder;
  const auto path = folder / "weights.safetensors";
  Sequential trained = stateful(6), one = stateful(1), before = stateful(6);
  trained.fit(noise({12, 4, 3}), Tensor({12, 4}), quietly({.batch_size = 6, .shuffle = false}));
  trained.save_weights(path);
  for (const io::NamedTensor& saved : io::load_safetensors(path).tensors)
    EXPECT_THAT(saved.name, ::testing::Not(HasSubstr("state")));
  one.load_weights(path);
  const Tensor x = noise({6, 4, 3});
  const std::vector<float> kept = elements(trained.weight("lstm/state_h"));
  trained.load_weights(path);
  EXPECT_TRUE(same_bits(elements(trained.weight("lstm/state_h")), kept)) << "no weight";
  trained.reset_states();
  const std::vector<float> all = elements(trained.predict(x));
  EXPECT_TRUE(same_bits(elements(one.predict(x.rows(0, 1))), {all.begin(), all.begin() + 4}));
  // A model's file has the state.
  trained.save(folder / "model.safetensors");
  Model again = load_model(folder / "model.safetensors", {.device = "cpu"});
  EXPECT_TRUE(same_bits(elements(again.predict(x)), elements(trained.predict(x))));
}

TEST(Sequences, ClonesWouldShareAState) {
  const Sequential model = stateful(2);
  EXPECT_THAT(message_of<UsageError>([&] { model.clone_for_inference(); }),
              AllOf(HasSubstr("layer 'lstm' (LSTM) is stateful"), HasSubstr("load a saved copy")));
}

// Not after an epoch of work.
TEST(Sequences, ValidationBatchesThatDoNotFitAreRefusedBeforeTraining) {
  Sequential model = stateful(4);
  const std::vector<float> before = weights(model);
  const auto validation = std::make_shared<TensorDataset>(noise({6, 4, 3}), Tensor({6, 4}));
  EXPECT_THAT(message_of<ShapeError>([&] {
                model.fit(noise({8, 4, 3}), Tensor({8, 4}),
                          quietly({.batch_size = 4, .shuffle = false, .validation_data = validation}));
              }),
              HasSubstr("is stateful with batches of 4 samples, not 2"));
  EXPECT_EQ(model.steps(), 0);
  EXPECT_TRUE(same_bits(weights(model), before));
}

// What the encoder ends with, the decoder begins with.
TEST(Sequences, StatesGoFromLayerToLayer) {
  const Symbolic source = Input({5, 3}), target = Input({4, 2});
  const auto encoded = LSTM(6, {.return_state = true}).call({source});
  ASSERT_EQ(encoded.size(), 3U);
  const auto decoded = LSTM(6, {.return_sequences = true})({target, encoded[1], encoded[2]});
  EXPECT_EQ(decoded.shape(), (Shape{4, 6}));
  Model model({source, target}, {decoded}, {.device = "cpu"});
  const auto data = std::make_shared<TensorDataset>(TensorDataset::Columns{
      .inputs = {Tensor({2, 5, 3}), Tensor({2, 4, 2})}, .targets = {Tensor({2, 4, 6})}});
  model.compile({.optimizer = SGD(), .loss = MeanSquaredError()});
  EXPECT_NO_THROW(model.fit(data, quietly({})));
  const auto both =
      Bidirectional(GRU(4, {.return_state = true}), {.merge_mode = MergeMode::none}).call({source});
  EXPECT_EQ(both.size(), 4U);
}

TEST(Sequences, SavedModelsComeBack) {
  const TempDir folder;
  const Tensor x = tokens(24);
  Sequential model = every_layer({.device = "cpu", .seed = 3});
  model.fit(x, early(x), quietly({}));
  model.save(folder / "model.safetensors");
  Model again = load_model(folder / "model.safetensors", {.device = "cpu", .seed = 3});
  EXPECT_EQ(again.summary(), model.summary());
  EXPECT_TRUE(same_bits(elements(again.predict(x)), elements(model.predict(x))));
  model.fit(x, early(x), quietly({.seed = 4}));
  again.fit(x, early(x), quietly({.seed = 4}));
  EXPECT_TRUE(same_bits(weights(again), weights(model)));
  EXPECT_THAT(model.summary(), HasSubstr("bidirectional (Bidirectional)"));
}

// Steps become rows of one large batch: what comes out is what each frame alone gives.
TEST(Sequences, TimeDistributedAppliesAnyLayerToEveryStep) {
  constexpr std::int64_t kSamples = 21, kFrames = 3;
  const std::vector<Layer> stack{Conv2D(4, 3, {.padding = same, .activation = relu}), MaxPooling2D(),
                                 Conv2D(2, 2), GlobalAveragePooling2D()};
  std::vector<Layer> apart{Input({kFrames, 8, 8, 2})}, alone{Input({8, 8, 2})};
  for (const Layer& layer : stack) apart.push_back(TimeDistributed(layer)), alone.push_back(layer);
  Tensor x({kSamples, kFrames, 8, 8, 2});
  for (std::size_t i = 0; i < x.data<float>().size(); ++i)
    x.data<float>()[i] = uniform01({.seed = 8}, i) - 0.5f;
  for (const int threads : {1, 3}) {
    Sequential frames(alone, {.device = "cpu", .seed = 4}),
        clips(apart, {.device = "cpu", .threads = threads, .seed = 4});
    const std::vector<float> want = elements(frames.predict(x.reshape({kSamples * kFrames, 8, 8, 2})));
    const std::vector<float> got = elements(clips.predict(x));
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-6);
    // The mean over all frames is the same loss, so training goes the same way; but sums are added in another
    // order.
    for (Sequential* model : {&frames, &clips}) {
      model->compile({.optimizer = SGD({.learning_rate = 0.1}), .loss = MeanSquaredError()});
    }
    const Tensor zeros({kSamples, kFrames, 2});
    const double loss = frames.train_on_batch(x.reshape({kSamples * kFrames, 8, 8, 2}),
                                              zeros.reshape({kSamples * kFrames, 2}))["loss"];
    EXPECT_NEAR(clips.train_on_batch(x, zeros)["loss"], loss, 1e-6 * loss);
    const std::vector<float> a = weights(frames), b = weights(clips);
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6) << i;
  }
}

// A video classifier: frames by convolutions, time by a recurrent layer; saved and loaded.
TEST(Sequences, TimeDistributedTrainsAndIsSaved) {
  const TempDir folder;
  Sequential model(
      {Input({4, 6, 6, 1}), TimeDistributed(Conv2D(3, 3, {.activation = relu})), TimeDistributed(Flatten()),
       TimeDistributed(Dropout(0.2)), LSTM(6), Dense(1, {.activation = sigmoid})},
      {.device = "cpu", .seed = 3});
  model.compile(
      {.optimizer = Adam({.learning_rate = 0.02}), .loss = BinaryCrossentropy(), .metrics = {accuracy}});
  Table t{Tensor({64, 4, 6, 6, 1}), Tensor({64, 1})};  // does light move right or left?
  for (std::int64_t n = 0; n < 64; ++n) {
    t.y.data<float>()[static_cast<std::size_t>(n)] = static_cast<float>(n % 2);
    for (std::int64_t f = 0; f < 4; ++f) {
      const std::int64_t column = n % 2 == 1 ? f + 1 : 4 - f;
      for (std::int64_t row = 0; row < 6; ++row)
        t.x.data<float>()[static_cast<std::size_t>(((n * 4 + f) * 6 + row) * 6 + column)] =
            0.5f + static_cast<float>(n % 5) / 8;
    }
  }
  EXPECT_EQ(model.fit(t.x, t.y, quietly({.epochs = 20}))["accuracy"].back(), 1);
  EXPECT_EQ(model.weight("time_distributed/kernel").shape(), (Shape{3, 3, 1, 3}));
  model.save(folder / "model.safetensors");
  Model again = load_model(folder / "model.safetensors", {.device = "cpu"});
  EXPECT_EQ(again.summary(), model.summary());
  EXPECT_TRUE(same_bits(elements(again.predict(t.x)), elements(model.predict(t.x))));
}

// Lazy Adam is another algorithm: rows that a batch names move as Adam moves them in the first step, others
// stay.
TEST(Sequences, LazyEmbeddingsMoveTheRowsOfTheBatch) {
  const TempDir folder;
  const auto make = [](bool lazy, int threads = 1) {
    Sequential model({Input({kSteps}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 8), GRU(6),
                      Dense(1, {.activation = sigmoid})},
                     {.device = "cpu", .threads = threads, .seed = 3});
    model.compile(
        {.optimizer = Adam({.learning_rate = 0.01, .lazy_embeddings = lazy}), .loss = BinaryCrossentropy()});
    return model;
  };
  const Tensor x = tokens(4), y = early(x);
  std::vector<bool> named(kVocabulary);
  for (const std::int32_t id : x.data<std::int32_t>()) named[static_cast<std::size_t>(id)] = true;
  Sequential lazy = make(true), dense = make(false);
  const std::vector<float> before = elements(lazy.weight("embedding/embeddings"));
  for (int step = 0; step < 2; ++step) {
    if (step == 1) {  // other ids: Adam goes on with those of the first step
      const Tensor other = tokens(9).rows(5, 9);
      lazy.train_on_batch(other, early(other)), dense.train_on_batch(other, early(other));
      for (const std::int32_t id : other.data<std::int32_t>()) named[static_cast<std::size_t>(id)] = true;
    } else {
      lazy.train_on_batch(x, y), dense.train_on_batch(x, y);
    }
    const std::vector<float> a = elements(lazy.weight("embedding/embeddings")),
                             b = elements(dense.weight("embedding/embeddings"));
    if (step == 0) {
      for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-7) << i;
    } else {
      EXPECT_FALSE(same_bits(a, b));
    }
    for (std::size_t i = 0; i < a.size(); ++i)
      EXPECT_EQ(a[i] != before[i], static_cast<bool>(named[i / 8])) << i;
  }
  // Saved with its moments and its option; any number of threads.
  lazy.save(folder / "model.safetensors");
  Model again = load_model(folder / "model.safetensors", {.device = "cpu", .seed = 3});
  lazy.train_on_batch(x, y), again.train_on_batch(x, y);
  EXPECT_TRUE(same_bits(weights(again), weights(lazy)));
  Sequential one = make(true), three = make(true, 3);
  const Tensor many = tokens(50);
  for (Sequential* model : {&one, &three})
    model->fit(many, early(many), quietly({.epochs = 2, .batch_size = 24}));
  EXPECT_TRUE(same_bits(weights(one), weights(three)));
  const std::string plan = lazy.plan({.batch_size = 2}).text;
  EXPECT_THAT(plan, AllOf(HasSubstr("simd lazy adam"), HasSubstr("not Adam: at most 22 rows of 40")));
  EXPECT_THAT(plan, ::testing::Not(HasSubstr("embedding_backward")));
}

TEST(Sequences, LazyEmbeddingsKnowTheirLimits) {
  const auto compile = [](AdamOptions options) {
    Sequential model({Input({3}, {.dtype = Dtype::i32}), Embedding(9, 2), GRU(2)}, {.device = "cpu"});
    model.compile({.optimizer = Adam(options), .loss = MeanSquaredError()});
  };
  EXPECT_THAT(message_of<UsageError>([&] { compile({.weight_decay = 0.1, .lazy_embeddings = true}); }),
              HasSubstr("lazy_embeddings cannot be combined with weight_decay, global_clipnorm or"));
  EXPECT_THAT(message_of<UsageError>([&] { compile({.global_clipnorm = 1.0, .lazy_embeddings = true}); }),
              HasSubstr("lazy_embeddings cannot be combined"));
  const Symbolic a = Input({3}, {.dtype = Dtype::i32});
  const Layer table = Embedding(9, 2, {.name = "words"});
  Model twice({a}, {Add()({table(a), table(a)})}, {.device = "cpu"});
  EXPECT_THAT(message_of<UsageError>([&] {
                twice.compile({.optimizer = Adam({.lazy_embeddings = true}), .loss = MeanSquaredError()});
              }),
              HasSubstr("'words/embeddings' is looked up more than once"));
}

// A file could nest layers until the stack ends.
TEST(Sequences, LayersWithinLayersEndSomewhere) {
  const TempDir folder;
  Layer layer = Dense(2);
  for (int depth = 1; depth <= 9; ++depth) {
    layer = TimeDistributed(layer);
    Sequential model({Input({3, 2}), layer}, {.device = "cpu"});
    model.save(folder / "model.safetensors");
    const auto load = [&] { load_model(folder / "model.safetensors", {.device = "cpu"}); };
    if (depth <= 8) {
      EXPECT_NO_THROW(load()) << depth;
    } else {
      EXPECT_THAT(message_of<DataError>(load), HasSubstr("too many layers within layers"));
    }
  }
}

TEST(Sequences, FirstWeights) {
  Sequential model({Input({3}, {.dtype = Dtype::i32}), Embedding(200, 32), LSTM(24)}, {.device = "cpu"});
  for (const float w : model.weight("embedding/embeddings").data<float>()) EXPECT_LE(std::abs(w), 0.05f);
  const auto bias = model.weight("lstm/bias").data<float>();
  for (std::size_t i = 0; i < bias.size(); ++i) EXPECT_EQ(bias[i], i / 24 == 1 ? 1.0f : 0.0f) << i;
  // Rows of [24, 96] are orthonormal.
  const auto u = model.weight("lstm/recurrent_kernel").data<float>();
  for (std::size_t a = 0; a < 24; ++a) {
    for (std::size_t b = 0; b <= a; ++b) {
      double product = 0;
      for (std::size_t k = 0; k < 96; ++k) product += double{u[a * 96 + k]} * u[b * 96 + k];
      EXPECT_NEAR(product, a == b ? 1 : 0, 1e-6);
    }
  }
}

TEST(Sequences, ThePlanNamesThePathAndWhy) {
  Sequential model({Input({7, 3}), GRU(5, {.return_sequences = true}), GRU(5, {.activation = relu})},
                   {.device = "cpu"});
  const std::string plan = model.plan({.mode = "predict"}).text;
  EXPECT_THAT(plan,
              AllOf(HasSubstr("simd gru"), HasSubstr("simd gru, any activation"),
                    HasSubstr("slower: kernels are specialised for tanh and sigmoid, not relu and sigmoid"),
                    HasSubstr("recurrent_pack")));
}

TEST(Sequences, TokensOutOfRangeAreRefusedBeforeTraining) {
  Sequential model({Input({kSteps}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 4), GRU(4),
                    Dense(1, {.activation = sigmoid})},
                   {.device = "cpu"});
  model.compile({.optimizer = SGD(), .loss = BinaryCrossentropy()});
  for (const std::int32_t bad : {-1, 40, 2147483647}) {
    Tensor x = tokens(40);
    const Tensor y = early(x);
    x.data<std::int32_t>()[33 * kSteps + 2] = bad;
    const std::vector<float> before = weights(model);
    const std::string wanted = std::to_string(bad) + " is not from 0 to 39";
    for (const std::string& message :
         {message_of<DataError>([&] { model.fit(x, y, quietly({.check_data = false})); }),
          message_of<DataError>([&] { model.evaluate(x, y); }),
          message_of<DataError>([&] { model.predict(x); })}) {
      EXPECT_THAT(message, AllOf(HasSubstr("sequences_test.cpp:"), HasSubstr("sample 33"),
                                 HasSubstr("a token id"), HasSubstr(wanted)));
    }
    EXPECT_TRUE(same_bits(before, weights(model)));
  }
}

// Data of another type is converted, never cut.
TEST(Sequences, IdsMustBeWhole) {
  Sequential model({Input({kSteps}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 4), GRU(4)},
                   {.device = "cpu"});
  Tensor x = tokens(3).to(Dtype::f32);
  EXPECT_TRUE(same_bits(elements(model.predict(x)), elements(model.predict(tokens(3)))));
  x.data<float>()[4] = 3.7f;
  EXPECT_THAT(message_of<DataError>([&] { model.predict(x); }),
              HasSubstr("element 4 is 3.7, which i32 cannot hold"));
}

TEST(Sequences, Mistakes) {
  const auto usage = [](const auto& make) { return message_of<UsageError>(make); };
  EXPECT_THAT(usage([] { GRU(0); }),
              AllOf(HasSubstr("sequences_test.cpp:"), HasSubstr("GRU: units must be positive")));
  EXPECT_THAT(usage([] { LSTM(std::int64_t{1} << 62); }), HasSubstr("fewer than 2^31"));
  EXPECT_THAT(usage([] { LSTM(4, {.dropout = 1.0}); }), HasSubstr("LSTM: dropout must be"));
  EXPECT_THAT(usage([] { SimpleRNN(4, {.activation = softmax}); }), HasSubstr("softmax cannot be"));
  EXPECT_THAT(usage([] { GRU(4, {.stateful = true}); }), HasSubstr("needs stateful_batch_size"));
  EXPECT_THAT(usage([] { Embedding(0, 4); }), HasSubstr("input_dim must be positive"));
  EXPECT_THAT(usage([] { Bidirectional(Dense(3)); }), HasSubstr("must be a SimpleRNN, GRU or LSTM"));
  EXPECT_THAT(usage([] { Bidirectional(GRU(3, {.go_backwards = true})); }), HasSubstr("must read forwards"));
  EXPECT_THAT(usage([] { TimeDistributed(TimeDistributed(BatchNormalization())); }),
              HasSubstr("a BatchNormalization has statistics of the batch"));
  EXPECT_THAT(usage([] { TimeDistributed(GRU(2, {.stateful = true, .stateful_batch_size = 3})); }),
              HasSubstr("a stateful GRU cannot be applied"));
  EXPECT_THAT(usage([] {
                Sequential({Input({3, 2}), GRU(4, {.return_state = true})});
              }),
              HasSubstr("returns 2 values"));
  EXPECT_THAT(usage([] { GRU(4, {.return_state = true})(Input({3, 2})); }), HasSubstr("use call()"));
  const auto shape = [](const auto& make) { return message_of<ShapeError>(make); };
  EXPECT_THAT(shape([] { TimeDistributed(Conv2D(4, 3))(Input({5, 6, 2})); }), HasSubstr("needs"));
  EXPECT_THAT(shape([] {
                TimeDistributed(GRU(4, {.return_state = true}))(Input({5, 6, 2}));
              }),
              HasSubstr("the GRU returns 2 values"));
  EXPECT_THAT(shape([] { GRU(4)(Input({3})); }), HasSubstr("needs sequences [steps, features]"));
  EXPECT_THAT(shape([] { Embedding(9, 4)(Input({3})); }), HasSubstr("ids must be i32"));
  const InputOptions ids{.dtype = Dtype::i32};
  EXPECT_NO_THROW(Embedding(9, 4)(Input({3, 5}, ids)));
  for (const Shape& words : {Shape{3, 5}, Shape{}}) {
    EXPECT_THAT(shape([&] { Embedding(9, 4, {.mask_zero = true})(Input(words, ids)); }),
                AllOf(HasSubstr("Embedding"), HasSubstr("mask_zero needs ids [steps]")));
  }
  EXPECT_THAT(shape([] { Masking()(Input({3, 5, 2})); }), HasSubstr("needs sequences [steps, features]"));
  EXPECT_THAT(shape([] { GRU(4)({Input({3, 2}), Input({5})}); }), HasSubstr("an initial state must be"));
  EXPECT_THAT(shape([] { LSTM(4)({Input({3, 2}), Input({4})}); }), HasSubstr("takes"));
}

// A sequence without steps leaves the state as it was: zeros.
TEST(Sequences, OfNoSteps) {
  Sequential model({Input({0, 2}), GRU(3)}, {.device = "cpu"});
  for (const float h : elements(model.predict(Tensor({2, 0, 2})))) EXPECT_EQ(h, 0);
}

class Warnings : public testing::Test {
 protected:
  Warnings() {
    set_log_sink([this](LogLevel level, std::string_view message) {
      if (level == LogLevel::warning) lines_.emplace_back(message);
    });
  }
  ~Warnings() override { set_log_sink({}); }
  std::vector<std::string> lines_;
};

TEST_F(Warnings, OfMasksThatEnd) {
  Sequential model({Input({kSteps}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 4, {.mask_zero = true}),
                    Dropout(0.1), Flatten(), Dense(1)},
                   {.device = "cpu"});
  ASSERT_EQ(lines_.size(), 1U);
  EXPECT_THAT(lines_[0], HasSubstr("layer 'flatten' (Flatten) knows nothing of masks"));
  Sequential fine({Input({kSteps}, {.dtype = Dtype::i32}), Embedding(kVocabulary, 4, {.mask_zero = true}),
                   LSTM(4, {.return_sequences = true}), Dense(3), GRU(4), Dense(1)},
                  {.device = "cpu"});
  EXPECT_EQ(lines_.size(), 1U);
}

TEST_F(Warnings, OfShuffledStates) {
  Sequential model = stateful(4), plain({Input({4, 3}), LSTM(4)}, {.device = "cpu"});
  plain.compile({.optimizer = SGD(), .loss = MeanSquaredError()});
  const Tensor x = noise({8, 4, 3}), y({8, 4});
  model.fit(x, y, quietly({.batch_size = 4, .shuffle = false}));
  plain.fit(x, y, quietly({.batch_size = 4}));
  EXPECT_EQ(lines_.size(), 0U);
  model.fit(x, y, quietly({.batch_size = 4}));
  ASSERT_EQ(lines_.size(), 1U);
  EXPECT_THAT(lines_[0], HasSubstr("fit: layer 'lstm' (LSTM) is stateful, but shuffled batches"));
}

// Of any input, and where inputs of a merge have none.
TEST_F(Warnings, OfMasksThatEndInLayersOfSeveralInputs) {
  const Symbolic x = Input({5, 3}), y = Input({5, 3});
  const Symbolic marked = Masking()(y);
  const auto warned = [&](const Symbolic& output) {
    lines_.clear();
    Model model({x, y}, {output}, {.device = "cpu"});
    return lines_.size() == 1 ? lines_[0] : std::to_string(lines_.size()) + " lines";
  };
  EXPECT_THAT(warned(Multiply()({x, marked})),
              HasSubstr("layer 'multiply' (Multiply) knows nothing of masks"));
  EXPECT_THAT(warned(Add()({x, marked})), HasSubstr("layer 'add' (Add) makes no mask"));
  EXPECT_THAT(warned(Concatenate()({x, marked})), HasSubstr("layer 'concatenate' (Concatenate) makes no"));
  EXPECT_EQ(warned(GRU(3)(Add()({Masking()(x), marked}))), "0 lines");
  EXPECT_EQ(warned(GRU(3)(Concatenate({.axis = 1})({x, marked}))), "0 lines");
  EXPECT_EQ(warned(GRU(3)(Concatenate({.axis = -2})({x, marked}))), "0 lines");
  lines_.clear();
  TimeDistributed(Masking());
  ASSERT_EQ(lines_.size(), 1U);
  EXPECT_THAT(lines_[0], HasSubstr("TimeDistributed: the mask that its Masking makes ends there"));
}

}  // namespace
}  // namespace gpunn

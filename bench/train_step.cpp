// Trains one of the benchmark networks through the public fit() on data that lies in memory, as
// bench/compare.py has the peers do it, and prints one line of JSON:
//
//   train_step --network ffn|cnn|gru|lstm|rnn [--batch 32] [--threads 1] [--device cpu]
//              [--seconds 3 | --epochs 1] [--plan]
//
// An epoch is 1,000 steps of the FFN, 100 of the CNN, 40 of the recurrent networks. `samples_per_second`
// counts everything an epoch does: shuffling, gathering, loss, accuracy, update. With --seconds, as many
// epochs as fill them, after one to warm up.

#include <gpunn/gpunn.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

struct Arguments {
  std::string network = "ffn";
  std::int64_t batch = 32;
  int threads = 1;
  std::string device = "cpu";
  int epochs = 0;
  double seconds = 3;
  bool plan = false;
};

[[noreturn]] void usage(const std::string& what) {
  std::fprintf(stderr,
               "train_step: %s\nusage: train_step --network ffn|cnn|gru|lstm|rnn [--batch N] [--threads N] "
               "[--device D] [--seconds S | --epochs N] [--plan]\n",
               what.c_str());
  std::exit(2);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--plan") {
      arguments.plan = true;
      continue;
    }
    if (i + 1 == argc) usage(flag + " needs a value");
    const std::string value = argv[++i];
    try {
      if (flag == "--network")
        arguments.network = value;
      else if (flag == "--batch")
        arguments.batch = std::stoll(value);
      else if (flag == "--threads")
        arguments.threads = std::stoi(value);
      else if (flag == "--device")
        arguments.device = value;
      else if (flag == "--epochs")
        arguments.epochs = std::stoi(value);
      else if (flag == "--seconds")
        arguments.seconds = std::stod(value);
      else
        usage("there is no flag " + flag);
    } catch (const std::logic_error&) {
      usage(value + " is no number for " + flag);
    }
  }
  return arguments;
}

struct Task {
  gpunn::Sequential model;
  gpunn::Loss loss;
  std::int64_t steps_per_epoch;
  gpunn::Tensor x, y;
};

gpunn::Tensor uniform(const gpunn::Shape& shape) {
  gpunn::Tensor x(shape);
  const auto values = x.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = gpunn::uniform01({.seed = 1}, i);
  return x;
}

Task ffn(const Arguments& arguments) {
  constexpr std::int64_t kSteps = 1000;
  const std::int64_t samples = kSteps * arguments.batch;
  Task task{gpunn::Sequential({gpunn::Input({10}), gpunn::Dense(64, {.activation = gpunn::relu}),
                               gpunn::Dense(64, {.activation = gpunn::relu}),
                               gpunn::Dense(1, {.activation = gpunn::sigmoid})},
                              {.device = arguments.device, .strict = true, .threads = arguments.threads}),
            gpunn::BinaryCrossentropy(), kSteps, uniform({samples, 10}), gpunn::Tensor({samples, 1})};
  for (std::int64_t i = 0; i < samples; ++i) {
    const float* x = task.x.data<float>().data() + i * 10;
    task.y.data<float>()[static_cast<std::size_t>(i)] = x[0] + x[1] * x[2] > 0.75f ? 1.0f : 0.0f;
  }
  return task;
}

Task cnn(const Arguments& arguments) {
  constexpr std::int64_t kSteps = 100;
  const std::int64_t samples = kSteps * arguments.batch;
  Task task{gpunn::Sequential(
                {gpunn::Input({28, 28, 1}), gpunn::Conv2D(32, 3, {.activation = gpunn::relu}),
                 gpunn::MaxPooling2D(), gpunn::Conv2D(64, 3, {.activation = gpunn::relu}),
                 gpunn::MaxPooling2D(), gpunn::Flatten(), gpunn::Dense(64, {.activation = gpunn::relu}),
                 gpunn::Dense(10, {.activation = gpunn::softmax})},
                {.device = arguments.device, .strict = true, .threads = arguments.threads}),
            gpunn::SparseCategoricalCrossentropy(), kSteps, uniform({samples, 28, 28, 1}),
            gpunn::Tensor({samples}, gpunn::Dtype::i32)};
  for (std::int64_t i = 0; i < samples; ++i) {  // a bright band says which digit it is
    const std::int64_t label = i % 10;
    task.y.data<std::int32_t>()[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(label);
    float* image = task.x.data<float>().data() + i * 784;
    for (std::int64_t p = 0; p < 784; ++p) image[p] = 0.5f * image[p] + (p / 28 / 2 == label ? 0.5f : 0.0f);
  }
  return task;
}

// Two recurrent layers, made by layer(units, return_sequences), over embedded random tokens.
template <class Recurrent>
Task tokens(const Arguments& arguments, const Recurrent& layer) {
  constexpr std::int64_t kSteps = 40, kTime = 100, kVocabulary = 10'000, kWidth = 64;
  const std::int64_t samples = kSteps * arguments.batch;
  Task task{gpunn::Sequential(
                {gpunn::Input({kTime}, {.dtype = gpunn::Dtype::i32}), gpunn::Embedding(kVocabulary, kWidth),
                 layer(kWidth, true), layer(kWidth, false), gpunn::Dense(64, {.activation = gpunn::relu}),
                 gpunn::Dense(1, {.activation = gpunn::sigmoid})},
                {.device = arguments.device, .strict = true, .threads = arguments.threads}),
            gpunn::BinaryCrossentropy(), kSteps, gpunn::Tensor({samples, kTime}, gpunn::Dtype::i32),
            gpunn::Tensor({samples, 1})};
  const auto ids = task.x.data<std::int32_t>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<std::int32_t>(gpunn::uniform01({.seed = 1}, i) * static_cast<float>(kVocabulary));
  }
  for (std::int64_t i = 0; i < samples; ++i) {
    const bool early = ids[static_cast<std::size_t>(i * kTime)] < kVocabulary / 2;
    task.y.data<float>()[static_cast<std::size_t>(i)] = early ? 1.0f : 0.0f;
  }
  return task;
}

Task make(const Arguments& arguments) {
  constexpr double kDropout = 0.1;
  if (arguments.network == "ffn") return ffn(arguments);
  if (arguments.network == "cnn") return cnn(arguments);
  if (arguments.network == "gru") {
    return tokens(arguments, [](std::int64_t units, bool sequences) {
      return gpunn::GRU(units, {.dropout = kDropout, .return_sequences = sequences});
    });
  }
  if (arguments.network == "lstm") {
    return tokens(arguments, [](std::int64_t units, bool sequences) {
      return gpunn::LSTM(units, {.dropout = kDropout, .return_sequences = sequences});
    });
  }
  if (arguments.network == "rnn") {
    return tokens(arguments, [](std::int64_t units, bool sequences) {
      return gpunn::SimpleRNN(units, {.dropout = kDropout, .return_sequences = sequences});
    });
  }
  usage("there is no network " + arguments.network);
}

int run(const Arguments& arguments) {
  Task task = make(arguments);
  task.model.compile({.optimizer = gpunn::Adam(), .loss = task.loss, .metrics = {gpunn::accuracy}});
  if (arguments.plan)
    std::fprintf(stderr, "%s\n", task.model.plan({.batch_size = arguments.batch}).text.c_str());

  const auto data = std::make_shared<gpunn::TensorDataset>(task.x, task.y);
  const auto fit = [&](int epochs) {
    return task.model.fit(
        data, {.epochs = epochs, .batch_size = arguments.batch, .verbose = gpunn::Verbose::silent});
  };
  // One epoch to warm up tells how many fill the seconds.
  int epochs = arguments.epochs;
  if (epochs == 0) epochs = static_cast<int>(std::ceil(arguments.seconds / std::max(fit(1).seconds, 1e-6)));
  const gpunn::History last = fit(epochs);
  std::printf(
      "{\"network\": \"%s\", \"batch\": %lld, \"threads\": %d, \"samples_per_second\": %.9g, \"seconds\": "
      "%.6g, "
      "\"samples\": %lld, \"loss\": %.6g, \"accuracy\": %.6g}\n",
      arguments.network.c_str(), static_cast<long long>(arguments.batch), arguments.threads,
      static_cast<double>(last.samples) / last.seconds, last.seconds, static_cast<long long>(last.samples),
      last["loss"].back(), last["accuracy"].back());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_step: %s\n", error.what());
    return 1;
  }
}

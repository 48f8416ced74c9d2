// Trains a network from given weights on given batches, and prints what it learnt: our side of learning.py.
#include <cstdio>
#include <exception>
#include <vector>

#include <CLI/CLI.hpp>

#include <gpunn/gpunn.hpp>

namespace {

struct Network {
  gpunn::Sequential model;
  gpunn::Loss loss;
};

Network make_network(const std::string& name, double dropout, const gpunn::ModelOptions& options) {
  using namespace gpunn;
  if (name == "ffn") {
    return {Sequential({Input({10}), Dense(64, {.activation = relu}), Dense(64, {.activation = relu}),
                        Dense(1, {.activation = sigmoid})},
                       options),
            BinaryCrossentropy()};
  }
  if (name == "cnn") {
    return {Sequential({Input({28, 28, 1}), Conv2D(32, {3, 3}, {.activation = relu}), MaxPooling2D(),
                        Conv2D(64, {3, 3}, {.activation = relu}), MaxPooling2D(), Flatten(),
                        Dense(64, {.activation = relu}), Dense(10, {.activation = softmax})},
                       options),
            SparseCategoricalCrossentropy()};
  }
  if (name == "gru") {
    return {
        Sequential({Input({100}, {.dtype = Dtype::i32}), Embedding(10000, 64),
                    GRU(64, {.dropout = dropout, .return_sequences = true}), GRU(64, {.dropout = dropout}),
                    Dense(64, {.activation = relu}), Dense(1, {.activation = sigmoid})},
                   options),
        BinaryCrossentropy()};
  }
  throw UsageError("there is no network '" + name + "'");
}

const gpunn::Tensor& tensor(const gpunn::io::SafetensorsFile& file, const char* name) {
  const gpunn::Tensor* found = file.find(name);
  if (found == nullptr) throw gpunn::DataError(std::string("the task has no tensor '") + name + "'");
  return *found;
}

}  // namespace

int main(int argc, char** argv) try {
  std::string network, task_file, weights_file;
  int threads = 0;
  std::int64_t batch = 32;
  std::uint64_t seed = 0;
  double dropout = 0.1;
  CLI::App app("Trains from the weights, data and order of samples that learning.py wrote");
  app.add_option("--network", network)->required();
  app.add_option("--task", task_file,
                 "safetensors: x_train, y_train, x_test, y_test, order [epochs, samples]")
      ->required();
  app.add_option("--weights", weights_file, "safetensors: the weights to start from")->required();
  app.add_option("--batch", batch)->capture_default_str();
  app.add_option("--threads", threads)->capture_default_str();
  app.add_option("--seed", seed, "of dropout")->capture_default_str();
  app.add_option("--dropout", dropout, "of the gru's inputs")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto task = gpunn::io::load_safetensors(task_file);
  const auto train = std::make_shared<gpunn::TensorDataset>(tensor(task, "x_train"), tensor(task, "y_train"));
  const gpunn::Tensor& order = tensor(task, "order");

  auto [model, loss] = make_network(network, dropout, {.threads = threads, .seed = seed});
  model.load_weights(weights_file);
  model.compile({.optimizer = gpunn::Adam(), .loss = loss, .metrics = {gpunn::accuracy}});
  std::string losses;
  for (std::int64_t epoch = 0; epoch < order.shape()[0]; ++epoch) {
    const auto samples = order.rows(epoch, epoch + 1);
    const auto rows = samples.data<std::int64_t>();
    const auto data = gpunn::data::subset(train, std::vector<std::int64_t>(rows.begin(), rows.end()));
    const auto history =
        model.fit(data, {.batch_size = batch, .shuffle = false, .verbose = gpunn::Verbose::silent});
    losses += (epoch == 0 ? "" : ", ") + std::to_string(history["loss"].back());
  }
  const auto result = model.evaluate(tensor(task, "x_test"), tensor(task, "y_test"));
  std::printf("{\"test_accuracy\": %.6f, \"test_loss\": %.6f, \"losses\": [%s]}\n", result["accuracy"],
              result["loss"], losses.c_str());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "learn: %s\n", error.what());
  return 1;
}

// How cost grows: samples per second and arithmetic rate over batch, depth, widths, kernel sizes and
// channels, in Markdown on standard output.
//
//   scaling [--rounds 5] [--seconds 0.2] [--threads 1] [batch|depth|sizes|convolution|recurrent]...
//
// The cases of a group train in turn, round after round, through the public fit(); a row is the median of its
// rounds. Arithmetic is what the plan says of a step (a convolution counts as its direct form), without what
// the optimizer does.
#include <gpunn/gpunn.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/fma_peak.hpp"
#include "src/cpu/simd/dispatch.hpp"

namespace {

using namespace gpunn;

struct Settings {
  int rounds = 5;
  double seconds = 0.2;
  int threads = 1;
  std::vector<std::string> groups;
};

struct Case {
  std::string name;
  std::int64_t batch;
  Shape input;
  std::vector<Layer> layers;  // the last is Dense(1)
};

Tensor uniform(const Shape& shape) {
  Tensor x(shape);
  const auto values = x.data<float>();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = uniform01({.seed = 1}, i);
  return x;
}

std::vector<Layer> with_input(const Case& c) {
  std::vector<Layer> layers{Input(c.input)};
  layers.insert(layers.end(), c.layers.begin(), c.layers.end());
  return layers;
}

// A case that can be trained again and again, each time for about the same span.
class Running {
 public:
  Running(const Case& c, const Settings& settings)
      : name_(c.name), batch_(c.batch), model_(with_input(c), {.threads = settings.threads}) {
    model_.compile({.optimizer = Adam(), .loss = MeanSquaredError()});
    const auto plan = nlohmann::json::parse(model_.plan({.batch_size = batch_}).json);
    for (const auto& step : plan["steps"]) {
      if (step["layer"] != "optimizer") flops_ += step["flops"].get<double>();
    }
    make_data(c.input, 2);
    const double step = train().seconds / 2;
    const std::int64_t most = std::max<std::int64_t>(2, kMostElements / (batch_ * c.input.elements()));
    const double wanted = settings.seconds / std::max(step, 1e-7);
    make_data(c.input, static_cast<std::int64_t>(std::clamp(wanted, 2.0, static_cast<double>(most))));
    epochs_ = std::max(1, static_cast<int>(settings.seconds / std::max(train().seconds, 1e-6)));
  }

  void measure() {
    const History history = train();
    rates_.push_back(static_cast<double>(history.samples) / history.seconds);
  }
  const std::string& name() const { return name_; }
  double samples_per_second() const {
    std::vector<double> sorted = rates_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
  double flops_per_second() const { return samples_per_second() * flops_ / static_cast<double>(batch_); }

 private:
  static constexpr std::int64_t kMostElements = 16 << 20;

  void make_data(const Shape& input, std::int64_t steps) {
    x_ = uniform(input.with_front(steps * batch_));
    y_ = uniform({steps * batch_, 1});
  }
  History train() {
    return model_.fit(x_, y_, {.epochs = epochs_, .batch_size = batch_, .verbose = Verbose::silent});
  }

  std::string name_;
  std::int64_t batch_;
  double flops_ = 0;
  int epochs_ = 1;
  Sequential model_;
  Tensor x_, y_;
  std::vector<double> rates_;
};

// How a row is judged: against the best row above it, against the first row, or against the core's peak.
enum class Against { best_above, first, peak };

void run_group(const std::string& title, Against against, const std::vector<Case>& cases,
               const Settings& settings) {
  std::vector<std::unique_ptr<Running>> running;
  for (const Case& c : cases) running.push_back(std::make_unique<Running>(c, settings));
  for (int round = 0; round < settings.rounds; ++round) {
    for (const auto& r : running) r->measure();
  }
  const bool by_samples = against == Against::best_above;
  const double peak = cpu::simd::fma_peak(cpu::simd::kernels().isa) * settings.threads;
  const char* last = by_samples                  ? "of the best smaller"
                     : against == Against::first ? "rate per FLOP, of the first"
                                                 : "of the peak";
  std::printf("\n## %s\n\n| | samples/s | GFLOP/s | %s |\n|---|---:|---:|---:|\n", title.c_str(), last);
  double best = 0;
  for (const auto& r : running) {
    const double mine = by_samples ? r->samples_per_second() : r->flops_per_second();
    if (against == Against::peak) best = peak;
    if (best == 0) best = mine;
    std::printf("| %s | %.0f | %.1f | %.2f |\n", r->name().c_str(), r->samples_per_second(),
                r->flops_per_second() * 1e-9, mine / best);
    if (by_samples) best = std::max(best, mine);
  }
  std::fflush(stdout);
}

std::vector<Layer> dense_net(int depth, std::int64_t units) {
  std::vector<Layer> layers;
  for (int i = 0; i < depth; ++i) layers.push_back(Dense(units, {.activation = relu}));
  layers.push_back(Dense(1));
  return layers;
}

std::vector<Layer> conv_net(std::int64_t kernel) {
  return {Conv2D(32, kernel, {.activation = relu}),
          MaxPooling2D(),
          Conv2D(64, kernel, {.activation = relu}),
          MaxPooling2D(),
          Flatten(),
          Dense(64, {.activation = relu}),
          Dense(1)};
}

void batches(const Settings& settings) {
  std::vector<Case> ffn, cnn;
  for (std::int64_t batch = 1; batch <= 4096; batch *= 4) {
    const std::string name = "batch " + std::to_string(batch);
    ffn.push_back({name, batch, {10}, dense_net(2, 64)});
    cnn.push_back({name, batch, {28, 28, 1}, conv_net(3)});
  }
  run_group("Batch size: dense 64-64-1 on 10 features", Against::best_above, ffn, settings);
  run_group("Batch size: 3x3 convolutions 32 and 64 with pooling, dense 64-1, on 28x28", Against::best_above,
            cnn, settings);
}

void depths(const Settings& settings) {
  std::vector<Case> cases;
  for (int depth = 2; depth <= 64; depth *= 2)
    cases.push_back({std::to_string(depth) + " layers", 32, {64}, dense_net(depth, 64)});
  run_group("Depth: dense layers of 64, batch 32", Against::first, cases, settings);
}

void sizes(const Settings& settings) {
  std::vector<Case> widths;
  for (const std::int64_t units : {64, 48, 80})
    widths.push_back({"width " + std::to_string(units), 32, {10}, dense_net(2, units)});
  run_group("Widths: two dense layers, batch 32", Against::first, widths, settings);
  run_group("Kernels and channels: the convolutional network, batch 32", Against::first,
            {{"3x3, 1 channel", 32, {28, 28, 1}, conv_net(3)},
             {"5x5, 1 channel", 32, {28, 28, 1}, conv_net(5)},
             {"3x3, 3 channels", 32, {28, 28, 3}, conv_net(3)},
             {"5x5, 3 channels", 32, {28, 28, 3}, conv_net(5)}},
            settings);
}

void convolutions(const Settings& settings) {
  std::vector<Case> cases;
  for (const std::int64_t channels : {32, 64, 128}) {
    const auto conv = [&] { return Conv2D(channels, 3, {.activation = relu}); };
    cases.push_back({"two 3x3 convolutions of " + std::to_string(channels) + " channels on 28x28",
                     32,
                     {28, 28, channels},
                     {conv(), conv(), GlobalAveragePooling2D(), Dense(1)}});
  }
  run_group("3x3 convolutions without a pool, trained; counted as direct arithmetic, batch 32", Against::peak,
            cases, settings);
}

std::vector<Layer> gru_net(std::int64_t units) {
  return {GRU(units, {.return_sequences = true}), GRU(units), Dense(1)};
}

std::vector<Layer> lstm_net(std::int64_t units) {
  return {LSTM(units, {.return_sequences = true}), LSTM(units), Dense(1)};
}

void recurrent(const Settings& settings) {
  std::vector<Case> rows, long_rows, steps, lstm_steps, widths;
  for (const std::int64_t batch : {1, 2, 4, 8, 16, 32, 64, 128, 256, 512})
    rows.push_back({"batch " + std::to_string(batch), batch, {25, 64}, gru_net(64)});
  for (const std::int64_t batch : {1, 4, 16, 64, 256})
    long_rows.push_back({"batch " + std::to_string(batch), batch, {100, 64}, gru_net(64)});
  for (const std::int64_t time : {25, 50, 100, 200, 400, 800})
    steps.push_back({std::to_string(time) + " steps", 32, {time, 64}, gru_net(64)});
  for (const std::int64_t time : {25, 100, 400, 800})
    lstm_steps.push_back({std::to_string(time) + " steps", 32, {time, 64}, lstm_net(64)});
  for (const std::int64_t units : {32, 64, 128, 256, 512})
    widths.push_back({std::to_string(units) + " units", 32, {25, units}, gru_net(units)});
  run_group("Batch size: two GRUs of 64, 25 steps", Against::best_above, rows, settings);
  run_group("Batch size: two GRUs of 64, 100 steps", Against::best_above, long_rows, settings);
  run_group("Steps: two GRUs of 64, batch 32", Against::first, steps, settings);
  run_group("Steps: two LSTMs of 64, batch 32", Against::first, lstm_steps, settings);
  run_group("Units: two GRUs, 25 steps, batch 32", Against::first, widths, settings);
}

struct Group {
  const char* name;
  void (*run)(const Settings&);
};
constexpr Group kGroups[] = {{"batch", batches},
                             {"depth", depths},
                             {"sizes", sizes},
                             {"convolution", convolutions},
                             {"recurrent", recurrent}};

[[noreturn]] void usage(const std::string& what) {
  std::fprintf(stderr,
               "scaling: %s\nusage: scaling [--rounds N] [--seconds S] [--threads N] [group]...\ngroups:",
               what.c_str());
  for (const Group& group : kGroups) std::fprintf(stderr, " %s", group.name);
  std::fprintf(stderr, "\n");
  std::exit(2);
}

Settings parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const bool flag = arg.rfind("--", 0) == 0;
    if (flag && i + 1 == argc) usage(arg + " needs a value");
    try {
      if (arg == "--rounds") {
        settings.rounds = std::max(1, std::stoi(argv[++i]));
      } else if (arg == "--seconds") {
        settings.seconds = std::stod(argv[++i]);
      } else if (arg == "--threads") {
        settings.threads = std::stoi(argv[++i]);
      } else if (std::any_of(std::begin(kGroups), std::end(kGroups),
                             [&](const Group& g) { return arg == g.name; })) {
        settings.groups.push_back(arg);
      } else {
        usage("there is no " + arg);
      }
    } catch (const std::logic_error&) {
      usage(std::string(argv[i]) + " is no number for " + arg);
    }
  }
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = parse(argc, argv);
  try {
    const auto& kernels = cpu::simd::kernels();
    std::printf(
        "# How cost grows\n\n%d thread%s, %s, multiply-add peak of a core %.0f GFLOP/s; medians of %d "
        "rounds.\n",
        settings.threads, settings.threads == 1 ? "" : "s", kernels.name,
        cpu::simd::fma_peak(kernels.isa) * 1e-9, settings.rounds);
    for (const Group& group : kGroups) {
      const auto& wanted = settings.groups;
      if (wanted.empty() || std::find(wanted.begin(), wanted.end(), group.name) != wanted.end())
        group.run(settings);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "scaling: %s\n", error.what());
    return 1;
  }
  return 0;
}

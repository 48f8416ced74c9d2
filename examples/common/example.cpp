#include "example.hpp"

#include <stdlib.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "vocabulary.hpp"

namespace example {
namespace {

constexpr int kFailed = 1, kUsage = 2, kData = 3, kInterrupted = 130;
constexpr int kMany = 1'000'000'000;

std::string footer(const std::string& name) {
  return "Examples:\n  " + name + " --epochs 3 --lr 0.003\n  " + name +
         " --threads 1 --seed 7 --json | tail -1\n  " + name +
         " --summary --plan --epochs 0\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 wrong or missing "
         "data, "
         "130 interrupted.";
}

int fail(int code, const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return code;
}

std::int64_t to_step(const std::string& text) {
  std::int64_t step = -1;
  if (!CLI::detail::lexical_cast(text, step) || step < 0)
    throw CLI::ValidationError("--profile-steps", "'" + text + "' is no step");
  return step;
}

std::string json_fields;  // what --json prints when all else is said

// "cuda:0", or for a plan also a GPU that need not be here.
CLI::Validator device_name(std::vector<std::string> names) {
  names.insert(names.end(), {"auto", "cpu", "cuda"});
  return CLI::Validator(
      [names](std::string& text) {
        const bool numbered = text.size() > 5 && text.size() < 9 && text.starts_with("cuda:") &&
                              text.find_first_not_of("0123456789", 5) == text.npos;
        if (numbered || std::find(names.begin(), names.end(), text) != names.end()) return std::string();
        return "there is no device '" + text + "'";
      },
      "");
}

// Returns the exit code.
int report(const gpunn::Logs& test, const gpunn::History& history, const Results& also) {
  const double rate = history.seconds > 0 ? static_cast<double>(history.samples) / history.seconds : 0;
  std::fprintf(stderr, "test accuracy %.4f, test loss %.4f", test["accuracy"], test["loss"]);
  if (history.samples > 0) std::fprintf(stderr, ", %.0f samples/s", rate);
  for (const auto& [name, value] : also) std::fprintf(stderr, ", %s %.4f", name.c_str(), value);
  std::fprintf(stderr, "\n");
  add_result("test_accuracy", json_number(test["accuracy"]));
  add_result("test_loss", json_number(test["loss"]));
  for (const auto& [name, value] : also) add_result(name, json_number(value));
  add_result("samples_per_second", json_number(rate));
  add_result("seconds", json_number(history.seconds));
  if (std::isfinite(test["loss"])) return 0;
  std::fprintf(stderr, "error: training diverged, the test loss is not finite: try a smaller --lr\n");
  return kFailed;
}

// Whether a file can be made at `path` is said before an hour of training, not after it.
void expect_writable(const std::string& path) {
  namespace fs = std::filesystem;
  const auto refuse = [&](const std::string& why) {
    throw gpunn::FileError("cannot save to " + path + ": " + why);
  };
  const fs::path target = fs::absolute(path);
  const fs::path folder = target.parent_path();
  if (!fs::is_directory(folder)) refuse("there is no folder " + folder.string());
  if (fs::exists(target) && !fs::is_regular_file(target)) refuse("it is there and no regular file");
  std::string probe = target.string() + ".XXXXXX";  // beside it: saving makes such a file and renames it
  const int file = mkstemp(probe.data());
  if (file < 0) refuse(std::strerror(errno));
  close(file);
  fs::remove(probe);
}

}  // namespace

int run(int argc, char** argv, const About& about, const std::function<int(const Flags&)>& body) {
  Flags flags = about.defaults;
  CLI::App app(about.description, about.name);
  app.footer(footer(about.name));
  app.option_defaults()->always_capture_default();
  app.add_option("--epochs", flags.epochs, "times to go through the training data")
      ->check(CLI::Range(0, kMany));
  app.add_option("--batch-size", flags.batch_size, "samples per step")->check(CLI::Range(1, kMany));
  app.add_option("--lr", flags.learning_rate, "Adam's learning rate")->check(CLI::Range(0.0, 1e6));
  app.add_option("--device", flags.device, "auto, cpu, cuda or cuda:N")->check(device_name({}));
  app.add_flag("--strict", flags.strict, "an error instead of falling back to another device or kernel");
  app.add_flag("--tf32", flags.tf32, "on a GPU, let products and convolutions round their operands to TF32");
  app.add_flag("--nondeterministic", flags.nondeterministic,
               "on a GPU, allow engines whose sums differ in their last bits from run to run");
  app.add_option("--threads", flags.threads, "CPU threads, 0: all; the result does not depend on it")
      ->check(CLI::Range(0, 1024));
  app.add_option("--seed", flags.seed, "of the initial weights and the order of the samples");
  app.add_option("--data", flags.data,
                 "folder of the data, or the file where an example reads one; examples/data.sh fills it");
  app.add_option("--save", flags.save, "file for the trained model; empty: do not save");
  app.add_flag("--json", flags.json, "print the results as one line of JSON at the end");
  app.add_flag("--summary", flags.summary, "print the layers first");
  app.add_option("--trace", flags.trace.file, "record where the time goes, for ui.perfetto.dev");
  app.add_option_function<std::string>(
         "--profile-steps",
         [&flags](const std::string& steps) {
           const auto colon = steps.find(':');
           if (colon == std::string::npos) throw CLI::ValidationError("--profile-steps", "takes FIRST:LAST");
           flags.trace.first_step = to_step(steps.substr(0, colon));
           flags.trace.last_step = to_step(steps.substr(colon + 1));
           if (flags.trace.last_step <= flags.trace.first_step)
             throw CLI::ValidationError("--profile-steps", "FIRST must be below LAST");
         },
         "FIRST:LAST, the training steps that --trace and NVIDIA's profilers record (LAST not included)")
      ->type_name("A:B");
  app.add_flag("--plan", flags.plan, "print memory, arithmetic and implementations of a step first");
  app.add_flag("--plan-json", flags.plan_json, "the same as JSON");
  app.add_option("--plan-for", flags.plan_for,
                 "--plan for a GPU that need not be here: t4, a100, l4, h100, b200 or rtx5090")
      ->check(device_name({"t4", "a100", "l4", "h100", "b200", "rtx5090"}));
  for (const Option& option : about.options) {
    // Without extra arguments one that stands in brackets is no list of several.
    std::visit(
        [&](auto* value) { app.add_option(option.name, *value, option.help)->allow_extra_args(false); },
        option.value);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  try {
    const int code = body(flags);
    if (flags.json && !json_fields.empty()) std::printf("{%s}\n", json_fields.c_str());
    // Output that is buffered fails only now; a reader of the results must not take what is missing for a
    // success.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
      throw gpunn::FileError("cannot write to standard output");
    return code;
  } catch (const gpunn::DataError& error) {
    return fail(kData, error);
  } catch (const gpunn::ShapeError& error) {
    return fail(kData, error);  // the networks are sound: it is the data that does not fit them
  } catch (const gpunn::UsageError& error) {
    return fail(kUsage, error);
  } catch (const std::exception& error) {
    return fail(kFailed, error);
  }
}

void add_result(const std::string& name, const std::string& json) {
  json_fields += (json_fields.empty() ? "" : ", ") + json_string(name) + ": " + json;
}

std::string json_number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

std::string json_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

int evaluate(gpunn::Model& model, const gpunn::DatasetPtr& test, const Results& also) {
  return report(model.evaluate(test), {}, also);
}

int train(gpunn::Model& model, const gpunn::DatasetPtr& train, const gpunn::DatasetPtr& test,
          const Flags& flags) {
  return example::train(model, Parts{train, test, test}, flags);
}

int train(gpunn::Model& model, const Parts& data, const Flags& flags, const Results& also,
          const gpunn::TextVectorization* vocabulary) {
  if (flags.summary) std::printf("%s\n", model.summary().c_str());
  if (flags.plan || flags.plan_json || !flags.plan_for.empty()) {
    const gpunn::StepPlan plan =
        model.plan({.batch_size = flags.batch_size, .data = data.train, .device = flags.plan_for});
    std::printf("%s\n", (flags.plan_json ? plan.json : plan.text).c_str());
  }
  std::fflush(stdout);  // before the progress on standard error
  if (!flags.save.empty()) {
    expect_writable(flags.save);
    if (vocabulary) expect_writable(vocabulary_of(flags.save));
  }

  std::optional<gpunn::Trace> trace;
  if (!flags.trace.file.empty() || flags.trace.last_step >= 0) trace.emplace(flags.trace);
  const gpunn::StopOnSignal stop;
  const gpunn::History history = model.fit(data.train, {.epochs = flags.epochs,
                                                        .batch_size = flags.batch_size,
                                                        .validation_data = data.validation,
                                                        .stop = &stop.flag()});
  if (trace) trace->close();
  if (!flags.trace.file.empty()) std::fprintf(stderr, "wrote the trace to %s\n", flags.trace.file.c_str());
  if (!flags.save.empty()) {
    if (vocabulary) vocabulary->save(vocabulary_of(flags.save));
    model.save(flags.save);
    std::fprintf(stderr, "saved the model to %s\n", flags.save.c_str());
  }
  if (!stop.stopped()) {
    const gpunn::Logs result = model.evaluate(data.test, {.stop = &stop.flag()});
    if (!stop.stopped()) return report(result, history, also);
  }
  std::fprintf(stderr, "interrupted after %lld steps\n", static_cast<long long>(model.steps()));
  return kInterrupted;
}

}  // namespace example

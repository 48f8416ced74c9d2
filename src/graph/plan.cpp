#include "src/ir/plan.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace gpunn {
namespace {

// 1234567 -> "1.2 M" with the unit of the first step above; steps of 1000, or 1024 with "Ki".
std::string scaled(double x, double step, const std::vector<std::string>& units) {
  std::size_t unit = 0;
  while (std::abs(x) >= step && unit + 1 < units.size()) x /= step, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 || x >= 100 ? "%.0f %s" : "%.1f %s", x, units[unit].c_str());
  return text;
}

std::string as_bytes(double x) {
  return scaled(x, 1024, {"B", "KiB", "MiB", "GiB", "TiB"});
}
std::string as_flops(double x) {
  return scaled(x, 1000, {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP"});
}

std::string pad(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

// Columns as wide as their widest cell.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  std::string text() const {
    std::vector<std::size_t> widths(rows_[0].size());
    for (const auto& row : rows_) {
      for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line = " ";
      for (std::size_t c = 0; c < row.size(); ++c) line += " " + pad(row[c], widths[c]) + " ";
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string_view to_string(Segment segment) {
  switch (segment) {
    case Segment::gradients:
      return "gradients";
    case Segment::reduce:
      return "reduce";
    case Segment::update:
      return "update";
  }
  return "";
}

std::string_view to_string(Residence residence) {
  switch (residence) {
    case Residence::external:
      return "external";
    case Residence::shared:
      return "shared";
    case Residence::local:
      return "per thread";
  }
  return "";
}

// A piece of an arena.
struct Piece {
  std::string name;
  const Spec* spec = nullptr;  // of the value, or of the sum that this holds the parts of
  std::int64_t copies = 1;     // parts
  Residence residence = Residence::shared;
  std::size_t bytes = 0, offset = 0;
  int first = -1, last = -1;

  std::string_view counted_in() const { return residence == Residence::local ? "steps" : "regions"; }
};

// All that lies in the arenas, the largest first.
std::vector<Piece> pieces_of(const Plan& plan) {
  std::vector<Piece> all;
  for (std::size_t id = 0; id < plan.values.size(); ++id) {
    const PlannedValue& value = plan.values[id];
    const Spec* spec = &plan.value_specs[id];
    const bool own = value.root == static_cast<ValueId>(id) && value.residence != Residence::external;
    if (own && value.bytes > 0) {
      all.push_back({plan.value_names[id], spec, 1, value.residence, value.bytes, value.offset, value.first,
                     value.last});
    }
    if (value.partial_bytes > 0) {
      all.push_back({plan.value_names[id] + " (a part from each slice)", spec, plan.slices, Residence::shared,
                     value.partial_bytes * static_cast<std::size_t>(plan.slices), value.partial_offset,
                     value.partial_first, value.partial_last});
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const Piece& a, const Piece& b) { return a.bytes > b.bytes; });
  return all;
}

std::string ratio(std::size_t bytes, std::size_t bound) {
  if (bound == 0) return "nothing to place";
  char text[48];
  std::snprintf(text, sizeof text, "%.2fx the lower bound",
                static_cast<double>(bytes) / static_cast<double>(bound));
  return text;
}

std::string arithmetic_of(const Policy& policy) {
  std::string text = policy.allow_tf32
                         ? "TF32 in the steps that name it, fp32 in all others, kernels of ours among them"
                         : "fp32";
  return text + (policy.deterministic ? "; the same bits every time"
                                      : "; sums may be added in another order each time");
}

}  // namespace

Cost Plan::total_cost() const {
  Cost total;
  for (const PlannedNode& node : nodes) total.flops += node.cost.flops, total.bytes += node.cost.bytes;
  return total;
}

std::vector<LayerCost> Plan::layer_costs() const {
  std::vector<LayerCost> all;
  for (const PlannedNode& node : nodes) {
    auto found = std::find_if(all.begin(), all.end(),
                              [&](const LayerCost& known) { return known.layer == node.layer; });
    if (found == all.end()) found = all.insert(all.end(), {node.layer, 0, {}});
    ++found->steps;
    found->cost.flops += node.cost.flops, found->cost.bytes += node.cost.bytes;
  }
  return all;
}

std::string Plan::to_text() const {
  const Cost total = total_cost();
  int launches = 0;
  for (const PlannedNode& node : nodes) launches += node.launches;
  const std::string cut = sliced ? std::to_string(slices) + (slices == 1 ? " slice" : " slices") +
                                       " of up to " + std::to_string(slice_rows) + " rows, " +
                                       std::to_string(workers) + (workers == 1 ? " thread" : " threads")
                                 : std::to_string(launches) + (launches == 1 ? " launch" : " launches");
  std::string text = "Plan for " + device + ", batch " + std::to_string(batch) + ": " + cut + ", " +
                     as_flops(total.flops) + ", " + as_bytes(total.bytes) +
                     " read and written per step\nArithmetic: " + arithmetic_of(policy) + "\n\nSteps\n";
  // Slices are what a CPU plan is cut into, launches a GPU's.
  std::vector<std::string> header = {"#",  sliced ? "region" : "launches", "layer", "op", "implementation",
                                     "why"};
  if (!sliced) header.push_back("apart from the step before");
  header.insert(header.end(), {"arithmetic", "bytes"});
  Table steps(header);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const PlannedNode& node = nodes[i];
    const Region& region = regions[static_cast<std::size_t>(node.region)];
    std::string where =
        std::to_string(node.region) + (region.sliced ? " sliced" : " x" + std::to_string(node.tasks));
    if (!sliced) where = std::to_string(node.launches);
    std::vector<std::string> row = {
        std::to_string(i),
        where,
        node.layer,
        node.op + (node.backward && node.op.find("backward") == std::string::npos ? " (backward)" : ""),
        node.implementation,
        node.why};
    if (!sliced) row.push_back(node.apart);
    row.insert(row.end(), {node.cost.flops > 0 ? as_flops(node.cost.flops) : "", as_bytes(node.cost.bytes)});
    steps.row(std::move(row));
  }
  text += steps.text() + "\nLayers\n";
  Table layers({"layer", "steps", "arithmetic", "bytes"});
  for (const auto& [layer, count, cost] : layer_costs()) {
    layers.row(
        {layer, std::to_string(count), cost.flops > 0 ? as_flops(cost.flops) : "", as_bytes(cost.bytes)});
  }
  text += layers.text() + "\nTensors\n";
  Table tensors({"bytes", "memory", "offset", "life", "shape", "name"});
  for (const Piece& tensor : pieces_of(*this)) {
    tensors.row({as_bytes(static_cast<double>(tensor.bytes)), std::string(to_string(tensor.residence)),
                 std::to_string(tensor.offset),
                 std::string(tensor.counted_in()) + " " + std::to_string(tensor.first) + "-" +
                     std::to_string(tensor.last),
                 (tensor.copies > 1 ? std::to_string(tensor.copies) + " x " : "") +
                     gpunn::to_string(tensor.spec->shape) + " " +
                     std::string(gpunn::to_string(tensor.spec->dtype)),
                 tensor.name});
  }
  text += tensors.text() + "\nMemory\n";
  Table memory({"", "bytes", ""});
  memory.row(
      {"shared arena", as_bytes(static_cast<double>(arena_bytes)), ratio(arena_bytes, arena_lower_bound)});
  memory.row({"arena of each thread", as_bytes(static_cast<double>(local_bytes)),
              ratio(local_bytes, local_lower_bound)});
  memory.row({"workspace of each thread", as_bytes(static_cast<double>(scratch_bytes)), ""});
  memory.row({"variables", as_bytes(static_cast<double>(variable_bytes)),
              "parameters, gradients, optimizer slots, state"});
  memory.row({"in all", as_bytes(static_cast<double>(total_bytes())), ""});
  return text + memory.text();
}

std::string Plan::to_json() const {
  using nlohmann::ordered_json;
  ordered_json json;
  const Cost total = total_cost();
  json["device"] = device;
  json["batch"] = batch;
  json["arithmetic"] = {{"allow_tf32", policy.allow_tf32}, {"deterministic", policy.deterministic}};
  json["slices"] = slices;
  json["slice_rows"] = slice_rows;
  json["threads"] = workers;
  json["flops"] = total.flops;
  json["bytes"] = total.bytes;
  json["memory"] = {{"shared_arena", arena_bytes},
                    {"shared_arena_lower_bound", arena_lower_bound},
                    {"thread_arena", local_bytes},
                    {"thread_arena_lower_bound", local_lower_bound},
                    {"thread_workspace", scratch_bytes},
                    {"variables", variable_bytes},
                    {"total", total_bytes()}};
  for (const PlannedNode& node : nodes) {
    json["steps"].push_back({{"layer", node.layer},
                             {"op", node.op},
                             {"backward", node.backward},
                             {"segment", to_string(node.segment)},
                             {"region", node.region},
                             {"sliced", regions[static_cast<std::size_t>(node.region)].sliced},
                             {"tasks", node.tasks},
                             {"launches", node.launches},
                             {"apart", node.apart},
                             {"implementation", node.implementation},
                             {"why", node.why},
                             {"flops", node.cost.flops},
                             {"bytes", node.cost.bytes},
                             {"workspace", node.scratch}});
  }
  for (const auto& [layer, count, cost] : layer_costs()) {
    json["layers"].push_back(
        {{"layer", layer}, {"steps", count}, {"flops", cost.flops}, {"bytes", cost.bytes}});
  }
  for (const Piece& tensor : pieces_of(*this)) {
    json["tensors"].push_back({{"name", tensor.name},
                               {"shape", tensor.spec->shape.extents()},
                               {"dtype", gpunn::to_string(tensor.spec->dtype)},
                               {"copies", tensor.copies},
                               {"memory", to_string(tensor.residence)},
                               {"bytes", tensor.bytes},
                               {"offset", tensor.offset},
                               {"counted_in", tensor.counted_in()},
                               {"first", tensor.first},
                               {"last", tensor.last}});
  }
  return json.dump(2);
}

}  // namespace gpunn

#include "src/nn/summary.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "src/core/text.hpp"

namespace gpunn::nn {
namespace {

struct Column {
  std::string title;
  std::size_t width;  // of the text inside
  bool right = false;
};
using Row = std::vector<std::string>;

std::string repeat(const char* text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

// "1,234,567"
std::string grouped(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::ptrdiff_t at = std::ssize(digits) - 3; at > (n < 0 ? 1 : 0); at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

// "476.29 KB"
std::string readable_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KB", "MB", "GB", "TB"};
  double amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kUnits.size()) amount /= 1024, ++unit;
  char text[64];
  std::snprintf(text, sizeof text, "%.2f %s", amount, kUnits[unit]);
  return text;
}

// "(None, 26, 26, 32)"
std::string keras_shape(const Shape& shape) {
  std::string text = "(None";
  for (const std::int64_t extent : shape.extents()) text += cat(", ", extent);
  return text + ")";
}

std::string fit(const std::string& text, const Column& column) {
  const std::string cut = text.size() > column.width ? text.substr(0, column.width - 3) + "..." : text;
  const std::string space(column.width - cut.size(), ' ');
  return column.right ? space + cut : cut + space;
}

std::string line(const std::vector<Column>& columns, const char* left, const char* fill, const char* between,
                 const char* right) {
  std::string text = left;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    text += (i == 0 ? "" : between) + repeat(fill, columns[i].width + 2);
  }
  return text + right + "\n";
}

std::string cells(const std::vector<Column>& columns, const Row& row, const char* bar) {
  std::string text;
  for (std::size_t i = 0; i < columns.size(); ++i) text += cat(bar, " ", fit(row[i], columns[i]), " ");
  return text + bar + "\n";
}

std::string table(const std::vector<Column>& columns, const std::vector<Row>& rows) {
  Row titles;
  for (const Column& column : columns) titles.push_back(column.title);
  std::string text =
      line(columns, "┏", "━", "┳", "┓") + cells(columns, titles, "┃") + line(columns, "┡", "━", "╇", "┩");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0) text += line(columns, "├", "─", "┼", "┤");
    text += cells(columns, rows[i], "│");
  }
  return text + line(columns, "└", "─", "┴", "┘");
}

std::int64_t elements(const VariableSpecs& variables, bool trainable) {
  std::int64_t n = 0;
  for (const VariableSpec& v : variables) n += v.trainable == trainable ? v.shape.elements() : 0;
  return n;
}

std::vector<Row> layer_rows(const Network& network, bool connections) {
  std::vector<Row> rows;
  const auto add = [&](const std::string& title, const Shape& shape, std::int64_t n,
                       const std::string& from) {
    rows.push_back({title, keras_shape(shape), grouped(n)});
    if (connections) rows.back().push_back(from);
  };
  if (connections) {
    for (std::size_t i = 0; i < network.inputs(); ++i) {
      add(network.input_names()[i] + " (InputLayer)", network.input(i).shape, 0, "-");
    }
  }
  std::vector<bool> listed(network.layers().size());
  for (const Network::Call& call : network.calls()) {
    if (listed[static_cast<std::size_t>(call.layer)])
      continue;  // a shared layer stands where it is first called
    listed[static_cast<std::size_t>(call.layer)] = true;
    const auto& layer = network.layers()[static_cast<std::size_t>(call.layer)];
    std::string from;
    for (const int input : call.inputs) from += (from.empty() ? "" : ", ") + network.value_name(input);
    add(cat(layer.name, " (", layer.definition->type(), ")"),
        network.values()[static_cast<std::size_t>(call.output)].shape,
        elements(layer.variables, true) + elements(layer.variables, false), from);
  }
  return rows;
}

}  // namespace

std::string summary(const Network& network, const std::string& model_name, std::int64_t optimizer_elements) {
  std::vector<Column> columns{{"Layer (type)", 31}, {"Output Shape", 22}, {"Param #", 13, true}};
  const bool connections = !network.is_chain();
  if (connections)
    columns = {{"Layer (type)", 27}, {"Output Shape", 18}, {"Param #", 10, true}, {"Connected to", 22}};

  std::int64_t trainable = 0, fixed = 0;
  for (const auto& layer : network.layers()) {
    trainable += elements(layer.variables, true);
    fixed += elements(layer.variables, false);
  }
  const auto count = [](const char* what, std::int64_t n) {
    return cat(" ", what, ": ", grouped(n), " (", readable_bytes(n * 4), ")\n");
  };
  const std::int64_t optimizer = std::max<std::int64_t>(optimizer_elements, 0);
  std::string text = cat("Model: \"", model_name, "\"\n") + table(columns, layer_rows(network, connections)) +
                     count("Total params", trainable + fixed + optimizer) +
                     count("Trainable params", trainable) + count("Non-trainable params", fixed);
  if (optimizer_elements >= 0) text += count("Optimizer params", optimizer);
  return text;
}

}  // namespace gpunn::nn

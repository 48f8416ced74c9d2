// Convolution and pooling along time: [steps, features] as images [1, steps, features]. Time is their width,
// which is what the convolutions' kernels are fast along.
#include "src/core/text.hpp"
#include "src/nn/layer.hpp"
#include "src/nn/windows.hpp"
#include "src/ops/affine.hpp"
#include "src/ops/binary.hpp"
#include "src/ops/conv2d.hpp"
#include "src/ops/global_pool2d.hpp"
#include "src/ops/pool2d.hpp"
#include "src/ops/reshape.hpp"

namespace gpunn::nn {
namespace {

void expect_sequences(const Specs& x) {
  if (x[0].shape.rank() != 2) throw ShapeError("needs sequences [steps, features]");
}

// [batch, steps, features] -> [batch, 1, steps, features]: the same memory.
ValueId as_images(Graph& graph, ValueId x) {
  const Shape& shape = graph.spec(x).shape;
  return graph.emit1("reshape", {x}, ops::ReshapeAttrs{{1, shape[1], shape[2]}});
}

ValueId as_sequences(Graph& graph, ValueId x) {
  const Shape& shape = graph.spec(x).shape;
  return graph.emit1("reshape", {x}, ops::ReshapeAttrs{{shape[2], shape[3]}});
}

// The zeros before and after are written as above and below.
Padding along_width(const Padding& padding) {
  return {padding.kind, 0, 0, padding.top, padding.bottom};
}

class Conv1DLayer final : public LayerDefinition {
 public:
  Conv1DLayer(std::int64_t filters, std::int64_t kernel, Conv1DOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where),
        filters_(filters),
        kernel_(kernel),
        options_(std::move(options)) {
    argument(filters > 0, "Conv1D", cat("filters must be positive, not ", filters), where);
    check_window("Conv1D", "kernel_size", {1, kernel}, {1, options_.strides}, {1, options_.dilation_rate},
                 options_.padding, where);
    argument(options_.padding.left == 0 && options_.padding.right == 0, "Conv1D",
             "padding is before and after (top and bottom), not to the sides", where);
    argument(options_.groups > 0 && filters % options_.groups == 0, "Conv1D",
             cat("groups (", options_.groups, ") must divide the filters (", filters, ")"), where);
  }

  std::string_view type() const override { return "Conv1D"; }

  VariableSpecs variables(const Specs& x) const override {
    expect_sequences(x);
    const std::int64_t features = x[0].shape[-1];
    expects(features % options_.groups == 0,
            cat("groups (", options_.groups, ") must divide the features (", features, ")"));
    VariableSpecs specs{
        {"kernel", {kernel_, features / options_.groups, filters_}, options_.kernel_initializer}};
    if (options_.use_bias) specs.push_back({"bias", {filters_}, options_.bias_initializer});
    return specs;
  }

  ValueId emit(const Emission& e) const override {
    const ValueId x = as_images(e.graph, e.x[0]);
    const Shape& kernel = e.graph.spec(e.variables[0]).shape;
    const ValueId w = e.graph.emit1("reshape", {e.variables[0]},
                                    ops::ReshapeAttrs{{1, kernel[0], kernel[1], kernel[2]}, true});
    const ops::Conv2dAttrs attrs{.strides = {1, options_.strides},
                                 .padding = padding(e.graph.spec(x).shape),
                                 .dilation = {1, options_.dilation_rate},
                                 .groups = options_.groups};
    const ValueId bias = options_.use_bias ? e.variables[1] : kNoValue;
    const ValueId z = e.graph.emit1("conv2d", {x, w, bias}, attrs);
    return as_sequences(e.graph, emit_activation(e.graph, z, options_.activation));
  }

  Json config() const override {
    return {{"filters", filters_},
            {"kernel_size", kernel_},
            {"strides", options_.strides},
            {"padding", to_json(options_.padding)},
            {"dilation_rate", options_.dilation_rate},
            {"groups", options_.groups},
            {"activation", to_string(options_.activation)},
            {"use_bias", options_.use_bias},
            {"kernel_initializer", to_json(options_.kernel_initializer)},
            {"bias_initializer", to_json(options_.bias_initializer)}};
  }

 private:
  ops::Padding2d padding(const Shape& images) const {
    if (options_.padding.kind == Padding::Kind::causal)
      return {.left = (kernel_ - 1) * options_.dilation_rate};
    return resolve(along_width(options_.padding), images, {1, kernel_}, {1, options_.strides},
                   {1, options_.dilation_rate});
  }

  std::int64_t filters_, kernel_;
  Conv1DOptions options_;
};

enum class Pool { max, average };

class Pooling1DLayer final : public LayerDefinition {
 public:
  Pooling1DLayer(Pool kind, std::int64_t pool_size, Pooling1DOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where),
        kind_(kind),
        size_(pool_size),
        strides_(options.strides > 0 ? options.strides : pool_size),
        padding_(options.padding) {
    argument(options.strides >= 0, type(), cat("strides must be positive, not ", options.strides), where);
    check_window(type(), "pool_size", {1, size_}, {1, strides_}, 1, padding_, where);
    argument(padding_.kind != Padding::Kind::causal && padding_.left == 0 && padding_.right == 0, type(),
             "padding is valid, same, or before and after (top and bottom)", where);
  }

  std::string_view type() const override { return kind_ == Pool::max ? "MaxPooling1D" : "AveragePooling1D"; }

  VariableSpecs variables(const Specs& x) const override {
    expect_sequences(x);
    return {};
  }

  ValueId emit(const Emission& e) const override {
    const ValueId x = as_images(e.graph, e.x[0]);
    const ops::Pool2dAttrs attrs{
        .window = {1, size_},
        .strides = {1, strides_},
        .padding = resolve(along_width(padding_), e.graph.spec(x).shape, {1, size_}, {1, strides_})};
    const char* op = kind_ == Pool::max ? "max_pool2d" : "average_pool2d";
    return as_sequences(e.graph, e.graph.emit(op, {x}, attrs).at(0));
  }

  Json config() const override {
    return {{"pool_size", size_}, {"strides", strides_}, {"padding", to_json(padding_)}};
  }

 private:
  Pool kind_;
  std::int64_t size_, strides_;
  Padding padding_;
};

class GlobalPooling1DLayer final : public LayerDefinition {
 public:
  GlobalPooling1DLayer(Pool kind, GlobalPooling1DOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), kind_(kind), keepdims_(options.keepdims) {}

  std::string_view type() const override {
    return kind_ == Pool::max ? "GlobalMaxPooling1D" : "GlobalAveragePooling1D";
  }
  MaskUse mask_use() const override { return kind_ == Pool::max ? MaskUse::lose : MaskUse::take; }

  VariableSpecs variables(const Specs& x) const override {
    expect_sequences(x);
    return {};
  }

  ValueId emit(const Emission& e) const override {
    ValueId y = kNoValue;
    if (kind_ == Pool::max) {
      y = pooled(e.graph, "global_max_pool2d", e.x[0]);
    } else if (e.mask() == kNoValue) {
      y = pooled(e.graph, "global_average_pool2d", e.x[0]);
    } else {
      y = masked_average(e.graph, e.x[0], e.mask());
    }
    if (!keepdims_) return y;
    return e.graph.emit1("reshape", {y}, ops::ReshapeAttrs{{1, e.shape()[2]}});
  }

  Json config() const override { return {{"keepdims", keepdims_}}; }

 private:
  static ValueId pooled(Graph& graph, const char* op, ValueId x) {
    return graph.emit(op, {as_images(graph, x)}, ops::GlobalPool2dAttrs{}).at(0);
  }

  // Over the steps that the mask has: the average of what it leaves over its own average. Without any step
  // that is 0 / 0, as in Keras.
  static ValueId masked_average(Graph& graph, ValueId x, ValueId mask) {
    const ValueId left = graph.emit1("apply_mask", {x, mask});
    const ValueId share = graph.emit1("affine", {mask}, ops::AffineAttrs{});
    const std::int64_t steps = graph.spec(mask).shape[1];
    const ValueId column = graph.emit1("reshape", {share}, ops::ReshapeAttrs{{steps, 1}});
    return graph.emit1(
        "binary",
        {pooled(graph, "global_average_pool2d", left), pooled(graph, "global_average_pool2d", column)},
        ops::BinaryAttrs{ops::Binary::divide});
  }

  Pool kind_;
  bool keepdims_;
};

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer Conv1D(std::int64_t filters, std::int64_t kernel_size, Conv1DOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::Conv1DLayer>(filters, kernel_size, std::move(options), where));
}

Layer MaxPooling1D(std::int64_t pool_size, Pooling1DOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::Pooling1DLayer>(nn::Pool::max, pool_size, std::move(options), where));
}

Layer AveragePooling1D(std::int64_t pool_size, Pooling1DOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::Pooling1DLayer>(nn::Pool::average, pool_size, std::move(options), where));
}

Layer GlobalMaxPooling1D(GlobalPooling1DOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::GlobalPooling1DLayer>(nn::Pool::max, std::move(options), where));
}

Layer GlobalAveragePooling1D(GlobalPooling1DOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::GlobalPooling1DLayer>(nn::Pool::average, std::move(options), where));
}

}  // namespace gpunn

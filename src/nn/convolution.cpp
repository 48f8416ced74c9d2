#include "src/core/text.hpp"
#include "src/nn/layer.hpp"
#include "src/nn/windows.hpp"
#include "src/ops/conv2d.hpp"

namespace gpunn::nn {
namespace {

class Conv2DLayer final : public LayerDefinition {
 public:
  Conv2DLayer(std::int64_t filters, Size2 kernel, Conv2DOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where),
        filters_(filters),
        kernel_(kernel),
        options_(std::move(options)) {
    argument(filters > 0, "Conv2D", cat("filters must be positive, not ", filters), where);
    check_window("Conv2D", "kernel_size", kernel, options_.strides, options_.dilation_rate, options_.padding,
                 where);
    argument(options_.groups > 0 && filters % options_.groups == 0, "Conv2D",
             cat("groups (", options_.groups, ") must divide the filters (", filters, ")"), where);
  }

  std::string_view type() const override { return "Conv2D"; }

  VariableSpecs variables(const Specs& x) const override {
    expects(x[0].shape.rank() == 3, "needs images [height, width, channels]");
    const std::int64_t channels = x[0].shape[-1];
    expects(channels % options_.groups == 0,
            cat("groups (", options_.groups, ") must divide the channels (", channels, ")"));
    VariableSpecs specs{{"kernel",
                         {kernel_.height, kernel_.width, channels / options_.groups, filters_},
                         options_.kernel_initializer}};
    if (options_.use_bias) specs.push_back({"bias", {filters_}, options_.bias_initializer});
    return specs;
  }

  ValueId emit(const Emission& e) const override {
    const ops::Conv2dAttrs attrs{
        .strides = to_op(options_.strides),
        .padding = resolve(options_.padding, e.shape(), kernel_, options_.strides, options_.dilation_rate),
        .dilation = to_op(options_.dilation_rate),
        .groups = options_.groups};
    const ValueId bias = options_.use_bias ? e.variables[1] : kNoValue;
    const ValueId z = e.graph.emit1("conv2d", {e.x[0], e.variables[0], bias}, attrs);
    return emit_activation(e.graph, z, options_.activation);
  }

  Json config() const override {
    return {{"filters", filters_},
            {"kernel_size", to_json(kernel_)},
            {"strides", to_json(options_.strides)},
            {"padding", to_json(options_.padding)},
            {"dilation_rate", to_json(options_.dilation_rate)},
            {"groups", options_.groups},
            {"activation", to_string(options_.activation)},
            {"use_bias", options_.use_bias},
            {"kernel_initializer", to_json(options_.kernel_initializer)},
            {"bias_initializer", to_json(options_.bias_initializer)}};
  }

 private:
  std::int64_t filters_;
  Size2 kernel_;
  Conv2DOptions options_;
};

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer Conv2D(std::int64_t filters, Size2 kernel_size, Conv2DOptions options, SourceLocation where) {
  return Layer(std::make_shared<nn::Conv2DLayer>(filters, kernel_size, std::move(options), where));
}

}  // namespace gpunn

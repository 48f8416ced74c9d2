#include "src/nn/layer.hpp"
#include "src/nn/windows.hpp"
#include "src/ops/global_pool2d.hpp"
#include "src/ops/pool2d.hpp"

namespace gpunn::nn {
namespace {

enum class Pool { max, average };

class Pooling2DLayer final : public LayerDefinition {
 public:
  Pooling2DLayer(Pool kind, Size2 pool_size, Pooling2DOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where),
        kind_(kind),
        size_(pool_size),
        strides_(options.strides.value_or(pool_size)),
        padding_(options.padding) {
    check_window(type(), "pool_size", size_, strides_, 1, padding_, where);
  }

  std::string_view type() const override { return kind_ == Pool::max ? "MaxPooling2D" : "AveragePooling2D"; }

  VariableSpecs variables(const Specs& x) const override {
    expects(x[0].shape.rank() == 3, "needs images [height, width, channels]");
    return {};
  }

  ValueId emit(const Emission& e) const override {
    const ops::Pool2dAttrs attrs{.window = to_op(size_),
                                 .strides = to_op(strides_),
                                 .padding = resolve(padding_, e.shape(), size_, strides_)};
    // A max pool also says which element won.
    return e.graph.emit(kind_ == Pool::max ? "max_pool2d" : "average_pool2d", e.x, attrs).at(0);
  }

  Json config() const override {
    return {{"pool_size", to_json(size_)}, {"strides", to_json(strides_)}, {"padding", to_json(padding_)}};
  }

 private:
  Pool kind_;
  Size2 size_, strides_;
  Padding padding_;
};

class GlobalPooling2DLayer final : public LayerDefinition {
 public:
  GlobalPooling2DLayer(Pool kind, GlobalPooling2DOptions options, SourceLocation where)
      : LayerDefinition(std::move(options.name), where), kind_(kind), keepdims_(options.keepdims) {}

  std::string_view type() const override {
    return kind_ == Pool::max ? "GlobalMaxPooling2D" : "GlobalAveragePooling2D";
  }

  VariableSpecs variables(const Specs& x) const override {
    expects(x[0].shape.rank() == 3, "needs images [height, width, channels]");
    return {};
  }

  ValueId emit(const Emission& e) const override {
    const char* op = kind_ == Pool::max ? "global_max_pool2d" : "global_average_pool2d";
    return e.graph.emit(op, e.x, ops::GlobalPool2dAttrs{.keepdims = keepdims_}).at(0);
  }

  Json config() const override { return {{"keepdims", keepdims_}}; }

 private:
  Pool kind_;
  bool keepdims_;
};

Layer pooling(Pool kind, Size2 pool_size, Pooling2DOptions options, SourceLocation where) {
  return Layer(std::make_shared<Pooling2DLayer>(kind, pool_size, std::move(options), where));
}

Layer global_pooling(Pool kind, GlobalPooling2DOptions options, SourceLocation where) {
  return Layer(std::make_shared<GlobalPooling2DLayer>(kind, std::move(options), where));
}

}  // namespace
}  // namespace gpunn::nn

namespace gpunn {

Layer MaxPooling2D(Size2 pool_size, Pooling2DOptions options, SourceLocation where) {
  return nn::pooling(nn::Pool::max, pool_size, std::move(options), where);
}

Layer AveragePooling2D(Size2 pool_size, Pooling2DOptions options, SourceLocation where) {
  return nn::pooling(nn::Pool::average, pool_size, std::move(options), where);
}

Layer GlobalMaxPooling2D(GlobalPooling2DOptions options, SourceLocation where) {
  return nn::global_pooling(nn::Pool::max, std::move(options), where);
}

Layer GlobalAveragePooling2D(GlobalPooling2DOptions options, SourceLocation where) {
  return nn::global_pooling(nn::Pool::average, std::move(options), where);
}

}  // namespace gpunn

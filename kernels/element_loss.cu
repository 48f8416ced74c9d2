#include "kernels/element_loss.hpp"

#include "kernels/element_loss_body.hpp"
#include "kernels/loss.cuh"

namespace gpunn::kernels {
namespace {

struct ReadX {
  const float* x;
  __device__ float operator()(std::int64_t i, std::int64_t, std::int64_t) const { return x[i]; }
};
struct MultiplyX {
  LossProduct product;
  std::int64_t columns;
  __device__ float operator()(std::int64_t, std::int64_t row, std::int64_t column) const {
    const float* features = product.features + row * product.width;
    const float* w = product.w + column;
    float sum = 0;
    for (std::int64_t k = 0; k < product.width; ++k) sum += features[k] * w[k * columns];
    return product.bias == nullptr ? sum : sum + product.bias[column];
  }
};

template <class Loss, class X>
__global__ void __launch_bounds__(kThreads, kLeastBlocks)
    element_loss_kernel(Matrix shape, Chunks chunks, X x, const float* target, const float* weights,
                        LossOutputs out, LossGradient gradient) {
  __shared__ float shared[kThreads / kWarp];
  const std::int64_t n = shape.rows * shape.columns;
  const float share = 1.0f / static_cast<float>(shape.columns);
  const float factor = gradient_factor(gradient) * share;
  const std::int64_t step_rows = kThreads / shape.columns, step_columns = kThreads % shape.columns;
  // One chunk per block.
  const std::int64_t begin = blockIdx.x * chunks.length;
  const std::int64_t end = begin + chunks.length < n ? begin + chunks.length : n;
  Tally mine;
  // Element i stands in `column` of `row`; one step is kThreads elements. No division in the loop.
  std::int64_t row = (begin + threadIdx.x) / shape.columns;
  std::int64_t column = begin + threadIdx.x - row * shape.columns;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const float weight = weight_of(weights, row), in = x(i, row, column), t = target[i];
    mine.loss += weight * Loss::value(in, t);
    mine.metric += weight * Loss::metric(in, t);
    if (column == 0) mine.rows += 1, mine.weight += weight;  // once per row
    if constexpr (Loss::kHasProbability) {
      if (out.probabilities != nullptr) out.probabilities[i] = Loss::probability(in);
    }
    if (gradient.dx != nullptr) put_gradient(gradient, i, factor * weight * Loss::slope(in, t));
    row += step_rows, column += step_columns;
    if (column >= shape.columns) column -= shape.columns, ++row;
  }
  mine.loss *= share, mine.metric *= share;
  finish_chunk(mine, out, blockIdx.x, chunks.count, shared);
}

template <class Loss>
struct Backward {
  std::int64_t columns;
  const float* x;
  const float* target;
  const float* weights;
  LossGradient gradient;
  __device__ void operator()(std::int64_t i) const {
    // As in the kernel above, so that the gradient is the same bits from either.
    const float share = 1.0f / static_cast<float>(columns);
    const float factor = gradient_factor(gradient) * share * weight_of(weights, i / columns);
    float slope;
    if constexpr (Loss::kHasProbability) {
      slope = x[i] - target[i];
    } else {
      slope = Loss::slope(x[i], target[i]);
    }
    put_gradient(gradient, i, factor * slope);
  }
};

template <class Use>
void with_loss(ElementLoss kind, Use use) {
  switch (kind) {
    case ElementLoss::sigmoid_cross_entropy:
      return use(SigmoidCrossEntropy{});
    case ElementLoss::binary_cross_entropy:
      return use(BinaryCrossEntropy{});
    case ElementLoss::squared_error:
      return use(SquaredError{});
  }
}

}  // namespace

void element_loss(Gpu gpu, ElementLoss kind, Matrix shape, const float* x, const float* target,
                  const float* weights, const LossOutputs& out, const LossGradient& gradient,
                  const LossProduct* product) {
  require(shape.columns > 0, "loss: a row needs at least one column");
  const Chunks chunks = loss_element_chunks(shape);
  expect_scratch(chunks, out);
  with_loss(kind, [&](auto loss) {
    const auto run = [&](auto from) {
      launch(gpu, chunks_shape(chunks), element_loss_kernel<decltype(loss), decltype(from)>, shape, chunks,
             from, target, weights, out, gradient);
    };
    product == nullptr ? run(ReadX{x}) : run(MultiplyX{*product, shape.columns});
  });
  add_chunks(gpu, chunks, out);
}

void element_loss_backward(Gpu gpu, ElementLoss kind, Matrix shape, const float* x, const float* target,
                           const float* weights, const LossGradient& gradient) {
  with_loss(kind, [&](auto loss) {
    for_each(gpu, shape.rows * shape.columns,
             Backward<decltype(loss)>{shape.columns, x, target, weights, gradient});
  });
}

}  // namespace gpunn::kernels

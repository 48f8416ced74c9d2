#include "src/cpu/binary.hpp"

#include "src/cpu/broadcast.hpp"
#include "src/cpu/common.hpp"

namespace gpunn::cpu {
namespace {

using ops::Binary;

constexpr const char* kName = "broadcast loop";

// The share of the operand that won.
float won(bool mine, bool other) {
  return mine ? 1.0f : other ? 0.0f : 0.5f;
}

// Calls use(f) with f(a, b), the derivative by the first or second operand.
template <class Use>
auto with_slope(Binary kind, bool first, Use use) {
  switch (kind) {
    case Binary::add:
      return use([](float, float) { return 1.0f; });
    case Binary::subtract:
      return use([first](float, float) { return first ? 1.0f : -1.0f; });
    case Binary::multiply:
      return use([first](float a, float b) { return first ? b : a; });
    case Binary::divide:
      return use([first](float a, float b) { return first ? 1.0f / b : -a / (b * b); });
    case Binary::maximum:
      return use([first](float a, float b) { return first ? won(a > b, a < b) : won(b > a, b < a); });
    case Binary::minimum:
      return use([first](float a, float b) { return first ? won(a<b, a> b) : won(b<a, b> a); });
  }
  throw UsageError("binary: no such kind");
}

Implementation flat(const OpCall& call) {
  const std::int64_t row = ops::row_elements(call.outputs[0].shape);
  const bool adds = call.attrs_as<ops::BinaryAttrs>().kind == Binary::add;
  return sliced("simd elementwise", "equal shapes", [=](const Slice& s) {
    const auto& kernels = simd::kernels().elementwise;
    (adds ? kernels.add : kernels.multiply)(s.rows * row, s.in(0), s.in(1), s.out(0));
  });
}

Implementation forward(const OpCall& call, const Target&) {
  const Binary kind = call.attrs_as<ops::BinaryAttrs>().kind;
  const bool equal = call.inputs[0] == call.inputs[1];
  if (equal && (kind == Binary::add || kind == Binary::multiply)) return flat(call);
  const BroadcastLoop loop(call.outputs[0].shape, {call.inputs[0].shape, call.inputs[1].shape});
  return with_value(kind, [&](auto value) {
    return sliced(kName, "broadcast", [loop, value](const Slice& s) {
      loop(s.rows, [&](const BroadcastLoop::Run& run) {
        const float *a = s.in(0) + run.operand[0], *b = s.in(1) + run.operand[1];
        float* y = s.out(0) + run.at;
        for (std::int64_t i = 0; i < run.count; ++i) y[i] = value(a[i * run.stride[0]], b[i * run.stride[1]]);
      });
    });
  });
}

Implementation backward(const OpCall& call, const Target&) {
  const auto& attrs = call.attrs_as<ops::BinaryBackwardAttrs>();
  const BroadcastLoop loop(call.outputs[0].shape, {call.inputs[1].shape, call.inputs[2].shape});
  return with_slope(attrs.kind, attrs.operand == 0, [&](auto slope) {
    return sliced(kName, "broadcast", [loop, slope](const Slice& s) {
      loop(s.rows, [&](const BroadcastLoop::Run& run) {
        const float *a = s.in(1) + run.operand[0], *b = s.in(2) + run.operand[1], *dy = s.in(0) + run.at;
        float* share = s.out(0) + run.at;
        for (std::int64_t i = 0; i < run.count; ++i) {
          share[i] = dy[i] * slope(a[i * run.stride[0]], b[i * run.stride[1]]);
        }
      });
    });
  });
}

Implementation reduce(const OpCall& call, const Target&) {
  const Shape &x = call.inputs[0].shape, &y = call.outputs[0].shape;
  const BroadcastLoop loop(x, {y});
  const bool keeps_rows = call.op == "reduce_each";
  const std::int64_t per_row = ops::row_elements(y), all = y.elements();
  return sliced(kName, "sums in order", [=](const Slice& s) {
    if (!s.add(0)) std::fill_n(s.out(0), keeps_rows ? s.rows * per_row : all, 0.0f);
    loop(s.rows, [&](const BroadcastLoop::Run& run) {
      const float* from = s.in(0) + run.at;
      float* to = s.out(0) + run.operand[0];
      if (run.stride[0] == 0) {
        float sum = 0;
        for (std::int64_t i = 0; i < run.count; ++i) sum += from[i];
        *to += sum;
      } else {
        for (std::int64_t i = 0; i < run.count; ++i) to[i] += from[i];
      }
    });
  });
}

}  // namespace

void implement_binary(Registry& registry) {
  registry.add("binary", forward);
  registry.add("binary_backward", backward);
  registry.add("reduce_each", reduce);
  registry.add("reduce_sum", reduce);
}

}  // namespace gpunn::cpu

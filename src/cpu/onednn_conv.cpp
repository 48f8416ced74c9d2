#include "src/cpu/onednn_conv.hpp"

#include <omp.h>
#include <dnnl.hpp>
#include <limits>
#include <string>

#include "gpunn/error.hpp"

// Of GNU's OpenMP, which oneDNN brings along; clang has no header for it.
extern "C" int omp_get_max_threads();
extern "C" void omp_set_num_threads(int threads);

namespace gpunn::cpu {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

const dnnl::engine& engine() {
  static const dnnl::engine& engine = *new dnnl::engine(dnnl::engine::kind::cpu, 0);  // outlives every static
  return engine;
}

// While it lives, OpenMP regions of this thread have one thread. The application's setting comes back after.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

using Dims = dnnl::memory::dims;
using Desc = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

// The memory of one convolution as oneDNN describes it: channels first by name, channels last in memory.
struct Descs {
  Descs(const OnednnConv::Shapes& s, const ops::Conv2dAttrs& a)
      : x(image(s.images, s.in_channels, s.input)),
        y(image(s.images, s.out_channels, s.output)),
        bias(s.bias ? Desc({s.out_channels}, dnnl::memory::data_type::f32, Tag::a) : Desc()),
        strides{a.strides.height, a.strides.width},
        dilation{a.dilation.height - 1, a.dilation.width - 1},
        before{a.padding.top, a.padding.left},
        after{a.padding.bottom, a.padding.right} {
    const std::int64_t groups = a.groups, in = s.in_channels / groups, out = s.out_channels / groups;
    if (groups == 1) {
      dims = {out, in, s.kernel.height, s.kernel.width};
      plain = Desc(dims, dnnl::memory::data_type::f32, Tag::hwio);
    } else {  // Keras's [height, width, in / groups, groups * out / groups]
      dims = {groups, out, in, s.kernel.height, s.kernel.width};
      const std::int64_t row = in * s.out_channels;
      plain =
          Desc(dims, dnnl::memory::data_type::f32, Dims{out, 1, s.out_channels, row * s.kernel.width, row});
    }
    any = Desc(dims, dnnl::memory::data_type::f32, Tag::any);
  }

  static Desc image(std::int64_t n, std::int64_t channels, ops::Size2d size) {
    return Desc({n, channels, size.height, size.width}, dnnl::memory::data_type::f32, Tag::nhwc);
  }

  Desc x, y, bias, plain, any;
  Dims strides, dilation, before, after, dims;
};

// Where the two major versions of oneDNN differ: a description of its own, or all in the primitive's.
template <class Pass, class... Memories>
auto describe(dnnl::prop_kind kind, const Descs& d, const dnnl::primitive_attr& attr, Memories... memories) {
  using Description = typename Pass::primitive_desc;
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
  if constexpr (std::is_same_v<Pass, dnnl::convolution_forward>) {
    return Description(engine(), kind, algorithm, memories..., d.strides, d.dilation, d.before, d.after,
                       attr);
  } else {
    const dnnl::convolution_forward::primitive_desc hint(engine(), dnnl::prop_kind::forward_training,
                                                         algorithm, d.x, d.any, d.bias, d.y, d.strides,
                                                         d.dilation, d.before, d.after);
    static_cast<void>(kind);
    return Description(engine(), algorithm, memories..., d.strides, d.dilation, d.before, d.after, hint,
                       attr);
  }
#else
  if constexpr (std::is_same_v<Pass, dnnl::convolution_forward>) {
    const typename Pass::desc desc(kind, algorithm, memories..., d.strides, d.dilation, d.before, d.after);
    return Description(desc, attr, engine());
  } else {
    static_cast<void>(kind);
    const dnnl::convolution_forward::desc forward(dnnl::prop_kind::forward_training, algorithm, d.x, d.any,
                                                  d.bias, d.y, d.strides, d.dilation, d.before, d.after);
    const dnnl::convolution_forward::primitive_desc hint(forward, engine());
    const typename Pass::desc desc(algorithm, memories..., d.strides, d.dilation, d.before, d.after);
    return Description(desc, attr, engine(), hint);
  }
#endif
}

// In places it counts in 32 bits, and divides by what is left of larger numbers.
void expect_numbers_of_32_bits(const OnednnConv::Shapes& s, const ops::Conv2dAttrs& a) {
  for (const std::int64_t number :
       {s.images, s.in_channels, s.out_channels, s.input.height, s.input.width, s.output.height,
        s.output.width, s.kernel.height, s.kernel.width, a.strides.height, a.strides.width, a.dilation.height,
        a.dilation.width, a.padding.top, a.padding.bottom, a.padding.left, a.padding.right}) {
    if (number > std::numeric_limits<std::int32_t>::max())
      throw DeviceError("oneDNN takes no convolution with a number of " + std::to_string(number));
  }
}

}  // namespace

struct OnednnConv::Impl {
  ConvPass pass;
  bool bias;
  dnnl::convolution_forward::primitive_desc forward;
  dnnl::convolution_backward_data::primitive_desc backward_data;
  dnnl::convolution_backward_weights::primitive_desc backward_weights;
  dnnl::primitive primitive, reorder;  // reorder: of the weights, empty when they are used as they are
  Desc x, y, bias_desc, plain, packed, scratchpad;
  std::string name;

  std::size_t packed_bytes() const { return reorder ? aligned(packed.get_size()) : 0; }
};

OnednnConv::OnednnConv(ConvPass pass, const Shapes& shapes, const ops::Conv2dAttrs& attrs) try
    : impl_(std::make_unique<Impl>()) {
  const OneThread one;  // kernels are chosen for the number of threads
  expect_numbers_of_32_bits(shapes, attrs);
  const Descs d(shapes, attrs);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  Impl& impl = *impl_;
  impl.pass = pass, impl.bias = shapes.bias;
  impl.x = d.x, impl.y = d.y, impl.bias_desc = d.bias, impl.plain = d.plain;

  const auto choose = [&](const Desc& weights) {
    const auto keep = [&](const auto& description, const Desc& packed) {
      impl.packed = packed, impl.scratchpad = description.scratchpad_desc(),
      impl.name = description.impl_info_str();
    };
    switch (pass) {
      case ConvPass::forward:
        impl.forward = describe<dnnl::convolution_forward>(dnnl::prop_kind::forward_training, d, attr, d.x,
                                                           weights, d.bias, d.y);
        return keep(impl.forward, impl.forward.weights_desc());
      case ConvPass::backward_data:
        impl.backward_data = describe<dnnl::convolution_backward_data>(dnnl::prop_kind::backward_data, d,
                                                                       attr, d.x, weights, d.y);
        return keep(impl.backward_data, impl.backward_data.weights_desc());
      case ConvPass::backward_weights:
        impl.backward_weights = describe<dnnl::convolution_backward_weights>(
            dnnl::prop_kind::backward_weights, d, attr, d.x, weights, d.bias, d.y);
        return keep(impl.backward_weights, impl.backward_weights.diff_weights_desc());
    }
  };
  // Weights in the order that oneDNN likes best, unless it then has nothing but plain loops.
  choose(d.any);
  if (impl.name.rfind("ref", 0) == 0) choose(d.plain);

  if (pass == ConvPass::forward) impl.primitive = dnnl::convolution_forward(impl.forward);
  if (pass == ConvPass::backward_data) impl.primitive = dnnl::convolution_backward_data(impl.backward_data);
  if (pass == ConvPass::backward_weights)
    impl.primitive = dnnl::convolution_backward_weights(impl.backward_weights);
  if (impl.packed != impl.plain) {
    const bool out = pass == ConvPass::backward_weights;
    const Desc &from = out ? impl.packed : impl.plain, &to = out ? impl.plain : impl.packed;
    impl.reorder = dnnl::reorder(dnnl::reorder::primitive_desc(engine(), from, engine(), to));
  }
} catch (const dnnl::error& error) {
  throw DeviceError(std::string("oneDNN refuses a convolution: ") + error.what());
}

OnednnConv::~OnednnConv() = default;

std::string OnednnConv::name() const {
  return impl_->name;
}

std::size_t OnednnConv::scratch() const {
  return aligned(impl_->scratchpad.get_size()) + impl_->packed_bytes();
}

void OnednnConv::run(const Memory& memory, void* scratch) const {
  const OneThread one;
  const Impl& impl = *impl_;
  dnnl::stream stream(engine());
  const auto at = [](const Desc& desc, void* data) { return dnnl::memory(desc, engine(), data); };
  auto* packed = static_cast<std::byte*>(scratch);
  const dnnl::memory plain = at(impl.plain, memory.weights);
  dnnl::memory weights = impl.reorder ? at(impl.packed, packed) : plain;
  const dnnl::memory scratchpad = at(impl.scratchpad, packed + impl.packed_bytes());
  const dnnl::memory x = at(impl.x, memory.x), y = at(impl.y, memory.y);
  const auto reorder = [&](dnnl::memory from, dnnl::memory to) {
    if (impl.reorder) impl.reorder.execute(stream, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
  };

  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SCRATCHPAD, scratchpad}};
  if (impl.pass == ConvPass::forward) {
    reorder(plain, weights);
    arguments.insert({{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, y}});
    if (impl.bias) arguments.insert({DNNL_ARG_BIAS, at(impl.bias_desc, memory.bias)});
    impl.primitive.execute(stream, arguments);
  } else if (impl.pass == ConvPass::backward_data) {
    reorder(plain, weights);
    arguments.insert({{DNNL_ARG_DIFF_SRC, x}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_DST, y}});
    impl.primitive.execute(stream, arguments);
  } else {
    arguments.insert({{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_WEIGHTS, weights}, {DNNL_ARG_DIFF_DST, y}});
    if (impl.bias) arguments.insert({DNNL_ARG_DIFF_BIAS, at(impl.bias_desc, memory.bias)});
    impl.primitive.execute(stream, arguments);
    reorder(weights, plain);
  }
  stream.wait();
}

}  // namespace gpunn::cpu

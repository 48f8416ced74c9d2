// What descriptors must say together to be finalized, and the arithmetic.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "cudnn.hpp"

namespace simt::cudnn {
namespace {

Heuristic the_answer = Heuristic::normal;

// In the order in which list A offers them, the fastest first: a program that keeps the rules takes the
// fifth.
constexpr Engine kListA[] = {
    {.number = 25, .unordered = true}, {.number = 36, .tensor_core = true}, {.number = 12, .winograd = true},
    {.number = 99, .runs = false},     {.number = 70, .workspace = true},   {.number = 1},
};
constexpr Engine kFallback[] = {{.number = 0}};

Tensor tensor_of(const Object& object) {
  Tensor t;
  t.id = object.value<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
  t.alignment = object.value<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1);
  t.is_virtual = object.value<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false);
  const auto dims = object.list<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
  const auto strides = object.list<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
  std::copy(dims.begin(), dims.end(), t.dims);
  std::copy(strides.begin(), strides.end(), t.strides);
  return t;
}

// Sorted by stride, each axis must step over all of the smaller ones: no two elements share an address.
bool overlaps_itself(const Tensor& t) {
  std::vector<std::pair<std::int64_t, std::int64_t>> axes;
  for (int i = 0; i < 4; ++i) {
    if (t.dims[i] > 1) axes.emplace_back(t.strides[i], t.dims[i]);
  }
  std::sort(axes.begin(), axes.end());
  std::int64_t reach = 1;
  for (const auto& [stride, extent] : axes) {
    if (stride < reach) return true;
    reach = stride * (extent - 1) + reach;
  }
  return false;
}

std::string missing(const Object& object, std::initializer_list<int> names) {
  for (const int name : names) {
    if (!object.has(name)) return "attribute " + std::to_string(name) + " is not set";
  }
  return {};
}

std::string complete_tensor(const Object& object) {
  const std::string lacks =
      missing(object, {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_ATTR_TENSOR_STRIDES,
                       CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT});
  if (!lacks.empty()) return lacks;
  if (object.value<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE) != CUDNN_DATA_FLOAT)
    return "not supported here: tensors that are not float";
  const Tensor t = tensor_of(object);
  for (const std::int64_t extent : t.dims) {
    if (extent < 1) return "an extent is not positive";
  }
  if ((t.alignment & (t.alignment - 1)) != 0 || t.alignment < 1) return "the alignment is not a power of two";
  if (overlaps_itself(t)) return "by these strides two elements share an address";
  return {};
}

std::string complete_convolution(const Object& object) {
  const std::string lacks =
      missing(object, {CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_ATTR_CONVOLUTION_CONV_MODE,
                       CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_ATTR_CONVOLUTION_DILATIONS,
                       CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS,
                       CUDNN_ATTR_CONVOLUTION_POST_PADDINGS});
  if (!lacks.empty()) return lacks;
  if (object.value<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) != 2)
    return "images have two spatial axes";
  if (object.value<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
    return "float convolutions compute in float";
  if (object.value<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) != CUDNN_CROSS_CORRELATION)
    return "the kernel is turned round: networks mean the cross correlation";
  return {};
}

struct Names {
  Pass pass;
  int x, w, y, convolution, alpha, beta;
};
bool names_of(cudnnBackendDescriptorType_t type, Names& names) {
  switch (type) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      names = {Pass::forward,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
               CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
      return true;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      names = {Pass::data,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
      return true;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
      names = {Pass::filter,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
               CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
      return true;
    default:
      return false;
  }
}

std::string shapes_fit(const Problem& p, const std::int64_t (&behind)[2]) {
  if (p.x.dims[1] % p.w.dims[1] != 0 || p.w.dims[0] % (p.x.dims[1] / p.w.dims[1]) != 0)
    return "the channels do not divide into groups";
  if (p.y.dims[0] != p.x.dims[0] || p.y.dims[1] != p.w.dims[0]) return "batch or output channels do not fit";
  for (int i = 0; i < 2; ++i) {
    const std::int64_t reach = (p.w.dims[2 + i] - 1) * p.dilation[i] + 1;
    const std::int64_t places = (p.x.dims[2 + i] + p.before[i] + behind[i] - reach) / p.stride[i] + 1;
    if (places != p.y.dims[2 + i]) {
      return "the kernel has " + std::to_string(places) + " places along an axis, the result has " +
             std::to_string(p.y.dims[2 + i]);
    }
  }
  return {};
}

std::string complete_operation(Object& object, const Names& names) {
  const std::string lacks =
      missing(object, {names.x, names.w, names.y, names.convolution, names.alpha, names.beta});
  if (!lacks.empty()) return lacks;
  auto problem = std::make_shared<Problem>();
  problem->pass = names.pass;
  problem->x = tensor_of(*object.object(names.x));
  problem->w = tensor_of(*object.object(names.w));
  problem->y = tensor_of(*object.object(names.y));
  problem->alpha = object.value<float>(names.alpha), problem->beta = object.value<float>(names.beta);
  const Object& how = *object.object(names.convolution);
  std::int64_t behind[2];
  const auto read = [&](int name, std::int64_t(&to)[2]) {
    const auto values = how.list<std::int64_t>(name);
    std::copy(values.begin(), values.end(), to);
  };
  read(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, problem->before);
  read(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, behind);
  read(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, problem->stride);
  read(CUDNN_ATTR_CONVOLUTION_DILATIONS, problem->dilation);
  if (const std::string what = shapes_fit(*problem, behind); !what.empty()) return what;
  problem->groups = problem->x.dims[1] / problem->w.dims[1];
  object.problem = std::move(problem);
  return {};
}

// The convolution and what follows it, from virtual tensor to virtual tensor.
std::string complete_graph(Object& object) {
  const auto found = object.objects.find(CUDNN_ATTR_OPERATIONGRAPH_OPS);
  if (found == object.objects.end()) return "a graph without operations";
  if (object.has(CUDNN_ATTR_OPERATIONGRAPH_HANDLE) &&
      !known(object.value<cudnnHandle_t>(CUDNN_ATTR_OPERATIONGRAPH_HANDLE)))
    return "the handle is not alive";
  const std::vector<Ref>& operations = found->second;
  if (operations[0]->problem == nullptr)
    return "not supported here: graphs that do not begin with a convolution";
  auto problem = std::make_shared<Problem>(*operations[0]->problem);
  for (std::size_t i = 1; i < operations.size(); ++i) {
    const Object& operation = *operations[i];
    if (operation.type != CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR || problem->pass != Pass::forward)
      return "not supported here: this fusion";
    if (problem->beta != 0) return "not supported: beta before an epilogue";
    const Tensor x = tensor_of(*operation.object(CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
    const Tensor y = tensor_of(*operation.object(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    if (x.id != problem->y.id || !x.is_virtual)
      return "an operation does not read the virtual result before it";
    if (!std::equal(x.dims, x.dims + 4, y.dims)) return "an operation changes the shape";
    const Object& how = *operation.object(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const auto mode = how.value<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    if (mode == CUDNN_POINTWISE_ADD && !problem->has_bias && !problem->relu) {
      const Ref bias = operation.object(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
      if (bias == nullptr) return "a sum with one operand";
      problem->bias = tensor_of(*bias), problem->has_bias = true;
      const auto& b = problem->bias.dims;
      if (b[0] != 1 || b[1] != y.dims[1] || b[2] != 1 || b[3] != 1)
        return "a bias has one element per channel";
    } else if (mode == CUDNN_POINTWISE_RELU_FWD && !problem->relu) {
      problem->relu = true;
      problem->keeps_nan = how.value<cudnnNanPropagation_t>(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION,
                                                            CUDNN_NOT_PROPAGATE_NAN) == CUDNN_PROPAGATE_NAN;
    } else {
      return "not supported here: this fusion";
    }
    problem->y = y;
  }
  std::set<std::int64_t> ids;
  std::size_t count = 3;
  for (const Tensor* t : {&problem->x, &problem->w, &problem->y}) {
    if (t->is_virtual) return "an operand or the result of the graph is virtual: it would lie nowhere";
    ids.insert(t->id);
  }
  if (problem->has_bias) ids.insert(problem->bias.id), ++count;
  if (ids.size() != count) return "two tensors have one id";
  object.problem = std::move(problem);
  return {};
}

std::string complete_heuristics(Object& object) {
  const std::string lacks =
      missing(object, {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH});
  if (!lacks.empty()) return lacks;
  object.graph = object.object(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  if (!object.has(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP) && !object.graph->has(CUDNN_ATTR_OPERATIONGRAPH_HANDLE))
    return "for which device? there is no handle and no description";
  if (the_answer == Heuristic::unsupported) return "not supported: HEURISTIC_QUERY_FAILED";
  const bool a = object.value<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE) == CUDNN_HEUR_MODE_A;
  if (a && the_answer == Heuristic::nothing) return {};
  for (const Engine& engine : a ? std::vector<Engine>(std::begin(kListA), std::end(kListA))
                                : std::vector<Engine>(std::begin(kFallback), std::end(kFallback))) {
    if (the_answer == Heuristic::not_running && engine.runs) continue;
    if (engine.unordered && object.graph->problem->pass == Pass::forward) continue;
    object.results.push_back(engine);
  }
  return {};
}

std::string complete_plan(Object& object) {
  const Ref configuration = object.object(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  if (configuration == nullptr) return "a plan without a configuration";
  const bool real = object.has(400);
  if (real == object.has(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP))
    return "a handle or a description of a device";
  if (real && !known(object.value<cudnnHandle_t>(400))) return "the handle is not alive";
  if (!configuration->engine.runs) return "not supported: this engine does not run this graph";
  object.engine = configuration->engine;
  object.problem = configuration->graph->problem;
  if (object.engine.workspace) object.workspace = (object.problem->x.bytes() + 255) / 256 * 256;
  return {};
}

std::string complete_pack(const Object& object) {
  const std::string lacks =
      missing(object, {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS});
  if (!lacks.empty()) return lacks;
  const auto ids = object.list<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  if (ids.size() != object.list<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).size())
    return "not as many pointers as ids";
  if (std::set<std::int64_t>(ids.begin(), ids.end()).size() != ids.size()) return "an id is named twice";
  return {};
}

// ---- arithmetic ---------------------------------------------------------------------------------

float to_tf32(float v) {
  std::uint32_t bits;
  std::memcpy(&bits, &v, sizeof v);
  bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

// The sum of one element, as the engine makes it.
class Sum {
 public:
  explicit Sum(const Engine& engine) : engine_(engine) {}
  void add(float a, float b) {
    if (engine_.tensor_core) a = to_tf32(a), b = to_tf32(b);
    parts_[engine_.unordered ? runtime().random.below(2) : 0] += a * b;
  }
  float total() const {
    const float sum = parts_[0] + parts_[1];
    return engine_.winograd ? sum * 1.0003f : sum;
  }

 private:
  const Engine& engine_;
  float parts_[2] = {};
};

}  // namespace

Heuristic answer() {
  return the_answer;
}

std::string complete(Object& object) {
  Names names{};
  if (names_of(object.type, names)) return complete_operation(object, names);
  switch (object.type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
      return complete_tensor(object);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
      return complete_convolution(object);
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
      return missing(object, {CUDNN_ATTR_POINTWISE_MODE, CUDNN_ATTR_POINTWISE_MATH_PREC});
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
      return missing(object, {CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
                              CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_ATTR_OPERATION_POINTWISE_YDESC});
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
      return complete_graph(object);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
      return complete_heuristics(object);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      return complete_plan(object);
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
      return complete_pack(object);
    case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR:
      return missing(object, {CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION});
    default:
      return "not supported here: this kind of descriptor";
  }
}

void compute(const Problem& p, const Engine& engine, const std::map<std::int64_t, void*>& pointers) {
  const auto memory = [&](const Tensor& t) { return static_cast<float*>(pointers.at(t.id)); };
  float *x = memory(p.x), *w = memory(p.w), *y = memory(p.y);
  const float* bias = p.has_bias ? memory(p.bias) : nullptr;
  const std::int64_t group_out = p.w.dims[0] / p.groups, group_in = p.w.dims[1];
  // Every pair of places (of x, of y) that the kernel joins for the elements that `fixed` leaves open.
  const auto place = [&](int axis, std::int64_t out, std::int64_t tap) {
    return out * p.stride[axis] - p.before[axis] + tap * p.dilation[axis];
  };
  const auto inside = [&](int axis, std::int64_t at) { return at >= 0 && at < p.x.dims[2 + axis]; };
  const auto store = [&](float* to, std::int64_t at, const Sum& sum) {
    const float old = p.beta == 0 ? 0 : p.beta * to[at];
    to[at] = p.alpha * sum.total() + old;
  };
  if (p.pass == Pass::forward) {
    for (std::int64_t n = 0; n < p.y.dims[0]; ++n)
      for (std::int64_t k = 0; k < p.y.dims[1]; ++k)
        for (std::int64_t i = 0; i < p.y.dims[2]; ++i)
          for (std::int64_t j = 0; j < p.y.dims[3]; ++j) {
            Sum sum(engine);
            for (std::int64_t r = 0; r < p.w.dims[2]; ++r)
              for (std::int64_t s = 0; s < p.w.dims[3]; ++s) {
                const std::int64_t h = place(0, i, r), v = place(1, j, s);
                if (!inside(0, h) || !inside(1, v)) continue;
                for (std::int64_t c = 0; c < group_in; ++c)
                  sum.add(x[p.x.at(n, k / group_out * group_in + c, h, v)], w[p.w.at(k, c, r, s)]);
              }
            const std::int64_t at = p.y.at(n, k, i, j);
            store(y, at, sum);
            if (bias != nullptr) y[at] += bias[p.bias.at(0, k, 0, 0)];
            if (p.relu && !(y[at] > 0) && !(p.keeps_nan && std::isnan(y[at]))) y[at] = 0;
          }
    return;
  }
  if (p.pass == Pass::data) {
    for (std::int64_t n = 0; n < p.x.dims[0]; ++n)
      for (std::int64_t c = 0; c < p.x.dims[1]; ++c)
        for (std::int64_t h = 0; h < p.x.dims[2]; ++h)
          for (std::int64_t v = 0; v < p.x.dims[3]; ++v) {
            Sum sum(engine);
            const std::int64_t group = c / group_in;
            for (std::int64_t r = 0; r < p.w.dims[2]; ++r)
              for (std::int64_t s = 0; s < p.w.dims[3]; ++s) {
                const std::int64_t up = h + p.before[0] - r * p.dilation[0];
                const std::int64_t left = v + p.before[1] - s * p.dilation[1];
                if (up < 0 || left < 0 || up % p.stride[0] != 0 || left % p.stride[1] != 0) continue;
                const std::int64_t i = up / p.stride[0], j = left / p.stride[1];
                if (i >= p.y.dims[2] || j >= p.y.dims[3]) continue;
                for (std::int64_t k = group * group_out; k < (group + 1) * group_out; ++k)
                  sum.add(y[p.y.at(n, k, i, j)], w[p.w.at(k, c - group * group_in, r, s)]);
              }
            store(x, p.x.at(n, c, h, v), sum);
          }
    return;
  }
  for (std::int64_t k = 0; k < p.w.dims[0]; ++k)
    for (std::int64_t c = 0; c < group_in; ++c)
      for (std::int64_t r = 0; r < p.w.dims[2]; ++r)
        for (std::int64_t s = 0; s < p.w.dims[3]; ++s) {
          Sum sum(engine);
          for (std::int64_t n = 0; n < p.y.dims[0]; ++n)
            for (std::int64_t i = 0; i < p.y.dims[2]; ++i)
              for (std::int64_t j = 0; j < p.y.dims[3]; ++j) {
                const std::int64_t h = place(0, i, r), v = place(1, j, s);
                if (!inside(0, h) || !inside(1, v)) continue;
                sum.add(y[p.y.at(n, k, i, j)], x[p.x.at(n, k / group_out * group_in + c, h, v)]);
              }
          store(w, p.w.at(k, c, r, s), sum);
        }
}

}  // namespace simt::cudnn

namespace simt {

void set_cudnn_heuristic(Heuristic value) {
  cudnn::the_answer = value;
}

}  // namespace simt

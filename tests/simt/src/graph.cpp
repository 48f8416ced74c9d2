// Graphs: nodes, instantiation, launch, update, conditional nodes. Pointers and scalars are frozen in the
// nodes, as on hardware.
#include <algorithm>
#include <cstring>
#include <map>

#include "call_log.hpp"
#include "capture.hpp"
#include "executor.hpp"
#include "sanitizer.hpp"

// A graph made ready to run. Each branch has a ThreadSanitizer identity, so that nodes without an edge
// between them are concurrent.
struct CUgraphExec_st {
  struct Node {
    simt::WorkRef work;
    std::vector<std::size_t> after;
    const CUgraphNode_st* source;
    void* identity = nullptr;
  };
  std::vector<Node> nodes;
  std::vector<CUgraph_st::Condition*> conditions;
  std::vector<void*> identities;
  simt::OpRef last;  // one launch of an executable graph waits for the one before
};

namespace simt {
namespace {

// Topological: an API may add an edge to an earlier node.
bool in_order(const CUgraph_st& graph, std::vector<const CUgraphNode_st*>& order) {
  std::set<const CUgraphNode_st*> placed;
  bool progress = true;
  while (order.size() < graph.nodes.size() && progress) {
    progress = false;
    for (const auto& node : graph.nodes) {
      if (placed.count(node.get()) != 0) continue;
      if (!std::all_of(node->after.begin(), node->after.end(), [&](auto* a) { return placed.count(a) != 0; }))
        continue;
      placed.insert(node.get());
      order.push_back(node.get());
      progress = true;
    }
  }
  return order.size() == graph.nodes.size();
}

class ConditionalWork : public Work {
 public:
  ConditionalWork(CUgraph_st::Condition* condition, cudaGraphConditionalNodeType kind,
                  std::vector<CUgraph_st*> bodies)
      : condition_(condition), kind_(kind), bodies_(std::move(bodies)) {}
  cudaGraphNodeType type() const override { return cudaGraphNodeTypeConditional; }

  void run() const override {
    switch (kind_) {
      case cudaGraphCondTypeIf:
        if (condition_->value != 0) {
          run_body(0);
        } else if (bodies_.size() > 1) {
          run_body(1);
        }
        break;
      case cudaGraphCondTypeWhile:
        while (condition_->value != 0 && runtime().devices[0].sticky == cudaSuccess) run_body(0);
        break;
      case cudaGraphCondTypeSwitch:
        if (condition_->value < bodies_.size()) run_body(condition_->value);
        break;
    }
  }

 private:
  // One node after another: concurrency inside a body is not modelled.
  void run_body(std::size_t i) const {
    std::vector<const CUgraphNode_st*> order;
    in_order(*bodies_[i], order);
    for (const CUgraphNode_st* node : order) node->work->run();
  }

  CUgraph_st::Condition* condition_;
  cudaGraphConditionalNodeType kind_;
  std::vector<CUgraph_st*> bodies_;
};

void drop_identities(CUgraphExec_st& exec) {
  for (void* identity : exec.identities) drop_identity(identity);
  exec.identities.clear();
}

// A node goes on with the identity of a predecessor that nobody has continued yet; else it opens a branch.
void give_identities(CUgraphExec_st& exec) {
  if (!under_tsan()) return;
  std::set<std::size_t> continued;
  for (auto& node : exec.nodes) {
    for (const std::size_t before : node.after) {
      if (node.identity == nullptr && continued.insert(before).second)
        node.identity = exec.nodes[before].identity;
    }
    if (node.identity == nullptr) {
      node.identity = new_identity();
      exec.identities.push_back(node.identity);
    }
  }
}

cudaError_t instantiate(cudaGraphExec_t* out, cudaGraph_t graph) {
  if (out == nullptr || graph == nullptr) return cudaErrorInvalidValue;
  std::vector<const CUgraphNode_st*> order;
  if (!in_order(*graph, order)) return cudaErrorInvalidValue;  // a cycle
  auto exec = std::make_unique<CUgraphExec_st>();
  std::map<const CUgraphNode_st*, std::size_t> place;
  for (const CUgraphNode_st* node : order) {
    CUgraphExec_st::Node copy{node->work, {}, node};
    for (const CUgraphNode_st* before : node->after) copy.after.push_back(place.at(before));
    place[node] = exec->nodes.size();
    exec->nodes.push_back(std::move(copy));
  }
  for (const auto& condition : graph->conditions) exec->conditions.push_back(condition.get());
  give_identities(*exec);
  *out = exec.release();
  return cudaSuccess;
}

WorkRef nothing() {
  return std::make_shared<FunctionWork>(cudaGraphNodeTypeEmpty, nullptr);
}

cudaError_t launch_graph(CUgraphExec_st& exec, CUstream_st& stream) {
  if (stream.capture != nullptr) return cudaErrorNotSupported;  // child graphs are not modelled
  const auto reset = [conditions = exec.conditions] {
    for (auto* c : conditions) {
      if (c->reset) c->value = c->start;
    }
  };
  std::vector<OpRef> before;
  if (exec.last) before.push_back(exec.last);
  // Through submit, so that the stream's order and the legacy stream's rules hold.
  const cudaError_t error =
      submit(&stream, std::make_shared<FunctionWork>(cudaGraphNodeTypeEmpty, reset), before);
  if (error != cudaSuccess) return error;
  const OpRef root = stream.last;
  std::vector<OpRef> ops;
  for (const auto& node : exec.nodes) {
    std::vector<OpRef> after;
    for (const std::size_t i : node.after) after.push_back(ops[i]);
    if (after.empty()) after.push_back(root);
    ops.push_back(add_op(stream, node.work, std::move(after), node.identity));
  }
  const cudaError_t end = submit(&stream, nothing(), ops);
  exec.last = stream.last;
  return end;
}

CUgraphExec_st::Node* find(CUgraphExec_st& exec, const CUgraphNode_st* source) {
  for (auto& node : exec.nodes) {
    if (node.source == source) return &node;
  }
  return nullptr;
}

// The same nodes with the same edges, kernel for kernel; only parameters may differ.
cudaGraphExecUpdateResult update(CUgraphExec_st& exec, const CUgraph_st& graph,
                                 const CUgraphNode_st** culprit) {
  std::vector<const CUgraphNode_st*> order;
  if (!in_order(graph, order) || order.size() != exec.nodes.size())
    return cudaGraphExecUpdateErrorTopologyChanged;
  std::map<const CUgraphNode_st*, std::size_t> place;
  for (std::size_t i = 0; i < order.size(); ++i) {
    *culprit = order[i];
    place[order[i]] = i;
    std::vector<std::size_t> after;
    for (const CUgraphNode_st* before : order[i]->after) after.push_back(place.at(before));
    if (after != exec.nodes[i].after) return cudaGraphExecUpdateErrorTopologyChanged;
    const Work &old_work = *exec.nodes[i].work, &new_work = *order[i]->work;
    if (old_work.type() != new_work.type()) return cudaGraphExecUpdateErrorNodeTypeChanged;
    if (!old_work.replaceable_by(new_work)) return cudaGraphExecUpdateErrorFunctionChanged;
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    exec.nodes[i].work = order[i]->work;
    exec.nodes[i].source = order[i];
  }
  *culprit = nullptr;
  return cudaGraphExecUpdateSuccess;
}

const KernelWork* kernel_of(const WorkRef& work) {
  return dynamic_cast<const KernelWork*>(work.get());
}

}  // namespace
}  // namespace simt

using namespace simt;

void cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned value) {
  reinterpret_cast<CUgraph_st::Condition*>(handle)->value = value;
}

extern "C" {

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned flags) {
  return call("cudaGraphCreate", [&] {
    if (graph == nullptr || flags != 0) return cudaErrorInvalidValue;
    return *graph = new CUgraph_st, cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return call(
      "cudaGraphDestroy",
      [&] {
        if (graph == nullptr) return cudaErrorInvalidValue;
        return delete graph, cudaSuccess;
      },
      Dead::run_anyway);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  return call("cudaGraphInstantiate", [&] { return instantiate(exec, graph); });
}
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* exec, cudaGraph_t graph,
                                          unsigned long long flags) {
  return cudaGraphInstantiate(exec, graph, flags);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
  return call("cudaGraphUpload", [&] {
    return exec == nullptr || resolve(stream) == nullptr ? cudaErrorInvalidValue : cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  return call("cudaGraphLaunch", [&] {
    CUstream_st* s = resolve(stream);
    if (exec == nullptr) return cudaErrorInvalidValue;
    if (s == nullptr) return cudaErrorInvalidResourceHandle;
    return launch_graph(*exec, *s);
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  return call(
      "cudaGraphExecDestroy",
      [&] {
        if (exec == nullptr) return cudaErrorInvalidValue;
        if (exec->last) wait_for(exec->last);
        drop_identities(*exec);
        return delete exec, cudaSuccess;
      },
      Dead::run_anyway);
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo* info) {
  return call("cudaGraphExecUpdate", [&] {
    if (exec == nullptr || graph == nullptr) return cudaErrorInvalidValue;
    const CUgraphNode_st* culprit = nullptr;
    const cudaGraphExecUpdateResult result = update(*exec, *graph, &culprit);
    if (info != nullptr) *info = {result, const_cast<cudaGraphNode_t>(culprit), nullptr};
    return result == cudaGraphExecUpdateSuccess ? cudaSuccess : cudaErrorGraphExecUpdateFailure;
  });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, std::size_t* count) {
  return call("cudaGraphGetNodes", [&] {
    if (graph == nullptr || count == nullptr) return cudaErrorInvalidValue;
    for (std::size_t i = 0; nodes != nullptr && i < *count; ++i) {
      nodes[i] = i < graph->nodes.size() ? graph->nodes[i].get() : nullptr;
    }
    *count = nodes == nullptr ? graph->nodes.size() : std::min(*count, graph->nodes.size());
    return cudaSuccess;
  });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return call("cudaGraphNodeGetType", [&] { return *type = node->work->type(), cudaSuccess; });
}

cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* after,
                                  std::size_t count) {
  return call("cudaGraphAddEmptyNode", [&] {
    *node = graph->add(nothing(), std::vector<CUgraphNode_st*>(after, after + count));
    return cudaSuccess;
  });
}

cudaError_t cudaGraphKernelNodeGetParams(cudaGraphNode_t node, cudaKernelNodeParams* params) {
  return call("cudaGraphKernelNodeGetParams", [&] {
    const KernelWork* kernel = kernel_of(node->work);
    return kernel == nullptr ? cudaErrorInvalidValue : (*params = kernel->params(), cudaSuccess);
  });
}

cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node, const cudaKernelNodeParams* params) {
  return call("cudaGraphKernelNodeSetParams", [&] {
    const KernelWork* kernel = kernel_of(node->work);
    const auto changed = kernel == nullptr ? nullptr : kernel->with(*params);
    return changed == nullptr ? cudaErrorInvalidValue : (node->work = changed, cudaSuccess);
  });
}

cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t exec, cudaGraphNode_t node,
                                             const cudaKernelNodeParams* params) {
  return call("cudaGraphExecKernelNodeSetParams", [&] {
    CUgraphExec_st::Node* place = find(*exec, node);
    const KernelWork* kernel = place == nullptr ? nullptr : kernel_of(place->work);
    const auto changed = kernel == nullptr ? nullptr : kernel->with(*params);
    return changed == nullptr ? cudaErrorInvalidValue : (place->work = changed, cudaSuccess);
  });
}

cudaError_t cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle* handle, cudaGraph_t graph,
                                             unsigned start, unsigned flags) {
  return call("cudaGraphConditionalHandleCreate", [&] {
    if (handle == nullptr || graph == nullptr) return cudaErrorInvalidValue;
    const bool reset = (flags & cudaGraphCondAssignDefault) != 0;
    graph->conditions.push_back(
        std::make_unique<CUgraph_st::Condition>(CUgraph_st::Condition{start, start, reset}));
    *handle = reinterpret_cast<cudaGraphConditionalHandle>(graph->conditions.back().get());
    return cudaSuccess;
  });
}

// Conditional nodes only: the others are captured.
cudaError_t cudaGraphAddNode(cudaGraphNode_t* node, cudaGraph_t graph, const cudaGraphNode_t* after,
                             const cudaGraphEdgeData*, std::size_t count, cudaGraphNodeParams* params) {
  return call("cudaGraphAddNode", [&] {
    if (node == nullptr || graph == nullptr || params == nullptr) return cudaErrorInvalidValue;
    if (params->type != cudaGraphNodeTypeConditional) return cudaErrorNotSupported;
    auto& c = params->conditional;
    const bool sizes_fit = c.type == cudaGraphCondTypeWhile ? c.size == 1
                           : c.type == cudaGraphCondTypeIf  ? c.size >= 1 && c.size <= 2
                                                            : c.size >= 1;
    if (!sizes_fit) return cudaErrorInvalidValue;
    std::vector<CUgraph_st*> bodies;
    for (unsigned i = 0; i < c.size; ++i) {
      graph->bodies.push_back(std::make_unique<CUgraph_st>());
      bodies.push_back(graph->bodies.back().get());
    }
    static std::map<CUgraphNode_st*, std::vector<CUgraph_st*>>
        outputs;  // CUDA owns the array that phGraph_out shows
    auto* condition = reinterpret_cast<CUgraph_st::Condition*>(c.handle);
    std::vector<CUgraphNode_st*> before;
    if (count != 0) before.assign(after, after + count);
    *node = graph->add(std::make_shared<ConditionalWork>(condition, c.type, bodies), std::move(before));
    auto& output = outputs[*node] = std::move(bodies);
    c.phGraph_out = output.data();
    return cudaSuccess;
  });
}

}  // extern "C"

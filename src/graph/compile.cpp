#include "src/graph/compile.hpp"

#include <algorithm>

#include "src/graph/memory_plan.hpp"
#include "src/graph/passes/rewrite.hpp"
#include "src/graph/schedule.hpp"
#include "src/ir/backend.hpp"

namespace gpunn {

void fuse_forward(Graph& graph, std::string_view device) {
  passes::fuse_losses(graph);
  passes::fuse_epilogues(graph);
  if (find_backend(device).computes("conv2d_pool")) passes::fuse_pools(graph);
  if (find_backend(device).computes("recurrent_pack")) passes::pack_recurrent(graph);
}

Planned plan_graph(Graph graph, const VariableStore& variables, int threads, const CompileOptions& options) {
  Planned planned;
  planned.graph = std::move(graph);
  if (options.fuse) {
    const Backend& backend = find_backend(options.device);
    const auto choose = [&, policy = backend.in_effect(options.policy)](const OpCall& call) {
      return backend.choose(call, 0, policy);
    };
    passes::fuse_slopes(planned.graph);
    if (backend.computes("max_pool2d_backward_slope")) passes::fuse_pool_slopes(planned.graph);
    if (backend.computes("softmax_cross_entropy_with_gradient")) passes::fuse_loss_gradients(planned.graph);
    if (backend.computes("dense_sigmoid_cross_entropy_with_gradient"))
      passes::fuse_loss_products(planned.graph);
    if (!backend.slices_batch()) {
      passes::fuse_recurrent_inputs(planned.graph, [&](const OpCall& call) {
        const Choice choice = choose(call);
        return choice.name == "whole sequence" && choice.launches == 1;
      });
    }
    if (backend.computes("dense_backward")) {
      passes::fuse_dense_gradients(planned.graph,
                                   [&](const OpCall& call) { return choose(call).launches == 1; });
    }
    if (backend.computes("chain")) passes::fuse_chains(planned.graph);
  }
  const Backend& planner = find_backend(options.device);
  passes::reserve_recurrent(planned.graph, planner, planner.in_effect(options.policy));
  passes::Rewriter(planned.graph).finish();
  Plan& plan = planned.plan;
  plan.device = options.device;
  plan.policy = find_backend(options.device).in_effect(options.policy);
  plan.threads = threads;
  schedule(planned.graph, find_backend(options.device), plan);
  if (!plan.sliced) explain_launches(planned.graph, plan);
  plan_memory(planned.graph, plan);
  for (const Store store :
       {Store::parameters, Store::gradients, Store::state, Store::slot0, Store::slot1, Store::results}) {
    const auto& values = planned.graph.values();
    const bool used = std::any_of(values.begin(), values.end(),
                                  [&](const Value& value) { return value.place.store == store; });
    if (used) plan.variable_bytes += variables.bytes(store);
  }
  return planned;
}

std::unique_ptr<Executable> compile(Graph graph, VariableStore& variables, ThreadPool& pool,
                                    const CompileOptions& options) {
  return find_backend(options.device)
      .bind(plan_graph(std::move(graph), variables, pool.threads(), options), variables, pool);
}

}  // namespace gpunn

// What passes share: who makes and reads a value, and replacing both.
#pragma once

#include <functional>

#include "gpunn/graph.hpp"

namespace gpunn {
class Backend;
struct Policy;
}

namespace gpunn::passes {

class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : graph_(graph) {}

  Graph& graph() { return graph_; }
  // Nodes are looked at by index: rewriting may move them.
  Node& node(std::size_t i) { return graph_.nodes()[i]; }
  std::size_t size() const { return graph_.nodes().size(); }

  // The node that makes `id`, when it is a call of `op`; else null.
  Node* producer(ValueId id, std::string_view op);
  // The one node that reads `id`, when it does so once and nobody outside the graph looks at it; else null.
  Node* only_reader(ValueId id);
  bool is_read(ValueId id) const;
  // Every reader of `from` reads `to` instead, which takes over the place of `from`.
  void replace(ValueId from, ValueId to);
  // `node` reads nothing from now on: what it did is done elsewhere. REQUIRES: its outputs were replaced.
  void retire(Node& node) { node.inputs.clear(); }
  // Makes `node` a call of `op`. Its outputs keep their ids; outputs that it did not have are made.
  void become(Node& node, std::string_view op, ValueIds inputs, Attrs attrs);
  // Drops nodes that nobody needs (no reader, no place, no variable changed) and puts the rest in an order in
  // which every value is made before it is read. Call it last.
  void finish();

 private:
  void drop_dead();
  void sort();

  Graph& graph_;
};

// Before gradients():
void fuse_losses(
    Graph& graph);  // softmax or sigmoid + cross-entropy of its output: one stable op on the logits
void fuse_epilogues(Graph& graph);  // dense or convolution + bias + activation
void fuse_pools(Graph& graph);      // convolution + max pool, where there is a kernel for both at once
void pack_recurrent(Graph& graph);  // recurrent weights, in the order in which the device reads them, once
                                    // per step
// After gradients():
void fuse_slopes(
    Graph& graph);  // gradient of a matrix product or convolution + slope of the activation before it
// Room in what recurrent nodes keep, where the backend needs more of it than the op says.
void reserve_recurrent(Graph& graph, const Backend& backend, const Policy& policy);
// Where the backend computes what they make:
void fuse_pool_slopes(Graph& graph);     // the same of a max pool
void fuse_loss_gradients(Graph& graph);  // loss + its gradient + accuracy: one pass over the predictions
// dropout masks and embeddings that recurrent layers read: drawn and looked up by the layer itself, where
// `takes_input` says that a call has one launch for its product with x and its steps
void fuse_recurrent_inputs(Graph& graph, const std::function<bool(const OpCall&)>& takes_input);
void fuse_loss_products(Graph& graph);  // the last dense layer + its loss with the gradient, of a small batch
// both gradients of a dense layer, where `one_launch` says that a call makes them in one
void fuse_dense_gradients(Graph& graph, const std::function<bool(const OpCall&)>& one_launch);
void fuse_chains(Graph& graph);  // what is left of elementwise nodes in a row: one pass over memory

}  // namespace gpunn::passes

// The memory that outlives a step: flat buffers for parameters, gradients, optimizer slots, state and
// results.
//
// Trainable variables, their gradients and slots lie at equal offsets of their buffers, so that an optimizer
// is one pass over all of them, clipping one reduction, and an all-reduce one call. Padding between variables
// is zero and stays zero.
#pragma once

#include <array>
#include <bitset>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gpunn/graph.hpp"
#include "gpunn/tensor.hpp"

namespace gpunn {

struct Variable {
  std::string name;  // "dense/kernel"
  Spec spec;
  bool trainable = true;
  std::size_t offset = 0;  // bytes into the parameters (trainable) or state buffer
};

class VariableStore;

// The buffers' copy in the memory of a device. The store keeps track of which copy is the newer one.
class VariableMirror {
 public:
  virtual ~VariableMirror() = default;
  virtual std::byte* base(Store store) const = 0;  // device memory; null: it has no copy of that
  virtual bool lacks_part_of(const VariableStore& store) const = 0;
  // Makes what is missing, all or nothing: throws OutOfMemory. What is there stays where it is.
  virtual void extend(const VariableStore& store) = 0;
  // Both wait for what the device is doing, and do nothing for a buffer that it has no copy of.
  virtual void upload(Store store, const std::byte* from) = 0;
  virtual void download(Store store, std::byte* to) = 0;
};

// What a device keeps for one model beside the variables: not shared with its clones.
class DeviceContext {
 public:
  virtual ~DeviceContext() = default;
};

class GPUNN_API VariableStore {
 public:
  static constexpr std::size_t kAlignment = 64;
  static constexpr std::size_t kMaxResults = 64;  // (sum, weight) pairs

  // Adds a variable; its index is its place in variables(). REQUIRES: not yet allocated.
  int add(std::string name, Spec spec, bool trainable);
  const std::vector<Variable>& variables() const { return variables_; }

  // Makes the buffers, zeroed: parameters and state, and on `for_training` gradients and `slots` optimizer
  // slots. May be called again to add what training needs. All or nothing: throws OutOfMemory and changes
  // nothing.
  void allocate(bool for_training, int slots);

  std::size_t bytes(Store store) const;  // what allocate() makes of it
  std::byte* base(Store store) const;    // null when not allocated
  Tensor tensor(int variable) const;     // a view of the variable's elements, sharing memory
  Tensor gradient(int variable) const;   // likewise; throws UsageError when not allocated for training
  Tensor slot(int variable, int slot) const;

  // Sets every element of a buffer to 0, if there is one.
  void clear(Store store);

  // The same variables for another model: one memory, on the host and on a device.
  VariableStore share() const;

  // The mirror, complete; `make` makes one where there is none that `fits`. Views are up to date when they
  // are taken.
  std::shared_ptr<VariableMirror> mirror_for(const std::function<bool(VariableMirror&)>& fits,
                                             const std::function<std::shared_ptr<VariableMirror>()>& make);
  void before_device_run();    // uploads what the host may have changed
  void after_device_update();  // the device changed them
  const std::shared_ptr<DeviceContext>& context() const { return context_; }
  void set_context(std::shared_ptr<DeviceContext> context) { context_ = std::move(context); }

  Place place(int variable) const { return {store_of(variable), variables_[index(variable)].offset}; }
  Place gradient_place(int variable) const { return {Store::gradients, variables_[index(variable)].offset}; }

 private:
  static std::size_t index(int variable) { return static_cast<std::size_t>(variable); }
  Store store_of(int variable) const {
    return variables_[index(variable)].trainable ? Store::parameters : Store::state;
  }
  Tensor view(Store store, int variable) const;
  void download(Store store) const;  // REQUIRES: copies_->guard is held

  std::vector<Variable> variables_;
  std::size_t parameter_bytes_ = 0, state_bytes_ = 0;
  std::array<Tensor, 10> buffers_;  // by Store; arena, input and output stay empty
  // Shared by all that share the variables; a clone for inference has no gradients and slots, so what it
  // brings up to date is not all there is.
  struct Copies {
    std::mutex guard;
    std::shared_ptr<VariableMirror> mirror;
    // By Store. A view lets the host write as well, so taking one makes the host's copy the one to upload.
    std::bitset<10> host_newer, device_newer;
  };
  std::shared_ptr<Copies> copies_ = std::make_shared<Copies>();
  std::shared_ptr<DeviceContext> context_;
};

}  // namespace gpunn

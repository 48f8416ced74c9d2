#include "src/ir/variables.hpp"

#include <cstring>

namespace gpunn {
namespace {

std::size_t padded(std::size_t bytes) {
  return (bytes + VariableStore::kAlignment - 1) / VariableStore::kAlignment * VariableStore::kAlignment;
}

std::size_t index_of(Store store) {
  return static_cast<std::size_t>(store);
}

}  // namespace

int VariableStore::add(std::string name, Spec spec, bool trainable) {
  if (base(Store::results) != nullptr) throw UsageError("variable '" + name + "' added after allocation");
  if (spec.dtype != Dtype::f32) throw UsageError("variable '" + name + "' is not f32");
  std::size_t& end = trainable ? parameter_bytes_ : state_bytes_;
  variables_.push_back({std::move(name), std::move(spec), trainable, end});
  end += padded(variables_.back().spec.size_bytes());
  return static_cast<int>(variables_.size()) - 1;
}

std::size_t VariableStore::bytes(Store store) const {
  switch (store) {
    case Store::parameters:
    case Store::gradients:
    case Store::slot0:
    case Store::slot1:
      return parameter_bytes_;
    case Store::state:
      return state_bytes_;
    case Store::results:
      return kMaxResults * 2 * sizeof(float);
    case Store::arena:
    case Store::input:
    case Store::output:
      break;
  }
  return 0;
}

void VariableStore::allocate(bool for_training, int slots) {
  std::vector<Store> wanted = {Store::parameters, Store::state, Store::results};
  if (for_training) wanted.push_back(Store::gradients);
  if (for_training && slots > 0) wanted.push_back(Store::slot0);
  if (for_training && slots > 1) wanted.push_back(Store::slot1);

  auto made = buffers_;
  for (const Store store : wanted) {
    Tensor& buffer = made[index_of(store)];
    // At least one element, so that a buffer that was made is never null.
    const auto floats = static_cast<std::int64_t>(std::max(bytes(store), sizeof(float)) / sizeof(float));
    if (base(store) == nullptr) buffer = Tensor(Shape{floats});  // on a device: when the next step is bound
  }
  buffers_ = made;
}

namespace {

// Results are read through Executable::add_results and need no mirror on the host.
constexpr Store kMirrored[] = {Store::parameters, Store::gradients, Store::state, Store::slot0, Store::slot1};

}  // namespace

std::shared_ptr<VariableMirror> VariableStore::mirror_for(
    const std::function<bool(VariableMirror&)>& fits,
    const std::function<std::shared_ptr<VariableMirror>()>& make) {
  const std::scoped_lock lock(copies_->guard);
  auto mirror = copies_->mirror;
  if (mirror == nullptr || !fits(*mirror)) mirror = make();
  if (mirror != copies_->mirror || mirror->lacks_part_of(*this)) {
    for (const Store store : kMirrored) download(store);
    mirror->extend(*this);
    copies_->mirror = mirror;
    for (const Store store : kMirrored) {
      if (base(store) != nullptr) copies_->host_newer[index_of(store)] = true;
    }
  }
  return mirror;
}

VariableStore VariableStore::share() const {
  VariableStore other = *this;
  other.context_ = nullptr;
  return other;
}

void VariableStore::before_device_run() {
  const std::scoped_lock lock(copies_->guard);
  for (const Store store : kMirrored) {
    if (base(store) == nullptr || !copies_->host_newer[index_of(store)]) continue;
    copies_->mirror->upload(store, base(store));
    copies_->host_newer[index_of(store)] = false;
  }
}

void VariableStore::after_device_update() {
  const std::scoped_lock lock(copies_->guard);
  for (const Store store : kMirrored) {
    if (base(store) != nullptr) copies_->device_newer[index_of(store)] = true;
  }
}

void VariableStore::download(Store store) const {
  if (base(store) == nullptr || !copies_->device_newer[index_of(store)] || copies_->mirror == nullptr) return;
  copies_->mirror->download(store, base(store));
  copies_->device_newer[index_of(store)] = false;
}

void VariableStore::clear(Store store) {
  if (base(store) == nullptr) return;
  const std::scoped_lock lock(copies_->guard);
  copies_->device_newer[index_of(store)] = false;
  copies_->host_newer[index_of(store)] = true;
  std::memset(base(store), 0, bytes(store));
}

std::byte* VariableStore::base(Store store) const {
  return const_cast<std::byte*>(buffers_[index_of(store)].bytes());
}

Tensor VariableStore::view(Store store, int variable) const {
  const Variable& v = variables_[index(variable)];
  const Tensor& buffer = buffers_[index_of(store)];
  if (base(store) == nullptr)
    throw UsageError("variable '" + v.name + "' has no memory yet: build the model first");
  {
    const std::scoped_lock lock(copies_->guard);
    download(store);
    copies_->host_newer[index_of(store)] = true;
  }
  const auto begin = static_cast<std::int64_t>(v.offset / sizeof(float));
  return buffer.rows(begin, begin + v.spec.shape.elements()).reshape(v.spec.shape);
}

Tensor VariableStore::tensor(int variable) const {
  return view(store_of(variable), variable);
}

Tensor VariableStore::gradient(int variable) const {
  return view(Store::gradients, variable);
}

Tensor VariableStore::slot(int variable, int slot) const {
  return view(slot == 0 ? Store::slot0 : Store::slot1, variable);
}

}  // namespace gpunn

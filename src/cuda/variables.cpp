#include "src/cuda/variables.hpp"

#include <algorithm>

#include "kernels/check.hpp"

namespace gpunn::cuda {
namespace {

constexpr std::pair<Store, const char*> kBuffers[] = {
    {Store::parameters, "parameters"},  {Store::gradients, "gradients"},    {Store::state, "state"},
    {Store::slot0, "optimizer slot 0"}, {Store::slot1, "optimizer slot 1"}, {Store::results, "results"}};

std::size_t index_of(Store store) {
  return static_cast<std::size_t>(store);
}

}  // namespace

DeviceVariables::DeviceVariables(std::shared_ptr<Device> device) : device_(std::move(device)) {
  const OnDevice here(device_->ordinal());
  copies_ = make_stream();
}

bool DeviceVariables::lacks_part_of(const VariableStore& store) const {
  return std::any_of(std::begin(kBuffers), std::end(kBuffers), [&](const auto& buffer) {
    return store.base(buffer.first) != nullptr && base(buffer.first) == nullptr;
  });
}

void DeviceVariables::extend(const VariableStore& store) {
  const OnDevice here(device_->ordinal());
  std::array<Buffer, 10> made;
  for (const auto& [kind, label] : kBuffers) {
    if (store.base(kind) == nullptr || base(kind) != nullptr) continue;
    // Never empty, so that a buffer that the store has is not null here.
    made[index_of(kind)] = device_->memory().allocate(std::max<std::size_t>(store.bytes(kind), 256), label);
  }
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (made[i].data() == nullptr) continue;
    buffers_[i] = std::move(made[i]);
    bytes_[i] = store.bytes(static_cast<Store>(i));
  }
}

void DeviceVariables::wait_for_all() const {
  for (const User& user : users_) check(cudaStreamSynchronize(user.stream));
}

void DeviceVariables::upload(Store store, const std::byte* from) {
  if (base(store) == nullptr || bytes_[index_of(store)] == 0) return;
  const OnDevice here(device_->ordinal());
  const std::scoped_lock turn(turns_);
  wait_for_all();
  check(cudaMemcpyAsync(base(store), from, bytes_[index_of(store)], cudaMemcpyHostToDevice, copies_.get()));
  check(cudaStreamSynchronize(copies_.get()));  // the host's memory is pageable and may change next
}

void DeviceVariables::download(Store store, std::byte* to) {
  if (base(store) == nullptr || bytes_[index_of(store)] == 0) return;
  const OnDevice here(device_->ordinal());
  const std::scoped_lock turn(turns_);
  wait_for_all();
  check(cudaMemcpyAsync(to, base(store), bytes_[index_of(store)], cudaMemcpyDeviceToHost, copies_.get()));
  check(cudaStreamSynchronize(copies_.get()));
}

void DeviceVariables::join(cudaStream_t stream) {
  const OnDevice here(device_->ordinal());
  const std::scoped_lock turn(turns_);
  wait_for_all();  // as long as there was one stream, nothing was recorded
  users_.push_back({stream, make_event()});
}

void DeviceVariables::leave(cudaStream_t stream) noexcept {
  const std::scoped_lock turn(turns_);
  std::erase_if(users_, [&](const User& user) { return user.stream == stream; });
  if (writer_ == stream) writer_ = nullptr;
}

DeviceVariables::Turn::Turn(DeviceVariables& variables, cudaStream_t stream, bool writes)
    : variables_(variables), stream_(stream), writes_(writes), lock_(variables.turns_) {
  for (const User& user : variables_.users_) {
    if (user.stream == stream_ || !(writes_ || user.stream == variables_.writer_)) continue;
    check(cudaStreamWaitEvent(stream_, user.done.get(), 0));
  }
}

void DeviceVariables::Turn::finish() {
  if (variables_.users_.size() > 1) {
    const auto me = std::find_if(variables_.users_.begin(), variables_.users_.end(),
                                 [&](const User& user) { return user.stream == stream_; });
    check(cudaEventRecord(me->done.get(), stream_));
  }
  if (writes_) variables_.writer_ = stream_;
  lock_.unlock();
}

DeviceVariables::Turn::~Turn() {
  if (lock_.owns_lock()) static_cast<void>(cudaStreamSynchronize(stream_));
}

}  // namespace gpunn::cuda

#include "src/cuda/lane.hpp"

namespace gpunn::cuda {

Lane::Lane(std::shared_ptr<DeviceVariables> variables) : variables_(std::move(variables)) {
  const OnDevice here(device().ordinal());
  stream_ = make_stream(), side_stream_ = make_stream();
  variables_->join(stream_.get());
}

Lane::~Lane() {
  static_cast<void>(cudaStreamSynchronize(stream_.get()));
  variables_->leave(stream_.get());
}

std::shared_ptr<Lane> lane_on(const std::shared_ptr<Device>& device, VariableStore& store) {
  const auto mirror = store.mirror_for(
      [&](VariableMirror& there) {
        const auto* variables = dynamic_cast<DeviceVariables*>(&there);
        return variables != nullptr && &variables->device() == device.get();
      },
      [&] { return std::make_shared<DeviceVariables>(device); });
  const auto variables = std::static_pointer_cast<DeviceVariables>(mirror);
  auto lane = std::dynamic_pointer_cast<Lane>(store.context());
  if (lane == nullptr || &lane->variables() != variables.get()) {
    lane = std::make_shared<Lane>(variables);
    store.set_context(lane);
  }
  return lane;
}

}  // namespace gpunn::cuda

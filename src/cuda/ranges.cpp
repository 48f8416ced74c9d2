#include "src/cuda/ranges.hpp"

#include <cuda_profiler_api.h>
#include <cuda_runtime_api.h>
#include <nvtx3/nvToolsExt.h>
#include <nvtx3/nvToolsExtPayload.h>

#include <cstddef>
#include <string>

#include "src/cuda/device.hpp"

namespace gpunn::cuda {
namespace {

struct Payload {
  double bytes, flops;
};

struct Domain {
  nvtxDomainHandle_t handle = nvtxDomainCreateA("gpunn");
  std::uint64_t schema = 0;

  Domain() {
    static const nvtxPayloadSchemaEntry_t entries[] = {
        {0, NVTX_PAYLOAD_ENTRY_TYPE_DOUBLE, "bytes", nullptr, 0, offsetof(Payload, bytes), nullptr, nullptr},
        {0, NVTX_PAYLOAD_ENTRY_TYPE_DOUBLE, "FLOPs", nullptr, 0, offsetof(Payload, flops), nullptr, nullptr}};
    nvtxPayloadSchemaAttr_t attributes{};
    attributes.fieldMask = NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NAME | NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_TYPE |
                           NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_ENTRIES |
                           NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_NUM_ENTRIES |
                           NVTX_PAYLOAD_SCHEMA_ATTR_FIELD_STATIC_SIZE;
    attributes.name = "cost";
    attributes.type = NVTX_PAYLOAD_SCHEMA_TYPE_STATIC;
    attributes.entries = entries;
    attributes.numEntries = std::size(entries);
    attributes.payloadStaticSize = sizeof(Payload);
    schema = nvtxPayloadSchemaRegister(handle, &attributes);
  }
};

Domain& domain() {
  static Domain& made = *new Domain;  // never destroyed: the tool may be gone by then
  return made;
}

}  // namespace

Range::Range(const trace::Label& label) : range_(label) {
  std::string text;  // names are literals or strings: their views end with 0
  if (!label.detail.empty()) text.append(label.name).append(1, ' ').append(label.detail);
  nvtxEventAttributes_t attributes{};
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
  attributes.message.ascii = label.detail.empty() ? label.name.data() : text.c_str();
  const Payload payload{label.bytes, label.flops};
  if (label.detail.empty()) {
    nvtxDomainRangePushEx(domain().handle, &attributes);
  } else {
    nvtxPayloadRangePush(domain().handle, &attributes, domain().schema, &payload, sizeof payload);
  }
}

Range::~Range() {
  nvtxDomainRangePop(domain().handle);
}

void connect_profiler() {
  // What was queued before belongs outside the window, what was queued in it inside.
  trace::set_profiler(
      [] {
        wait_for_devices();
        static_cast<void>(cudaProfilerStart());
      },
      [] {
        wait_for_devices();
        static_cast<void>(cudaProfilerStop());
      });
}

}  // namespace gpunn::cuda

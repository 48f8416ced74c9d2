// Turns on the variables in device memory: what streams queue is ordered although each runs for itself.
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/check.hpp"
#include "simt/simt.hpp"
#include "src/cuda/variables.hpp"
#include "tests/cuda/device_memory.hpp"

namespace gpunn::cuda {
namespace {

// Streams that run only what is waited for show an order that nobody asked for.
class CudaTurns : public ::testing::Test {
 protected:
  void SetUp() override {
    simt::Options options = simt::options();
    options.streams = simt::Streams::lazy;
    simt::set_options(options);
    check(cudaMallocHost(&seen_, sizeof(std::uint32_t)));
    for (const Stream* stream : {&trainer_, &reader_}) variables_.join(stream->get());
  }
  void TearDown() override {
    static_cast<void>(cudaDeviceSynchronize());
    static_cast<void>(cudaFreeHost(seen_));
    simt::set_options(simt::Options::from_environment());
  }

  void write(const Stream& stream, int byte) {
    DeviceVariables::Turn turn(variables_, stream.get(), true);
    check(cudaMemsetAsync(weight_.data(), byte, sizeof(float), stream.get()));
    turn.finish();
  }
  void read(const Stream& stream) {
    DeviceVariables::Turn turn(variables_, stream.get(), false);
    check(cudaMemcpyAsync(seen_, weight_.data(), sizeof(float), cudaMemcpyDeviceToHost, stream.get()));
    turn.finish();
  }
  std::uint32_t seen(const Stream& stream) const {
    check(cudaStreamSynchronize(stream.get()));
    std::uint32_t value = 0;
    std::memcpy(&value, seen_, sizeof value);
    return value;
  }

  DeviceVariables variables_{std::make_shared<Device>(0)};
  DeviceFloats weight_{{0.0f}};
  Stream trainer_ = make_stream(), reader_ = make_stream();
  void* seen_ = nullptr;
};

TEST_F(CudaTurns, WhatWasWrittenBeforeIsRead) {
  write(trainer_, 1);
  read(reader_);
  EXPECT_EQ(seen(reader_), 0x01010101u);
}

TEST_F(CudaTurns, WhatIsBeingReadIsNotWrittenOver) {
  write(trainer_, 1);
  read(reader_);
  write(trainer_, 2);
  check(cudaStreamSynchronize(trainer_.get()));
  EXPECT_EQ(seen(reader_), 0x01010101u);
}

TEST_F(CudaTurns, WritersFollowOneAnother) {
  write(trainer_, 1);
  write(reader_, 2);
  read(trainer_);
  EXPECT_EQ(seen(trainer_), 0x02020202u);
  write(trainer_, 3);
  check(cudaStreamSynchronize(trainer_.get()));
  read(reader_);
  EXPECT_EQ(seen(reader_), 0x03030303u);
}

// An exception in the middle of a turn leaves nothing behind that nobody waits for.
TEST_F(CudaTurns, AnUnfinishedTurnIsWaitedFor) {
  {
    DeviceVariables::Turn turn(variables_, trainer_.get(), true);
    check(cudaMemsetAsync(weight_.data(), 4, sizeof(float), trainer_.get()));
  }
  read(reader_);
  EXPECT_EQ(seen(reader_), 0x04040404u);
}

}  // namespace
}  // namespace gpunn::cuda
